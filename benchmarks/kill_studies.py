"""Kill each study twice on the way, go on with it, and compare it with an undisturbed run.

A study at its smallest size is run to the end. In another folder the same command is killed
(SIGKILL) at a random moment, begun again, killed again, and begun once more. Its table and its
numbers must be those of the undisturbed run, to the last digit.

``python -m benchmarks.kill_studies``: some minutes of one core
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

ROOT = Path(__file__).parents[1]
KILLS = 2
_SHARES = 0.2, 0.45  # of the undisturbed run's time: both kills come before the end
_ATTEMPTS = 3
# the smallest size of each study, and the files of its numbers
COMMANDS = {
    "li": (["benchmarks.li", "--preset", "trial"], "*/score_card.json"),
    "huang": (["benchmarks.huang", "--quick"], "*/minima.json"),
    "actor_critic": (["benchmarks.actor_critic", "--seeds", "1", "--steps", "1000"], "**/*.json"),
}


@dataclass
class Ended:
    """A study that was run to its end.

    Attributes
    ----------
    table : list of str
        Its printed lines that have columns.
    numbers : dict of str to bytes
        Its files of numbers.
    killed : list of float
        Seconds after which it was killed.
    seconds : float
        Of the last run.
    """

    table: list[str]
    numbers: dict[str, bytes]
    killed: list[float]
    seconds: float


def run(name: str, folder: Path, moments: list[float]) -> Ended:
    """Run a study in a folder, killed after so many seconds of each of its first runs."""
    words, pattern = COMMANDS[name]
    command = [sys.executable, "-m", *words, "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed, output, seconds = [], "", 0.0
    for moment in [*moments, None]:
        began = time.monotonic()
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                output, _ = process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                killed.append(time.monotonic() - began)
                continue
        seconds = time.monotonic() - began
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
    files = sorted(path for path in folder.glob(pattern) if "trajectory" not in path.parts)
    if not files:
        raise RuntimeError(f"{folder}: there is no {pattern}")
    return Ended(
        [line for line in output.splitlines() if " | " in line],
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in files},
        killed,
        seconds,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    right = True
    for name in arguments.studies:
        with tempfile.TemporaryDirectory() as folder:
            whole = run(name, Path(folder) / "whole", [])
            for attempt in range(_ATTEMPTS):
                seconds = whole.seconds / 2**attempt  # where a run ended before its kill
                times = [moments.uniform(*_SHARES) * seconds for _ in range(KILLS)]
                again = run(name, Path(folder) / f"killed{attempt}", times)
                if len(again.killed) == KILLS:
                    break
        same = (again.table, again.numbers) == (whole.table, whole.numbers)
        right &= same and bool(whole.table) and len(again.killed) == KILLS
        print(
            f"{name}: {whole.seconds:.0f} s undisturbed; killed after "
            f"{' s and '.join(f'{one:.0f}' for one in again.killed)} s, then {again.seconds:.0f} s "
            f"to the end; {len(whole.table)} lines of the table and {len(whole.numbers)} files of "
            f"numbers are {'the same' if same else 'DIFFERENT'}",
            flush=True,
        )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
