"""Buffers that go with the weights, on planes through models or checkpoints whose buffers differ.

Each buffer that differs is, by its kind,

- *recomputed*: the vectors of spectral norm, from the weights of the point;
- *re-estimated*: running statistics, by passes in train mode, where the objective asks for it, as
  it does between models;
- *interpolated* between models: any other floating-point buffer, affine in the coordinates, so
  that each model has its own;
- *fixed*: of the plane's origin, where there is nothing to interpolate between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.model_buffers import of_norm_layers
from losslandscape.planes.subspace import Subspace
from losslandscape.problem.own_statistics import OwnStatistics
from losslandscape.problem.spectral_norms import spectral_vectors


class CarriedBuffers:
    """Which buffers of a model go with its weights on a subspace, and their values at a point.

    Parameters
    ----------
    model : torch.nn.Module
        Its present parameters are those that vectors of spectral norm are computed from.
    own_statistics : sequence of OwnStatistics
        Modules of the user's whose statistics are re-estimated.

    Attributes
    ----------
    kinds : dict of name of kind -> list of str
        What the file states: names of buffers; statistics of norm layers are stated elsewhere.
    whole_numbers : frozenset of str
        Buffers that differ between the models and cannot be interpolated.
    """

    def __init__(
        self, model: nn.Module, subspace: Subspace, own_statistics: Sequence[OwnStatistics] = ()
    ):
        self._subspace = subspace
        named = dict(model.named_buffers(remove_duplicate=False))
        differing = {name for name in subspace.differing_buffers if name in named}
        places = {id(module): name for name, module in model.named_modules()}
        reestimated = {
            f"{places[id(one.module)]}.{name}".lstrip(".")
            for one in own_statistics
            for name in one.names
        }
        spectral = spectral_vectors(model)
        self._spectral = [one for one in spectral if not differing.isdisjoint(one.names)]
        recomputed = {name for one in self._spectral for name in one.names}
        others = differing - of_norm_layers(model) - recomputed - reestimated
        between = bool(subspace.model_buffers)
        self.whole_numbers = frozenset(
            n for n in others if between and not named[n].is_floating_point()
        )
        self._interpolated: dict[str, Tensor] = {
            name: torch.stack([buffers[name].double() for buffers in subspace.model_buffers])
            for name in sorted(others - self.whole_numbers if between else ())
        }
        fixed = [] if between else sorted(others)
        kinds = {
            "recomputed": sorted(recomputed),
            "reestimated": sorted(reestimated),
            "interpolated": list(self._interpolated),
            "fixed": fixed,
        }
        self.kinds: dict[str, list[str]] = {kind: names for kind, names in kinds.items() if names}

    @property
    def recomputed(self) -> bool:
        """Whether buffers are computed from the weights of the point."""
        return bool(self._spectral)

    def __bool__(self) -> bool:
        """Whether a buffer has other values at another point before the model is called."""
        return bool(self._spectral or self._interpolated)

    def from_weights(self) -> dict[str, Tensor]:
        """Buffers that follow from the model's present weights, float64."""
        return {name: value for one in self._spectral for name, value in one.converged().items()}

    def at(self, coordinates: Sequence[float] | np.ndarray) -> dict[str, Tensor]:
        """Buffers that are interpolated, at a point of the subspace, float64."""
        if not self._interpolated:
            return {}
        shares = torch.from_numpy(self._subspace.model_shares(coordinates))
        return {
            name: torch.tensordot(shares, values, dims=1)
            for name, values in self._interpolated.items()
        }

    def slopes(self) -> dict[str, list[Tensor]]:
        """Derivatives of the interpolated buffers by each coordinate, float64."""
        origin = np.zeros(self._subspace.dimensions)
        start = self.at(origin)
        ends = [self.at(axis) for axis in np.eye(self._subspace.dimensions)]
        return {name: [end[name] - value for end in ends] for name, value in start.items()}


def refuse_whole_numbers(model: nn.Module, names: Any, label: str, largest: float) -> None:
    """Raise a LossLandscapeError: buffers that cannot be interpolated change the loss."""
    raise LossLandscapeError(
        f"{type(model).__name__}: the models differ in {', '.join(map(repr, sorted(names)))}, "
        "buffers of whole numbers or truth values, which have nothing between them and change the "
        f"loss (of a sample of {label} by up to {largest:.3g}). Give the models the same ones, or "
        "compute them in forward from the weights"
    )
