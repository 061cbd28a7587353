"""The batches that a point is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from losslandscape.problem.batches import Batch, batch_length, place_batch
from losslandscape.problem.objective import Objective
from losslandscape.problem.samples import SampleSet


class PointBatches:
    """An objective's samples, cut into batches on its device.

    Iteration gives all batches of a point, those of re-estimation last.

    Attributes
    ----------
    sets : dict of str -> sequence of batches
    reestimation : sequence of batches
        Those that re-estimate batch-norm statistics; none where these are fixed.
    channels_last : bool
        The memory order of images (4-D); row-major otherwise.
    """

    def __init__(self, objective: Objective):
        self._objective = objective
        self.sets: dict[str, Sequence[Batch]] = {}
        self.reestimation: Sequence[Batch] = []
        self.channels_last = False

    def cut(self, size: int) -> None:
        """Cut the samples into batches of at most ``size``."""
        objective = self._objective
        self.sets = {name: self._cut(samples, size) for name, samples in objective.sets.items()}
        if objective.batch_norm == "reestimated":
            self.reestimation = self._cut(objective.reestimation, objective.reestimation_batch_size)

    def _cut(self, samples: SampleSet, size: int) -> Sequence[Batch]:
        objective = self._objective
        return samples.batches(size, objective.device, objective.data_dtype, self.channels_last)

    def first(self, count: int) -> Batch:
        """The first samples of the first set, at most ``count``, as one batch."""
        objective = self._objective
        batch = next(iter(objective.sets.values())).first(count)
        return place_batch(batch, objective.device, objective.data_dtype, self.channels_last)

    def keep_order(self) -> None:
        """Keep the samples themselves in the order of the batches, which are then views of them.

        Only on the CPU: on other devices batches are copies anyway.
        """
        if self._objective.device.type == "cpu":
            for samples in (*self._objective.sets.values(), self._objective.reestimation):
                samples.lay_out(self.channels_last)

    def forget(self) -> None:
        self.sets, self.reestimation = {}, []

    def __iter__(self) -> Iterator[Batch]:
        for batches in (*self.sets.values(), self.reestimation):
            yield from batches

    @property
    def passes(self) -> int:
        """Forward passes of a point, those of re-estimation included."""
        return sum(map(len, self.sets.values())) + len(self.reestimation)

    @property
    def several(self) -> bool:
        """Whether a set has more than one batch."""
        return any(len(batches) > 1 for batches in self.sets.values())

    def lengths(self) -> dict[str, list[int]]:
        """Number of samples of each batch by set, in their present order."""
        return {
            name: [batch_length(batch) for batch in batches] for name, batches in self.sets.items()
        }

    @contextmanager
    def opposite_order(self) -> Iterator[None]:
        """Inside the context each set's batches come in the opposite order."""
        given = self.sets
        self.sets = {name: batches[::-1] for name, batches in given.items()}
        try:
            yield
        finally:
            self.sets = given
