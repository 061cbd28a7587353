"""Parts of a network: parameters chosen by patterns of their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from losslandscape.errors import LossLandscapeError

_NEAR = 5  # names shown if a pattern matches nothing
_TITLE = 14  # characters; longer titles of an axis would leave the picture


def matching_names(
    patterns: str | Sequence[str],
    names: Sequence[str],
    frozen: Iterable[str] = (),
    what: str = "the model",
) -> list[str]:
    """The names that match at least one pattern, in their own order.

    A pattern is a glob over whole names (``*``, ``?``, ``[abc]``; upper and lower case differ), or
    the name of a module, which stands for everything in it.

    Parameters
    ----------
    patterns : str or sequence of str
    names : sequence of str
        The parameters that can be chosen.
    frozen : iterable of str
        Parameters that exist and cannot be chosen, for the message.
    what : str
        Whose parameters they are, for the message.

    Raises
    ------
    LossLandscapeError
        If there is no pattern, or one matches nothing; the message names what is near.

    Examples
    --------
    >>> names = ["stem.weight", "layer3.0.weight", "layer3.1.weight", "head.weight"]
    >>> matching_names("layer3.*", names)
    ['layer3.0.weight', 'layer3.1.weight']
    >>> matching_names(["head", "layer3.0"], names)
    ['layer3.0.weight', 'head.weight']
    """
    patterns = as_patterns(patterns)
    frozen = list(frozen)
    for pattern in patterns:
        if any(_matches(pattern, name) for name in names):
            continue
        if any(_matches(pattern, name) for name in frozen):
            raise LossLandscapeError(
                f"parameters '{pattern}': matches only frozen parameters of {what} "
                "(requires_grad=False), which do not move; unfreeze them, or choose others"
            )
        raise LossLandscapeError(
            f"parameters '{pattern}': matches no trainable parameter of {what}; near are "
            f"{', '.join(_near(pattern, names))}. A pattern is a whole name with * for any text, "
            "or the name of a module"
        )
    return [name for name in names if any(_matches(pattern, name) for pattern in patterns)]


def as_patterns(patterns: str | Sequence[str]) -> list[str]:
    """Patterns as a list of str.

    Raises
    ------
    LossLandscapeError
        If there are none, or one is not text.
    """
    found = [patterns] if isinstance(patterns, str) else list(patterns)
    if not found or not all(isinstance(pattern, str) and pattern for pattern in found):
        raise LossLandscapeError(
            f"parameters is {patterns!r}; pass a pattern such as 'layer3.*', or several in a list"
        )
    return found


def _matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def _near(pattern: str, names: Sequence[str]) -> list[str]:
    """The names most like a pattern; the outermost modules if none is."""
    bare = pattern.strip("*.")
    parts = [name.split(".") for name in names]
    modules = {".".join(part[:i]): None for part in parts for i in range(1, len(part) + 1)}
    inside = [name for name in names if bare and bare.lower() in name.lower()]
    found = inside or difflib.get_close_matches(bare, list(modules), _NEAR, 0.6)
    if not found:
        found = list({part[0]: None for part in parts})
    more = ["..."] if len(found) > _NEAR else []
    return [*(f"'{name}'" for name in found[:_NEAR]), *more]


def part_title(patterns: Sequence[str]) -> str:
    """A title of a part that fits an axis: the first pattern, shortened to its end.

    Examples
    --------
    >>> part_title(["layer3.*"]), part_title(["a", "b"]), part_title(["encoder.block.3.layer.1"])
    ('layer3.*', 'a, ...', '...k.3.layer.1')
    """
    first = patterns[0]
    if len(first) > _TITLE:
        first = f"...{first[3 - _TITLE :]}"
    return f"{first}, ..." if len(patterns) > 1 else first
