"""Figures of a landscape with matplotlib: contours, a surface, or a curve with its error band."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from losslandscape.argument_kinds import described
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED, Landscape
from losslandscape.landscape.scale import scale_of
from losslandscape.views.robust_ceiling import robust_ceiling

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("contour", "surface", "curve")
SCALES = ("auto", "linear", "log")

_COLOR_MAP = "viridis"
_HOLE = "0.85"  # a gray that the color map does not contain
_PATH = "crimson"
# several training runs, as in ParaView's figures: color-blind people tell these apart
# (Okabe and Ito 2008)
RUN_COLORS = (
    "#d55e00", "#56b4e9", "#000000", "#cc79a7", "#ffffff", "#e69f00", "#0072b2", "#f0e442",
)  # fmt: skip
_FILLED_LEVELS, _LINES = 64, 9
_BAND = 2  # standard errors, as in ParaView's figures
_SAME_LENGTH = 0.01  # largest relative difference of two directions of equal length
_BATCH_NORM = {"fixed": "batch norm fixed", "reestimated": "batch norm re-estimated"}
_KIND_MARKERS = {0: ("o", "minimum"), 1: ("X", "saddle"), 2: ("^", "maximum")}


def plot(
    landscape: Landscape,
    kind: str | None = None,
    field: str = "loss",
    scale: str = "auto",
    *,
    trajectory: bool = True,
    critical_points: bool = False,
    show_interpolated: bool = False,
    ceiling: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a landscape of one or two dimensions.

    Points without a finite value are holes (gray in contours). The landscape's values are not
    changed; a ceiling affects only the drawing.

    Parameters
    ----------
    kind : "contour", "surface" or "curve"
        By default "curve" for one dimension and "contour" for two.
    field : str
        A grid variable, such as ``"accuracy"``.
    scale : "auto", "linear" or "log"
        "auto" is "log" if the values are positive and span more than two decades.
    trajectory : bool
        Draw the training trajectories; of several, each has its own color, a small start and a
        large end. In a curve or surface of a field other than the loss they
        are left out, because their height is unknown.
    critical_points : bool
        Draw the critical points of a plane's loss (:func:`losslandscape.find_critical_points`);
        those above the noise are white. Contours only.
    show_interpolated : bool
        Mark the evaluated points, to show where the values are interpolated.
    ceiling : float, optional
        Draw larger values as this value; the color bar or the axis states it. By default a plane
        of losses is cut where an exploding corner would hide the rest (see
        :mod:`losslandscape.views.robust_ceiling`); ``math.inf`` cuts nothing.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a surface needs ``projection="3d"``. By default a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    LossLandscapeError
        If matplotlib is not installed; the kind does not suit the landscape's dimensions; the
        field does not exist or has no finite value; a logarithmic scale is requested for values
        that are not positive; or the ceiling is not above the lowest value.

    Notes
    -----
    On a plane of principal components each axis title gives the share of the trajectory's squared
    distances along this axis, as in Li et al. 2018, figure 9. A curve's band is two standard errors
    of the mean loss to either side, as in ParaView's figures; it does not include interpolation
    errors.
    """
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise LossLandscapeError("plot() needs matplotlib: pip install matplotlib") from error
    kind = _checked_kind(landscape, kind)
    values = landscape.values(field)
    shown = _Shown(landscape, field, values, scale, ceiling)
    if critical_points and (kind != "contour" or field != "loss"):
        raise LossLandscapeError(
            "critical points are drawn only on contours of the loss: pass kind='contour' and "
            "field='loss'"
        )
    own_figure = ax is None
    ax = _new_axes(kind, shown) if own_figure else _checked_axes(kind, ax)
    if kind == "curve":
        _draw_curve(ax, shown, trajectory, show_interpolated)
    elif kind == "contour":
        _draw_contours(ax, shown, trajectory, critical_points, show_interpolated)
    else:
        _draw_surface(ax, shown, trajectory, show_interpolated)
    if landscape.provenance.get("title") and not ax.get_title():
        ax.set_title(_plain(str(landscape.provenance["title"])))
    if ax.get_legend_handles_labels()[0]:
        if own_figure:  # below the axes, so that it covers no data
            ax.figure.legend(
                loc="outside lower center",
                ncols=2 if critical_points else 3,
                fontsize=7,
                frameon=False,
            )
        else:
            ax.legend(fontsize=7, framealpha=0.85)
    return ax


class _Run(NamedTuple):
    """A training trajectory as it is drawn."""

    label: str
    coordinates: np.ndarray
    losses: np.ndarray | None
    color: str
    several: bool  # beside others

    def line(self, width: float) -> dict[str, Any]:
        """Properties of its line; beside others, it has a dark edge."""
        from matplotlib.patheffects import Normal, Stroke

        style: dict[str, Any] = {"color": self.color, "linewidth": width, "markersize": 2.5}
        if self.several:
            edge = Stroke(linewidth=width + 1.2, foreground="0.1")
            style["path_effects"] = [edge, Normal()]
        return style

    def draw_ends(self, ax: Any, *rows: np.ndarray, zorder: float) -> None:
        """Mark where it starts and where it ends, beside other runs."""
        if not self.several or not len(rows[0]):
            return
        for number, color, size in ((0, "white", 4.0), (-1, self.color, 7.0)):
            place = [row[number : number + 1] if number == 0 else row[-1:] for row in rows]
            ax.plot(
                *place, "o", color=color, markersize=size, markeredgecolor="0.1",
                markeredgewidth=0.8, zorder=zorder,
            )  # fmt: skip


class _Shown:
    """A field as it is drawn: its scale, its holes, its ceiling and its titles."""

    def __init__(
        self,
        landscape: Landscape,
        field: str,
        values: np.ndarray,
        scale: str,
        ceiling: float | None,
    ) -> None:
        self.landscape, self.field, self.axes = landscape, field, landscape.grid.axes()
        finite = np.isfinite(values)
        where = landscape._where()
        if not finite.any():
            raise LossLandscapeError(f"{where}'{field}' has no finite value to draw")
        if scale not in SCALES:
            raise LossLandscapeError(f"scale is {scale!r}; it must be one of {', '.join(SCALES)}")
        low = float(values[finite].min())
        if scale == "log" and low <= 0:
            raise LossLandscapeError(
                f"{where}the lowest value of '{field}' is {low:g}, which cannot be shown on a "
                "logarithmic scale; pass scale='linear'"
            )
        if ceiling is not None and not ceiling > low:
            raise LossLandscapeError(
                f"{where}the ceiling {ceiling:g} is not above the lowest value of '{field}', "
                f"{low:g}"
            )
        scale = scale_of(values) if scale == "auto" else scale
        self.log = scale == "log"
        # a ceiling would cut the losses of trajectories, too
        alone = values.ndim == 2 and not landscape.trajectories
        if ceiling is None and alone and self.is_loss:
            ceiling = robust_ceiling(values, scale)
        elif ceiling == math.inf:
            ceiling = None
        self.capped = ceiling is not None and bool((values[finite] > ceiling).any())
        self.ceiling, self.highest = ceiling, float(values[finite].max())
        heights = values if ceiling is None else np.minimum(values, ceiling)
        self.values = np.ma.masked_where(~finite, heights)
        self.low, self.high = low, float(self.values.max())

    @property
    def is_loss(self) -> bool:
        return self.field == "loss" or self.field.endswith("_loss")

    @property
    def title(self) -> str:
        """The quantity, how batch norm was measured, and the scale, as in ParaView's figures."""
        about = self.landscape.provenance
        words = [about.get("quantities", {}).get(self.field) or self.field.replace("_", " ")]
        note = _BATCH_NORM.get(about.get("objective", {}).get("batch_norm"))
        words += [note] if note else []
        words += ["log scale"] if self.log else []
        if self.capped:
            words.append(f"drawn up to {self.ceiling:g} of {self.highest:g}")
        return _plain(", ".join(words))

    @property
    def minimum(self) -> tuple[np.ndarray, float]:
        """Coordinates, alpha first, and value of the lowest point."""
        number = int(np.ma.argmin(self.values))
        return self.landscape.grid.points()[number], float(self.values.ravel()[number])

    def axis_title(self, i: int, short: bool = False) -> str:
        about, default = self.landscape.provenance, self.landscape.grid.axis_names[i]
        names = about.get("direction_names", self.landscape.grid.axis_names)
        name = names[i] if i < len(names) else default
        title = f"$\\{name}$" if name == default else _plain(str(name))
        shares = about.get("subspace", {}).get("explained_variance", ())
        if i < len(shares):
            share = f"{100 * shares[i]:.1f}%"
            words = "PC {}, {}" if short else "principal component {},\n{} of variance"
            title += f" ({words.format(i + 1, share)})"
        return title

    @property
    def directions_share_units(self) -> bool:
        """Whether the two directions have the same length in parameter space."""
        first, second = np.sqrt(np.diag(self.landscape.gram_matrix))
        return bool(abs(first - second) <= _SAME_LENGTH * max(first, second))

    def trajectories(self) -> list[_Run]:
        """Each trajectory, with losses only if the field is the loss."""
        several = len(self.landscape.trajectories) > 1
        return [
            _Run(
                _plain(t.label),
                t.coordinates,
                t.loss if self.field == "loss" else None,
                RUN_COLORS[i % len(RUN_COLORS)] if several else _PATH,
                several,
            )
            for i, t in enumerate(self.landscape.trajectories)
        ]

    def evaluated_points(self) -> np.ndarray:
        """Coordinates of the evaluated points, alpha first, shape (n, dimensions)."""
        return self.landscape.grid.points()[(self.landscape.status == EVALUATED).ravel()]

    @property
    def evaluated_title(self) -> str:
        some = (self.landscape.status == INTERPOLATED).any()
        return "evaluated (elsewhere interpolated)" if some else "evaluated"


def _checked_kind(landscape: Landscape, kind: str | None) -> str:
    dimensions = landscape.grid.dimensions
    if dimensions == 3:
        raise LossLandscapeError(
            f"{landscape._where()}matplotlib cannot draw a landscape of three dimensions; draw it "
            "in ParaView with 'losslandscape render', or export() it"
        )
    suitable = ("curve",) if dimensions == 1 else ("contour", "surface")
    if kind is not None and kind not in suitable:
        raise LossLandscapeError(
            f"{landscape._where()}kind is {kind!r}; a landscape of {dimensions} "
            f"dimension{'s' * (dimensions > 1)} needs {' or '.join(map(repr, suitable))}"
        )
    return kind or suitable[0]


def _checked_axes(kind: str, ax: Any) -> Any:
    if isinstance(ax, type) or not hasattr(ax, "get_legend_handles_labels"):
        raise LossLandscapeError(
            f"ax is {described(ax)}; pass matplotlib axes, such as pyplot.subplots()[1]"
        )
    if kind == "surface" and not hasattr(ax, "plot_surface"):
        raise LossLandscapeError(
            "a surface needs three-dimensional axes: "
            "use figure.add_subplot(projection='3d'), or omit ax"
        )
    return ax


def _new_axes(kind: str, shown: _Shown) -> Any:
    """Axes of a new figure, with the height that equal units on both axes need."""
    from matplotlib import pyplot

    height = 4.0
    if kind == "contour" and shown.directions_share_units:
        wide, high = map(np.ptp, shown.axes)
        height = float(np.clip(1.2 + 3.7 * high / wide, 2.5, 7))
    figure = pyplot.figure(figsize=(5, height), layout="constrained")
    return figure.add_subplot(projection="3d" if kind == "surface" else None)


def _draw_contours(ax, shown: _Shown, trajectory: bool, critical: bool, evaluated: bool) -> None:
    x, y = shown.axes
    ax.set_facecolor(_HOLE)
    if shown.high > shown.low:
        space = np.geomspace if shown.log else np.linspace
        levels = space(shown.low, shown.high, _FILLED_LEVELS)
        levels[[0, -1]] = shown.low, shown.high  # rounding must not exclude the extremes
        # corner_mask=False: a cell with a hole at one corner is a hole
        filled = ax.contourf(
            x, y, shown.values, levels, norm=_norm(shown), cmap=_COLOR_MAP, corner_mask=False,
            extend="max" if shown.capped else "neither",
        )  # fmt: skip
        filled.set_edgecolor("face")  # without it, thin lines show between the bands in a PDF
        filled.set_rasterized(True)
        lines = space(shown.low, shown.high, _LINES + 2)[1:-1]
        ax.contour(
            x, y, shown.values, lines, colors="white", linewidths=0.5, alpha=0.6, corner_mask=False
        )
        mappable: Any = filled
    else:  # a constant has no contours
        mappable = ax.pcolormesh(
            x, y, shown.values, shading="gouraud", cmap=_COLOR_MAP, norm=_norm(shown)
        )
    _color_bar(ax, mappable, shown)
    if evaluated:
        points = shown.evaluated_points()
        ax.scatter(*points.T, s=2, c="black", linewidths=0, label=shown.evaluated_title, zorder=3)
    if trajectory:
        for run in shown.trajectories():
            ax.plot(*run.coordinates.T, "o-", **run.line(1), label=run.label, zorder=4)
        for run in shown.trajectories():
            run.draw_ends(ax, *run.coordinates.T, zorder=4.5)
    if critical:
        _draw_critical_points(ax, shown.landscape)
    if shown.is_loss:
        (a, b), value = shown.minimum
        ax.plot(
            a, b, "*", color="white", markeredgecolor="black", markersize=10, linestyle="",
            label=f"lowest, {value:.3g}", zorder=5, clip_on=False,
        )  # fmt: skip
    for model in shown.landscape.models:
        ax.plot(*model.coordinates, "s", color="white", markeredgecolor="black", markersize=4)
        ax.annotate(
            _plain(model.label), model.coordinates, (5, 4), textcoords="offset points", fontsize=8,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1}, zorder=6,
        )  # fmt: skip
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.set_xlabel(shown.axis_title(0))
    ax.set_ylabel(shown.axis_title(1))
    ax.set_aspect("equal" if shown.directions_share_units else "auto")


def _draw_critical_points(ax, landscape: Landscape) -> None:
    from losslandscape.analysis.critical_points import find_critical_points

    found = find_critical_points(landscape)
    kinds, significant = found.arrays["CellDimension"], found.arrays["significant"] == 1
    certain = found.noise is not None and found.noise.method != "none"
    for number, (marker, name) in _KIND_MARKERS.items():
        for strong in (True, False):
            points = found.arrays["points"][(kinds == number) & (significant == strong)]
            if not len(points):
                continue
            words = (
                "" if strong else (", not above the noise" if certain else ", without persistence")
            )
            ax.scatter(
                points[:, 0], points[:, 1], s=28 if strong else 14, marker=marker, zorder=5,
                facecolors="white" if strong else "0.5", edgecolors="black" if strong else "white",
                linewidths=0.8 if strong else 0.4, label=name + words,
            )  # fmt: skip


def _draw_surface(ax, shown: _Shown, trajectory: bool, evaluated: bool) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    x, y = shown.axes
    mesh = np.meshgrid(x, y)
    # mplot3d has no working logarithmic axis: heights are logarithms, and the ticks show powers
    heights = np.ma.filled(_height(shown, shown.values), np.nan)
    norm = _norm(shown)
    colors = colormaps[_COLOR_MAP](norm(_cells(shown)))
    ax.computed_zorder = False  # otherwise a whole line is behind or in front of the surface
    ax.plot_surface(
        *mesh, heights, facecolors=colors, rcount=len(y), ccount=len(x), linewidth=0,
        antialiased=False, shade=True, zorder=1,
    )  # fmt: skip
    _color_bar(ax, ScalarMappable(norm, _COLOR_MAP), shown)
    if trajectory:
        for run in shown.trajectories():
            if run.losses is not None:
                _draw_draped(ax, shown, heights, run, run.losses)
    if evaluated:
        there = (shown.landscape.status == EVALUATED).ravel()
        points = shown.landscape.grid.points()[there]
        ax.scatter(
            *points.T, heights.ravel()[there], s=2, c="black", depthshade=False, linewidths=0,
            label=shown.evaluated_title, zorder=2,
        )  # fmt: skip
    if shown.is_loss:
        (a, b), value = shown.minimum
        ax.plot(
            [a], [b], [_height(shown, value)], "*", color="white", markeredgecolor="black",
            markersize=9, linestyle="", label=f"lowest, {value:.3g}", zorder=4,
        )  # fmt: skip
    if shown.log and shown.high / shown.low > 100:
        ax.zaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.zaxis.set_major_formatter(FuncFormatter(lambda z, _: f"$10^{{{z:g}}}$"))
    elif shown.log:  # the range may contain fewer than two powers of ten
        ticks = MaxNLocator(4).tick_values(shown.low, shown.high)
        ticks = [tick for tick in ticks if shown.low <= tick <= shown.high]
        ax.set_zticks(np.log10(ticks), [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlabel(shown.axis_title(0, short=True))
    ax.set_ylabel(shown.axis_title(1, short=True))
    if shown.directions_share_units:
        wide, deep = np.ptp(x), np.ptp(y)
        ax.set_box_aspect((wide, deep, 0.6 * max(wide, deep)), zoom=0.9)
    ax.view_init(elev=35, azim=-60)


def _norm(shown: _Shown) -> Any:
    """The map from values to colors; a constant gets the middle color."""
    from matplotlib.colors import LogNorm, Normalize

    low, high = shown.low, shown.high
    if low == high:
        half = 0.5 * max(1.0, abs(low))
        low, high = (low / 2, high * 2) if shown.log else (low - half, high + half)
    return (LogNorm if shown.log else Normalize)(low, high)


def _cells(shown: _Shown) -> np.ma.MaskedArray:
    """The mean of the four corners of each cell; on the log scale, the geometric mean."""
    values = _height(shown, shown.values)
    cells = (values[:-1, :-1] + values[:-1, 1:] + values[1:, :-1] + values[1:, 1:]) / 4
    return 10**cells if shown.log else cells


def _height(shown: _Shown, values: Any) -> Any:
    return np.ma.log10(values) if shown.log else values


def _draw_draped(ax, shown: _Shown, heights, run: _Run, losses: np.ndarray) -> None:
    """Draw a trajectory on the surface; straight lines between checkpoints would cut through it."""
    from scipy.interpolate import RegularGridInterpolator

    coordinates = run.coordinates
    steps = np.linspace(0, 1, 20, endpoint=False)[:, None]
    pieces = [a + steps * (b - a) for a, b in zip(coordinates[:-1], coordinates[1:])]
    path = np.concatenate([*pieces, coordinates[-1:]])
    surface = RegularGridInterpolator(shown.axes[::-1], heights, bounds_error=False)
    ax.plot(*path.T, surface(path[:, ::-1]), "-", **run.line(1.2), zorder=3)
    if shown.ceiling is not None:
        losses = np.minimum(losses, shown.ceiling)
    inside = np.isfinite(surface(coordinates[:, ::-1]))
    ax.plot(
        *coordinates[inside].T, _height(shown, losses[inside]), "o", color=run.color,
        markersize=2.5, label=run.label, zorder=3,
    )  # fmt: skip
    run.draw_ends(ax, *coordinates[inside].T, _height(shown, losses[inside]), zorder=3.5)


def _draw_curve(ax, shown: _Shown, trajectory: bool, evaluated: bool) -> None:
    (x,) = shown.axes
    if shown.log:
        ax.set_yscale("log")
    (line,) = ax.plot(x, shown.values, "-", linewidth=1.2)
    limits = [shown.low, shown.high]
    error = shown.landscape.fields.get(f"{shown.field}_standard_error")
    if error is not None and np.isfinite(error).any():
        half = _BAND * error
        low, high = shown.values - half, shown.values + half
        if shown.ceiling is not None:
            high = np.ma.minimum(high, shown.ceiling)
        # a band that reaches 0 extends down to the axis, without stretching it
        drawn = np.ma.maximum(low, np.finfo(float).tiny) if shown.log else low
        ax.fill_between(
            x, drawn, high, color=line.get_color(), alpha=0.25, linewidth=0,
            label=f"$\\pm$ {_BAND} standard errors",
        )  # fmt: skip
        known = np.ma.masked_invalid(low[low > 0] if shown.log else low).compressed()
        limits += [*known, *np.ma.masked_invalid(high).compressed()]
        if shown.log:
            limits = [max(limit, shown.low / 10) for limit in limits]
    if evaluated:
        there = shown.landscape.status == EVALUATED
        ax.plot(x[there], shown.values[there], "k.", markersize=4, label=shown.evaluated_title)
    if trajectory:
        for run in shown.trajectories():
            losses = run.losses
            if losses is not None:
                heights = losses if shown.ceiling is None else np.minimum(losses, shown.ceiling)
                ax.plot(run.coordinates[:, 0], heights, "o-", **run.line(0.8), label=run.label)
                run.draw_ends(ax, run.coordinates[:, 0], heights, zorder=4.5)
                limits += list(heights[np.isfinite(heights) & ((heights > 0) | (not shown.log))])
    if shown.is_loss:
        (a,), value = shown.minimum
        ax.plot(
            a, value, "*", color="white", markeredgecolor="black", markersize=10,
            label=f"lowest, {value:.3g}", linestyle="", zorder=5,
        )  # fmt: skip
    low, high = min(limits), max(limits)
    if high > low:
        border = 0.05 * (np.log10(high / low) if shown.log else high - low)
        ax.set_ylim(
            (low / 10**border, high * 10**border) if shown.log else (low - border, high + border)
        )
    ax.set_xlim(x[0], x[-1])
    ax.set_xlabel(shown.axis_title(0))
    ax.set_ylabel(shown.title)


def _beside(ax) -> Any:
    """Axes for a color bar as high as the plot, also if that is lower than its place."""
    if ax.figure.get_layout_engine() is not None:  # which makes room for what lies outside
        return ax.inset_axes((1.04, 0, 0.05, 1))
    from mpl_toolkits.axes_grid1 import make_axes_locatable

    return make_axes_locatable(ax).append_axes("right", size="5%", pad=0.1)


def _color_bar(ax, mappable, shown: _Shown) -> None:
    from matplotlib.ticker import (
        AutoLocator,
        LogLocator,
        MaxNLocator,
        NullFormatter,
        NullLocator,
        ScalarFormatter,
    )

    solid = hasattr(ax, "plot_surface")
    place = {"ax": ax, "shrink": 0.6, "pad": 0.1} if solid else {"cax": _beside(ax)}
    bar = ax.figure.colorbar(
        mappable,
        label=shown.title,
        extend="max" if shown.capped else "neither",
        **place,
    )
    if shown.log and shown.high / shown.low > 100:
        bar.ax.yaxis.set_major_locator(LogLocator())
        bar.ax.yaxis.set_minor_locator(LogLocator(subs=range(2, 10)))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    elif shown.log:  # the range may contain fewer than two powers of ten
        decade = shown.high / shown.low > 10
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if decade else MaxNLocator(6))
        bar.ax.yaxis.set_major_formatter(ScalarFormatter())
        bar.ax.yaxis.set_minor_locator(NullLocator())
    else:
        bar.ax.yaxis.set_major_locator(AutoLocator())
        if shown.capped:  # none on the arrow
            ticks = AutoLocator().tick_values(shown.low, shown.high)
            bar.set_ticks([tick for tick in ticks if shown.low <= tick <= shown.high])


def _plain(text: str) -> str:
    """A user's text, escaped so that matplotlib does not read it as a formula."""
    return text.replace("$", r"\$")
