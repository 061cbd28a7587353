"""An objective in the way that a landscape was measured with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losslandscape.landscape.identity import check_objective

if TYPE_CHECKING:
    from losslandscape.landscape.landscape import Landscape
    from losslandscape.problem.objective import Objective


def as_measured(landscape: Landscape, objective: Objective) -> Objective:
    """The objective with the batch norm, re-estimation batches and execution of a landscape.

    Another treatment of batch norm, or statistics of other batches, is another loss.

    Raises
    ------
    LossLandscapeError
        If the objective is not the landscape's in anything else.
    """
    measured = landscape.provenance.get("objective", {})
    mode = measured.get("batch_norm", objective.batch_norm)
    if mode != "none":
        objective = objective.with_batch_norm(mode)
    check_objective(landscape, objective)
    objective = objective.with_reestimation_batches(measured.get("reestimation_batch_size"))
    return objective.with_execution(measured.get("configuration"))
