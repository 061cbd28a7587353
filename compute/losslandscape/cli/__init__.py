"""The command ``losslandscape``: one module of this package a verb.

A verb's module has `HELP` (one line), `add_arguments(parser)` and `run(arguments) -> int`. After an
interruption that says what is kept, the same command goes on, without the options of
`NOT_TO_GO_ON`. A verb imports torch, vtk and the like inside `run`, so that the help answers at
once.
"""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from types import ModuleType
from typing import Any, Optional

from losslandscape import __version__
from losslandscape.errors import LossLandscapeError

# In the order of work, which is the order of the help; a verb whose module is not there is not
# offered.
VERBS = (
    "train",
    "surface",
    "refine",
    "trajectory",
    "topology",
    "verify",
    "flatness",
    "compare",
    "import",
    "export",
    "render",
    "paraview",
    "info",
)

# numbers joined by commas, the first of them below 0; 'nan' and 'inf' are for who wants them
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBERS = re.compile(rf"^(?=-){_NUMBER}(?:,{_NUMBER})*,?$")

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_EPILOG = """\
Each has its own help:  losslandscape train --help

Exit status: 0 done, 1 the work failed (the reason is on standard error),
2 the command line was wrong, 130 interrupted with Ctrl-C.
"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command line and return its exit status; of a user's error only the message shows."""
    verbs = _available_verbs()
    arguments = _parser(verbs).parse_args(argv)
    # Kept for the provenance of what is written.
    arguments.command = shlex.join(["losslandscape", *_given(argv)])
    try:
        return verbs[arguments.verb].run(arguments)
    except LossLandscapeError as error:
        print(f"losslandscape {arguments.verb}: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt as error:
        kept = str(error)  # who keeps what is finished says so
        if kept:
            what = f"{kept}. To go on:"
            words = _to_go_on(verbs[arguments.verb], argv)
        else:
            what, words = "nothing was finished. The command again:", _given(argv)
        again = shlex.join(["losslandscape", *words])
        print(f"\nlosslandscape {arguments.verb}: interrupted; {what}\n  {again}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone (`| head`); nothing more can be said on standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR


def _given(argv: Optional[Sequence[str]]) -> list[str]:
    return list(sys.argv[1:] if argv is None else argv)


def _to_go_on(module: ModuleType, argv: Optional[Sequence[str]]) -> list[str]:
    """The command line without what would throw away what is finished."""
    dropped = getattr(module, "NOT_TO_GO_ON", ())
    return [
        word for word in _given(argv) if not any(_short_for(word, option) for option in dropped)
    ]


def _short_for(word: str, option: str) -> bool:
    return len(word) > 2 and option.startswith(word)


def _available_verbs() -> dict[str, ModuleType]:
    return {
        verb: import_module(_module_name(verb))
        for verb in VERBS
        if find_spec(_module_name(verb)) is not None
    }


def _module_name(verb: str) -> str:
    """The module of a verb; that of a keyword of Python has ``_`` after it."""
    return f"{__name__}.{verb}_" if iskeyword(verb) else f"{__name__}.{verb}"


class _Parser(argparse.ArgumentParser):
    """Takes ``-1,1`` and ``-1e-3`` for values, as argparse alone takes ``-1``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._negative_number_matcher = _NUMBERS


def _parser(verbs: dict[str, ModuleType]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="losslandscape",
        description="Measure the loss landscape of a PyTorch model and show it in ParaView.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"losslandscape {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, module in verbs.items():
        verb_parser = subparsers.add_parser(
            verb,
            help=module.HELP,
            description=getattr(module, "DESCRIPTION", module.HELP),
            epilog=getattr(module, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(verb_parser)
    return parser
