"""Whether the arrays, overlays and provenance of a landscape fit its grid and each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from losslandscape.argument_kinds import PATH, Instance, Items, Table, described
from losslandscape.errors import LossLandscapeError
from losslandscape.public_calls import GRID

# Entries of the provenance that are used without a look at their type.
PROVENANCE_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "format_version": (int, float),
    "title": str,
    "command": str,
    "direction_names": list,
    "subspace": dict,
    "grid": dict,
    "objective": dict,
    "quantities": dict,
    "adaptive": (dict, type(None)),
    "precision": (dict, type(None)),
    "models": list,
    "trajectories": list,
    "arguments": dict,
    "versions": dict,
}
_FIELDS = Table('name -> array, such as {"loss": values}')
_PROVENANCE = Table("entries of the file")
_WHERE = "losslandscape.landscape.overlays"
_MODELS = Items(Instance(f"{_WHERE}:ModelPoint", "ModelPoint(label, coordinates, loss)"), "models")
_TRAJECTORIES = Items(
    Instance(f"{_WHERE}:ProjectedTrajectory", "the result of landscape.add_trajectory(...)"),
    "trajectories",
)


def check_consistency(landscape: Any) -> None:
    """Raise a LossLandscapeError that names the first part that does not fit the others."""
    GRID.check("grid", landscape.grid)
    shape = landscape.grid.shape
    for name, values in _FIELDS.check("fields", landscape.fields).items():
        _check_array(f"fields['{name}']", values, shape)
    _check_array("status", landscape.status, shape, "iu")
    if landscape.status.size and not 0 <= landscape.status.min() <= landscape.status.max() <= 3:
        raise LossLandscapeError(
            f"status goes from {landscape.status.min()} to {landscape.status.max()}; it is 0 (not "
            "evaluated), 1 (evaluated), 2 (interpolated) or 3 (not finite) at each point"
        )
    _check_array("gram_matrix", landscape.gram_matrix, (len(shape),) * 2)
    for name, values in _FIELDS.check("samples", landscape.samples).items():
        _check_array(f"samples['{name}']", values, shape, more=1)
    _PROVENANCE.check("provenance", landscape.provenance)
    if wrong := wrong_provenance(landscape.provenance):
        raise LossLandscapeError(wrong)
    for point in _MODELS.check("models", landscape.models):
        _check_overlay(f"the model '{point.label}'", [point.coordinates], len(shape))
    for one in _TRAJECTORIES.check("trajectories", landscape.trajectories):
        _check_overlay(f"the trajectory '{one.label}'", one.coordinates, len(shape))
    if landscape.path is not None:
        PATH.check("path", landscape.path)


def wrong_provenance(provenance: Mapping[str, Any]) -> str:
    """What is wrong with the types of the provenance's entries; empty if nothing is."""
    for key, expected in PROVENANCE_TYPES.items():
        if key in provenance and not isinstance(provenance[key], expected):
            found = type(provenance[key]).__name__
            return f"'{key}' in its provenance has the wrong type, {found}"
    return ""


def _check_array(
    what: str, values: Any, shape: tuple[int, ...], kinds: str = "biuf", more: int = 0
) -> None:
    """Check that this is an array of numbers on the grid, with so many axes more."""
    words = f"{shape}" if not more else f"({', '.join(map(str, shape))}, samples)"
    if not isinstance(values, np.ndarray):
        raise LossLandscapeError(
            f"{what} is {described(values)}; pass a NumPy array of shape {words}"
        )
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise LossLandscapeError(
            f"{what} is masked, and files have no masks; pass values.filled(np.nan)"
        )
    if values.ndim != len(shape) + more or values.shape[: len(shape)] != shape:
        raise LossLandscapeError(
            f"{what} has shape {values.shape}; the grid needs {words}, the slowest axis first"
        )
    if values.dtype.kind not in kinds:
        numbers = "whole numbers" if kinds == "iu" else "real numbers"
        raise LossLandscapeError(f"{what} has values of type {values.dtype}; pass {numbers}")


def _check_overlay(what: str, coordinates: Any, dimensions: int) -> None:
    found = np.shape(coordinates)
    if len(found) != 2 or found[1] != dimensions:
        raise LossLandscapeError(
            f"{what} has coordinates of shape {found}; the landscape has {dimensions} directions"
        )
