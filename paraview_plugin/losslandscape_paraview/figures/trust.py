"""The figure of how far to trust a plane: random directions, shares, and the verdict."""

import numpy as np

from ..compatibility import drawn_by_tried_versions
from ..errors import LandscapeError, LandscapeFileError
from ..sources.landscape_sources import loss_sha256
from ..sources.reports import find_report, read_report
from ..style import theme
from ..style.scale import DisplayScale
from .chart import THIN, Axis, Chart
from .figure import Figure, height_of, open_named

# without the sentences, whose lines make it higher
WIDTH, HEIGHT = 2400, 1200
_OWN_COLOURS = (theme.ACCENT, theme.SECOND, theme.CURVE)
_PER_CENT = {1e-5: "0.001%", 1e-4: "0.01%", 1e-3: "0.1%", 1e-2: "1%", 0.1: "10%", 1.0: "100%"}


@drawn_by_tried_versions
def trust(landscape, folder=None, title=None, size=None, **scale):
    """How far to trust a plane: its surface, the loss along random directions, and what it holds.

    Beside the surface are the profiles of random directions with their band and those of the plane
    itself, and the shares of curvature, gradient and trajectory that lie in the plane beside those
    of random planes. Below are the three sentences of the verdict. What was not measured is left
    out.

    Args:
        landscape: a path, or sources that are open (see `open_landscape`), of which ``losslandscape
            trust`` has judged the plane; two directions.
        folder: what it wrote; None looks where it writes by default, and beside the landscape. The
            landscape itself has all but the profiles of single directions.
        title, scale: see `surface`.
        size: width and height in pixels; None for as much as the sentences need.

    Returns:
        Figure

    Raises:
        LandscapeError: the file is no landscape or was not judged, the report is that of another
            one, or an option does not fit.
    """
    landscape = open_named(landscape)
    if landscape.dimensions != 2:
        raise LandscapeError(
            f"{landscape.path}: the figure of trust needs two directions, "
            f"not {landscape.dimensions}"
        )
    report, path = _verdict_of(landscape, folder)
    try:
        lines, shares = report["random_directions"], _shares(report)
        sentences = [str(sentence) for sentence in report["verdict"]]
        scale.setdefault("direction", theme.STEEP_DIRECTION)
        figure = Figure(
            [landscape],
            [title],
            size=size or (WIDTH, HEIGHT + height_of(sentences, WIDTH, scale.get("letters", 1.0))),
            charts=bool(lines) + bool(shares),
            sentences=sentences,
            **scale,
        )
        figure.draw(0, "surface", "places")
        views = iter(figure.charts)
        if lines:
            _draw_lines(figure, next(views), lines)
        if shares:
            _draw_shares(figure, next(views), shares)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise LandscapeFileError(f"{path}: its verdict is damaged ({error!r})") from error
    figure.panels[0].report["verdict"] = sentences
    figure.chart_words += sentences
    return figure.finish()


def _verdict_of(landscape, folder):
    """What `losslandscape trust` found, and the file that it is in."""
    path = find_report(landscape.path, "trust", folder)
    if path is not None:
        report = read_report(path)
        if report.get("loss_sha256") not in (None, loss_sha256(landscape.surface)):
            raise LandscapeFileError(
                f"{path}: belongs to another landscape than {landscape.path}; write it again "
                "(losslandscape trust --overwrite)"
            )
        return report, path
    report = landscape.provenance.get("trust")
    if not isinstance(report, dict):
        raise LandscapeError(
            f"{landscape.path}: nothing is known of how far to trust this plane; `losslandscape "
            "trust FILE.nc --hessian --spread` measures it"
        )
    return report, landscape.path


def _draw_lines(figure, view, lines):
    panel = figure.panels[0]
    x = np.array(lines["coordinates"], float)
    band = {name: np.array(lines["band"][name], float) for name in ("low", "median", "high")}
    single = [np.array(one, float) for one in lines.get("profiles") or ()]
    own = [np.array(one, float) for one in lines["own_profiles"] or ()]
    count = int(lines["directions"])
    values = np.concatenate([*band.values(), *single, *own])
    across = Axis.of(x, "coordinate", log=False, margin=0.0)
    upwards = Axis.of(values, margin=0.03)
    quantity = "loss, log scale" if upwards.scale.log else "loss"
    upwards = Axis(upwards.scale, quantity, margin=0.03)
    names = ("alpha", "beta", "gamma")[: len(own)]
    chart = Chart(
        view, "random directions", across, upwards,
        size=figure.view_size(view), letter_width=figure.letter_width, named=panel.named,
        title=f"{count} random directions",
        key=[
            [("95% of them", theme.FAINT_WORDS), ("median", theme.INK)],
            [("this plane:", theme.INK), *zip(names, _OWN_COLOURS)] if own else [],
        ],
    )  # fmt: skip
    chart.band("band", x, band["low"], band["high"], theme.BAND)
    chart.lines("profiles", [(x, one) for one in single], theme.FAINT_CURVE, THIN, "bars")
    chart.lines("median", [(x, band["median"])], theme.INK)
    for name, profile, colour in zip(names, own, _OWN_COLOURS):
        chart.lines(f"this plane, {name}", [(x, profile)], colour, depth="marks")
    panel.report["random_directions"] = {"count": count, "settled": lines["settled"]}
    figure.chart_words.append(
        f"Loss along {count} random directions through the model, {lines['normalization']}-"
        "normalized; the band holds 95% of them at each coordinate."
    )


def _shares(report):
    """Rows of what is shared, its share in the plane, and between what 95% of chance lie."""
    rows = []
    curved = report["curvature"]
    if curved:
        count = len(curved["eigenvalues"])
        parts = [
            (f"curvature, {count} largest", curved["top"]),
            ("trace of the Hessian", curved["trace"]),
            ("squared gradient", curved["gradient"]),
        ]
        rows += [
            (name, part["value"], part["random_interval"], "planes")
            for name, part in parts
            if part is not None and part["value"] is not None
        ]
    paths = report["trajectories"]
    for one in paths:
        walk = one["walk"] if one["fitted"] else None
        interval = walk["variance_interval"] if walk else one["random_plane_interval"]
        if one["variance"] is None or interval is None:
            continue
        name = "training trajectory" if len(paths) == 1 else f"trajectory {one['label']}"
        rows.append((name, one["variance"], interval, "walks" if walk else "planes"))
    return rows


def _draw_shares(figure, view, rows):
    panel = figure.panels[0]
    positive = [
        number
        for _name, value, interval, _of in rows
        for number in (value, *interval)
        if number is not None and number > 0
    ]
    least = max(min(positive), 1e-6) if positive else 1e-3
    ticks = [(value, words) for value, words in _PER_CENT.items() if value >= least / 2]
    across = Axis(
        DisplayScale("share", True, None, None, least, 1.0),
        "share in the plane, log scale",
        tuple(ticks),
        margin=0.05,
    )
    upwards = Axis(DisplayScale("row", False, None, None, 0.0, float(len(rows))), "", (), 0.0)
    chances = sorted({of for *_rest, of in rows})
    chart = Chart(
        view, "shares", across, upwards,
        size=figure.view_size(view), letter_width=figure.letter_width, named=panel.named,
        title="what the plane holds",
        key=[
            [("this plane", theme.ACCENT)],
            [(f"95% of random {' or '.join(chances)}", theme.FAINT_WORDS)],
        ],
    )  # fmt: skip
    y, low, high, dots, middles = [], [], [], [], []
    for number, (name, value, interval, _of) in enumerate(rows):
        middle = len(rows) - number - 0.68
        ends = [np.nan if end is None else float(end) for end in interval]
        y += [middle - 0.16, middle + 0.16, np.nan]
        low += [ends[0]] * 2 + [np.nan]
        high += [ends[1]] * 2 + [np.nan]
        dots.append(float(value))
        middles.append(middle)
        left = chart.frame[0] + 0.4 * chart.letter
        height = chart.at(1.0, middle + 0.24)[1]
        chart.words(f"row {number}", f"{name}: {_per_cent(value)}", left, height)
    chart.band("of chance", y, low, high, theme.BAND, across=True)
    chart.dots("this plane", dots, middles, theme.ACCENT)
    panel.report["shares"] = {name: value for name, value, *_rest in rows}
    figure.chart_words.append(
        "Shares of the plane, of curvature and gradient at the model and of the squared distances "
        f"of the trajectory; bars hold 95% of random {' or '.join(chances)}."
    )


def _per_cent(share):
    """A share in per cent, of two digits.

    >>> _per_cent(0.00123), _per_cent(0.913), _per_cent(1.0)
    ('0.12%', '91%', '100%')
    """
    return f"{float(f'{100 * share:.2g}'):g}%"
