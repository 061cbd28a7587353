"""Kill surfaces at random moments, continue them, and compare them with uninterrupted ones.

Each run of ``losslandscape surface`` is killed (SIGKILL) after a random share of the time of an
uninterrupted run, and then started once more. The output must be identical, byte for byte, to that
of the uninterrupted run. In half of the runs the output is rewritten after every point, and the
kill waits until a write starts. The output must open at any time, during and after a run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import losslandscape
from losslandscape import Landscape
from losslandscape.files.journal import Journal, journal_path

MODEL = """
import os, time
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 7), torch.nn.BatchNorm1d(7), torch.nn.Tanh(), torch.nn.Linear(7, 3)
    )

def load():
    torch.manual_seed(1)
    return torch.randn(30, 5), torch.randint(0, 3, (30,))

def loss(model, batch):
    time.sleep(0.01)
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""
# rewriting the output after each point makes a run spend most of its time in writes
PROGRAM = """
import sys
if __name__ == "__main__":
    from losslandscape.run import storing
    from losslandscape.cli import main
    storing.REWRITE_SECONDS = float(sys.argv.pop(1))
    sys.exit(main())
"""
CASES = {
    "full, 1 worker": ["--grid", "15"],
    "full, 2 workers": ["--grid", "15", "--workers", "2"],
    "adaptive, 1 worker": ["--grid", "31", "--tolerance", "0.02"],
    "adaptive, 2 workers": ["--grid", "31", "--tolerance", "0.02", "--workers", "2"],
}


@dataclass
class Killed:
    """One run that was killed.

    Attributes
    ----------
    after : float
        Seconds from the first point, or from the start, to the kill.
    kept : int
        Points in the journal after the kill.
    finished : bool
        Whether the output was complete before the kill.
    temporary : int
        Temporary files in the folder after the kill; more than 0 if it happened during a write.
    opened : int
        How often the output was opened while it might have been written.
    equal : bool
        Whether the continued output has the same bytes as that of the uninterrupted run.
    left : list of str
        Files other than the output after the continued run.
    survivors : int
        Worker processes alive one minute after the kill (a worker may still be importing torch).
    """

    case: str
    after: float
    kept: int
    finished: bool
    temporary: int
    opened: int
    equal: bool
    left: list[str]
    survivors: int


class Kills:
    """Surfaces of a small model, each in its own folder under the same file name."""

    def __init__(self, folder: Path, seed: int = 0):
        self.folder = folder
        self.random = random.Random(seed)
        self.whole: dict[str, tuple[bytes, float, float]] = {}
        (folder / "killed_model.py").write_text(MODEL)
        (folder / "program.py").write_text(PROGRAM)

    def start(self, place: Path, case: str, rewrite: float) -> subprocess.Popen:
        place.mkdir(exist_ok=True)
        path = [str(self.folder), str(Path(losslandscape.__file__).parents[1])]
        command = [sys.executable, str(self.folder / "program.py"), str(rewrite), "surface"]
        problem = ["model", "build", "data", "load", "loss", "loss"]
        for option, name in zip(problem[::2], problem[1::2]):
            command += [f"--{option}", f"killed_model:{name}"]
        command += ["--batch-size", "15", "--threads", "1", "--seed", "3", "--quiet"]
        command += ["--batch-norm", "reestimated", "--output", "x.nc", *CASES[case]]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
        with (place / "errors.txt").open("w") as errors:
            return subprocess.Popen(
                command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=errors
            )

    def undisturbed(self, case: str) -> tuple[bytes, float, float]:
        """The output's bytes, and the seconds to the first point and to the end."""
        if case not in self.whole:
            place = self.folder / f"whole {case}"
            started = time.monotonic()
            process = self.start(place, case, 30.0)
            coming = _Coming(place / "x.nc")
            first = None
            while process.poll() is None:
                if first is None and coming():
                    first = time.monotonic() - started
                time.sleep(0.005)
            assert process.returncode == 0, (place / "errors.txt").read_text()
            seconds = time.monotonic() - started
            self.whole[case] = (place / "x.nc").read_bytes(), first or 0.0, seconds
        return self.whole[case]

    def kill(self, case: str, number: int, rewrite: float) -> Killed:
        """Start a run, kill it at a random moment, continue it, and compare the outputs."""
        expected, first, seconds = self.undisturbed(case)
        place = self.folder / f"killed {number}"
        output = place / "x.nc"
        # one in ten before the first point, the others while points come
        early = self.random.random() < 0.1
        after = self.random.uniform(0, first if early else seconds - first)
        started = time.monotonic()
        process = self.start(place, case, rewrite)
        coming = _Coming(output)
        opened = 0
        while time.monotonic() - started < after and process.poll() is None:
            if not early and not coming():
                started = time.monotonic()
            if output.exists():
                Landscape.open(output)  # raises for a damaged file
                opened += 1
            time.sleep(0.005)
        deadline = time.monotonic() + 3
        while rewrite == 0 and process.poll() is None and time.monotonic() < deadline:
            if _temporary(place):  # a write has started
                break
        children = _children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # the journal is removed when the output is complete, before the process ends
        finished = output.exists() and not journal_path(output).exists()
        if output.exists():
            Landscape.open(output)
            opened += 1
        temporary = _temporary(place)
        kept = 0
        if journal_path(output).exists():
            journal, records = Journal.resume(journal_path(output))
            journal.__exit__()
            kept = len(records)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(map(_alive, children)):
            time.sleep(0.05)
        survivors = sum(map(_alive, children))
        if not finished:
            again = self.start(place, case, rewrite)
            while again.poll() is None:
                if output.exists():
                    Landscape.open(output)
                    opened += 1
                time.sleep(0.1)
            assert again.returncode == 0, (place / "errors.txt").read_text()
        left = sorted(file.name for file in place.iterdir())
        expected_there = {"x.nc", "errors.txt", *(["x.nc.lock"] if finished else [])}
        left = [name for name in left if name not in expected_there]
        equal = output.read_bytes() == expected
        return Killed(case, after, kept, finished, temporary, opened, equal, left, survivors)


class _Coming:
    """Whether points were measured: the journal has grown, or was removed after the last point."""

    def __init__(self, output: Path):
        self.journal, self.output = journal_path(output), output
        self.size = 0

    def __call__(self) -> bool:
        try:
            size = self.journal.stat().st_size
        except FileNotFoundError:
            return self.output.exists()
        self.size = self.size or size  # size of the header
        return size > self.size


def _temporary(place: Path) -> int:
    return sum(name.endswith(".partial") for name in os.listdir(place))


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:  # ended, or a system without /proc
        return []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = list(CASES)
    with tempfile.TemporaryDirectory() as folder:
        kills = Kills(Path(folder), arguments.seed)
        found = []
        for number in range(arguments.runs):
            rewrite = 0.0 if number // len(names) % 2 else 30.0
            found.append(kills.kill(names[number % len(names)], number, rewrite))
            print(found[-1], flush=True)
    print(
        f"{sum(k.equal for k in found)} of {len(found)} outputs are identical, byte for byte; "
        f"{sum(not k.finished for k in found)} runs were killed before their end, "
        f"{sum(k.temporary > 0 for k in found)} of them during a write; outputs were opened "
        f"{sum(k.opened for k in found)} times; {sum(bool(k.left) for k in found)} runs left "
        f"files; {sum(k.survivors for k in found)} workers survived"
    )
    return 0 if all(k.equal and not k.left and not k.survivors for k in found) else 1


if __name__ == "__main__":
    sys.exit(main())
