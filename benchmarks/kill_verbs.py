"""Kill every verb at random moments, by SIGKILL, SIGTERM or SIGINT, and run it once more.

After a kill no process of the command runs any more. After SIGTERM and SIGINT its temporary folder
is empty too, and the status is 143 or 130. After the second run the outputs have the same bytes as
those of an undisturbed run, and nothing else lies beside them.

``python -m benchmarks.kill_verbs --runs 30``
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import losslandscape

MODEL = """
import time
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).eval()

def load():
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    return inputs, torch.arange(30) % 3

def loss(model, batch):
    time.sleep(0.005)
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""
_OWN = ["--model", "own:build", "--data", "own:load"]
_LOSS = ["--loss", "own:loss", "--batch-size", "30", "--threads", "1"]
_SURFACE = ["surface", *_OWN, *_LOSS]
_SHARPNESS = ["sharpness", "x.nc", "run", *_OWN, "--learning-rate", "0.001"]
# what other verbs read; made once
PREPARED = {
    "run": ["train", *_OWN, "--epochs", "2", "--output", "run"],
    "x.nc": [*_SURFACE, "--half-width", "3", "--grid", "9", "--output", "x.nc"],
    "y.nc": [*_SURFACE, "--seed", "1", "--half-width", "3", "--grid", "9", "--output", "y.nc"],
    "x_csv": ["export", "x.nc", "--formats", "csv", "--output", "x_csv"],
}
# verb -> its command line, and the names of its outputs; names of files to copy for each run
COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "train": (["train", *_OWN, "--epochs", "30", "--output", "new"], ["new"]),
    "surface": ([*_SURFACE, "--grid", "21", "--output", "new.nc"], ["new.nc"]),
    "surface, workers": (
        [*_SURFACE, "--grid", "21", "--workers", "2", "--output", "new.nc"],
        ["new.nc"],
    ),
    "refine": (
        ["refine", "x.nc", "--bounds=-1,1,-1,1", *_OWN, "--loss", "own:loss", "--output", "new.nc"],
        ["new.nc"],
    ),
    "trajectory": (["trajectory", "x.nc", "run/trajectory", *_OWN, "--loss", "own:loss"], ["x.nc"]),
    "topology": (["topology", "x.nc", "--draws", "200", "--output", "new"], ["new"]),
    "verify": (
        ["verify", "x.nc", "--noise", "none", *_OWN, "--loss", "own:loss", "--output", "new"],
        ["new"],
    ),
    "flatness": (["flatness", "x.nc", "--output", "new"], ["new"]),
    "curvature": (["curvature", "x.nc", *_OWN, "--loss", "own:loss", "--output", "new"], ["new"]),
    "convexity": (
        ["convexity", "x.nc", *_OWN, "--loss", "own:loss", "--output", "new.nc"],
        ["new.nc"],
    ),
    "sharpness": ([*_SHARPNESS, "--loss", "own:loss", "--output", "new"], ["new", "x.nc"]),
    "trust": (
        ["trust", "x.nc", "--hessian", *_OWN, "--loss", "own:loss", "--output", "new"],
        ["new", "x.nc"],
    ),
    "compare": (["compare", "x.nc", "y.nc", "--output", "new"], ["new"]),
    "import": (
        ["import", "x_csv/surface.csv", "--array", "loss", "--output", "new.nc"],
        ["new.nc"],
    ),
    "export": (["export", "x.nc", "--output", "new"], ["new"]),
    "render": (["render", "x.nc", "--output", "new.png"], ["new.png", "new_caption.txt"]),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# times, and what holds them
_TIMED = {"metrics.json", "state.safetensors"}


@dataclass
class Killed:
    """What one kill left.

    Attributes
    ----------
    after : float
        Seconds from the start to the signal.
    status : int
        The exit status, 0 if the command was faster.
    running, temporary, beside : list of str
        Processes, temporary files and other names in the folder that should not be there.
    traceback : bool
    equal : bool
        Whether the outputs of the second run are those of an undisturbed one.
    """

    verb: str
    signal: str
    after: float
    status: int
    running: list[str]
    temporary: list[str]
    beside: list[str]
    traceback: bool
    equal: bool

    @property
    def right(self) -> bool:
        number = getattr(signal, self.signal)
        due = {0, -number, 128 + number}
        lying = self.running or self.beside or self.traceback or self.temporary
        return self.equal and self.status in due and not lying


class VerbKills:
    """Each verb in folders of its own below a folder."""

    def __init__(self, folder: Path, seed: int = 0):
        self.folder = folder
        self.random = random.Random(seed)
        self.whole: dict[str, tuple[dict[str, bytes], float]] = {}
        self.inputs = folder / "inputs"
        self.inputs.mkdir()
        (self.inputs / "own.py").write_text(MODEL)
        for words in PREPARED.values():
            process = self.start(self.inputs, words)
            assert process.wait() == 0, (self.inputs / "errors.txt").read_text()
        (self.inputs / "errors.txt").unlink()
        shutil.rmtree(self.inputs / "temporary")

    def start(self, place: Path, words: list[str]) -> subprocess.Popen:
        temporary = place / "temporary"
        temporary.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(losslandscape.__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(temporary),
        }
        with (place / "errors.txt").open("a") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "losslandscape", *words],
                cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=errors,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    def place(self, name: str) -> Path:
        return Path(shutil.copytree(self.inputs, self.folder / name))

    def undisturbed(self, verb: str) -> tuple[dict[str, bytes], float]:
        """The outputs, and the seconds that they take."""
        if verb not in self.whole:
            place = self.place(f"whole {verb}")
            started = time.monotonic()
            process = self.start(place, COMMANDS[verb][0])
            assert process.wait() == 0, (place / "errors.txt").read_text()
            seconds = time.monotonic() - started
            self.whole[verb] = dict(_content(place, COMMANDS[verb][1])), seconds
        return self.whole[verb]

    def kill(self, verb: str, number: int, kind: signal.Signals) -> Killed:
        """Start a verb, send it a signal, and run it once more."""
        words, outputs = COMMANDS[verb]
        expected, seconds = self.undisturbed(verb)
        place = self.place(f"killed {number}")
        before = {path.name for path in place.iterdir()}
        after = self.random.uniform(0.2, seconds)
        process = self.start(place, words)
        time.sleep(after)
        process.send_signal(kind)
        status = process.wait()
        deadline = time.monotonic() + 30
        while (running := _running(place / "temporary")) and time.monotonic() < deadline:
            time.sleep(0.05)
        # torch keeps the cache of its compiler there, as of every program that loads it
        names = [path.name for path in (place / "temporary").iterdir()]
        temporary = [name for name in names if not name.startswith("torchinductor_")]
        if kind == signal.SIGKILL:  # nobody is left to remove them
            temporary = []
        if status != 0:
            again = self.start(place, words).wait()
            told = (place / "errors.txt").read_text()
            # the signal may come when the output is whole, and only the process has not ended
            whole = any(
                words in told
                for words in ("already exists", "is not empty", "there is a trajectory")
            )
            assert again == 0 or whole, told
        told = (place / "errors.txt").read_text()
        known = {*before, *outputs, "errors.txt", "temporary"}
        beside = [path.name for path in place.iterdir() if path.name not in known]
        if status == 0 or kind == signal.SIGKILL:  # a lock stays if the end came just then
            beside = [name for name in beside if not name.endswith(".lock")]
        equal = dict(_content(place, outputs)) == expected
        shutil.rmtree(place)
        return Killed(
            verb, kind.name, after, status, running, temporary, beside, "Traceback" in told, equal
        )


def _content(place: Path, outputs: list[str]) -> Iterator[tuple[str, bytes]]:
    for name in outputs:
        path = place / name
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else []
        for file in files or [path]:
            if file.name not in _TIMED:
                yield file.relative_to(place).as_posix(), file.read_bytes()


def _running(temporary: Path) -> list[str]:
    """The processes that have this folder for their temporary files."""
    found = []
    wanted = f"TMPDIR={temporary}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            inside = wanted in (entry / "environ").read_bytes()
            if inside and (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.append((entry / "cmdline").read_text().replace("\0", " ")[:80])
        except OSError:
            continue
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kills = VerbKills(Path(folder), arguments.seed)
        found = []
        for number in range(arguments.runs):
            verb = arguments.verbs[number % len(arguments.verbs)]
            kind = SIGNALS[number // len(arguments.verbs) % len(SIGNALS)]
            found.append(kills.kill(verb, number, kind))
            print("" if found[-1].right else "WRONG ", found[-1], flush=True)
    right = sum(one.right for one in found)
    stopped = sum(one.status != 0 for one in found)
    print(f"{right} of {len(found)} kills are right; {stopped} came before the end of the command")
    return 0 if right == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
