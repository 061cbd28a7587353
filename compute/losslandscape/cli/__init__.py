"""The command ``losslandscape``: each verb is a module of this package.

A verb's module has `HELP` (one line), `add_arguments(parser)` and `run(arguments) -> int`. After an
interruption, the same command continues the work, without the options in `NOT_TO_GO_ON`. Verbs
import torch, vtk and other large libraries inside `run`, so that the help is fast.
"""

import argparse
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

from losslandscape import __version__
from losslandscape.cli import faults
from losslandscape.cli.option_table import RULES
from losslandscape.cli.parser import Parser, UsageExit
from losslandscape.cli.stop_signals import StopSignals
from losslandscape.cli.system_errors import broken_system, check_working_folder
from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import failure, own_line, raised_by_own_code
from losslandscape.standard_streams import StandardStreams

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
    "trust",
    "curvature",
    "convexity",
    "sharpness",
    "compare",
    "import",
    "export",
    "render",
    "paraview",
    "info",
)

EXIT_ERROR = 1
EXIT_FAULT = 70  # sysexits.h: EX_SOFTWARE
EXIT_NOT_PRINTED = 74  # sysexits.h: EX_IOERR
EXIT_INTERRUPTED = 130  # 128 + SIGINT, the convention of shells

_EPILOG = """\
Each verb has its own help, for example:  losslandscape train --help

Exit status: 0 success, 1 failure (the reason is on standard error),
2 invalid command line, 70 a fault of losslandscape, 74 done, but standard
output or error could not be written, 130 interrupted with Ctrl-C,
143 ended by SIGTERM, 129 by SIGHUP.
"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command line and return its exit status; of a user's error only the message is shown.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after ``losslandscape``; by default those of this process.
    """
    with StopSignals() as signals:
        with StandardStreams() as streams:
            try:
                status = _run_command(argv, signals)
            except SystemExit as error:  # of argparse: help, or an invalid command line
                status = error.code if isinstance(error.code, int) else EXIT_ERROR
                if argv is not None:
                    raise
            except KeyboardInterrupt:  # before the verb began
                signals.ended()
                print(f"\nlosslandscape: {signals.words}; nothing was begun", file=sys.stderr)
                status = signals.status
            if argv is None:  # while the streams are flushed, whose reader may be slow
                signals.end_at_once(status or EXIT_NOT_PRINTED)
        if streams.lost and status == 0:
            status = EXIT_NOT_PRINTED
        if argv is None:
            signals.end_at_once(status)
    return status


def _run_command(argv: Optional[Sequence[str]], signals: StopSignals) -> int:
    verbs = _available_verbs()
    arguments = _parser(verbs).parse_args(_given(argv))
    # for the provenance of output files
    arguments.command = shlex.join(["losslandscape", *_given(argv)])
    name = f"losslandscape {arguments.verb}"
    try:
        with _plain_warnings():
            check_working_folder()
            return verbs[arguments.verb].run(arguments)
    except UsageExit:
        raise
    except BaseException as error:
        signals.ended()
        if signals.received or (isinstance(error, KeyboardInterrupt) and not own_line(error)):
            again = _to_go_on(verbs[arguments.verb], argv)
            print(f"\n{name}: {_interrupted(error, signals, argv, again)}", file=sys.stderr)
            return signals.status
        told = _told(error)
        if told:
            print(f"{name}: {told}", file=sys.stderr)
            return EXIT_ERROR
        output = getattr(arguments, "output", None)
        told = faults.report(error, arguments.command, Path(output) if output else None)
        print(f"{name}: {told}", file=sys.stderr)
        return EXIT_FAULT


def _interrupted(
    error: BaseException, signals: StopSignals, argv: Optional[Sequence[str]], again: list[str]
) -> str:
    """What an interrupted command says: what is kept, and the command that continues."""
    if not isinstance(error, KeyboardInterrupt):  # a library made another exception of it
        what, words = "the same command continues, or starts again:", again
    elif str(error):  # what was saved, from the code that saved it
        what, words = f"{error}. To continue:", again
    else:
        what, words = "nothing was finished. To start again:", _given(argv)
    return f"{signals.words}; {what}\n  {shlex.join(['losslandscape', *words])}"


def _told(error: BaseException) -> str:
    """The sentence on an exception that is not a fault of this package; empty if it is one."""
    if isinstance(error, LossLandscapeError):
        return str(error)
    if isinstance(error, (SystemExit, KeyboardInterrupt, RecursionError)) and own_line(error):
        return failure("a call of your code", error)
    if isinstance(error, MemoryError):
        return (
            f"the computer's memory is used up ({error or 'no details'}); use fewer samples, a "
            "smaller grid or a smaller batch size, or end other programs"
        )
    if isinstance(error, OSError):
        return broken_system(error)
    if isinstance(error, ImportError) and not (error.name or "").startswith("losslandscape"):
        return (
            f"a library that is needed cannot be imported: {error}; install losslandscape again, "
            "with its dependencies"
        )
    return failure("a call of your code", error) if raised_by_own_code(error) else ""


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
