"""Landscapes side by side, each on a scale of its own."""

from ..compatibility import drawn_by_tried_versions
from ..errors import LandscapeError
from ..layers.own_losses import own_losses_differ
from ..layers.trajectory import has_trajectory_in
from ..style import theme
from .figure import open_named
from .sheet import Sheet
from .techniques import DEFAULT_TECHNIQUE, draw_technique

MOST = 9
_PANEL_SIZE = (1000, 820)
_LETTERS, _LARGEST_LETTERS = 1.15, 1.8  # a panel is narrower than a figure


@drawn_by_tried_versions
def panels(
    *landscapes,
    titles=None,
    each=None,
    common=False,
    columns=None,
    size=None,
    steps="step",
    letters=None,
    own_losses=None,
    evaluated=None,
    **scale,
):
    """Landscapes of different quantities in rows: each has its own scale, colour bar and box.

    Landscapes with a training trajectory have it on their surface. Where the quantity is the same
    in all of them, `compare` draws two on one scale.

    Args:
        landscapes: paths or open sources, from 2 to 9; the same one may come several times.
        titles: one for each, or None for the provenances'.
        each: list of dicts, options of each panel that differ from the others': `array`, `log`,
            `floor`, `ceiling` and the others of `Figure`.
        common: they have the same quantity, and one scale of colours and heights, and one colour
            bar, for all of them.
        columns: how many stand side by side; None for 2, or 3 where there are more than 4.
        size: width and height in pixels; None for that of so many panels.
        steps, own_losses, evaluated: see `trajectory`, `surface`.
        letters: scale of all texts, as of a figure over the whole width; None for one that fits.
        scale: of all panels; see `DisplayScale.of`.

    Returns:
        Sheet

    Raises:
        LandscapeError: a file is no landscape, or an option does not fit it.
    """
    count = len(landscapes)
    if not 2 <= count <= MOST:
        raise LandscapeError(f"figure 'panels' takes 2 to {MOST} landscapes, not {count}")
    titles, each = titles or [None] * count, each or [{}] * count
    for what, given in (("titles", titles), ("each", each)):
        if len(given) != count:
            raise LandscapeError(f"{what}: {len(given)} are given for {count} landscapes")
    columns = columns or (2 if count <= 4 else 3)
    rows = -(-count // columns)
    size = size or (columns * _PANEL_SIZE[0], rows * _PANEL_SIZE[1] + 120)
    opened: dict = {}
    sources = []
    for landscape in landscapes:
        key = str(landscape)
        if key not in opened:
            opened[key] = open_named(landscape)
        sources.append(opened[key])
    with_path = [has_trajectory_in(one) and one.dimensions < 3 for one in sources]
    # a letter is a share of a panel's width
    letters = _LETTERS if letters is None else letters * columns
    if letters > _LARGEST_LETTERS:
        raise LandscapeError(
            f"figure 'panels': {columns} panels side by side are too narrow for legible text; draw "
            "a larger picture, or smaller text (--text-size)"
        )
    sheet = Sheet(count, columns, size, letters)
    scale.setdefault("direction", theme.STEEP_DIRECTION)
    for number, (landscape, title, path) in enumerate(zip(sources, titles, with_path)):
        options = {**scale, **each[number]}
        own = own_losses
        if own is None:
            own = path and own_losses_differ(landscape, options.get("array", "loss"))
        technique = "trajectory" if path else DEFAULT_TECHNIQUE[landscape.dimensions]
        figure = sheet.figure(
            number,
            [landscape],
            [title],
            steps=steps,
            notes=3 if path else 1,
            own_losses=bool(own and path),
            error_band=technique == "curve",
            beside=sources if common else (),
            bar=not common,
            **options,
        )
        draw_technique(figure, 0, technique, evaluated=evaluated, own_losses=bool(own and path))
        figure.finish()
    return sheet.finish()
