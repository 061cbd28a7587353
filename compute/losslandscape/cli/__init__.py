"""The command ``losslandscape``: each verb is a module of this package.

A verb's module has `HELP` (one line), `add_arguments(parser)` and `run(arguments) -> int`. After an
interruption, the same command continues the work, without the options in `NOT_TO_GO_ON`. Verbs
import torch, vtk and other large libraries inside `run`, so that the help is fast.
"""

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from types import ModuleType
from typing import Any, Optional

from losslandscape import __version__
from losslandscape.cli.option_table import RULES
from losslandscape.cli.parser import Parser
from losslandscape.errors import LossLandscapeError

# In the order of a typical workflow, which is the order in the help. A verb whose module is missing
# is left out.
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

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, the convention of shells

_EPILOG = """\
Each verb has its own help, for example:  losslandscape train --help

Exit status: 0 success, 1 failure (the reason is on standard error),
2 invalid command line, 130 interrupted with Ctrl-C.
"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command line and return its exit status; of a user's error only the message is shown.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after ``losslandscape``; by default those of this process.
    """
    verbs = _available_verbs()
    arguments = _parser(verbs).parse_args(_given(argv))
    # for the provenance of output files
    arguments.command = shlex.join(["losslandscape", *_given(argv)])
    try:
        with _plain_warnings():
            return verbs[arguments.verb].run(arguments)
    except LossLandscapeError as error:
        print(f"losslandscape {arguments.verb}: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt as error:
        kept = str(error)  # what was saved, from the code that saved it
        if kept:
            what = f"{kept}. To continue:"
            words = _to_go_on(verbs[arguments.verb], argv)
        else:
            what, words = "nothing was finished. To start again:", _given(argv)
        again = shlex.join(["losslandscape", *words])
        print(f"\nlosslandscape {arguments.verb}: interrupted; {what}\n  {again}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe has ended (`| head`), so standard output cannot be written to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show each warning once, as one line without a source path or a line of code."""
    shown = set()

    def one_line(message: Any, *_: Any, **__: Any) -> str:
        text = " ".join(str(message).split())
        if text in shown:
            return ""
        shown.add(text)
        return f"losslandscape: warning: {text}\n"

    # not `showwarning`: whoever collects warnings instead of showing them still gets them
    before = warnings.formatwarning
    warnings.formatwarning = one_line
    try:
        yield
    finally:
        warnings.formatwarning = before


def _given(argv: Optional[Sequence[str]]) -> list[str]:
    return list(sys.argv[1:] if argv is None else argv)


def _to_go_on(module: ModuleType, argv: Optional[Sequence[str]]) -> list[str]:
    """The command line without the options that would discard the finished work."""
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
    """The module of a verb; ``_`` is added to the name if it is a Python keyword."""
    return f"{__name__}.{verb}_" if iskeyword(verb) else f"{__name__}.{verb}"


def _parser(verbs: dict[str, ModuleType]) -> Parser:
    parser = Parser(
        prog="losslandscape",
        description="Measure the loss landscape of a PyTorch model, and show it in ParaView.",
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
        verb_parser.add_to_help(RULES[verb])
    return parser
