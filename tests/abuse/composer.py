"""Command lines composed at random of each verb's options, and what must be so of each.

A line begins with what its verb needs, so that many lines work, and has options with values that
are good, odd or wrong. It must end with exit status 0, 1 or 2, without a traceback; with 0, its
output must be there; with another, a refusal must be on standard error.

``python -m tests.abuse.composer 2000`` tries as many, and lists every failure.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import itertools
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from losslandscape.argument_checks import Whole
from losslandscape.cli import _available_verbs, _parser, main
from losslandscape.cli.kinds import FileName, Kind, Text
from losslandscape.cli.parser import _name
from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.formats import content_stream, limited_process

SECONDS = 120  # of a line on a busy machine; a longer one hangs
OWN = "--model m:build --data m:load"
# what each verb needs; two lines of one verb are equally likely
BASES = {
    "train": [f"{OWN} --epochs 1 --output new"],
    "surface": [
        f"{OWN} --weights own.pt --grid 3 --output new.nc",
        f"{OWN} --grid 3 --directions pca --trajectory run/trajectory --output new.nc",
        f"{OWN} --grid 3 --directions between --models own.pt run --output new.nc",
        f"{OWN} --grid 2 --directions inputs --output new.nc",
        f"{OWN} --grid 3 --plan",
    ],
    "refine": ["two.nc --bounds 0,1,0,1 --grid 2 --trust-file --output new.nc"],
    "trajectory": [f"two.nc run/trajectory {OWN} --weights own.pt"],
    "topology": ["two.nc --draws 40", "one.nc --draws 40"],
    "verify": [f"one.nc {OWN} --noise none", f"one.nc {OWN} --draws 40"],
    "flatness": ["two.nc", f"one.nc --sharpness {OWN}"],
    "trust": ["two.nc", f"one.nc --spread --most-directions 3 {OWN}"],
    "curvature": [f"two.nc {OWN} --density-probes 1"],
    "convexity": [f"two.nc {OWN} --parameters 2 --output new.nc"],
    "sharpness": [f"two.nc run/trajectory {OWN} --weights own.pt --learning-rate 0.01"],
    "compare": ["one.nc one.nc --draws 40", "two.nc two.nc --draws 40 --output new"],
    "import": ["three.npy --bounds -1,1,-1,1 --output new.nc"],
    "export": ["two.nc"],
    "render": [
        "two.nc --output new.png",
        "one.nc two.nc --output new.html",
        "x.pvsm --output n.png",
    ],
    "paraview": ["two.nc", "--check"],
    "info": ["two.nc"],
}
# values that fit some option of the name, beside those of its kind
GOOD = {
    "--model": ["m:build", "mlp"], "--data": ["m:load", "digits8"], "--device": ["cpu"],
    "--weights": ["own.pt", "run"], "--models": ["own.pt", "run"], "--loss": ["mse", "own"],
    "--trajectory": ["run/trajectory"], "--checkpoints": ["run/trajectory"], "FOLDER": ["run"],
    "--bounds": ["-1,1", "-1,1,-1,1", "0,1,0,1,0,1"], "--minimum": ["0", "0,0"],
    "--grid": ["2", "3", "2x3"], "--array": ["loss", "accuracy"], "--formats": ["csv", "vti"],
    "--figure": ["surface", "topology"], "--size": ["300x200", "85x73mm", "column"],
    "--epochs": ["1", "2"],
    "--output": ["new.nc", "new", "new.png", "new.glb", "new.pdf"], "--title": ["A title", ""],
    "--format": ["npy", "csv"], "--directions": ["own.pt"], "--parameters": ["0.*", "2"],
    "--parts": ["0.*"], "--volume": ["2"], "--sample-numbers": ["3,1"], "--valid-range": ["-9,9"],
    "--draws": ["40", "100"], "--samples": ["9", "30"], "--threads": ["1", "2"], "--factor": ["2"],
    "--view": ["top", "30,45"], "--steps": ["epoch"], "--text-size": ["8"],
    "--techniques": ["surface", "contours"], "--color-map": ["magma"],
    "--state": ["new.pvsm"], "--topology": ["run"], "--workers": ["1"],
}  # fmt: skip
ODD = {
    "--device": ["meta", "cuda:7", "cpu:1"], "--grid": ["2x2x2", "40000x40000", "2x2x2x2"],
    "--bounds": ["0,5e-324", "-1e308,1e308", "0,1e-30,0,1", "1,1", "2,1,0,1"],
    "--data": ["m:build", "m:nothing", "cifar10", "m:raises", "m:exits"],
    "--model": ["m:load", "m:needs", "m:not_callable", "m:returns_none", "m:raises", "resnet50:"],
    "--loss": ["m:load", "softmax_mse", "m:needs"], "--learning-rate": ["1e30", "1e308"],
    "--weights": ["two.nc", "m.py", "nothing", "."], "--models": ["own.pt", "two.nc", "nothing"],
    "--output": [".", "run", "two.nc", "nowhere/new.nc", "m.py", "new.nc/"],
    "--tolerance": ["1e-9", "0.9999"], "--half-width": ["1e30", "5e-324", "1e-20"],
    "--samples": ["31", "1", "2"], "--batch-size": ["1", "31", "4294967296"],
    "--distance": ["1e308"], "--size": ["16384x16384", "1x1", "1000x1000in"],
    "--view": ["up", "1,2,3", "0,90.5", "nan,1"],
}  # fmt: skip
NUMBERS = [
    "0", "1", "2", "7", "-1", "0.5", "1e-3", "nan", "inf", "-inf", "1e400", "5e-324", "1e30", "2.0",
    "9" * 25, str(2**63), str(2**64 - 1), str(2**64), "0x10", "1_000", "\u0663", "1,2", "",
]  # fmt: skip
TEXTS = [
    "",
    " ",
    "a",
    "a b",
    "\u03b1",
    "x" * 300,
    "-",
    "--",
    "*",
    "../..",
    "m",
    ":",
    "a:b:c",
    "$(ls)",
]
# not composed: processes of a cluster, a compiler, a thread that waits for the standard input, and
# downloads
LEFT_OUT = {"--dask", "--mpi", "--compile", "--end-with-input", "--download", "--help"}


class Verb(NamedTuple):
    """A verb's name and the arguments that are composed for it."""

    name: str
    actions: tuple[argparse.Action, ...]


def verbs() -> list[Verb]:
    whole = _parser(_available_verbs())
    found = next(a for a in whole._actions if isinstance(a, argparse._SubParsersAction))
    return [
        Verb(name, tuple(a for a in parser._actions if not LEFT_OUT & set(a.option_strings)))
        for name, parser in found.choices.items()
    ]


def _values(action: argparse.Action) -> st.SearchStrategy[str]:
    """Words for an argument: mostly good ones, then odd ones, then any."""
    name = _name(action)
    if action.choices is not None:
        good = [str(choice) for choice in action.choices]
    else:
        good = list(GOOD.get(name, []))
        kind = action.type.range if isinstance(action.type, Kind) else None
        if isinstance(kind, Whole):
            good += [str(kind.least or 0), "3"]
        elif isinstance(kind, FileName):
            good += ["two.nc", "one.nc"]
        elif isinstance(kind, Text):
            good += ["a", "b"]
        elif not good:
            good += ["0.5", "0.01", "2"]
    odd = ODD.get(name, NUMBERS)
    return st.one_of(
        st.sampled_from(good),
        st.sampled_from(good),
        st.sampled_from([*good, *odd]),
        st.sampled_from([*NUMBERS, *TEXTS, *odd]),
    )


@st.composite
def _words(draw: st.DrawFn, action: argparse.Action) -> list[str]:
    """An option with its values, or a further positional argument."""
    option = [draw(st.sampled_from(action.option_strings))] if action.option_strings else []
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return option
    several = action.nargs in ("+", "*")
    values = draw(st.lists(_values(action), min_size=1, max_size=3 if several else 1))
    return [*option, *values]


@st.composite
def command_lines(draw: st.DrawFn, known: list[Verb]) -> list[str]:
    """A command line of one of the verbs."""
    verb = draw(st.sampled_from(known))
    base = shlex.split(draw(st.sampled_from(BASES[verb.name])))
    if draw(st.integers(0, 19)) == 0:  # something that is needed is missing
        del base[draw(st.integers(0, len(base) - 1))]
    more = draw(st.lists(st.sampled_from(verb.actions), max_size=3, unique=True))
    if draw(st.integers(0, 9)):  # else an option may be given twice
        base = _without(base, {name for action in more for name in action.option_strings})
    words = [word for action in more for word in draw(_words(action))]
    return [verb.name, *base, *words]


def _without(words: list[str], options: set[str]) -> list[str]:
    """The words without some options and their values."""
    found, dropped = [], False
    for word in words:
        if word.startswith("--"):
            dropped = word in options
        if not dropped:
            found.append(word)
    return found


def _drawn(job: dict[str, Any], timeout: float = 0) -> dict[str, Any]:
    """What ParaView does with a job, without ParaView."""
    for name in ("output", "state"):
        if job.get(name) and not (name == "state" and job["action"] == "state"):
            Path(job[name]).write_bytes(b"drawn")
    return {"picture": job.get("output"), "state": job.get("state")}


def _no_paraview(*_: Any) -> Any:
    raise LossLandscapeError("ParaView was not found: install it")


def _read_here(reader: str, files: Any, options: Any = None) -> Any:
    """Read files of unknown origin in this process, which starts no child for each."""
    try:
        size = sum(os.stat(file).st_size for file in files)
    except OSError as error:
        raise FileFormatError(f"{error.filename}: cannot be read: {error.strerror}") from error
    output, module = io.BytesIO(), import_module(reader)
    names = [os.fspath(file) for file in files]
    with mock.patch.object(limited_process, "limit_this_process"):
        limited_process.main(module, names, json.loads(json.dumps(options)), output)
    output.seek(0)
    return content_stream.receive(output, files[0], module.LIMITS.bytes_of_values(size))


@contextlib.contextmanager
def in_this_process() -> Iterator[None]:
    """Start no other process; draw nothing, and leave the user's settings of ParaView alone."""
    with contextlib.ExitStack() as patches:
        for name, stub in (
            ("losslandscape.formats.guarded_child.read", _read_here),
            ("losslandscape.paraview.process.run_job", _drawn),
            ("losslandscape.paraview.window.open_window", lambda opening: 0),
            ("losslandscape.paraview.programs.find_paraview", _no_paraview),
            ("losslandscape.paraview.programs.find_pvpython", _no_paraview),
        ):
            patches.enter_context(mock.patch(name, stub))
        yield


class Hangs(BaseException):
    """A line took too long."""


@contextlib.contextmanager
def _limit() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Composer:
    """Runs command lines in a folder that is the template's before each.

    The folder has one path for all, so that the user's modules, once imported, have their source.
    """

    def __init__(self, template: Path, folder: Path):
        self.template, self.folder = template, folder
        self.statuses: collections.Counter[tuple[str, Any]] = collections.Counter()

    def fault(self, words: list[str]) -> str | None:
        """What is wrong with how a command line ends; None if nothing is."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        shutil.copytree(self.template, self.folder)
        (self.folder / "x.pvsm").write_text("<ParaView/>")
        os.chdir(self.folder)
        out, err = io.StringIO(), io.StringIO()
        try:
            with (
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                warnings.catch_warnings(),
                in_this_process(),
                _limit(),
            ):
                status: Any = main(words)
        except SystemExit as stopped:
            status = stopped.code
        except Hangs:
            return f"took more than {SECONDS} s"
        except BaseException:
            return traceback.format_exc()
        self.statuses[words[0], status] += 1
        told = out.getvalue() + err.getvalue()
        if status not in (0, 1, 2):
            return f"exit status {status}: {told}"
        if "Traceback" in told:
            return f"a traceback: {told}"
        if status and f"losslandscape {words[0]}" not in err.getvalue():
            return f"exit status {status}, and no word of why: {told}"
        if status == 0 and not self._output_is_there(words, out.getvalue()):
            return f"exit status 0, and no output: {told}"
        return None

    def _output_is_there(self, words: list[str], printed: str) -> bool:
        arguments = _parser(_available_verbs()).parse_args(words)
        verb = arguments.verb
        if verb == "paraview":
            return True
        if verb in ("info", "trajectory") or getattr(arguments, "plan", False):
            return bool(printed.strip())
        output = arguments.output
        if output is None:  # beside the landscape
            beside = {"export": "", "verify": "_verification"}.get(verb, f"_{verb}")
            name = getattr(arguments, "array", None)
            of = f"_{name}" if name not in (None, "loss") and beside else ""
            output = Path(f"{arguments.landscape.with_suffix('')}{beside}{of}")
        there = output.exists() and (output.is_file() or any(output.iterdir()))
        state = getattr(arguments, "state", None)
        return there and (state is None or state.exists())


def _last_line(fault: str) -> str:
    return fault.strip().splitlines()[-1][:150]


def run(count: int, template: Path, start: int = 0) -> int:
    """Try a number of lines; print each fault and the statuses, and return 1 if there is one."""
    faults: dict[str, list[tuple[list[str], str]]] = {}
    done = itertools.count(1)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        composer = Composer(template, Path(place, "work"))

        @seed(start)
        @settings(
            max_examples=count, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(command_lines(verbs()))
        def each(words: list[str]) -> None:
            number = next(done)
            if fault := composer.fault(words):
                faults.setdefault(_last_line(fault), []).append((words, fault))
                print(f"FAULT {number}: {shlex.join(words)}\n  {_last_line(fault)}", flush=True)
            elif number % 100 == 0:
                print(f"{number} lines, {time.monotonic() - begun:.0f} s", flush=True)

        each()
        os.chdir("/")
    for line, found in faults.items():
        words, fault = min(found, key=lambda one: len(shlex.join(one[0])))
        print(f"\n{len(found)} x {line}\n  {shlex.join(words)}\n{fault}")
    print(f"\n{next(done) - 1} lines, {sum(map(len, faults.values()))} faults; by exit status:")
    for (verb, status), number in sorted(composer.statuses.items(), key=str):
        print(f"  {verb:<12} {status}  {number}")
    return int(bool(faults))


if __name__ == "__main__":
    from tests.abuse.conftest import make_template

    with tempfile.TemporaryDirectory() as made:
        number, *rest = [int(word) for word in sys.argv[1:]] or [2000]
        sys.exit(run(number, make_template(Path(made)), *rest))
