"""What ``precision="auto"`` puts into a landscape: the type of each point, and the error."""

from __future__ import annotations

from typing import Any

import numpy as np

from losslandscape.landscape.landscape import NOT_EVALUATED
from losslandscape.problem.precision import SIGNIFICANT_BITS, type_name
from losslandscape.run.measuring import Points

BITS, ERROR = "precision_bits", "loss_precision_error"


def add_precision(points: Points) -> None:
    """State what was measured in which type; nothing unless the precision is "auto".

    Call it before the points that were not evaluated are interpolated. The error of those follows
    from their interpolated loss and standard error, see :func:`add_precision_errors`.
    """
    fast, landscape = points.settings.fast, points.store.landscape
    if fast is None:
        return
    both, objective = points.both, points.task.objective
    exact_type = type_name(objective.dtype)
    stated: dict[str, Any] = {
        "type": exact_type,
        "exact_type": exact_type,
        "tolerance_given": points.task.adaptive is not None,
        **{key: fast[key] for key in ("speed_up", "seconds") if key in fast},
    }
    landscape.provenance["precision"] = stated
    evaluated = landscape.status != NOT_EVALUATED
    bits = np.where(evaluated, float(SIGNIFICANT_BITS[exact_type]), np.nan)
    if both is None:
        stated["reason"] = fast["reason"]
    elif both.fallen_back:
        stated["reason"] = f"{points.settings.fast_type} was tried, and {both.fallen_back}"
    else:
        name = str(points.settings.fast_type)
        stated.update({"type": name, **both.to_json(), "others": _others(points)})
        fast_points = (both.fast.measured & ~both.in_both).reshape(evaluated.shape)
        bits[fast_points & evaluated] = SIGNIFICANT_BITS[name]
    landscape.fields[BITS] = bits
    landscape.provenance["quantities"][BITS] = "significant bits of the products"


def add_precision_errors(points: Points) -> None:
    """Add what 95% of the points' differences from float32 are within, in units of the loss.

    0 at points measured in float32, and NaN where the loss is not finite.
    """
    both, landscape = points.both, points.store.landscape
    if both is None or both.fallen_back:
        return
    losses, errors = (landscape.fields[name].ravel() for name in ("loss", "loss_standard_error"))
    found = both.error(errors, losses)
    found[both.in_both] = 0.0
    found[~np.isfinite(losses)] = np.nan
    if adaptive := landscape.provenance.get("adaptive"):
        terms = [both.largest_difference, adaptive["estimated_error"]]
        if "allotment" in adaptive and both.range > 0:
            terms.append(adaptive["allotment"]["error"] / both.range)
        known = None not in terms
        landscape.provenance["precision"]["together"] = (
            float(np.sqrt(np.square(terms).sum())) if known else None
        )
    landscape.fields[ERROR] = found.reshape(landscape.grid.shape)
    landscape.provenance["quantities"][ERROR] = "error of the fast type, at 95% of the points"


def _others(points: Points) -> dict[str, dict[str, float]]:
    """How far the other means are off at the random points: the largest, and the mean."""
    both, landscape = points.both, points.store.landscape
    assert both is not None
    found = {}
    for place, name in enumerate(points.job.names):
        if name == "loss" or name.endswith(("loss_standard_error", "sample_count")):
            continue
        exact = landscape.fields[name].ravel()[both.drawn]
        difference = exact - points.fast_values[both.drawn, place]
        difference = difference[np.isfinite(difference)]
        if difference.size:
            found[name] = {
                "largest_found": float(np.abs(difference).max()),
                "mean_found": float(difference.mean()),
            }
    return found
