"""Is a value the same every time it is measured?

A landscape compares points with each other, which says nothing if a point's value is another one
when it is measured again. Four things are looked at, at the cost of one point in all:

- the first evaluation of the origin: did the model draw random numbers, and did it write to its
  buffers (:func:`observe`);
- a few items of the data, read again: does the data set augment them at random
  (:func:`check_data`);
- the origin once more after the last point: are all its values the same to the bit
  (:func:`difference`). Between the two lies the whole run, its restarts and its workers.

What is found is refused, or stated in the file where that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import Landscape
from losslandscape.planes.subspace import Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.generators import generator_states, seed_generators
from losslandscape.point.measurement import Measurement, mean_loss
from losslandscape.problem.determinism import HOW_TO_ALLOW
from losslandscape.problem.named_losses import NamedLoss
from losslandscape.problem.objective import Objective
from losslandscape.problem.sample_weights import VaryingWeightsError, described

# Numbers that are drawn and change no loss under any of these are harmless: detectors of
# torchvision choose among one size.
_OTHER_SEEDS = (1, 2, 3)
# of the largest loss: a parameter that is normalized in each pass is rounded in each
_REWRITTEN = 1e-5
_TOLERANCE = {False: 1e-3, True: 0.1}  # of the origin's loss, in plain and in other arithmetic


def observe(evaluator: Evaluator) -> tuple[Measurement, dict[str, Any]]:
    """Measure the origin, and tell what else the evaluation did.

    Returns
    -------
    measurement : as :meth:`losslandscape.point.evaluator.Evaluator.measure`
    observed : dict
        ``random_numbers``: of which generators the model drew, of ``torch``, ``torch.cuda``,
        ``numpy`` and ``python``; ``altered_buffers``: names of the buffers it wrote to. Where it
        drew, ``seed_difference``: the largest difference of a sample's loss with other seeds; 0
        where no seed changes a loss.
        Where it altered buffers or parameters and there are batches enough, ``order_difference``:
        the same with the batches in the opposite order. Only if there are any:
        ``altered_parameters`` and ``altered_frozen_parameters``, which it wrote to, and
        ``unseen_parameters``, on which no loss depends. Where samples weigh
        differently, ``weights``: by set and quantity, see
        :func:`losslandscape.problem.sample_weights.described`.

    Raises
    ------
    VaryingWeightsError
        If the weights of samples are others at another point.
    """
    origin = (0.0,) * evaluator.subspace.dimensions
    device = evaluator.objective.device
    seed_generators(device, evaluator.seed)
    before, frozen = generator_states(device), evaluator.frozen_marks()
    measured = evaluator.measure(origin)
    after = generator_states(device)
    observed: dict[str, Any] = {
        "random_numbers": [name for name in before if before[name] != after[name]],
        "altered_buffers": evaluator.altered_buffers(),
    }
    marks = evaluator.frozen_marks()
    found = {
        "altered_parameters": evaluator.altered_parameters(),
        "altered_frozen_parameters": [name for name in frozen if frozen[name] != marks[name]],
    }
    observed.update({what: names for what, names in found.items() if names})
    if observed["random_numbers"]:
        observed["seed_difference"] = _seed_difference(evaluator, origin, measured)
    elif observed["altered_buffers"] and evaluator.batches.several:
        observed["order_difference"] = _order_difference(evaluator, origin, measured)
    elif "altered_parameters" in observed and evaluator.batches.several:
        apart = _order_difference(evaluator, origin, measured)
        if apart > _REWRITTEN * _largest_loss(measured):
            observed["order_difference"] = apart
    if unseen := evaluator.without_effect(measured):
        observed["unseen_parameters"] = unseen
    weights = {
        name: {quantity: described(values) for quantity, values in found.items()}
        for name, found in evaluator.weights.items()
        if found
    }
    if weights:
        observed["weights"] = weights
        losses = evaluator.objective.losses.values()
        if not all(isinstance(loss.function, NamedLoss) for loss in losses):  # from the data alone
            bounds = evaluator.subspace.default_grid().bounds
            try:
                evaluator.measure([high / 8 for _, high in bounds])
            except VaryingWeightsError:
                raise
            except LossLandscapeError:  # that point fails by itself when it is measured
                pass
    return measured, observed


def refuse_empty_samples(measured: Measurement) -> None:
    """Raise a LossLandscapeError if some samples, not all, have the loss NaN at the origin.

    The mean over all of them would be NaN at every point. Such a sample is the mean of nothing, as
    an image without a label that counts; a network that has diverged has no other loss either.
    """
    for name, values in measured.items():
        missing = np.isnan(values["loss"])
        if missing.any() and not missing.all():
            count = int(missing.sum())
            raise LossLandscapeError(
                f"{name}: sample {int(missing.argmax())}"
                + (f" and {count - 1:,} more have" if count > 1 else " has")
                + " the loss NaN at the origin, and so would the mean of all samples at every "
                "point. Is it the mean of no target (all are ignored), or a value that is NaN? "
                "Remove the sample, or return (losses, weights) with the weight 0 for it"
            )


def _seed_difference(evaluator: Evaluator, origin: Sequence[float], measured: Measurement) -> float:
    """Largest difference of a sample's loss with other seeds: the first that gives one decides."""
    try:
        for evaluator.seed in _OTHER_SEEDS:
            apart = largest_difference(measured, evaluator.measure(origin))
            if apart > 0:
                return apart
        return 0.0
    finally:
        evaluator.seed = 0


def _largest_loss(measured: Measurement) -> float:
    return max(float(np.abs(values["loss"]).max(initial=0.0)) for values in measured.values())


def _order_difference(
    evaluator: Evaluator, origin: Sequence[float], measured: Measurement
) -> float:
    """Largest difference of a sample's loss when the batches come in the opposite order."""
    weights, evaluator.weights = evaluator.weights, {}  # they come in the opposite order as well
    with evaluator.batches.opposite_order():
        ends = {
            name: np.cumsum(lengths)[:-1] for name, lengths in evaluator.batches.lengths().items()
        }
        other = evaluator.measure(origin)
    evaluator.weights = weights
    turned = {
        name: {"loss": np.concatenate(np.split(values["loss"], ends[name])[::-1])}
        for name, values in other.items()
        if name in ends
    }
    return largest_difference({name: measured[name] for name in turned}, turned)


def largest_difference(a: Measurement, b: Measurement) -> float:
    """Largest absolute difference of the losses by sample; infinite where one is not finite.

    Examples
    --------
    >>> one, other = ({"train": {"loss": np.array([1.0, x])}} for x in (np.nan, 3.0))
    >>> largest_difference(one, one), largest_difference(one, other)
    (0.0, inf)
    """
    return max(_largest(a[name]["loss"], b[name]["loss"]) for name in a)


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    differing = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not differing.any():
        return 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(a[differing].astype(np.float64) - b[differing])
    return float(np.where(np.isfinite(apart), apart, np.inf).max())


def difference(names: Sequence[str], first: np.ndarray, last: np.ndarray) -> dict[str, Any]:
    """How the values of the origin differ between its first evaluation and its last.

    Parameters
    ----------
    names : sequence of str
        Of the first entries; those after them are losses by sample.
    first, last : float64 ndarray, shape (values,)

    Returns
    -------
    dict
        ``bit_equal``; and where that is false ``first`` and ``last``, the values that differ by
        name, and ``largest_sample_difference`` where losses by sample were kept.

    Examples
    --------
    >>> difference(["loss"], np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    {'bit_equal': True}
    >>> difference(["loss"], np.array([1.0, 1.0]), np.array([1.5, 2.0]))["last"]
    {'loss': 1.5}
    """
    same = (first == last) | (np.isnan(first) & np.isnan(last))
    if same.all():
        return {"bit_equal": True}
    found: dict[str, Any] = {"bit_equal": False, "first": {}, "last": {}}
    for name, equal, one, other in zip(names, same, first, last):
        if not equal:
            found["first"][name], found["last"][name] = float(one), float(other)
    if len(first) > len(names):
        found["largest_sample_difference"] = _largest(first[len(names) :], last[len(names) :])
    return found


def refuse_observed(objective: Objective, observed: Mapping[str, Any]) -> None:
    """Raise a LossLandscapeError if what :func:`observe` found makes the values doubtful.

    Random numbers that change no loss are harmless, and those drawn by modules that were asked to
    stay in train mode are what was asked for.
    """
    if objective.nondeterminism == "stated":
        return
    model = type(objective.model).__name__
    asked = objective.modes == "own" and any(m.training for m in objective.model.modules())
    drawn = observed["random_numbers"]
    matter = observed.get("seed_difference", 0) > 0
    if matter and (not asked or not all(name.startswith("torch") for name in drawn)):
        raise LossLandscapeError(
            f"{model}: draws random numbers (generator of {' and '.join(drawn)}) while it is "
            "evaluated in eval mode; with others a sample's loss differs by up to "
            f"{observed['seed_difference']:.3g}. Likely causes: torch.nn.functional.dropout "
            "without training=self.training, noise or sampling in forward, a loss that draws; or "
            f"{HOW_TO_ALLOW}"
        )
    if observed.get("order_difference"):
        kinds = {"buffers": "altered_buffers", "parameters": "altered_parameters"}
        written = " and ".join(
            f"{kind} that forward writes to in eval mode: {', '.join(observed[key])}"
            for kind, key in kinds.items()
            if observed.get(key)
        )
        raise LossLandscapeError(
            f"{model}: the loss of a sample depends on the batches before it (by up to "
            f"{observed['order_difference']:.3g}), through {written}. Write to them only where "
            f"self.training is set; or {HOW_TO_ALLOW}"
        )
    if observed.get("altered_frozen_parameters"):
        raise LossLandscapeError(
            f"{model}: forward writes to parameters that are frozen (requires_grad=False): "
            f"{', '.join(observed['altered_frozen_parameters'])}. Each pass would find others; "
            f"compute with a copy in forward; or {HOW_TO_ALLOW}"
        )


def refuse_difference(
    objective: Objective, found: Mapping[str, Any], journal: Path | None = None
) -> None:
    """Raise a LossLandscapeError if the last evaluation of the origin was not as the first.

    ``journal`` has the points, if they are kept.
    """
    if found["bit_equal"] or objective.nondeterminism == "stated":
        return
    if "loss" in found["first"]:
        what = f"loss {found['first']['loss']:.9g} first and {found['last']['loss']:.9g} last"
    else:
        what = f"other values of {', '.join(found['first']) or 'the samples'}"
    largest = found.get("largest_sample_difference")
    by_sample = f" (a sample's by up to {largest:.3g})" if largest is not None else ""
    cuda = objective.device.type == "cuda"
    kernels = (
        "kernels that add in no fixed order (torch.use_deterministic_algorithms(True) finds them); "
        if cuda
        else ""
    )
    kept = (
        f"All points are in {journal.name}: delete it if the model, the loss or the data are "
        "repaired; "
        if journal is not None
        else ""
    )
    raise LossLandscapeError(
        f"the origin was evaluated twice and is not the same: {what}{by_sample}. Likely causes: "
        f"{kernels}random numbers of a generator of the model's own; a model or loss that keeps "
        "something from call to call, reads a file, or depends on the time. "
        f"{kept}the same call with {HOW_TO_ALLOW}, with the difference"
    )


def stated(found: Mapping[str, Any]) -> list[str]:
    """What a file states about its values that its readers should know; usually nothing.

    Examples
    --------
    >>> stated({"bit_equal": True, "random_numbers": [], "altered_buffers": ["seen"]})
    ['forward writes to buffers in eval mode: seen (put back before each point)']
    """
    lines = []
    if not found["bit_equal"]:
        largest = found.get("largest_sample_difference")
        by = f", a sample's loss by up to {largest:.3g}" if largest is not None else ""
        lines.append(f"not the same each time it is measured: the origin differs{by}")
    if found.get("random_numbers"):
        drawn, apart = ", ".join(found["random_numbers"]), found["seed_difference"]
        others = (
            f"with others a sample's loss differs by up to {apart:.3g}"
            if apart > 0
            else "no loss depends on them, as far as other seeds show"
        )
        lines.append(f"random numbers are drawn ({drawn}); {others}")
    if found.get("altered_buffers"):
        lines.append(
            "forward writes to buffers in eval mode: "
            f"{', '.join(found['altered_buffers'])} (put back before each point)"
        )
    if found.get("altered_parameters"):
        lines.append(
            "forward writes to parameters in eval mode: "
            f"{', '.join(found['altered_parameters'])} (moved anew to each point)"
        )
    if found.get("altered_frozen_parameters"):
        lines.append(
            "forward writes to frozen parameters in eval mode, which stay as it left them: "
            f"{', '.join(found['altered_frozen_parameters'])}"
        )
    if found.get("unseen_parameters"):
        lines.append(f"no loss depends on {shortened(found['unseen_parameters'])}, which are moved")
    if found.get("batch_difference"):
        lines.append(
            "a sample's loss depends on the other samples of its batch, by up to "
            f"{found['batch_difference']:.3g}; the standard errors do not hold"
        )
    if found.get("order_difference"):
        lines.append(
            "the order of the batches changes a sample's loss by up to "
            f"{found['order_difference']:.3g}"
        )
    return lines


def shortened(names: Sequence[str], most: int = 5) -> str:
    """Names for a message, the first few.

    Examples
    --------
    >>> shortened(["a", "b"]), shortened(["a", "b", "c"], 1)
    ("'a', 'b'", "'a' and 2 more")
    """
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def require_one_value(landscape: Landscape) -> None:
    """Raise a LossLandscapeError if a landscape's file states that its values are not repeatable.

    For whoever needs derivatives, which would be those of another loss at each step.
    """
    stated = landscape.provenance.get("determinism", {})
    differing = stated.get("order_difference", 0) > 0 or stated.get("seed_difference", 0) > 0
    if differing or not stated.get("bit_equal", True):
        where = f"{landscape.path}: " if landscape.path is not None else ""
        raise LossLandscapeError(
            f"{where}the file states that its losses are not the same each time they are measured: "
            "there are no derivatives to take of them"
        )


def check_origin_loss(landscape: Landscape, objective: Objective, subspace: Subspace) -> None:
    """Raise a LossLandscapeError if the loss at the origin is not that in a landscape's file.

    Hashes tell whether weights, layers and data are the same, not what the code of a module does.
    Another machine, or another precision, gives other last digits: 0.1% is passed over, in reduced
    precision 10%.
    """
    stated = landscape.provenance.get("determinism", {})
    if "origin_loss" not in stated or stated.get("random_numbers") or not stated["bit_equal"]:
        return
    if "allotment" in landscape.provenance.get("adaptive", {}):  # of a part of the samples
        return
    recorded = landscape.provenance.get("objective", {})
    batch_size = recorded.get("batch_size")
    objective = objective.with_execution(recorded.get("configuration"))
    with Evaluator(objective, subspace, batch_size) as evaluator:
        measured = evaluator.measure((0.0,) * subspace.dimensions)
    loss = mean_loss(measured)
    reduced = objective.arithmetic is not None and objective.arithmetic.reduced
    tolerance = _TOLERANCE[reduced]
    if not np.isclose(loss, stated["origin_loss"], rtol=tolerance, atol=1e-6, equal_nan=True):
        raise LossLandscapeError(
            f"{landscape.path}: at the origin the loss is {loss:.6g}, and the file says "
            f"{stated['origin_loss']:.6g}, although weights and data are the same: was the code of "
            "the model or of the loss changed?"
        )
