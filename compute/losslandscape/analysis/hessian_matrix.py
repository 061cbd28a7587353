"""The Hessian of the mean loss as a matrix: products with flat vectors, and blocks by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.analysis.extreme_eigenpairs import Eigenpairs
from losslandscape.analysis.trace_estimate import TraceEstimate
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import ParameterLayout, Segment
from losslandscape.planes.parts import matching_names
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.progress import Progress

# what a Hessian that is exactly 0 says
LINEAR = (
    "the loss is linear in these parameters around the point, and its kinks (of an absolute value, "
    "a hinge or a ReLU) have no second derivative"
)


def chosen_parameters(
    patterns: str | Sequence[str] | None, layout: ParameterLayout, model: nn.Module
) -> set[str]:
    """Names of the parameters that the patterns choose; None means all."""
    names = [segment.name for segment in layout.segments]
    if patterns is None:
        return set(names)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    return set(matching_names(patterns, names, frozen, type(model).__name__))


class Matrix:
    """Products with the Hessian, or what stands for it, for flat vectors of chosen parameters.

    At the origin of the subspace of ``loss``, or at other coordinates.
    """

    def __init__(
        self,
        loss: PlaneDerivatives,
        layout: ParameterLayout,
        segments: Sequence[Segment],
        progress: Progress | None = None,
        coordinates: Sequence[float] | np.ndarray | None = None,
    ):
        self._loss, self._layout, self._segments = loss, layout, segments
        self._progress = progress
        self._coordinates = coordinates
        self.count = 0

    @property
    def rounding(self) -> float:
        """Relative rounding of a product."""
        return float(torch.finfo(self._loss.dtype).eps)

    def product(self, vector: np.ndarray) -> np.ndarray:
        found = self._loss.hessian_product(self._named(vector), self._coordinates)
        self._advance()
        flat = self._layout.empty(torch.float64)
        for segment in self._segments:
            segment.view(flat).copy_(found[segment.name])
        image = self._part(flat.numpy())
        if not np.isfinite(image).all():
            raise LossLandscapeError(
                "a product with the Hessian is not finite at these parameters: a second derivative "
                "overflows or does not exist; use precision='float64', or a smooth loss"
            )
        return image

    def forms(self, vector: np.ndarray) -> np.ndarray:
        """v^T H_i v of each sample."""
        found = self._loss.sample_curvatures(self._named(vector), self._coordinates)
        self._advance()
        return found

    def embedded(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors over all parameters of the layout."""
        if sum(s.stop - s.start for s in self._segments) == self._layout.size:
            return vectors
        whole = np.zeros((len(vectors), self._layout.size))
        start = 0
        for segment in self._segments:
            length = segment.stop - segment.start
            whole[:, segment.start : segment.stop] = vectors[:, start : start + length]
            start += length
        return whole

    def _advance(self) -> None:
        self.count += 1
        if self._progress is None:
            return
        self._progress.total = max(self._progress.total, self._progress.done + 1)
        self._progress.advance()

    def _named(self, vector: np.ndarray) -> dict[str, Tensor]:
        (whole,) = self.embedded(vector[None])
        flat = torch.from_numpy(np.ascontiguousarray(whole))
        return {segment.name: segment.view(flat) for segment in self._segments}

    def _part(self, whole: np.ndarray) -> np.ndarray:
        return np.concatenate([whole[s.start : s.stop] for s in self._segments])


class Layers:
    """Blocks of the parameters: those of one module, without its submodules."""

    def __init__(self, segments: Sequence[Segment]):
        found: dict[str, tuple[int, int]] = {}
        start = 0
        for segment in segments:
            stop = start + segment.stop - segment.start
            layer = segment.name.rpartition(".")[0] or segment.name
            if layer in found and found[layer][1] != start:  # parameters that do not adjoin
                layer = segment.name
            found[layer] = (found.get(layer, (start, stop))[0], stop)
            start = stop
        self.names = list(found)
        self.slices = [slice(*ends) for ends in found.values()]

    def table(self, estimate: TraceEstimate, pairs: Eigenpairs) -> list[dict[str, Any]]:
        """A row a layer."""
        return [
            {
                "layer": name,
                "parameters": part.stop - part.start,
                "trace": float(trace),
                "trace_standard_error": float(error),
                "eigenvector_shares": (pairs.vectors[:, part] ** 2).sum(axis=1).tolist(),
            }
            for name, part, trace, error in zip(
                self.names, self.slices, estimate.blocks, estimate.block_errors
            )
        ]
