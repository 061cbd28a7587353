"""Figures of points in a plane: decision boundaries, and minima as dots beside their volumes."""

from pathlib import Path
from typing import Any

import numpy as np

from ..compatibility import drawn_by_tried_versions
from ..errors import LandscapeError, LandscapeFileError
from ..layers.glyphs import glyphs_at
from ..sources.landscape_sources import fetch, point_array, points_of
from ..style.scale import DisplayScale
from ..style.screen import meet
from .colour_tables import ColourTables
from .marks import draw_mark_key
from .point_chart import Axis, PointChart
from .sheet import Sheet

# of two classes: regions light, points dark (ColorBrewer's blues and oranges)
_REGIONS = ([0.62, 0.79, 0.88], [0.99, 0.82, 0.64])
_POINTS = {"class 0": [0.03, 0.32, 0.61], "class 1": [0.65, 0.21, 0.01]}
# of two estimators (Okabe and Ito 2008)
_SERIES = ([0.00, 0.45, 0.70], [0.84, 0.37, 0.00])
_WAY = [0.45, 0.45, 0.45]
_CHART_SIZE = 1000
_LETTERS = 1.25


@drawn_by_tried_versions
def decision_boundaries(*pairs, titles=None, columns=2, size=None, letters=_LETTERS):
    """The regions that a classifier gives to two classes, and points: right dots, wrong crosses.

    Args:
        pairs: for each chart a pair of files: image data (`.vti`) with the point array `log_odds`
            of class 1 on a plane, and points (`.vtp`) with the arrays `label`, 0 or 1, and
            `right`, whether the classifier gives that label.
        titles: one for each, or None for the points' field data `title`.
        columns: how many stand side by side.
        size: width and height in pixels; None for that of so many charts.
        letters: scale of all texts.

    Returns:
        Sheet

    Raises:
        LandscapeError: a file is missing, or lacks what is drawn.
    """
    rows = -(-len(pairs) // columns)
    size = size or (columns * _CHART_SIZE, rows * _CHART_SIZE + 90)
    sheet = Sheet(len(pairs), columns, size, letters, strip=2.4)
    halves: dict = {}
    classes = DisplayScale.of([0.0, 1.0], "label", False)
    table = ColourTables(classes).of_categories("label", _POINTS)
    for number, (regions, points) in enumerate(pairs):
        source = _reader(points, "label", "right")
        title = titles[number] if titles else _said(source, "title", Path(points).stem)
        if str(regions) not in halves:
            halves[str(regions)] = _halves(regions)
        bounds, parts = halves[str(regions)]
        chart = PointChart(
            sheet,
            number,
            title,
            Axis("coordinate 1", *bounds[:2]),
            Axis("coordinate 2", *bounds[2:4]),
            equal="frame",
        )
        for (name, part), colour in zip(parts.items(), _REGIONS):
            chart.fill(part, name, colour)
        wrong = 0
        for name, kind, pixels, method in (
            ("right points", "dot", 4.0, "Above Upper Threshold"),
            ("wrong points", "cross", 7.5, "Below Lower Threshold"),
        ):
            chosen = _threshold(chart.named(f"{name}, chosen"), source, "right", method)
            if chosen is None:
                continue
            chart.colour_by(chart.marks(chosen, name, kind, pixels), "label", table)
            wrong = fetch(chosen).GetNumberOfPoints() if kind == "cross" else wrong
        count = fetch(source).GetNumberOfPoints()
        sheet.captions.append(f"{title}. {count} points, {wrong} of them wrong.")
    first, second = _POINTS.values()
    draw_mark_key(
        sheet.strip,
        [
            ("fill", _REGIONS[0], "region of class 0"),
            ("fill", _REGIONS[1], "region of class 1"),
            ("dot", first, "class 0"),
            ("dot", second, "class 1"),
            ("cross", first, "wrong"),
            ("cross", second, "wrong"),
        ],
        sheet.letter_width,
        sheet.strip_size,
    )
    return sheet.finish()


@drawn_by_tried_versions
def minima(
    points,
    trajectory=None,
    colour="test_accuracy",
    labels=None,
    series=(),
    titles=("minima", "volume"),
    words=None,
    size=(2000, 1080),
    letters=_LETTERS,
):
    """Minima as dots on a plane of their weights, and other numbers of them against their colour.

    Args:
        points: `.vtp` with a point for each minimum and its numbers as point arrays; the field data
            `axis_titles` are those of the plane.
        trajectory: `.vtp` with a polyline on the same plane, or None.
        colour: the array that colours the dots.
        labels: the array whose numbers are written beside the dots, or None.
        series: arrays to draw against `colour` in a second chart; `NAME_low` and `NAME_high` are
            the ends of intervals where there are such.
        titles: of both charts.
        words: dict of arrays -> the words for them; those without are named by their arrays.
        size: width and height in pixels.
        letters: scale of all texts.

    Returns:
        Sheet

    Raises:
        LandscapeError: a file is missing, or lacks what is drawn.
    """
    words = words or {}
    source = _reader(points, colour, *([labels] if labels else []), *series)
    path = _reader(trajectory) if trajectory is not None else None
    sheet = Sheet(2 if series else 1, 2 if series else 1, size, letters, strip=2.4)
    entries: list = []
    data = fetch(source)
    places = points_of(data)[:, :2]
    names = _strings(source, "axis_titles") or ["first direction", "second direction"]
    around = [places] if path is None else [places, points_of(fetch(path))[:, :2]]
    low, high = np.concatenate(around).min(0), np.concatenate(around).max(0)
    room = 0.09 * (high - low).max()
    chart = PointChart(
        sheet,
        0,
        titles[0],
        Axis(names[0], low[0] - room, high[0] + room),
        Axis(names[1], low[1] - room, high[1] + room),
        equal="range",
        below=4.6,
    )
    if path is not None:
        chart.polylines(path, "trajectory", _WAY, 1.2)
        chart.marks(path, "trajectory: checkpoints", "dot", 3.0, _WAY)
        entries.append(("line", _WAY, words.get("trajectory", "trajectory")))
    values = point_array(data, colour).astype(float)
    scale = DisplayScale.of(values, colour, False)
    tables = ColourTables(scale)
    chart.colour_by(chart.marks(source, "minima", "dot", 9.0, edge=1.6), colour, tables.quantity)
    chart.bar(tables.quantity, words.get(colour, colour), scale.ticks())
    if labels:
        written = [f"{number:g}" for number in point_array(data, labels)]
        _write_beside(chart, places, written, around[1:])
        entries.append(("words", None, f"numbers: {words.get(labels, labels)}"))
    if series:
        entries += _draw_series(sheet, source, colour, series, titles[1], words)
    draw_mark_key(sheet.strip, entries, sheet.letter_width, sheet.strip_size)
    sheet.captions += [f"{titles[0]}. {len(places)} minima.", *_strings(source, "notes")]
    return sheet.finish()


def _draw_series(sheet, source, across, series, title, words):
    """Numbers against another, with their intervals; returns the key's entries."""
    from paraview import simple

    data = fetch(source)
    x = point_array(data, across)
    ends = []
    for name in series:
        for one in (name, f"{name}_low", f"{name}_high"):
            found = point_array(data, one)
            ends += [] if found is None else [found]
    chart = PointChart(
        sheet,
        1,
        title,
        Axis.around(words.get(across, across), x),
        Axis.around(words.get("series", "value"), np.concatenate(ends)),
        below=4.6,
    )
    entries: list = []
    for name, colour in zip(series, _SERIES):
        said = words.get(name, name)
        placed = simple.Calculator(
            registrationName=chart.named(f"{said}, places"),
            Input=source,
            Function=f'"{across}"*iHat + "{name}"*jHat',
            CoordinateResults=1,
        )
        if point_array(data, f"{name}_low") is not None:
            for end in ("low", "high"):
                _interval(chart, placed, said, name, end, colour)
        chart.marks(placed, said, "dot", 6.0, colour, edge=1.2)
        entries.append(("dot", colour, said))
    return entries


def _interval(chart, placed, said, name, end, colour):
    """A line from each value to one end of its interval."""
    from paraview import simple

    length = f'("{name}_{end}" - "{name}")*{chart.scale[1]!r}'
    lengths = simple.Calculator(
        registrationName=chart.named(f"{said}, to the {end} end"),
        Input=placed,
        Function=length,
        ResultArrayName="length",
    )
    moved = chart.placed(lengths, f"{said}, to the {end} end, placed", depth=40.0)
    stems = glyphs_at(moved, chart.named(f"{said}, {end} stems"), "Line", "length")
    stems.GlyphType.Point1, stems.GlyphType.Point2 = [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    chart.tube(stems, f"intervals: {said}, {end}", colour, 1.8)


def _write_beside(chart, places, written, others):
    """Words beside points, where they lie over no other point and no other words."""
    letter = chart.letter
    at = np.array([chart.at(*place) for place in places])
    dots = [*at]
    for line in others:
        dots += [chart.at(*place) for place in line]
    radius = 0.55 * letter
    obstacles = [(x - radius, x + radius, y - radius, y + radius) for x, y in dots]
    left, right, bottom, top = chart.frame
    for (x, y), words in zip(at, written):
        wide, away = 0.52 * letter * len(words), 0.75 * letter
        best: Any = None
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            x0 = x + dx * away - (wide if dx < 0 else wide / 2 if dx == 0 else 0)
            y0 = y + dy * 1.05 * away - (0.45 if dy == 0 else 0.0 if dy > 0 else 0.9) * letter
            box = (x0, x0 + wide, y0, y0 + 0.9 * letter)
            over = sum(meet(box, other) for other in obstacles)
            over += 9 * (box[0] < left or box[1] > right or box[2] < bottom or box[3] > top)
            if best is None or over < best[0]:
                best = (over, box)
        obstacles.append(best[1])
        chart.write(f"label {words}", words, best[1][0], best[1][2])


def _halves(path):
    """The bounds of a plane, and its parts where the log odds are below 0 and above it."""
    from paraview import simple

    grid = _reader(path, "log_odds")
    stem, parts = Path(path).stem, {}
    for number, name in enumerate(("region of class 0", "region of class 1")):
        parts[name] = simple.Clip(
            registrationName=f"{name} ({stem}, clipped)",
            Input=grid,
            ClipType="Scalar",
            Scalars=["POINTS", "log_odds"],
            Invert=1 - number,
        )
        parts[name].Value = 0.0  # given at once, a value of 0 would count as not given
    return fetch(grid).GetBounds(), parts


def _threshold(name, source, array, method):
    """The points whose array of 0 and 1 is above or below 0.5; None where there are none."""
    from paraview import simple

    chosen = simple.Threshold(
        registrationName=name, Input=source, Scalars=["POINTS", array], ThresholdMethod=method
    )
    chosen.LowerThreshold = chosen.UpperThreshold = 0.5
    if not fetch(chosen).GetNumberOfPoints():
        simple.Delete(chosen)
        return None
    return chosen


def _reader(path, *arrays):
    """ParaView's own reader of a file, which has these point arrays."""
    from paraview import simple

    path = Path(path)
    readers = {".vti": simple.XMLImageDataReader, ".vtp": simple.XMLPolyDataReader}
    if path.suffix not in readers:
        raise LandscapeError(f"{path}: the name must end in .vti or .vtp")
    if not path.is_file():
        raise LandscapeFileError(f"{path}: there is no such file")
    source = readers[path.suffix](registrationName=path.stem, FileName=[str(path)])
    data = fetch(source)
    if data is None or not data.GetNumberOfPoints():
        raise LandscapeFileError(f"{path}: no points could be read from it")
    for array in arrays:
        if point_array(data, array) is None:
            points = data.GetPointData()
            found = [points.GetArrayName(i) for i in range(points.GetNumberOfArrays())]
            raise LandscapeFileError(
                f"{path}: there is no point array '{array}' (found: {', '.join(found) or 'none'})"
            )
    return source


def _strings(source, name):
    """The strings of a field-data array; empty where there is none."""
    array = fetch(source).GetFieldData().GetAbstractArray(name)
    return [] if array is None else [array.GetValue(i) for i in range(array.GetNumberOfValues())]


def _said(source, name, default):
    return (_strings(source, name) or [default])[0]
