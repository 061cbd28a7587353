"""Check that model, plane and data are those of a file, and name what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.grid import AXIS_NAMES

if TYPE_CHECKING:
    from losslandscape.landscape.landscape import Landscape
    from losslandscape.planes.subspace import Subspace
    from losslandscape.problem.objective import Objective

# these may differ: where and how the loss is computed
_FREE = ("device", "precision", "reestimation_batch_size", "streamed", "converted_data")
_PARTS = {
    "parameters_sha256": "the model's parameters (other weights?)",
    "buffers_sha256": "the model's buffers, such as batch-norm statistics (other weights?)",
}
_MEANINGS = {
    "subspace.parameters_sha256": "the model's parameters: other weights",
    "subspace.buffers_sha256": "the model's buffers, such as batch-norm statistics",
    "subspace.directions_sha256": "the directions of the plane",
    "subspace.model_buffers_sha256": "buffers in which the models differ",
    "objective.model_structure": "the model's layers",
    "objective.frozen_parameters": "parameters that do not move (requires_grad=False)",
    "objective.loss_code": "the code of the loss or a constant that it uses; "
    "older versions compute another hash",
    "objective.training_modules": "modules in train mode",
    "grid.shape": "the number of points",
    "grid.bounds": "the ends of the axes",
}


def described_plane(subspace: Subspace) -> dict[str, Any]:
    """Describe a subspace for the file: its recipe, and hashes of its parts and of the whole."""
    return {**subspace.recipe, **subspace.part_hashes, "sha256": subspace.identity}


def meaning(difference: str) -> str:
    """Explain an entry of a recipe, for messages; empty if its name is clear.

    Examples
    --------
    >>> meaning("objective.sets.train.sha256"), meaning("grid.shape"), meaning("objective.loss")
    (' (the values of the samples)', ' (the number of points)', '')
    """
    if difference.startswith("objective.sets.") and difference.endswith(".sha256"):
        return " (the values of the samples)"
    if difference.startswith("computer."):
        return " (another version or machine: the last bits may differ)"
    words = _MEANINGS.get(difference)
    return f" ({words})" if words else ""


def check_plane(landscape: Landscape, subspace: Subspace, weights: object = None) -> None:
    """Raise a LossLandscapeError that names what differs if a subspace is not the landscape's.

    ``weights``, the source of the weights, is for the message.
    """
    if landscape.grid.dimensions != subspace.dimensions:
        raise LossLandscapeError(
            f"{landscape._where()}the landscape has {landscape.grid.dimensions} dimensions and the "
            f"given subspace {subspace.dimensions}; pass the subspace that it was evaluated on"
        )
    found = landscape.provenance.get("subspace", {})
    wanted = found.get("sha256")
    same_buffers = found.get("model_buffers_sha256") == subspace.model_buffers_sha256
    if wanted is None or (wanted == subspace.identity and same_buffers):
        return
    given = subspace.part_hashes
    parts = [words for key, words in _PARTS.items() if key in found and found[key] != given[key]]
    parts += _directions(found.get("directions_sha256"), given["directions_sha256"])
    if not same_buffers:
        parts.append("buffers in which the models differ (older versions kept those of the first)")
    # older files hold the hash of the whole alone
    what = " and ".join(parts) or "its origin or its directions (other weights, another seed?)"
    source = f" (weights: {weights})" if weights is not None else ""
    raise LossLandscapeError(
        f"{landscape._where()}the given subspace is not the landscape's; what differs: "
        f"{what}{source}"
    )


def source_of(landscape: Landscape) -> dict[str, str]:
    """Hashes of a landscape's plane, grid and losses, for what is computed from it."""
    loss = np.ascontiguousarray(landscape.values("loss"), dtype=np.float64)
    plane = landscape.provenance.get("subspace", {}).get("sha256")
    return {
        **({"plane": str(plane)} if plane else {}),
        "grid": _sha256(json.dumps(landscape.grid.to_json()).encode()),
        "losses": _sha256(loss.tobytes() + landscape.status.astype(np.int8).tobytes()),
    }


def check_source(landscape: Landscape, source: Mapping[str, str], what: str, how: str) -> None:
    """Raise a LossLandscapeError if something was computed from another landscape.

    Parameters
    ----------
    source : dict
        Of :func:`source_of`; empty where it is not known.
    what : str
        What was computed.
    how : str
        How to compute it from this one.
    """
    own = source_of(landscape)
    for part, words in (
        ("plane", "on another plane"), ("grid", "on another grid"), ("losses", "with other losses")
    ):  # fmt: skip
        if part in source and part in own and source[part] != own[part]:
            raise LossLandscapeError(
                f"{landscape._where()}{what} are those of another landscape, {words}; {how}"
            )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _directions(there: Any, given: list[str]) -> list[str]:
    if there is None or there == given:
        return []
    if not isinstance(there, list) or len(there) != len(given):
        return ["the directions (another seed, another trajectory?)"]
    names = [name for name, one, other in zip(AXIS_NAMES, there, given) if one != other]
    return [f"direction {' and '.join(names)} (another seed, another trajectory?)"]


def check_objective(landscape: Landscape, objective: Objective) -> None:
    """Raise a LossLandscapeError that names what differs if an objective is not the one measured.

    Its device and precision may differ. If another version of Python hashed the code of the loss,
    the code cannot be compared; only values of the loss can.
    """
    measured = landscape.provenance.get("objective", {})
    for key, given in objective.to_json().items():
        if key in _FREE or key not in measured:
            continue
        there = measured[key]
        if key == "sets":
            there, given = samples_alone(there), samples_alone(given)
        same = objective.may_have_code(there) if key == "loss_code" else there == given
        # older versions knew no running statistics but those of batch norm
        same |= key == "batch_norm" and (there, given) == ("none", "fixed")
        if not same:
            raise LossLandscapeError(
                f"{landscape._where()}the given objective is not the landscape's: {_what(key)}"
                f"{_details(key, there, given)}"
            )


def _what(key: str) -> str:
    return "its sets of samples differ" if key == "sets" else f"its {key} differs"


def _details(key: str, there: Any, given: Any) -> str:
    if key == "loss_code":
        return " (the code of the loss or a constant that it uses)"
    if key != "sets":
        words = meaning(f"objective.{key}")
        if words or not isinstance(there, (str, int, float)):
            return words
        return f" ({there} in the file, {given} given)"
    if there.keys() != given.keys():
        return f" ({', '.join(there)} in the file, {', '.join(given)} given)"
    for name in there:
        for part in there[name]:
            one, other = there[name][part], given[name].get(part)
            if one != other:
                what = "other values" if part == "sha256" else f"{part}: {one}, now {other}"
                return f" (set '{name}': {what})"
    return ""


def samples_alone(sets: Mapping[str, dict]) -> dict[str, dict]:
    """Reduce the sets described in a file to what identifies the samples: their number and hash.

    The size of the data set from which they were drawn and the type of their source are left out.

    Examples
    --------
    >>> samples_alone({"train": {"samples": 200, "source": "tuple", "dataset_samples": 1438}})
    {'train': {'samples': 200}}
    """
    return {
        name: {key: described[key] for key in ("samples", "sha256") if key in described}
        for name, described in sets.items()
    }
