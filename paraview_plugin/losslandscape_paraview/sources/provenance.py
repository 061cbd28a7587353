"""Words for a figure, from a landscape's provenance. Missing and unknown keys are no error."""

import json
import re

from ..compatibility import warn
from ..errors import LandscapeFileError
from .letters import GREEK, with_formulas, without_formulas

_FORMULA = re.compile(r"\$[^$]+\$$")
# what the names of arrays begin with whose own names are none for an expression
RENAMED = "quantity_"
_STATISTICS = {"fixed": "batch norm fixed", "reestimated": "batch norm re-estimated"}


# what figures use: the type of each entry, and of what is in it
_TYPES = {
    "title": (str, str),
    "scale": (str, str),
    "direction_names": (list, str),
    "models": (list, str),
    "quantities": (dict, str),
    "objective": (dict, object),
}


def parse(text, path):
    """The provenance as a dict, from its JSON text; `{}` for an empty text.

    Raises:
        LandscapeFileError: the text is not JSON, or an entry that figures use is of another type
            than docs/file_format.md says; `path` is named.
    """
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise LandscapeFileError(f"{path}: the provenance is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise LandscapeFileError(f"{path}: the provenance is no JSON object")
    for name, (kind, inside) in _TYPES.items():
        value = found.get(name)
        if value is None:
            continue
        entries = value.values() if isinstance(value, dict) else value
        if not isinstance(value, kind) or not all(isinstance(entry, inside) for entry in entries):
            raise LandscapeFileError(
                f"{path}: '{name}' of the provenance is {json.dumps(value)[:80]}, which is not "
                "what docs/file_format.md says"
            )
    return found


def axis_titles(provenance, shares=False):
    """Three axis titles as ParaView's texts; a name between two `$` is meant as a formula.

    Args:
        provenance: the landscape's.
        shares: with each direction's share of the trajectory's variance, where the file has it.
    """
    names = list(provenance.get("direction_names", ["alpha", "beta", "gamma"]))
    names += ["alpha", "beta", "gamma"][len(names) :]
    titles = [_direction_title(str(name)) for name in names[:3]]
    for axis, share in enumerate(variance_shares(provenance)[:3] if shares else ()):
        titles[axis] += f" ({100 * share:.{1 if share < 0.1 else 0}f}% var.)"
    return titles


def variance_shares(provenance):
    """The directions' shares of a trajectory's variance; empty where the plane has none.

    >>> variance_shares({"subspace": {"explained_variance": [0.8, 0.1]}}), variance_shares({})
    ([0.8, 0.1], [])
    """
    plane = provenance.get("subspace")
    shares = plane.get("explained_variance") if isinstance(plane, dict) else None
    if not isinstance(shares, list):
        return []
    return [s for s in shares if isinstance(s, (int, float)) and 0 <= s <= 1.000001]


def short_quantity(provenance, array):
    """The word for a quantity at its own axis, where the colour bar has the whole title."""
    if array.startswith(RENAMED):
        return quantity_title(provenance, array)
    return array.replace("loss_standard_error", "error").replace("_", " ")


def _direction_title(name):
    if name in GREEK:
        return f"$\\{name}$"
    return name if _FORMULA.match(name) else literal(name)


def literal(text):
    """Somebody's words as a text of ParaView that is drawn as they are, and not as a formula.

    Letters that ParaView's font lacks are formulas; where there is none either, a warning names
    them.
    """
    # an upright bar would begin a second column, and has no escape: a broken one does not
    written, missing = with_formulas(text.replace("$", "\\$").replace("|", "\u00a6"))
    if missing:
        warn(
            f"ParaView's font has no {' '.join(missing)} in '{text}', so a picture cannot show "
            "them; a web page (.html) and an SVG do"
        )
    return written


def plain(text):
    """The words of a text of ParaView; a formula of one letter as the letter itself.

    >>> plain("$\\\\alpha$ (80% var.)"), plain(literal("cost $5 vs $6 | x"))
    ('\u03b1 (80% var.)', 'cost $5 vs $6 | x')
    """
    return without_formulas(text).replace("\\$", "$").replace("\u00a6", "|")


def quantity_title(provenance, array):
    """The words for a grid variable, such as "cross-entropy loss"."""
    return provenance.get("quantities", {}).get(array, array.replace("_", " "))


def statistics_note(provenance):
    """Which batch-norm statistics were used, such as "batch norm re-estimated"; may be empty."""
    return _STATISTICS.get(str(provenance.get("objective", {}).get("batch_norm")), "")


def shared_statistics_note(provenances):
    """The note that holds for all the landscapes; empty where it does not hold for one."""
    notes = {statistics_note(provenance) for provenance in provenances}
    return notes.pop() if len(notes) == 1 else ""
