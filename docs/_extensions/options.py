"""Write ``docs/options.md``: the range of each option, and which options go together.

``python docs/_extensions/options.py`` writes the page; `page()` returns its text. It is read from
the parsers and from the table that checks command lines.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "options.md"

_HEAD = """\
# Which values and options go together

After this page you can look up the range of each option, and which options go together.

A value out of range and an option that would be ignored are refused before any work, with exit
status 2:

```text
losslandscape render: --levels 2000: must be a whole number from 1 to 256
losslandscape topology: --draws 9: cannot go with --noise none; leave one of them out
losslandscape surface: --seed: is given twice: --seed 1 and --seed 2; give one of them
```

An option that takes several values takes all of them after its name: `--models a b`, not
`--models a --models b`.

A grid, directions, a picture or processes that need more memory than there is are refused with both
sizes before the work.
The functions of the Python package check their arguments by the same ranges.

This page is generated from the code: `make options` writes it again.
"""


_FILES = """\
## What a file decides

Commands that measure again on a landscape, or judge its noise, check these options when the file is
open. `--directions` is that of the file, and `--noise` the method that its values allow.
"""


def page() -> str:
    """The text of the page."""
    from losslandscape import cli
    from losslandscape.cli.option_table import DRAWN, RECORDED, RULES

    whole = cli._parser(cli._available_verbs())
    verbs = next(a for a in whole._actions if isinstance(a, argparse._SubParsersAction))
    parts = [_HEAD]
    for verb, parser in verbs.choices.items():
        parts += [f"## {verb}", "", *_ranges(parser)]
        if RULES[verb]:
            parts += ["", *_together(RULES[verb])]
        parts.append("")
    parts += [_FILES, *_together((*RECORDED, *DRAWN)), ""]
    return "\n".join(parts)


def _ranges(parser: argparse.ArgumentParser) -> Iterator[str]:
    from losslandscape.cli.parser import _name

    yield from ("| argument | must be |", "| --- | --- |")
    for action in parser._actions:
        if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
            continue  # it takes no value
        if action.choices is not None:
            words = f"one of {', '.join(map(str, action.choices))}"
        else:
            words = action.type.range.words  # type: ignore[union-attr]
        several = "; one or more" if action.nargs in ("+", "*") else ""
        yield f"| `{_name(action)}` | {plain(words)}{several} |"


def _together(rules: tuple) -> Iterator[str]:
    yield from ("| argument | rule | because |", "| --- | --- | --- |")
    for rule in rules:
        names = ", ".join(f"`{name}`" for name in rule.options)
        when = f"with {plain(rule.when.words)}: " if rule.when is not None else ""
        yield f"| {names} | {when}{plain(rule.words)} | {plain(rule.why)} |"


def plain(text: str) -> str:
    """Text as Markdown shows it as it is."""
    return re.sub(r"([\\`*_\[\]<>|$#])", r"\\\1", text)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "compute"))
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
