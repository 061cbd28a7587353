"""The evaluator of this process, opened once and kept open while it fits.

To open an evaluator takes as long as several points: it tries memory formats, shortcuts and batch
sizes. One evaluator can do for a whole run, because a point's value depends neither on the points
before it nor on whether the batch size was given or found.

Another one is needed, and the present one is closed first, in these cases:

- A pilot and an allotment measure the samples in a random order, so their objective is another.
- With an executor, workers open evaluators of their own. The model is sent to them with its own
  parameters, which it has only while no evaluator moves them.
- A smaller batch size is taken, because memory does not hold a batch any more.

One model cannot be moved by two evaluators at a time, so there is never more than one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from losslandscape.planes.subspace import Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.problem.configuration import Configuration
from losslandscape.problem.objective import Objective


class OneEvaluator:
    """Keeps at most one evaluator of a subspace open; a context manager that closes it.

    All of one precision have the same configuration: the one given, or the one that the first of
    them found.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> objective = Objective(model, "mse", (torch.zeros(8, 2), torch.zeros(8, 1)))
    >>> with OneEvaluator(Subspace.random(model)) as evaluators:
    ...     found = evaluators.of(objective)
    ...     evaluators.of(objective, found.batch_size) is found
    True
    """

    def __init__(
        self, subspace: Subspace, configurations: Mapping[str, Configuration] | None = None
    ):
        self._subspace = subspace
        self._configurations = dict(configurations or {})  # by precision
        self._stack = ExitStack()
        self._evaluator: Evaluator | None = None

    def __enter__(self) -> OneEvaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def of(self, objective: Objective, batch_size: int | None = None) -> Evaluator:
        """An open evaluator of this objective and batch size, which is found by trial if None."""
        present = self._evaluator
        if (
            present is not None
            and present.objective is objective
            and present.batch_size == (batch_size or objective.batch_size)
        ):
            return present
        self.close()
        precision = objective.precision_name
        self._evaluator = self._stack.enter_context(
            Evaluator(objective, self._subspace, batch_size, self._configurations.get(precision))
        )
        # later ones compute as the first one did
        self._configurations.setdefault(precision, self._evaluator.configuration)
        return self._evaluator

    def close(self) -> None:
        """Close the evaluator, if one is open: the model has its own parameters again."""
        self._evaluator = None
        self._stack.close()
