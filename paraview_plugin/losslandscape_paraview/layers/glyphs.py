"""Glyphs: a shape at each point."""


def glyphs_at(source, name, shape, scale=None):
    """The same shape at each point, which no array turns, and none scales unless it is named.

    Args:
        source: proxy of points.
        name: in the pipeline browser.
        shape: ParaView's name of it, such as `"Sphere"`.
        scale: the point array that scales it.
    """
    from paraview import simple

    made = simple.Glyph(registrationName=name, Input=source, GlyphType=shape)
    made.OrientationArray = ["POINTS", "No orientation array"]
    made.ScaleArray = ["POINTS", scale or "No scale array"]
    made.ScaleFactor = 1.0
    made.GlyphMode = "All Points"
    return made
