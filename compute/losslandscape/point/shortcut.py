"""What a shortcut is: a faster way to the same values.

To add one, write a subclass of :class:`Shortcut` in a file of its own and name it in
``losslandscape.point.shortcuts.SHORTCUTS``. Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from torch import Tensor, nn

from losslandscape.planes.subspace import Subspace
from losslandscape.point.moving import MovingParameters
from losslandscape.problem.batches import Batch
from losslandscape.problem.named_losses import NAMED
from losslandscape.problem.objective import Objective

Values = dict[str, Tensor]
Run = Callable[[Batch], Values]


@dataclass(frozen=True)
class Setting:
    """What a shortcut is offered for.

    Attributes
    ----------
    model : torch.nn.Module
        On its device, in its modes, with its parameters at the origin.
    subspace : Subspace
        Of the model, on its device, of its type and in its memory order.
    parameters : MovingParameters
        Those of the model.
    channels_last : bool
        Whether kernels and images lie channels-last.
    by : callable
        (what is called instead of the model, batch) -> values by sample.
    convolutions : mapping of str to str, optional
        How convolutions are computed, by name; see
        :class:`losslandscape.problem.configuration.Configuration`.
    """

    objective: Objective
    model: nn.Module
    subspace: Subspace
    parameters: MovingParameters
    channels_last: bool
    by: Callable[[Any, Batch], Values]
    convolutions: Optional[Mapping[str, str]] = None

    @property
    def eager_on_cpu(self) -> bool:
        """Whether the model runs on the CPU, and is not compiled."""
        return self.objective.device.type == "cpu" and not self.objective.compile

    @property
    def plain_calls(self) -> bool:
        """Whether the loss only calls the model, and nothing is computed in reduced precision.

        A loss function of the user's may do more with the model than call it.
        """
        arithmetic = self.objective.arithmetic
        return self.objective.loss.name in NAMED and not (arithmetic and arithmetic.reduced)

    @property
    def largest_batch(self) -> int:
        """No batch of a point has more samples."""
        objective = self.objective
        whole = max(len(samples) for samples in objective.sets.values())
        ragged = any(samples.ragged for samples in objective.sets.values())
        given = None if ragged else objective.batch_size
        return min(whole, given or whole)


class Shortcut:
    """A faster way to the same values; offered, checked against the plain way, used or undone.

    The opening of an evaluator asks :meth:`offer` of each kind once. Those on offer are checked:
    per-sample losses of a few samples, at the origin and toward two opposite corners of the plane,
    have to agree with those of the model itself. What agrees is used until the evaluator closes;
    what gives other values, or raises, is undone, and the model runs as it is.

    A subclass implements :meth:`offer`, and :meth:`use` and :meth:`undo` or :meth:`wrap`. The
    other methods do nothing unless they are overridden.

    Attributes
    ----------
    name : str
        In files.
    optional : bool
        Whether a trial drops it where it makes a batch no faster.
    tolerance : float or None
        Largest relative difference of a loss in the check; beside it 1e-5 is allowed. None where
        there is nothing to check at opening; the class says why.
    left : frozenset of str
        Parameters whose values nobody reads while the shortcut is used. They need not be moved;
        the check writes NaN over them. A shortcut that reads one after all first calls
        :meth:`losslandscape.point.moving.MovingParameters.catch_up`.
    taken : bool
        Whether it made any difference since :meth:`use`. One that was not taken in the check is
        undone, which saves further checks; always True where a shortcut does not count.
    """

    name: ClassVar[str] = "shortcut"
    optional: ClassVar[bool] = False
    tolerance: ClassVar[Optional[float]] = 1e-4
    left: frozenset[str] = frozenset()
    taken: bool = True

    @classmethod
    def offer(cls, setting: Setting) -> Shortcut | None:
        """A shortcut for this setting, not in use yet; None where it does not apply."""
        raise NotImplementedError

    def use(self) -> None:
        """Put it into the model. The check uses and undoes a shortcut several times."""

    def undo(self) -> None:
        """Take it out of the model, which is then as before; also where it is not in use."""

    def wrap(self, run: Run) -> Run:
        """What measures a batch, made of what measures it without this shortcut."""
        return run

    def at_point(self, coordinates: Sequence[float] | None) -> None:
        """The parameters were moved to a point; None: to values that are not on the subspace."""

    def before_batches(self) -> None:
        """The batches of a point come next. Batch-norm statistics are those of the point now."""

    def at_batches(self, batches: Iterable[Batch]) -> None:
        """From now on these batches are measured, the same at each point."""

    def checking(self) -> AbstractContextManager[None]:
        """Around a pass of the check: take the shortcut wherever a full batch would take it."""
        return nullcontext()
