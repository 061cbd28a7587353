"""Is the picture of a landscape right? What commonly makes one odd, each with what mends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from losslandscape.analysis.flatness import RESOLVED_CELLS, FlatRegion, flat_region
from losslandscape.analysis.remedies import box_option, surface_again
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED, NOT_EVALUATED, Landscape
from losslandscape.landscape.places import origin_number

_THIN_CELLS = 1.0  # mean thickness of the flat region, below which the grid shows no basin
_NARROW = 0.5  # share of the window that the flat region fills, above which it shows little else
_DECADES = 3.0  # of the losses, over which fixed statistics are far from those of the weights
_LOWER_SHARE = 0.25  # of the points below the model, above which it lies in no basin
_TOLD_APART = 0.5  # share of the points that must differ from the lowest one by two errors
_WIDER, _WIDEST = 2.0, 100.0


@dataclass(frozen=True)
class Check:
    """One answer to "is this picture right?".

    Attributes
    ----------
    name : str
    passed : bool or None
        None if the file does not have what the check needs.
    finding : str
        What was found, with its numbers.
    remedy : str or None
        A command, or what to do, if the check did not pass.
    """

    name: str
    passed: bool | None
    finding: str
    remedy: str | None = None

    def to_json(self) -> dict:
        return asdict(self)


def picture_checks(landscape: Landscape, epsilon: float = 0.1) -> list[Check]:
    """Check a landscape for what makes pictures odd.

    Parameters
    ----------
    epsilon : float
        Height of the flat region above the lowest loss, in units of the loss. The window is judged
        by it: too wide where the region is thinner than a cell, too narrow where it fills half
        of the window, and it cuts the basin where the region reaches its edge.

    Examples
    --------
    >>> from losslandscape import Grid
    >>> grid = Grid.square(21)
    >>> values = 4 * (grid.points() ** 2).sum(axis=1).reshape(grid.shape)
    >>> bowl = Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), 4 * np.eye(2))
    >>> [check.name for check in picture_checks(bowl) if check.passed is False]
    []
    """
    found = [_complete(landscape)]
    try:
        region = flat_region(landscape, epsilon, draws=0)
    except LossLandscapeError as error:
        found.append(Check("window", None, f"the flat region is not known: {error}"))
    else:
        found += [_too_wide(landscape, region), _too_narrow(landscape, region)]
        found.append(_cut(landscape, region))
    judges: Sequence[Callable[[Landscape], Check]] = (
        _lowest_at_edge,
        _lowest_at_model,
        _normalized,
        _statistics,
        _trained,
        _lowest_measured,
        _noise,
        _arithmetic,
    )
    return [*found, *(judge(landscape) for judge in judges)]


def _complete(landscape: Landscape) -> Check:
    loss = landscape.values("loss")
    missing = int((landscape.status == NOT_EVALUATED).sum())
    infinite = int((~np.isfinite(loss)).sum()) - missing
    if missing:
        command = landscape.provenance.get("command")
        return Check(
            "complete", False, f"{missing} of {loss.size} points were not evaluated",
            str(command) if command else "call evaluate again with the same arguments",
        )  # fmt: skip
    if infinite > 0:
        half = [((low + 0.5 * (low + high)) / 2, (high + 0.5 * (low + high)) / 2)
                for low, high in landscape.grid.bounds]  # fmt: skip
        return Check(
            "complete", False, f"the loss is not finite at {infinite} of {loss.size} points",
            _again(landscape, half, "narrower"),
        )  # fmt: skip
    return Check("complete", True, f"all {loss.size} points have a finite loss")


def _again(
    landscape: Landscape,
    bounds: Sequence[tuple[float, float]],
    suffix: str,
    counts: Sequence[int] | None = None,
) -> str:
    options = {"--bounds": box_option(bounds)}
    if counts is not None:
        options["--grid"] = "x".join(map(str, counts))
    command = surface_again(landscape, options, suffix)
    if command is not None:
        return command
    pairs = ", ".join(f"({low:.6g}, {high:.6g})" for low, high in bounds)
    shape = ", ".join(map(str, counts or landscape.grid.counts))
    return f"evaluate on Grid.rectangle([{shape}], [{pairs}])"


def _too_wide(landscape: Landscape, region: FlatRegion) -> Check:
    words = (
        f"the region within {region.epsilon:g} of the lowest loss is {region.thickness:.2g} cells "
        "thick"
    )
    if region.thickness >= _THIN_CELLS:
        enough = "" if region.resolved else f" (its size needs {RESOLVED_CELLS:g})"
        return Check("window not too wide", True, words + enough)
    grid = region.proposed_grid()
    return Check(
        "window not too wide", False, f"{words}: the grid steps over the basin",
        _again(landscape, grid.bounds, "near", grid.counts),
    )  # fmt: skip


def _too_narrow(landscape: Landscape, region: FlatRegion) -> Check:
    whole = float(np.prod([high - low for low, high in landscape.grid.bounds]))
    share = region.size / whole
    words = (
        f"the region within {region.epsilon:g} of the lowest loss fills {share:.0%} of the window"
    )
    if share <= _NARROW:
        return Check("window not too narrow", True, words)
    loss = landscape.values("loss")
    rise = float(np.nanmax(np.where(np.isfinite(loss), loss, np.nan))) - region.minimum_loss
    # as if the loss were quadratic, to ten times epsilon
    factor = np.sqrt(10 * region.epsilon / rise) if rise > 0 else _WIDEST
    factor = float(np.clip(factor, _WIDER, _WIDEST))
    return Check(
        "window not too narrow", False, f"{words}; the loss rises by {rise:.3g} at most",
        _again(landscape, _scaled(landscape, factor), "wider"),
    )  # fmt: skip


def _scaled(landscape: Landscape, factor: float) -> list[tuple[float, float]]:
    found = []
    for low, high in landscape.grid.bounds:
        center, half = (low + high) / 2, (high - low) / 2
        found.append((center - factor * half, center + factor * half))
    return found


def _extended(
    landscape: Landscape, sides: Sequence[tuple[bool, bool]]
) -> list[tuple[float, float]]:
    """The window, longer by half of its width at some sides."""
    return [
        (low - (high - low) / 2 * below, high + (high - low) / 2 * above)
        for (low, high), (below, above) in zip(landscape.grid.bounds, sides)
    ]


def _cut(landscape: Landscape, region: FlatRegion) -> Check:
    name = "basin within the window"
    if not region.lower_bound:
        return Check(
            name, True,
            f"the region within {region.epsilon:g} of the lowest loss ends inside the window",
        )  # fmt: skip
    points = region.region.points
    slack = 1e-9 * np.array([high - low for low, high in landscape.grid.bounds])
    sides = [
        (bool(points[:, i].min() <= low + slack[i]), bool(points[:, i].max() >= high - slack[i]))
        for i, (low, high) in enumerate(landscape.grid.bounds)
    ]
    if not any(below or above for below, above in sides):
        return Check(
            name, False,
            f"the region within {region.epsilon:g} of the lowest loss reaches points without a "
            "value",
            _again(landscape, landscape.grid.bounds, "complete"),
        )  # fmt: skip
    names = [
        f"{axis} = {end:.4g}"
        for axis, (low, high), (below, above) in zip(
            landscape.grid.axis_names, landscape.grid.bounds, sides
        )
        for end, reached in ((low, below), (high, above))
        if reached
    ]
    return Check(
        name, False,
        f"the region within {region.epsilon:g} of the lowest loss goes on at {', '.join(names)}",
        _again(landscape, _extended(landscape, sides), "wider"),
    )  # fmt: skip


def _lowest(landscape: Landscape) -> int | None:
    loss = landscape.values("loss").ravel()
    known = (landscape.status.ravel() == EVALUATED) & np.isfinite(loss)
    return int(np.where(known, loss, np.inf).argmin()) if known.any() else None


def _lowest_at_edge(landscape: Landscape) -> Check:
    name, lowest = "lowest point inside", _lowest(landscape)
    if lowest is None:
        return Check(name, None, "no point was evaluated")
    place = np.unravel_index(lowest, landscape.grid.shape)[::-1]  # alpha first
    sides = [(i == 0, i == n - 1) for i, n in zip(place, landscape.grid.counts)]
    words = f"the lowest evaluated point is at {_at(landscape, lowest)}"
    if not any(below or above for below, above in sides):
        return Check(name, True, words)
    return Check(
        name, False, f"{words}, on the edge of the window: the loss falls on outside",
        _again(landscape, _extended(landscape, sides), "wider"),
    )  # fmt: skip


def _lowest_at_model(landscape: Landscape) -> Check:
    name = "lowest point at the model"
    kind = landscape.provenance.get("subspace", {}).get("kind")
    lowest, model = _lowest(landscape), origin_number(landscape)
    if kind not in ("random", "pca", "given", "eigenvectors") or lowest is None:
        return Check(name, None, "the file does not say where a single model lies")
    loss = landscape.values("loss").ravel()
    if model is None or landscape.status.ravel()[model] != EVALUATED:
        return Check(name, None, "the model, at the origin, is not an evaluated grid point")
    below = float(loss[model] - loss[lowest])
    if below <= 0:
        return Check(name, True, "the model is the lowest evaluated point")
    words = f"{_at(landscape, lowest)} lies {below:.3g} below the model"
    interval = ""
    if "loss_samples" in landscape.samples:
        try:
            found = landscape.difference_confidence_interval("minimum")
        except LossLandscapeError:
            pass
        else:
            low, high = float(found.low.ravel()[model]), float(found.high.ravel()[model])
            if np.isfinite([low, high]).all():
                interval = f" (95.4% interval {low:.2g} to {high:.2g})"
                if low <= 0:
                    return Check(
                        name, True, f"{words}{interval}, which the samples do not tell apart"
                    )
    file = landscape.path or "FILE.nc"
    return Check(
        name, False, f"{words}{interval}: the model is not at the minimum of its plane",
        f"losslandscape verify {file} (is it a minimum of the loss? if so, train longer)",
    )  # fmt: skip


def _normalized(landscape: Landscape) -> Check:
    name = "directions normalized"
    plane = landscape.provenance.get("subspace", {})
    kind, how = plane.get("kind"), plane.get("normalization")
    if kind != "random":
        if kind is None:
            return Check(name, None, "the file does not say how its directions were made")
        return Check(name, True, f"not needed: the directions are not random ({kind})")
    if how != "none":
        return Check(name, True, f"the random directions are normalized by {how}")
    command = surface_again(landscape, {"--normalization": "filter"}, "normalized")
    return Check(
        name, False,
        "the random directions are not normalized, so widths depend on the scale of the weights",
        command or 'Subspace.random(model, normalization="filter")',
    )  # fmt: skip


def _decades(landscape: Landscape) -> float:
    loss = landscape.values("loss")
    known = loss[np.isfinite(loss) & (loss > 0)]
    return float(np.log10(known.max() / known.min())) if known.size else 0.0


def _statistics(landscape: Landscape) -> Check:
    name = "running statistics fit the weights"
    how = landscape.provenance.get("objective", {}).get("batch_norm")
    if how is None:
        return Check(name, None, "the file does not say how batch norm was treated")
    if how != "fixed":
        treated = {"none": "the model has no running statistics",
                   "reestimated": "they are re-estimated at each point"}  # fmt: skip
        return Check(name, True, treated.get(how, f"batch norm: {how}"))
    decades = _decades(landscape)
    words = f"they are fixed at the model's, and the losses span {decades:.1f} decades"
    if decades <= _DECADES:
        return Check(name, True, words)
    command = surface_again(landscape, {"--batch-norm": "reestimated"}, "reestimated")
    return Check(
        name, False, f"{words}: far from the model the statistics are those of other weights",
        command or 'Objective(..., batch_norm="reestimated", reestimation=...)',
    )  # fmt: skip


def _trained(landscape: Landscape) -> Check:
    name = "network trained"
    words = landscape.provenance.get("weights")
    if isinstance(words, str):
        command = surface_again(landscape, {"--weights": "FILE"}, "trained")
        return Check(name, False, f"weights: {words}", command or "load the trained weights")
    for run in landscape.trajectories:
        first, last = float(run.checkpoint_loss[0]), float(run.checkpoint_loss[-1])
        if len(run.step) > 1 and not last < first:
            return Check(
                name, False, f"training of '{run.label}' did not lower the loss: {first:.3g} to "
                f"{last:.3g}", "train again with a smaller learning rate",
            )  # fmt: skip
    if landscape.trajectories:
        losses = ", ".join(
            f"'{run.label}' {run.checkpoint_loss[0]:.3g} to {run.checkpoint_loss[-1]:.3g}"
            for run in landscape.trajectories
        )
        return Check(name, True, f"training lowered the loss: {losses}")
    model = origin_number(landscape)
    loss = landscape.values("loss").ravel()
    known = (landscape.status.ravel() == EVALUATED) & np.isfinite(loss)
    if model is None or not known[model]:
        return Check(name, None, "the file has neither a trajectory nor the loss at the model")
    share = float((loss[known] < loss[model]).mean())
    found = f"{share:.0%} of the evaluated points have a lower loss than the model"
    if share <= _LOWER_SHARE:
        return Check(name, True, found)
    command = surface_again(landscape, {"--weights": "FILE"}, "trained")
    return Check(
        name, False, f"{found}: an untrained network, or the weights of another one",
        command or "load the trained weights",
    )  # fmt: skip


def _lowest_measured(landscape: Landscape) -> Check:
    name = "lowest points measured"
    loss = landscape.values("loss").ravel()
    interpolated = (landscape.status.ravel() == INTERPOLATED) & np.isfinite(loss)
    lowest = _lowest(landscape)
    if lowest is None:
        return Check(name, None, "no point was evaluated")
    if not interpolated.any():
        return Check(name, True, "all points are measured")
    number = int(np.where(interpolated, loss, np.inf).argmin())
    if loss[number] >= loss[lowest]:
        return Check(name, True, "no interpolated point is below the lowest evaluated point")
    grid = landscape.grid
    center, step = grid.points()[number], np.array(grid.spacing)
    box = [
        (max(c - 2 * s, low), min(c + 2 * s, high))
        for c, s, (low, high) in zip(center, step, grid.bounds)
    ]
    file = landscape.path or "FILE.nc"
    return Check(
        name, False,
        f"{_at(landscape, number)} is interpolated, and its loss {loss[number]:.4g} is below the "
        f"lowest evaluated loss {loss[lowest]:.4g}",
        f"losslandscape refine {file} --bounds={box_option(box)} --output near.nc",
    )  # fmt: skip


def _noise(landscape: Landscape) -> Check:
    name = "features above the noise"
    if "loss_samples" not in landscape.samples:
        return Check(name, None, "no per-sample losses are kept, so the noise is not known")
    try:
        error = landscape.difference_standard_error("minimum").ravel()
    except LossLandscapeError as why:
        return Check(name, None, str(why))
    loss = landscape.values("loss").ravel()
    lowest = _lowest(landscape)
    known = np.isfinite(error) & np.isfinite(loss)
    if lowest is None or known.sum() < 2:
        return Check(name, None, "the noise is known at fewer than two points")
    known[lowest] = False
    rise, error = loss[known] - loss[lowest], error[known]
    share = float((rise > 2 * error).mean())
    words = f"{share:.0%} of the points lie above the lowest one by two standard errors or more"
    if share >= _TOLD_APART:
        return Check(name, True, words)
    count = landscape.samples["loss_samples"].shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = float(np.median(count * (2 * error / np.maximum(rise, 1e-300)) ** 2))
    if not needed < 1e12:
        return Check(name, False, f"{words}: the surface is flat within its noise",
                     _again(landscape, _scaled(landscape, 4.0), "wider"))  # fmt: skip
    samples = int(np.ceil(max(needed, count + 1)))
    command = surface_again(landscape, {"--samples": str(samples)}, "more_samples")
    return Check(
        name, False, f"{words}: most of what is seen is noise of {count} samples",
        command or f"measure with about {samples:,} samples",
    )  # fmt: skip


def _arithmetic(landscape: Landscape) -> Check:
    name = "losses above the rounding"
    about = landscape.provenance.get("objective", {})
    deviation = about.get("deviation")
    largest = deviation.get("largest_absolute") if isinstance(deviation, dict) else None
    loss = landscape.values("loss")
    finite = loss[np.isfinite(loss)]
    if not isinstance(largest, (int, float)) or not finite.size:
        return Check(name, None, "the file does not have the deviation of its arithmetic")
    span = float(np.ptp(finite))
    words = f"the arithmetic is off by up to {largest:.2g}, and the losses span {span:.2g}"
    if 2 * largest < span:
        return Check(name, True, words)
    command = surface_again(landscape, {"--precision": "float32"}, "float32")
    return Check(name, False, words, command or 'Objective(..., precision="float32")')


def _at(landscape: Landscape, number: int) -> str:
    return "(" + ", ".join(f"{c + 0.0:.4g}" for c in landscape.grid.points()[number]) + ")"
