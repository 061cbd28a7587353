"""Directions in the space of the inputs: the gradient of the loss, its sign, and random ones."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.inputs import InputsLoss, InputsModel
from losslandscape.problem.modes import set_modes
from losslandscape.problem.objective import Objective
from losslandscape.public_calls import users_line

# name -> title on axes, short enough to stay in a picture
TITLES = {
    "gradient_sign": "gradient sign",
    "gradient": "gradient",
    "random_sign": "random signs",
    "random": "random",
}
# of a coordinate, in the unit of the inputs
_UNITS = {True: "change of each input value", False: "Euclidean length per sample"}
DEFAULT = ("gradient_sign", "random_sign", "random_sign")
_BATCH = 256
_SHARE_OF_RANGE = 0.1  # half width of the default grid


def input_directions(
    objective: Objective, kinds: Sequence[str], seed: int
) -> tuple[list[Tensor], dict[str, Any]]:
    """Directions of these kinds for every sample, and what the file states about them.

    Returns
    -------
    directions : list of Tensor, shape of the inputs (samples, ...)
    stated : dict
        Entries of the subspace's recipe.

    Raises
    ------
    LossLandscapeError
        If the objective is not one over the inputs, a kind is unknown, or the gradient is zero or
        not finite.
    """
    model, loss = objective.model, objective.loss
    if not isinstance(model, InputsModel) or not isinstance(loss, InputsLoss):
        raise LossLandscapeError(
            "a plane over the inputs needs an objective over the inputs: "
            "over = objective.over_inputs(); Subspace.inputs(over); evaluate(over, ...)"
        )
    for kind in kinds:
        if kind not in TITLES:
            raise LossLandscapeError(
                f"direction {kind!r} is not one of {', '.join(TITLES)} over the inputs"
            )
    stated: dict[str, Any] = {"samples": len(model.inputs)}
    gradient = None
    if any(kind.startswith("gradient") for kind in kinds):
        gradient = _gradients(objective, model, loss)
        zero = int((gradient.flatten(1) == 0).all(1).sum())
        if zero == len(gradient):
            raise LossLandscapeError(
                "the gradient of the loss with respect to the inputs is exactly zero for "
                f"{'the sample' if zero == 1 else f'all {zero} samples'}: the loss is saturated, "
                "or the model passes no gradient to its inputs; choose random directions "
                "(random_sign, random)"
            )
        if zero:
            stated["samples_of_zero_gradient"] = zero
            warnings.warn(
                f"the gradient is exactly zero for {zero} of {len(gradient)} samples: these do "
                "not move along it, and lower the rise of the mean loss",
                stacklevel=users_line(),
            )
    directions: list[Tensor] = []
    for i, kind in enumerate(kinds):
        directions.append(_direction(kind, model.inputs, gradient, directions, f"{seed}/{i}"))
    return directions, stated


def _direction(
    kind: str, inputs: Tensor, gradient: Tensor | None, earlier: list[Tensor], key: str
) -> Tensor:
    if kind == "gradient_sign":
        assert gradient is not None
        return gradient.sign().to(inputs.dtype)
    if kind == "gradient":
        assert gradient is not None
        return _unit(gradient.double()).to(inputs.dtype)
    digest = hashlib.sha256(f"{key}/inputs".encode()).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    if kind == "random_sign":
        drawn = torch.randint(2, inputs.shape, generator=generator, dtype=torch.int8) * 2 - 1
        return drawn.to(inputs.device, inputs.dtype)
    drawn = torch.randn(inputs.shape, generator=generator, dtype=torch.float64)
    kept: list[Tensor] = []
    for direction in earlier:
        rows = _rejected(direction.detach().cpu().double().flatten(1), kept)
        kept.append(_unit(rows))
    rows = _rejected(drawn.flatten(1), kept)
    if bool((rows.norm(dim=1) <= 1e-6 * drawn.flatten(1).norm(dim=1)).any()):
        raise LossLandscapeError(
            f"an input of {rows.shape[1]} values has no direction orthogonal to "
            f"{len(earlier)} others; use fewer directions"
        )
    return _unit(rows).reshape(inputs.shape).to(inputs.device, inputs.dtype)


def _rejected(rows: Tensor, units: list[Tensor]) -> Tensor:
    """Rows without their parts along unit vectors, row by row; twice, against rounding."""
    for _ in range(2):
        for unit in units:
            rows = rows - (rows * unit).sum(1, keepdim=True) * unit
    return rows


def _unit(values: Tensor) -> Tensor:
    """Each sample's values scaled to Euclidean length 1; zeros stay zeros."""
    norms = values.flatten(1).norm(dim=1).view(-1, *(1,) * (values.dim() - 1))
    return torch.where(norms > 0, values / norms, torch.zeros_like(values))


def _gradients(objective: Objective, model: InputsModel, loss: InputsLoss) -> Tensor:
    """The gradient of each sample's loss with respect to its own input, shape of the inputs."""
    training = {module: module.training for module in model.modules()}
    parts = []
    try:
        set_modes(model, objective.modes)
        samples = next(iter(objective.sets.values()))
        device = model.inputs.device
        for batch in samples.batches(objective.batch_size or _BATCH, device, model.inputs.dtype):
            inputs = model.inputs[batch[loss.place]].detach().requires_grad_()
            with torch.enable_grad():
                losses = loss.at(model.network, batch, inputs)["loss"]
                if not losses.requires_grad:
                    raise LossLandscapeError(
                        f"loss {loss.of.name}: it does not depend on the inputs in a way that can "
                        "be differentiated; choose random directions (random_sign, random)"
                    )
                parts.append(torch.autograd.grad(losses.sum(), inputs)[0])
    finally:
        for module, mode in training.items():
            module.training = mode
    gradient = torch.cat(parts)
    bad = int((~gradient.flatten(1).isfinite().all(1)).sum())
    if bad:
        raise LossLandscapeError(
            f"the gradient of the loss is not finite for {bad} of {len(gradient)} samples; remove "
            "them, or choose random directions (random_sign, random)"
        )
    return gradient


def default_half_widths(kinds: Sequence[str], inputs: Tensor) -> list[float]:
    """Half width of the default grid along each direction: 10% of the range of the values.

    Along a Euclidean direction it is as far as if each value moved by that much.
    """
    step = _SHARE_OF_RANGE * max(float(inputs.max() - inputs.min()), 1e-6)
    whole = step * inputs[0].numel() ** 0.5
    return [step if kind.endswith("_sign") else whole for kind in kinds]


def plane_of_inputs(
    objective: Objective, kinds: Sequence[str], seed: int
) -> tuple[Tensor, list[Tensor], dict[str, Any], list[float]]:
    """Origin, directions, recipe and half widths of a subspace over the inputs."""
    directions, stated = input_directions(objective, kinds, seed)
    model = objective.model
    assert isinstance(model, InputsModel)
    inputs = model.inputs.detach()
    recipe = {
        "kind": "inputs",
        "directions": list(kinds),
        "units": [_UNITS[kind.endswith("_sign")] for kind in kinds],
        "seed": seed,
        **stated,
        "input_range": [float(inputs.min()), float(inputs.max())],
        "valid_range": list(model.valid_range) if model.valid_range else "not given",
        "clipped": model.clip,
    }
    return inputs, directions, recipe, default_half_widths(kinds, inputs)
