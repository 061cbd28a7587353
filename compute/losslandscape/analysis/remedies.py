"""The command that measures a landscape again with other options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from losslandscape.landscape.landscape import Landscape

_ROUNDING = 1e-9  # of the window: what is nearer to 0 is 0
_NUMBER = re.compile(r"-[\d.]")


def surface_again(
    landscape: Landscape, options: Mapping[str, str | None], suffix: str
) -> str | None:
    """The recorded ``losslandscape surface`` command with some options replaced.

    Parameters
    ----------
    options : mapping of option to value
        None for an option without a value.
    suffix : str
        For the name of the new file.

    Returns
    -------
    str or None
        None if the landscape was not made by that command.

    Examples
    --------
    >>> from losslandscape import Grid
    >>> import numpy as np
    >>> line = Landscape(Grid.line(3), {"loss": np.ones(3)}, np.ones(3, np.int8), np.eye(1),
    ...     {"command": "losslandscape surface --model mlp --bounds -1 1 --output a.nc"})
    >>> surface_again(line, {"--bounds": "-2,2"}, "wide")
    'losslandscape surface --model mlp --bounds=-2,2 --output a_wide.nc'
    """
    command = landscape.provenance.get("command")
    if not isinstance(command, str):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if words[1:2] != ["surface"]:
        return None
    output = Path(_value(words, "--output") or landscape.path or "landscape.nc")
    renamed = output.with_name(f"{output.stem}_{suffix}{output.suffix or '.nc'}")
    replaced = {**options, "--output": str(renamed)}
    if "--bounds" in replaced:
        words = _without(words, "--half-width")
    for name in (*replaced, "--overwrite"):
        words = _without(words, name)
    for name, value in replaced.items():
        if value is not None and value.startswith("-"):
            words.append(f"{name}={value}")
        else:
            words += [name] if value is None else [name, value]
    return shlex.join(words)


def box_option(bounds: Sequence[tuple[float, float]]) -> str:
    """Ends of the axes as ``--bounds`` takes them.

    Examples
    --------
    >>> box_option([(-1.0, 1.0), (0.0, 0.5)])
    '-1,1,0,0.5'
    """
    ends = []
    for low, high in bounds:
        nothing = _ROUNDING * (high - low)
        ends += [0.0 if abs(end) < nothing else end for end in (low, high)]
    return ",".join(f"{end:.6g}" for end in ends)


def _value(words: Sequence[str], name: str) -> str | None:
    for i, word in enumerate(words):
        if word == name and i + 1 < len(words):
            return words[i + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _without(words: Sequence[str], name: str) -> list[str]:
    """The words without an option and its values."""
    kept: list[str] = []
    dropping = False
    for word in words:
        option = word.startswith("--") or (word.startswith("-") and not _NUMBER.match(word))
        if option:
            dropping = word == name
            if dropping or word.startswith(f"{name}="):
                continue
        elif dropping:
            continue
        kept.append(word)
    return kept
