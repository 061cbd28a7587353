"""The legend below the panels: colour bars, and keys for marks, kinds and curves."""

import math

from ..compatibility import number_format
from ..sources import provenance as words
from ..style import theme
from ..style.text import fitted, in_lines, write_at
from ..style.ticks import are_written_alike, label_format, step_ticks

LEAST_EDGE = 0.9  # of a ball's dark edge in the layout's pixels; thinner ones are drawn with gaps


def draw_legend(figure):
    """Draw the colour bars and keys of everything a figure's layers have drawn.

    Args:
        figure: a `Figure` whose layers are drawn.

    Returns:
        The quantity's colour bar and its place, for `write_bar`; None where the figure has none.
    """
    from paraview import simple

    width, height = figure.layout_size
    aspect = width / (height * figure.legend_share)
    bars, tables = [], figure.tables
    keys: list[tuple[dict, tuple[float, ...]]]
    if figure.has_bar and figure.shows_bar:
        bars.append((tables.quantity, figure.bar_title, figure.bar_ticks))
    entries: dict = {}
    if figure.keys and (figure.runs or (figure.marks and figure.panels[0].dimensions == 2)):
        entries = {**figure.runs, **figure.marks}
    for array, scale in tables.others.items():
        name = words.short_quantity(figure.panels[0].landscape.provenance, array)
        title = f"{name}, {scale.words}"
        bars.append((tables.named(array), title, scale.ticks(4)))
    for array, ends in tables.step_ranges.items() if figure.keys else ():
        words_of_steps = figure.steps if array == "step" else array.replace("_", " ")
        bars.append((tables.named(array), step_bar_title(words_of_steps), step_ticks(*ends)))
    of_kinds = tables.categories.values() if figure.keys else ()
    keys = [(categories, theme.KEY_PLACES) for categories in of_kinds]
    if figure.keys and figure.marks and not entries:
        keys.append((figure.marks, theme.KEY_PLACES))
    if entries and keys:  # the kinds of critical points among the other marks
        kinds = {name: c for key, _places in keys for name, c in key.items()}
        entries = {**kinds, **entries}
        keys = []
    parts = len(bars) + len(keys) + bool(entries)
    places = theme.BAR_PLACES[min(max(parts, 1), 2) - 1]
    ends = theme.TABLE_ENDS
    if len(bars) == 2 and (keys or entries):
        places, ends = theme.BAR_PLACES_NARROW, theme.TABLE_ENDS_NARROW
        keys = [(key, theme.KEY_PLACES_NARROW) for key, _places in keys]
    elif entries and not figure.runs and len(entries) <= 3:
        places, ends = theme.BAR_PLACES_BESIDE, theme.TABLE_ENDS_NARROW
    if len(bars) == 1 and parts == 1 and (len(figure.views) == 1 or len(figure.bar_ticks) > 7):
        places = theme.BAR_PLACES_WIDE
    of_quantity = None
    for (table, title, ticks), place in zip(bars, places):
        bar = simple.GetScalarBar(table, figure.legend)
        write_bar(figure, bar, place, title, ticks)
        bar.Visibility = 1
        if table is tables.quantity:
            of_quantity = bar, place
    for key, where in keys:
        draw_key(figure.legend, key, figure.letter_width, aspect, where)
    if entries:
        draw_table(figure, entries, aspect, ends)
    if figure.curve_key:
        draw_curve_key(figure.legend, figure.curve_key, figure.letter_width, aspect, figure.letters)
    return of_quantity


def write_bar(figure, bar, place, title, ticks):
    """Write a colour bar at a place: its centre and length as shares of the legend's width."""
    width, letter_width = figure.layout_size[0], figure.letter_width
    centre, length = place
    letters = theme.BAR_LETTER_SHARE * letter_width / (length * width)  # of the bar's length
    levels = any("levels" in panel.report for panel in figure.panels)
    ticks = with_ends(bar.LookupTable, ticks, letters, levels)
    title, least = words.literal(title), figure.least_letters
    dress_colour_bar(bar, title, ticks, centre, length, width, letter_width, least)


def with_ends(table, ticks, letters, levels=False):
    """The labelled values of a colour bar with its two ends, rounded to three digits inwards.

    Ticks that would lie over the labels of the ends are left out.

    Args:
        table: the colour table.
        ticks: list of values within it.
        letters: the height of a letter, in units of the bar's length.
        levels: the ticks are of what is drawn: they stay, and an end without room has no label.
    """
    low, high, log = table.RGBPoints[0], table.RGBPoints[-4], bool(table.UseLogScale)
    ends = [end for end in (inwards(low, high), inwards(high, low)) if end is not None]
    if len(ends) < 2 or not ends[0] < ends[1]:
        return ticks

    def place(value):
        if log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    label = label_format([*ticks, *ends])

    def half(value):
        return 0.31 * letters * (len(label.format(value)) + 0.6)

    def meet(one, other):
        return abs(place(one) - place(other)) < half(one) + half(other)

    if levels:
        return sorted({*ticks, *(e for e in ends if not any(meet(e, tick) for tick in ticks))})
    kept = [tick for tick in ticks if not any(meet(tick, end) for end in ends)]
    return [ends[0], *kept, ends[1]]


def inwards(value, towards):
    """A value rounded to three digits, towards another; None if that goes beyond it.

    >>> inwards(0.00713848, 2.89677), inwards(2.89677, 0.00713848), inwards(-1.0, 1.0)
    (0.00714, 2.89, -1.0)
    """
    if value == 0:
        return 0.0
    if not math.isfinite(value) or not math.isfinite(towards):
        return None
    unit = 10.0 ** (math.floor(math.log10(abs(value)) + 1e-12) - 2)
    number = round(value / unit, 6)
    number = math.ceil(number) if towards > value else math.floor(number)
    found = float(f"{number * unit:.3g}")
    return found if min(value, towards) <= found <= max(value, towards) else None


def dress_colour_bar(bar, title, ticks, centre, length, width, letter_width, least=None):
    """A horizontal colour bar with its title above it.

    Args:
        bar: a scalar bar's proxy.
        title: quantity, scale and statistics.
        ticks: the labelled values.
        centre: its centre along the width of its view, 0 to 1.
        length: its length in the same unit.
        width: of the whole layout in pixels.
        letter_width: the width in pixels that text sizes are shares of.
        least: the smallest size of the title; None for a share of the labels'.
    """
    if least is None:
        least = math.ceil(theme.LEAST_LETTERS * theme.BAR_LETTER_SHARE * letter_width)
    bar.Title, bar.ComponentTitle, bar.HorizontalTitle = title, "", 1
    bar.TitleColor = bar.LabelColor = theme.INK
    bar.TitleBold = bar.LabelBold = 0
    bar.LabelFontSize = round(theme.BAR_LETTER_SHARE * letter_width)
    room = 1.9 * min(centre, 1 - centre) * width
    lines = [title]
    if fitted(bar.LabelFontSize, title, room) < 0.85 * bar.LabelFontSize and ", " in title:
        # two lines of letters that can be read instead of one of small ones
        first, rest = title.rsplit(", ", 1)
        lines = [f"{first},", rest]
    lines, bar.TitleFontSize = in_lines(lines, bar.LabelFontSize, room, least)
    bar.Title = "\n".join(lines)
    bar.Orientation = "Horizontal"
    bar.WindowLocation = "Any Location"
    bar.Position = [centre - length / 2, 0.07]
    bar.ScalarBarLength = length
    bar.ScalarBarThickness = round(0.6 * theme.BAR_LETTER_SHARE * width)
    bar.UseCustomLabels, bar.CustomLabels = 1, ticks
    bar.AddRangeLabels = 0
    label = label_format(ticks)
    # Formats differ by ParaView's version, and a state file with one is right in some: where
    # ParaView itself writes the numbers as they are, it does.
    bar.AutomaticLabelFormat = int(are_written_alike(ticks, label))
    if not bar.AutomaticLabelFormat:
        bar.LabelFormat = number_format(label)
    bar.DrawTickMarks = 1


def step_bar_title(what):
    """The title of the colour bar along trajectories; its ends are the markers' colours."""
    return f"{what}, white to red"


def draw_key(view, categories, width, aspect, places=theme.KEY_PLACES):
    """The kinds in a row to the right of the colour bar: a sphere in its colour, and its name.

    Args:
        view: the legend, a render view.
        categories: dict of each kind's name -> its colour.
        width: the width in pixels that text sizes are shares of.
        aspect: the view's width in units of its height.
        places: where each stands, as shares of the width.
    """
    face_key(view)
    for place, (name, colour) in zip(places, categories.items()):
        x = aspect * (2 * place - 1)
        _draw_entry(view, width, name, colour, (x, -0.45), (0.19, 0.225), (x + 0.42, -0.6))


def draw_table(figure, entries, aspect, ends=theme.TABLE_ENDS):
    """The training runs, and marks, in columns of up to four to the right of the colour bar.

    Args:
        figure: a `Figure`.
        entries: dict of each name -> its colour.
        aspect: the legend's width in units of its height.
        ends: where the table begins and ends, as shares of the legend's width.
    """
    view, width = figure.legend, figure.letter_width
    face_key(view)
    # more than four rows have no room for letters that can be read in print
    rows = len(entries) if len(entries) <= 4 else min(4, math.ceil(len(entries) / 2))
    left, right = ends
    columns = math.ceil(len(entries) / rows)
    high = 1.7 / max(rows, 3)  # of a row, where the view is 2 high
    radius = min(0.15, 0.36 * high)
    pixels = figure.layout_size[1] * figure.legend_share / 2  # of a unit of the view
    room = figure.layout_size[0] * (right - left) / columns - 4.5 * radius * pixels
    # letters of one size: that of the longest name
    longest = max(entries, key=len)
    size = min(theme.LETTER_SHARE * width, 0.8 * high * pixels)
    size = max(fitted(size, longest, 0.85 * room), figure.least_letters)
    for number, (name, colour) in enumerate(entries.items()):
        column, row = divmod(number, rows)
        x = aspect * (2 * (left + (right - left) * column / columns) - 1) + radius
        y = high * ((rows - 1) / 2 - row)
        edge = max(0.18 * radius, LEAST_EDGE / pixels)
        radii, beside = (radius, radius + edge), (x + 1.9 * radius, y - 0.55 * size / pixels)
        _draw_entry(view, width, name, colour, (x, y), radii, beside).FontSize = size


def _draw_entry(view, width, name, colour, centre, radii, beside):
    """A ball with a dark edge, which is a larger ball behind it, and its name; returns the text."""
    from paraview import simple

    for what, radius, z, fill in (
        ("", radii[0], 1.0, colour),
        (": edge", radii[1], 0.0, theme.INK),
    ):
        ball = simple.Sphere(
            registrationName=f"key{what} ({name})",
            Center=[*centre, z],
            Radius=radius,
            ThetaResolution=48,
            PhiResolution=48,
        )
        shown = simple.Show(ball, view)
        simple.ColorBy(shown, ("POINTS", None))
        shown.AmbientColor = shown.DiffuseColor = fill
        shown.Ambient, shown.Diffuse = 1.0, 0.0
    text = simple.Text(registrationName=f"key: name ({name})", Text=words.literal(name))
    return write_at(view, text, [*beside, 0.0], width)


def face_key(view):
    """The legend's camera: x and y as on paper, from -1 to 1 along its height."""
    view.CameraFocalPoint, view.CameraPosition = [0.0, 0.0, 0.0], [0.0, 0.0, 10.0]
    view.CameraViewUp, view.CameraParallelScale = [0.0, 1.0, 0.0], 1.0


def draw_curve_key(view, entries, width, aspect, letters=1.0):
    """What line, band and dots are, in a row in the middle of the legend.

    Args:
        view: the legend, a render view.
        entries: dict of `curve`, `band`, `points` -> the words for it.
        width: the width in pixels that text sizes are shares of.
        aspect: the view's width in units of its height.
        letters: scale of all texts.
    """
    from paraview import simple

    face_key(view)
    # in units of half the view's height
    letter, sample, gap = letters * theme.LETTER_SHARE * aspect, 0.36, 0.5
    order = [name for name in ("curve", "band", "points") if name in entries]
    lengths = [sample + 0.1 + letter * len(entries[name]) for name in order]
    x = -(sum(lengths) + gap * (len(order) - 1)) / 2
    for name, length in zip(order, lengths):
        thickness = {"curve": 0.055, "band": 0.34}.get(name)
        if thickness:
            mark = simple.Box(
                registrationName=f"key ({name})",
                Center=[x + sample / 2, 0.0, 0.0],
                XLength=sample,
                YLength=thickness,
                ZLength=0.01,
            )
        else:
            mark = simple.Sphere(
                registrationName=f"key ({name})", Center=[x + sample / 2, 0.0, 0.0], Radius=0.075
            )
            mark.ThetaResolution = mark.PhiResolution = 32
        shown = simple.Show(mark, view)
        simple.ColorBy(shown, ("POINTS", None))
        colours = {"curve": theme.CURVE, "band": theme.BAND, "points": theme.INK}
        shown.AmbientColor = shown.DiffuseColor = colours[name]
        shown.Ambient, shown.Diffuse = 1.0, 0.0
        text = simple.Text(
            registrationName=f"key: words ({name})", Text=words.literal(entries[name])
        )
        write_at(view, text, [x + sample + 0.1, -0.16, 0.0], width)
        x += length + gap
