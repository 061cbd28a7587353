"""Where resuming is decided: does an unfinished run lie at the output, and may it go on?

The decision in one table. "Same" means that the recipes are equal.

=========================  =========================  ==================================
at the output              without ``overwrite``      with ``overwrite``
=========================  =========================  ==================================
a journal, same            goes on                    goes on
the same, and a file that  refused                    goes on, replaced at the end
is not of this run
a journal, not the same    refused, difference named  journal deleted, starts anew
a damaged journal          refused                    journal deleted, starts anew
the file alone             refused                    starts anew, replaced at the end
nothing                    starts                     starts
=========================  =========================  ==================================

The caller has claimed the output, see :mod:`losslandscape.files.outputs`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.files.journal import Journal, journal_path
from losslandscape.formats import netcdf
from losslandscape.landscape.identity import meaning
from losslandscape.run.recipe import difference
from losslandscape.run.settings import Settings


@dataclass
class Begun:
    """What an earlier run left; by default nothing.

    Attributes
    ----------
    journal : Journal or None
        Open for appending.
    records : dict of int to bytes
        Number of a point -> its record.
    settings : Settings or None
        Of the earlier run.
    """

    journal: Journal | None = None
    records: dict[int, bytes] = field(default_factory=dict)
    settings: Settings | None = None


def claim_output(path: Path | None, recipe: dict[str, Any], overwrite: bool = False) -> Begun:
    """Find the unfinished run of this recipe, or make sure that the path is free.

    Raises
    ------
    OutputExistsError
        If the file exists, and neither ``overwrite`` nor an unfinished run allows replacing it.
    LossLandscapeError
        If an unfinished run there has another recipe (the difference is named).
    FileFormatError
        If the journal is damaged.
    """
    if path is None:
        return Begun()
    journal = journal_path(path)
    if journal.exists():
        differing = _differing(journal, recipe, overwrite)
        if differing is None:
            if not overwrite and not _is_unfinished(path, recipe):
                raise OutputExistsError(
                    f"{path}: an unfinished run lies there ({journal.name}), and the file is not "
                    "its unfinished landscape; move the file away, or replace it "
                    "(overwrite=True, --overwrite)"
                )
            opened, records = Journal.resume(journal)
            return Begun(opened, records, Settings.from_json(opened.header["settings"]))
        if not overwrite:
            raise LossLandscapeError(
                f"{path}: an unfinished run lies there ({journal.name}), and its {differing} "
                f"is not the same{meaning(differing)}; give the same arguments to go on, "
                "another output, or overwrite it (--overwrite)"
            )
        journal.unlink()
    if path.exists() and not overwrite:  # without its journal since the claim
        raise OutputExistsError(
            f"{path}: already exists; choose another name, or replace it (overwrite=True, "
            "--overwrite)"
        )
    return Begun()


def _is_unfinished(path: Path, recipe: dict[str, Any]) -> bool:
    """Whether the file at the output may be one that a run of this recipe wrote, or none is."""
    if not path.exists():
        return True
    try:
        there = netcdf.read(path).provenance
    except FileFormatError:
        return False
    return there.get("grid") == recipe["grid"] and there.get("subspace") == recipe["subspace"]


def _differing(journal: Path, recipe: dict[str, Any], overwrite: bool) -> str | None:
    """Where the journal's recipe differs; "journal" for a damaged one that may be overwritten."""
    try:
        return difference(Journal.header_of(journal)["recipe"], recipe)
    except FileFormatError:
        if not overwrite:
            raise
        return "journal"
