"""Reading of the tables of cases: a case a line, its parts separated by ``|``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
_SURFACE = "surface --model m:build --weights own.pt --data m:load --grid 3"


class Case(NamedTuple):
    """A line of a table.

    Attributes
    ----------
    line : int
        Its number in the file, from 1.
    parts : tuple of str
    """

    line: int
    parts: tuple[str, ...]


def cases(name: str, parts: int) -> list[Case]:
    """The cases of a table, whose lines have this number of parts; ``|`` may be in the last one."""
    found = []
    for number, line in enumerate((HERE / name).read_text().splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            split = tuple(part.strip() for part in line.split("|", parts - 1))
            assert len(split) == parts, f"{name}, line {number}: {parts} parts are needed"
            found.append(Case(number, split))
    return found


def command_cases() -> list[Case]:
    """Of commands.txt: exit status, words, and the command with ``$SO`` written out."""
    return [
        Case(line, (status, words, command.replace("$SO", _SURFACE)))
        for line, (status, words, command) in cases("commands.txt", 3)
    ]


def call_cases() -> list[Case]:
    """Of calls.txt: words, and the expression."""
    return cases("calls.txt", 2)
