"""Flat marks: dots, crosses and stars, of one colour and without shades."""

from ..layers.glyphs import glyphs_at
from ..style import theme
from ..style.text import write_at
from .legend import face_key

# glyph, and how many of its own lengths a radius is
_PLANAR = {"cross": ("ThickCross", 2.0, 45.0), "star": ("Diamond", 2.0, 0.0)}


def flat_colour(view, source, colour):
    """Show a pipeline object in one colour, without shades."""
    from paraview import simple

    shown = simple.Show(source, view)
    simple.ColorBy(shown, ("POINTS", None))
    shown.AmbientColor = shown.DiffuseColor = colour
    shown.Ambient, shown.Diffuse, shown.Specular = 1.0, 0.0, 0.0
    return shown


def glyphs(source, name, kind, radius, depth=0.0):
    """Marks at points.

    Args:
        source: proxy of points.
        name: in the pipeline browser.
        kind: `"dot"`, `"cross"` or `"star"`.
        radius: in the view's space.
        depth: how much nearer to the reader than the points.
    """
    if kind == "dot":
        made = glyphs_at(source, name, "Sphere")
        made.GlyphType.Radius = radius
        # a circle, and a point above its middle: fewer triangles than a ball, and seen alike
        made.GlyphType.ThetaResolution, made.GlyphType.PhiResolution = 32, 3
        made.GlyphType.Center = [0.0, 0.0, depth]
    else:
        shape, lengths, turned = _PLANAR[kind]
        made = glyphs_at(source, name, "2D Glyph")
        made.GlyphType.GlyphType, made.GlyphType.Filled = shape, 1
        made.GlyphTransform.Scale = [lengths * radius] * 3
        made.GlyphTransform.Rotate = [0.0, 0.0, turned]
        made.GlyphTransform.Translate = [0.0, 0.0, depth]
    return made


def draw_mark_key(view, entries, letter_width, size):
    """What marks, lines and filled regions mean, in rows in the middle of a view.

    Args:
        view: a render view.
        entries: list of a kind (`"dot"`, `"cross"`, `"star"`, `"line"`, `"fill"`, `"words"`), its
            colour and the words for it.
        letter_width: the width in pixels that text sizes are shares of.
        size: width and height of the view in pixels.
    """
    face_key(view)
    pixel = 2.0 / size[1]
    letter = theme.LETTER_SHARE * letter_width * pixel
    room = size[0] * pixel
    lengths = [(2.0 + 0.5 * len(words)) * letter for _kind, _colour, words in entries]
    gap = 1.6 * letter
    rows: list = [[]]
    for entry, length in zip(entries, lengths):
        used = sum(one + gap for _entry, one in rows[-1])
        if rows[-1] and used + length > 0.97 * room:
            rows.append([])
        rows[-1].append((entry, length))
    for number, row in enumerate(rows):
        y = ((len(rows) - 1) / 2 - number) * 1.7 * letter
        x = -(sum(length for _entry, length in row) + gap * (len(row) - 1)) / 2
        for (kind, colour, words), length in row:
            _draw_entry(view, kind, colour, words, (x, y), letter, letter_width)
            x += length + gap


def _draw_entry(view, kind, colour, words, place, letter, letter_width):
    from paraview import simple

    x, y = place
    text = simple.Text(registrationName=f"key: words ({words})", Text=words)
    beside = 0.0 if kind == "words" else 1.8 * letter
    write_at(view, text, [x + beside, y - 0.42 * letter, 0.0], letter_width)
    if kind == "words":
        return
    centre = [x + 0.7 * letter, y, 0.0]
    if kind in ("line", "fill"):
        high = {"line": 0.14, "fill": 0.95}[kind] * letter
        mark = simple.Box(
            registrationName=f"key ({words})",
            Center=centre,
            XLength=1.4 * letter,
            YLength=high,
            ZLength=0.01,
        )
    else:
        point = simple.PointSource(
            registrationName=f"key, place ({words})", Center=centre, NumberOfPoints=1, Radius=0.0
        )
        mark = glyphs(point, f"key ({words})", kind, 0.4 * letter)
    flat_colour(view, mark, colour)
