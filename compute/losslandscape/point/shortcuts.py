"""The shortcuts there are, and which of them an evaluation uses."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from losslandscape.point.batch_size import seconds_of_pass
from losslandscape.point.compiled_model import CompiledModel
from losslandscape.point.cuda_graphs import CudaGraphs
from losslandscape.point.fused_convolutions import FusedConvolutions
from losslandscape.point.input_products import InputProducts
from losslandscape.point.moving import MovingParameters
from losslandscape.point.pixel_convolutions import PixelConvolutions
from losslandscape.point.row_major_convolutions import RowMajorConvolutions
from losslandscape.point.scaled_attention import ScaledAttention
from losslandscape.point.shortcut import Run, Setting, Shortcut, Values
from losslandscape.point.trial import Trial
from losslandscape.problem.batches import Batch

# In the order in which they are offered, used and wrapped around each other.
SHORTCUTS: tuple[type[Shortcut], ...] = (
    CompiledModel,
    CudaGraphs,
    PixelConvolutions,
    RowMajorConvolutions,
    InputProducts,
    ScaledAttention,
    FusedConvolutions,
)

_TURNS_SECONDS = 0.1  # times with a shortcut and without it are taken in turns for so long
_ABSOLUTE = 1e-5  # difference of a loss that is passed over beside the relative one

S = TypeVar("S", bound=Shortcut)


class Shortcuts:
    """The shortcuts in use.

    Parameters
    ----------
    plain : callable
        Batch -> values by sample, by the model itself.
    """

    def __init__(self, plain: Run):
        self._plain = plain
        self._used: list[Shortcut] = []
        self._run = plain

    def choose(self, setting: Setting, trial: Trial, names: Collection[str] | None = None) -> None:
        """Use every shortcut that is on offer and right.

        All on offer are checked together. Only if they are not right together, each is checked by
        itself, beside those that were found right before it. With ``names``, only those of these
        names are on offer, and those that the user asks for; they were found right before, and are
        checked at one point.
        """
        # a shortcut may hold what belongs to one loss, and the terms of a sum have several
        kinds = SHORTCUTS if setting.objective.factors is None else (CompiledModel,)
        if names is not None:
            kinds = tuple(kind for kind in kinds if kind.tolerance is None or kind.name in names)
        offered = [s for kind in kinds if (s := kind.offer(setting)) is not None]
        checked = [shortcut for shortcut in offered if shortcut.tolerance is not None]
        once = names is not None
        right = _right(checked, setting.parameters, trial, self._plain, once)
        if right is None:
            right = []
            for shortcut in checked if len(checked) > 1 else []:
                more = _right([*right, shortcut], setting.parameters, trial, self._plain, once)
                right = right if more is None else more
        for shortcut in offered:
            if shortcut.tolerance is None or shortcut in right:
                self._used.append(shortcut)  # first: so that it is undone if it breaks off
                shortcut.use()
                shortcut.at_point(setting.parameters.coordinates)
        self._run = _wrapped(self._used, self._plain)

    @torch.no_grad()
    def keep_fast(self, batch: Batch, parameters: MovingParameters) -> float:
        """Undo each optional shortcut without which a batch takes no more time.

        Returns the seconds that the batch takes.

        Parameters
        ----------
        batch : Batch
            Of the size of a trial.
        parameters : MovingParameters
            Where they are, a point is measured.
        """
        fastest = float("inf")
        for shortcut in [one for one in self._used if one.optional]:
            using = list(self._used)
            without = [one for one in using if one is not shortcut]

            begun = time.perf_counter()
            times: dict[int, list[float]] = {len(using): [], len(without): []}
            while not times[len(without)] or time.perf_counter() - begun < _TURNS_SECONDS:
                for used in (using, without):
                    self._exchange(used, batch, parameters)
                    # the model's own operators have run in the trials before
                    seconds = seconds_of_pass(self.run, batch, warm=used is without)
                    times[len(used)].append(seconds)
            if min(times[len(without)]) <= min(times[len(using)]):
                using = without
            fastest = min(times[len(using)])
            self._exchange(using, batch, parameters)
        return fastest

    def _exchange(
        self, shortcuts: list[Shortcut], batch: Batch, parameters: MovingParameters
    ) -> None:
        """Use these shortcuts instead of the present ones, at the same point."""
        self.undo()
        parameters.catch_up()
        for shortcut in shortcuts:
            self._used.append(shortcut)
            shortcut.use()
            shortcut.at_batches([batch])
            shortcut.at_point(parameters.coordinates)
        self._run = _wrapped(self._used, self._plain)
        self.before_batches()

    @property
    def optional(self) -> bool:
        """Whether a trial may drop a shortcut in use."""
        return any(shortcut.optional for shortcut in self._used)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the shortcuts in use."""
        return tuple(shortcut.name for shortcut in self._used)

    def used(self, kind: type[S]) -> S | None:
        """The shortcut of a kind, if it is in use."""
        return next((s for s in self._used if isinstance(s, kind)), None)

    def undo(self) -> None:
        """Leave the model as it was."""
        while self._used:
            self._used.pop().undo()
        self._run = self._plain

    def run(self, batch: Batch) -> Values:
        """Values by sample of a batch."""
        return self._run(batch)

    @contextmanager
    def unwrapped(self) -> Iterator[None]:
        """Inside the context the model itself is called; what is in its layers stays there."""
        wrapped, self._run = self._run, self._plain
        try:
            yield
        finally:
            self._run = wrapped

    @property
    def left(self) -> frozenset[str]:
        """Parameters that need not be moved."""
        return _left(self._used)

    def at_point(self, coordinates: Sequence[float] | None) -> None:
        for shortcut in self._used:
            shortcut.at_point(coordinates)

    def before_batches(self) -> None:
        for shortcut in self._used:
            shortcut.before_batches()

    def at_batches(self, batches: Iterable[Batch]) -> None:
        for shortcut in self._used:
            shortcut.at_batches(batches)


def _left(shortcuts: Iterable[Shortcut]) -> frozenset[str]:
    return frozenset(itertools.chain.from_iterable(s.left for s in shortcuts))


def _wrapped(shortcuts: Iterable[Shortcut], run: Run) -> Run:
    for shortcut in shortcuts:
        run = shortcut.wrap(run)
    return run


@torch.no_grad()
def _right(
    candidates: list[Shortcut],
    parameters: MovingParameters,
    trial: Trial,
    plain: Run,
    once: bool = False,
) -> list[Shortcut] | None:
    """Those of the candidates that make a difference; None if together they are not right.

    Where no finite losses are found, nothing is known, and that is not agreement: NaN would agree
    with anything.
    """
    for point, expected in trial.points(once) if candidates else ():
        if expected is None:
            return None
        found = _losses(candidates, point, parameters, trial, plain)
        tolerance = min(s.tolerance for s in candidates if s.tolerance is not None)
        if found is None or not torch.allclose(found, expected, rtol=tolerance, atol=_ABSOLUTE):
            return None
        candidates = [shortcut for shortcut in candidates if shortcut.taken]
        if not candidates:
            break
    return candidates


def _losses(
    candidates: Sequence[Shortcut],
    point: Sequence[float],
    parameters: MovingParameters,
    trial: Trial,
    plain: Run,
) -> Tensor | None:
    """Losses of the trial with these shortcuts, undone again; None where they raise."""
    with ExitStack() as stack:
        stack.callback(parameters.catch_up)
        try:
            for shortcut in candidates:
                stack.callback(shortcut.undo)
                shortcut.use()
                shortcut.at_batches([trial.batch])
                shortcut.at_point(point)
                stack.enter_context(shortcut.checking())
            parameters.spoil(_left(candidates))
            for shortcut in candidates:
                shortcut.before_batches()
            return trial.losses(_wrapped(candidates, plain))
        except (Exception, SystemExit):  # whatever a shortcut makes of a model that runs as it is
            return None
