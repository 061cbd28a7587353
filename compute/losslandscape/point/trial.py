"""A few samples at a few points: what is found out about a model before it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.subspace import Subspace
from losslandscape.point.buffers import PointBuffers
from losslandscape.point.forward_pass import ForwardPass
from losslandscape.point.moving import MovingParameters
from losslandscape.point.point_batches import PointBatches
from losslandscape.point.unseen_parameters import unreached
from losslandscape.problem.batches import Batch, batch_length, map_batch, same_values, tensors_of

_FEW = 2  # samples
_SHARES = (0.5, 0.125, 0.03125)  # of the way to a corner of the grid

Point = tuple[float, ...]


class Trial:
    """Plain losses of a few samples at the origin and toward two opposite corners of the plane.

    The points are half way to the corners of the plane's default grid, nearer to the origin where
    losses there are not finite. Nothing is computed twice: the losses are kept, and so is the
    place where the parameters are.

    Parameters
    ----------
    subspace : Subspace
        As the user gave it: its default grid says where its corners are.
    start : callable
        Puts buffers and random generators back to what they are at the start of a point.
    """

    def __init__(
        self,
        subspace: Subspace,
        forward: ForwardPass,
        batches: PointBatches,
        buffers: PointBuffers,
        start: Callable[[], None],
    ):
        self._forward, self._batches, self._buffers = forward, batches, buffers
        self._start = start
        self._origin: Point = (0.0,) * subspace.dimensions
        self._corners: list[Point] = [
            self._origin,
            *zip(*((float(low), float(high)) for low, high in subspace.default_grid().bounds)),
        ]
        self._parameters: MovingParameters | None = None
        self._batch: Batch = ()
        self._known: dict[Point, tuple[Point, Tensor | None]] = {}

    @property
    def batch(self) -> Batch:
        """The few samples."""
        return self._batch

    @torch.no_grad()
    def begin(self, parameters: MovingParameters, size: int | None) -> None:
        """Pass a few samples through the model, whose parameters are at the origin.

        Two samples, or a whole batch of the given ``size`` where the model takes nothing else. Such
        a batch is tried in any case: that memory holds it is seen without a copy of it.

        Raises
        ------
        LossLandscapeError
            If the model cannot take the data.
        """
        self._parameters = parameters
        few = min(_FEW, size or _FEW)
        try:
            self._observe(few)
        except LossLandscapeError:
            if size is None or size <= _FEW:
                raise
            self._observe(size)
        else:
            if size is not None and size > _FEW:
                self._forward.plain(self._batches.first(size))

    def _observe(self, count: int) -> None:
        """Pass a few samples through the model, and see what else it writes to."""
        trial = self._batches.first(count)
        batch = map_batch(torch.clone, trial)
        versions = [tensor._version for tensor in tensors_of(batch)]
        self._start()
        losses = self._forward.plain(batch)["loss"]
        self._forward.copies |= versions != [t._version for t in tensors_of(batch)] or not all(
            map(same_values, tensors_of(batch), tensors_of(trial))
        )
        self._buffers.look_for_unseen_writes()
        self._batch = trial
        self._known = {self._origin: (self._origin, self._finite(losses))}

    def laid_out_anew(self, parameters: MovingParameters) -> None:
        """Go on with parameters and samples in another memory order; known losses stay."""
        self._parameters = parameters
        self._batch = self._batches.first(batch_length(self._batch))

    @torch.no_grad()
    def points(self, once: bool = False) -> Iterator[tuple[Point, Tensor | None]]:
        """Points and the plain losses there, shape (samples,), with the parameters at the point.

        None where no finite losses were found on the way to a corner. With ``once``, only the
        first point that is not the origin.
        """
        for corner in self._corners[1:2] if once else self._corners:
            if corner not in self._known:
                self._known[corner] = self._toward(corner)
            point, losses = self._known[corner]
            self._move(point)
            yield point, losses

    def _toward(self, corner: Point) -> tuple[Point, Tensor | None]:
        point = self._origin
        for share in _SHARES:
            point = tuple(share * end for end in corner)
            self._move(point)
            try:
                losses = self.losses(self._forward.plain)
            except LossLandscapeError:  # that point fails when it is measured, and is left out
                continue
            if losses is not None:
                return point, losses
        return point, None

    def unreached(self, parameters: MovingParameters) -> list[str]:
        """Names of parameters that autograd does not see in the losses of the few samples."""
        self._start()
        try:
            with torch.enable_grad():
                losses = self._forward.plain(self._batch)["loss"]
        except (Exception, SystemExit):  # a model that runs without gradients alone
            return []
        return unreached(losses, parameters.groups)

    def losses(self, run: Callable[[Batch], dict[str, Tensor]]) -> Tensor | None:
        """Losses of the few samples where the parameters are; None where they are not finite."""
        self._start()
        return self._finite(run(self._batch)["loss"])

    @staticmethod
    def _finite(losses: Tensor) -> Tensor | None:
        return losses if losses.isfinite().all() else None

    def _move(self, point: Point) -> None:
        assert self._parameters is not None
        if self._parameters.coordinates != point:
            self._parameters.move(point)
