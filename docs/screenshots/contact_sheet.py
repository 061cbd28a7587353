"""Pictures on one page, each with its name above it."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

COLUMNS, WIDTH = 3, 424  # tiles per row, and the width of a tile in pixels
LETTERS, GAP = 15, 8  # text height and gap in pixels


def contact_sheet(pictures: Mapping[str, Image.Image]) -> Image.Image:
    """Arrange pictures of the same size on a page, row by row.

    Args:
        pictures: name -> picture.
    """
    width, height = next(iter(pictures.values())).size
    tile = WIDTH, round(WIDTH * height / width)
    step = WIDTH + GAP, tile[1] + LETTERS + 2 * GAP
    rows = -(-len(pictures) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * step[0] - GAP, rows * step[1]), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(LETTERS)
    for number, (name, picture) in enumerate(pictures.items()):
        row, column = divmod(number, COLUMNS)
        left, top = column * step[0], row * step[1]
        pen.text((left + 2, top + GAP // 2), name, fill="black", font=font)
        page.paste(picture.resize(tile, Image.Resampling.LANCZOS), (left, top + LETTERS + GAP))
    return page
