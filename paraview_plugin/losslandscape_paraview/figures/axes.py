"""The axes of a panel: the grid behind the surface, its ticks and titles."""

from ..sources import provenance as words
from ..style import theme
from ..style.text import write_at
from ..style.ticks import axis_ticks, label_format, round_ticks
from .fit import box_ticks, near_corner


def dress_axes(view, titles, width, box):
    """The grid behind the surface, with ticks and titles along the plane's directions.

    Args:
        view: a render view.
        titles: the three axis titles.
        width: the width in pixels that text sizes are shares of.
        box: the panel's `Box`.
    """
    axes = view.AxesGrid
    axes.Visibility = 1
    axes.XTitle, axes.YTitle, axes.ZTitle = titles
    axes.DataScale, axes.DataPosition = box.axes_scale, box.axes_position
    axes.GridColor = theme.GRID
    # The box of the scale, and not of what happens to be shown: alike in all panels.
    axes.UseCustomBounds, axes.CustomBounds = 1, box.bounds
    for letter in "XYZ":
        setattr(axes, f"{letter}TitleFontSize", round(theme.TITLE_LETTER_SHARE * width))
        setattr(axes, f"{letter}LabelFontSize", round(theme.LETTER_SHARE * width))
        setattr(axes, f"{letter}TitleColor", theme.INK)
        setattr(axes, f"{letter}LabelColor", theme.INK)
        # by default they are bold from ParaView 6.2 on
        setattr(axes, f"{letter}TitleBold", 0)
        setattr(axes, f"{letter}LabelBold", 0)
    for axis, letter in enumerate("XYZ"[: box.dimensions]):
        ends = [
            (box.bounds[2 * axis + end] - box.axes_position[axis]) / box.axes_scale[axis]
            for end in (0, 1)
        ]
        setattr(axes, f"{letter}AxisUseCustomLabels", 1)
        ticks = axis_ticks(*ends)
        if box.dimensions == 3:
            # three axes meet in the box's corners, and so would the labels there
            ticks = [t for t in ticks if ends[0] < t < ends[1]]
        setattr(axes, f"{letter}AxisLabels", ticks)


def place_axes(axes, box, heights, direction=theme.VIEW_DIRECTION):
    """Which faces and edges of the box carry axes, for the camera's one direction.

    Args:
        axes: a view's axes grid.
        box: the panel's `Box`.
        heights: of the ticks along the height, for a curve and for a plane.
        direction: from where the camera looks.
    """
    if box.dimensions == 1:
        axes.FacesToRender, axes.AxesToLabel = 16, 5
        # the titles and the values at the height's ticks are texts (label_axes)
        axes.XTitle = axes.ZTitle = ""
        axes.ZLabelOpacity = 0.0
        axes.XAxisLabels = even_ticks(box)
        axes.ZAxisUseCustomLabels, axes.ZAxisLabels = 1, [float(h) for h in heights]
    elif box.dimensions == 2:
        # the faces behind the surface, of the bits 1 to 4 for the low ones and 8 to 32 for the high
        x, y = near_corner(direction)
        axes.FacesToRender = (1 if x else 8) + (2 if y else 16) + 4
        axes.AxesToLabel = (8 if y else 1) + (16 if x else 2)
        # the titles and the loss are texts (label_plane)
        axes.XTitle = axes.YTitle = axes.ZTitle = ""
        axes.ZLabelOpacity = 0.0
        axes.ZAxisUseCustomLabels, axes.ZAxisLabels = 1, [float(h) for h in heights]
        for axis, letter in enumerate("XY"):
            setattr(axes, f"{letter}AxisLabels", box_ticks(box, axis))
    else:
        axes.FacesToRender, axes.AxesToLabel = 28, 19


def label_plane(panel, found):
    """The words at a plane's axes that ParaView's own axes do not write.

    Their titles would take the place of a tick, and along the height they could only write the
    number a coordinate is, which is the logarithm on a log scale.

    Args:
        panel: a `Panel` of two dimensions.
        found: list of `fit.Words`.
    """
    from paraview import simple

    figure = panel.figure
    right, up = figure.screen_axes()
    pixel = figure.pixel_size(panel)
    for one in found:
        if one.drawn_by_axes:
            continue
        place = one.place + pixel * (one.shift[0] * right + one.shift[1] * up)
        text = simple.Text(registrationName=panel.named(f"axes: {one.what}"), Text=one.text)
        written = write_at(panel.view, text, place, figure.letter_width)
        written.FontSize = round(one.letters)


def even_ticks(box):
    """Round values along the first axis, the middle one among them."""
    low, high = ((end - box.axes_position[0]) / box.axes_scale[0] for end in box.bounds[:2])
    return round_ticks(low, high, 4)


def label_axes(panel):
    """The values at the height's ticks, its title above the axis, and alpha below.

    ParaView's axes can only write the number a coordinate is, and on a log scale that is the
    logarithm.
    """
    from paraview import simple

    figure, box, scale = panel.figure, panel.box, panel.scale
    width = figure.letter_width
    left, right, bottom, top = box.bounds[0], box.bounds[1], box.bounds[4], box.bounds[5]
    letter = theme.LETTER_SHARE * width * figure.pixel_size(panel)
    ticks = scale.ticks(5)
    label = label_format(ticks)
    for tick in ticks:
        height = float(scale.heights(tick)) * box.factor
        written = label.format(tick)
        text = simple.Text(registrationName=panel.named(f"axes: loss {written}"), Text=written)
        place = [left - 0.8 * letter, 0.0, height - 0.42 * letter]
        write_at(panel.view, text, place, width).Justification = "Right"
    title = ", ".join((words.quantity_title(panel.landscape.provenance, scale.array), scale.words))
    text = simple.Text(
        registrationName=panel.named("axes: title of the loss"), Text=words.literal(title)
    )
    write_at(panel.view, text, [left, 0.0, top + 0.7 * letter], width)
    name = words.axis_titles(panel.landscape.provenance)[0]
    text = simple.Text(registrationName=panel.named("axes: title of alpha"), Text=name)
    length = 1 if name.startswith("$") else len(name)
    place = [(left + right) / 2 - 0.3 * length * letter, 0.0, bottom - 3.2 * letter]
    write_at(panel.view, text, place, width).FontSize = round(theme.TITLE_LETTER_SHARE * width)
