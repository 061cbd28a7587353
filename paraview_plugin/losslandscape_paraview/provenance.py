"""Words for a figure, from a landscape's provenance. Missing and unknown keys are no error."""

import json

from .errors import LandscapeFileError

_GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "lambda", "mu", "theta", "sigma")
_STATISTICS = {"fixed": "batch norm fixed", "reestimated": "batch norm re-estimated"}


def parse(text, path):
    """The provenance as a dict, from its JSON text; `{}` for an empty text.

    Raises:
        LandscapeFileError: the text is not JSON; `path` is named.
    """
    try:
        return json.loads(text) if text else {}
    except ValueError as error:
        raise LandscapeFileError(f"{path}: the provenance is not JSON ({error})") from error


def axis_titles(provenance):
    """Three axis titles; Greek letters as formulas, because ParaView's fonts have none."""
    names = list(provenance.get("direction_names", ["alpha", "beta", "gamma"]))
    names += ["alpha", "beta", "gamma"][len(names) :]
    return [f"$\\{name}$" if name in _GREEK else name for name in names[:3]]


def quantity_title(provenance, array):
    """The words for a grid variable, such as "cross-entropy loss"."""
    return provenance.get("quantities", {}).get(array, array.replace("_", " "))


def statistics_note(provenance):
    """Which batch-norm statistics were used, such as "batch norm re-estimated"; may be empty."""
    return _STATISTICS.get(provenance.get("objective", {}).get("batch_norm"), "")


def shared_statistics_note(provenances):
    """The note that holds for all the landscapes that have batch norm; empty if they differ."""
    notes = {statistics_note(provenance) for provenance in provenances} - {""}
    return notes.pop() if len(notes) == 1 else ""
