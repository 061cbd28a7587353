"""The figure of a network's curvature: the convexity map on the surface, and the spectrum."""

import numpy as np

from ..compatibility import drawn_by_tried_versions
from ..errors import LandscapeError, LandscapeFileError
from ..layers.places import value_at_origin
from ..sources.provenance import quantity_title
from ..sources.reports import find_report, read_report
from ..style import theme
from ..style.scale import DisplayScale
from .chart import Axis, Chart
from .figure import Figure, open_named

ARRAY = "convexity"
SIZE = (2400, 1400)
# the origin's loss in both files, of arithmetic of different precision
_SAME = 1e-3
# The density is drawn down to a tenth of what one eigenvalue alone would be at its middle.
_LEAST = 0.1


@drawn_by_tried_versions
def curvature(landscape, folder=None, title=None, size=SIZE, **scale):
    """The convexity map beside the surface, both on one plane, and the spectrum of the Hessian.

    Left the loss as height and colour, beside it the same surface with the map as its colour. The
    eigenvalues and the spectral density stand beside them where ``losslandscape curvature`` has
    measured them.

    Args:
        landscape: a path, or sources that are open (see `open_landscape`), with the array
            ``convexity`` that ``losslandscape convexity`` adds; two directions.
        folder: what ``losslandscape curvature`` wrote; None looks where it writes by default, and
            beside the landscape.
        title: above the surface; None for the provenance's.
        size, scale: see `surface`.

    Returns:
        Figure

    Raises:
        LandscapeError: the file is no landscape or has no convexity map, the report is that of
            another one, or an option does not fit.
    """
    landscape = open_named(landscape)
    _require_map(landscape)
    path = find_report(landscape.path, "curvature", folder)
    report = None if path is None else read_report(path)
    if report is not None:
        _require_same(landscape, report, path)
    scale.setdefault("direction", theme.STEEP_DIRECTION)
    figure = Figure(
        [landscape, landscape],
        [title, "convexity map"],
        size=size,
        charts=int(report is not None),
        notes=2,
        **scale,
    )
    figure.draw(0, "surface", "places")
    figure.draw(1, ("surface", {"array": ARRAY}))
    _note_map(figure.panels[1])
    if report is not None:
        try:
            _draw_spectrum(figure, report)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise LandscapeFileError(f"{path}: damaged ({error!r})") from error
    return figure.finish()


def _require_map(landscape):
    if landscape.dimensions != 2:
        raise LandscapeError(
            f"{landscape.path}: the figure of curvature needs two directions, "
            f"not {landscape.dimensions}"
        )
    try:
        landscape.values(ARRAY)
    except LandscapeError as error:
        raise LandscapeError(
            f"{landscape.path}: has no convexity map; `losslandscape convexity FILE.nc --output "
            "FILE_convexity.nc` makes a copy with one"
        ) from error


def _require_same(landscape, report, path):
    """The report's loss at the origin is that of the landscape, where both are known."""
    here, there = value_at_origin(landscape, "loss"), report.get("loss")
    if here is None or not isinstance(there, float):
        return
    if abs(here - there) > _SAME * max(abs(here), abs(there)):
        raise LandscapeFileError(
            f"{path}: belongs to another network or other samples than {landscape.path}: the loss "
            f"of the model is {there:.4g} there and {here:.4g} here; write it again (losslandscape "
            "curvature --overwrite)"
        )


def _note_map(panel):
    values = panel.landscape.values(ARRAY)
    known = values[np.isfinite(values)]
    unknown = int(np.isnan(values).sum())
    panel.report["convexity"] = {
        "median": float(np.median(known)),
        "greatest": float(known.max()),
        "unknown": unknown,
    }
    what = quantity_title(panel.landscape.provenance, ARRAY)
    panel.figure.chart_words.append(f"Color of the right panel: {what}.")
    panel.notes.append("smallest / largest eigenvalue, by size:")
    panel.notes.append(f"median {np.median(known):.3g}, largest {known.max():.3g}")
    if unknown:
        panel.notes[-1] += f"; grey: {unknown} points not known"


def _draw_spectrum(figure, report):
    panel, view = figure.panels[0], figure.charts[0]
    common = {
        "size": figure.view_size(view),
        "letter_width": figure.letter_width,
        "named": panel.named,
    }
    both = "density" in report
    _draw_eigenvalues(figure, view, report, common, (0.0, 1.0, 0.5 if both else 0.0, 1.0))
    if both:
        _draw_density(figure, view, report, common)


def _draw_eigenvalues(figure, view, report, common, place):
    rows = report["eigenvalues"]
    values = np.array([row["eigenvalue"] for row in rows], float)
    errors = np.array([row["standard_error"] for row in rows], float)
    errors = 2 * np.where(np.isfinite(errors), errors, 0.0)
    size = np.abs(values)
    log = size.min() > 0 and size.max() > 100 * size.min()
    drawn = size if log else values
    ends = np.concatenate([drawn, drawn + errors, drawn - errors, [] if log else [0.0]])
    ends = ends[ends > 0.1 * size.min()] if log else ends
    places = np.arange(1.0, len(values) + 1)
    x = Axis(
        DisplayScale("number", False, None, None, 0.5, len(values) + 0.5),
        "number",
        _numbers(len(values), int(report["parameters"])),
        margin=0.02,
    )
    y = Axis.of(ends, log=log, margin=0.06)
    kinds = [("positive", theme.SECOND, values > 0), ("negative", theme.ACCENT, values < 0)]
    signs = [(name, colour) for name, colour, these in kinds if these.any()]
    chart = Chart(
        view, "eigenvalues", x, y, place=place,
        title="eigenvalue sizes" if log else "eigenvalues", key=[signs], **common,
    )  # fmt: skip
    for name, colour, these in kinds:
        if these.any():
            base = None if log else 0.0
            chart.bars(name, places[these], drawn[these], colour, base=base)
    low = np.maximum(drawn - errors, chart.y.scale.lower) if log else drawn - errors
    chart.lines(
        "standard errors",
        [([n, n], [a, b]) for n, a, b in zip(places, low, drawn + errors)],
        theme.INK,
        depth="marks",
    )
    unsure = int(sum(not row["converged"] for row in rows))
    words = (
        f"Bars: the {counted_ends(len(values), int(report['parameters']))} of the "
        f"{_matrix(report)} at the model"
        f"{', their absolute values' if log else ''}; lines are 2 standard errors over the samples "
        "up and down."
    )
    if unsure:
        words += f" {unsure} of them did not converge."
    figure.chart_words.append(words)
    figure.panels[0].report["curvature"] = {"eigenvalues": values.tolist(), "unsure": unsure}


def _draw_density(figure, view, report, common):
    density = report["density"]
    x, y, low, high = (
        np.array(density[name], float) for name in ("eigenvalue", "density", "low", "high")
    )
    one = 1 / (int(report["parameters"]) * float(density["width"]) * np.sqrt(2 * np.pi))
    least = _LEAST * one
    across = Axis.of(x, "eigenvalue", log=False, margin=0.0)
    upwards = Axis(
        DisplayScale("density", True, None, None, least, float(max(y.max(), high.max()))),
    )
    share = f"{100 * float(density['confidence']):.3g}% over the probes"
    chart = Chart(
        view, "spectral density", across, upwards, place=(0.0, 1.0, 0.0, 0.5),
        title="spectral density", key=[[(share, theme.FAINT_WORDS)]],
        **common,
    )  # fmt: skip
    chart.band("band", x, low, high, theme.BAND)
    chart.lines("curve", [(x, y)], theme.CURVE)
    figure.chart_words.append(
        f"Spectral density of the {_matrix(report)}: each eigenvalue is a Gaussian of standard "
        f"deviation {float(density['width']):.3g}; the axis ends at a tenth of the peak of one "
        "eigenvalue, and a band that reaches below it is cut there."
    )


def counted_ends(count, parameters):
    """How many eigenvalues of which end.

    >>> counted_ends(10, 500), counted_ends(6, 6)
    ('5 largest and 5 smallest eigenvalues', '6 eigenvalues')
    """
    if count >= parameters or count % 2:
        return f"{count} eigenvalues"
    return f"{count // 2} largest and {count // 2} smallest eigenvalues"


def _numbers(count, parameters):
    """Ticks at the ends of what is shown: the numbers of eigenvalues, the largest being 1.

    >>> _numbers(10, 500)
    ((1, '1'), (5, '5'), (6, '496'), (10, '500'))
    """
    if count >= parameters or count % 2 or count < 4:
        return tuple((n, str(n)) for n in sorted({1, count}))
    half = count // 2
    found = [1, half, half + 1, count]
    numbers = [1, half, parameters - half + 1, parameters]
    return tuple((n, str(number)) for n, number in zip(found, numbers))


def _matrix(report):
    return "Gauss-Newton matrix" if report.get("kind") == "gauss_newton" else "Hessian"
