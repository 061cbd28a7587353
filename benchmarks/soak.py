"""Resume, reload and draw a small landscape for minutes, to find leaks.

Run ``python -m benchmarks.soak --minutes 10``. A cycle starts a surface, interrupts it, continues
it with the same call, compares the bytes of the file with those of an uninterrupted run, opens the
file, reads it, draws it with matplotlib, and exports it. With ``--paraview`` every minute ends with
one picture by ``losslandscape render``. Each minute one line reports the process's resident memory,
open files, threads and child processes, and the contents of the temporary and output folders. The
exit code is 1 if files, threads or child processes are left over, or if memory rose by more than
16 MiB after the second line.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import results

MIB = 1 << 20
ALLOWED_MIB = 16.0
ROWS = 12  # approximate number of rows in the table; the printed text has every line


def run(path: Path, stop_after: int | None = None) -> None:
    """Measure a surface of 15 x 15 points, interrupted after some calls of the model if asked."""
    import torch
    from torch import nn

    import losslandscape as ll

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5))
    data = torch.randn(256, 20), torch.randint(0, 5, (256,))
    plane = ll.Subspace.random(model, seed=1)
    calls = 0

    def interrupt(*_: object) -> None:
        nonlocal calls
        calls += 1
        if stop_after is not None and calls > stop_after:
            raise KeyboardInterrupt

    model.register_forward_pre_hook(interrupt)
    objective = ll.Objective(model, "cross_entropy", data, batch_size=64)
    with contextlib.suppress(KeyboardInterrupt):
        ll.evaluate(objective, plane, ll.Grid.square(15), path=path, overwrite=True, quiet=True)


def cycle(folder: Path, number: int, expected: bytes) -> None:
    """Interrupt a surface, continue it, then open, read, draw and export it."""
    import matplotlib.pyplot as plt

    import losslandscape as ll

    path = folder / "landscape.nc"
    run(path, stop_after=20 + 37 * number % 800)
    run(path)
    if path.read_bytes() != expected:
        raise SystemExit(
            f"cycle {number}: the resumed file differs from that of an uninterrupted run"
        )
    landscape = ll.Landscape.open(path)
    landscape.to_xarray()
    landscape.plot("surface").figure.savefig(folder / "surface.png")
    plt.close("all")
    landscape.export(folder / "export")
    for file in (*(folder / "export").iterdir(), folder / "surface.png", path):
        file.unlink()


def picture(folder: Path, expected: bytes) -> None:
    """Draw the landscape once with ParaView."""
    path = folder / "landscape.nc"
    path.write_bytes(expected)
    command = [sys.executable, "-m", "losslandscape", "render", str(path), "--output"]
    subprocess.run([*command, str(folder / "paraview.png"), "--overwrite"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    (folder / "paraview.png").unlink()
    path.unlink()


def held(temporary: Path, output: Path) -> dict[str, Any]:
    """What the process holds now, after a garbage collection."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # return freed memory to the system
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "memory": int(fields["RssAnon"].split()[0]) / 1024,
        "files": len(os.listdir("/proc/self/fd")) - 1,  # without the listed folder itself
        "threads": threading.active_count(),
        "children": len(children),
        "temporary": sorted(str(f.relative_to(temporary)) for f in temporary.rglob("*")),
        "output": sorted(f.name for f in output.rglob("*") if f.is_file()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--paraview", action="store_true", help="draw with ParaView every minute")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two lines")
    arguments = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    with tempfile.TemporaryDirectory(prefix="soak.") as work:
        temporary, output = Path(work) / "temporary", Path(work) / "output"
        temporary.mkdir()
        output.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        run(output / "landscape.nc")
        expected = (output / "landscape.nc").read_bytes()
        # the first cycle includes one-time work: font caches, libraries
        cycle(output, 0, expected)
        if arguments.paraview:
            picture(output, expected)
        lines, cycles = [held(temporary, output)], 1
        start = time.monotonic()
        print("minute | cycles | MiB | files | threads | children | temporary | output", flush=True)
        while True:
            # counted from now, so that every minute has a cycle even if this process was paused
            end = time.monotonic() + arguments.interval
            while True:
                cycle(output, cycles, expected)
                cycles += 1
                if time.monotonic() >= end:
                    break
            if arguments.paraview:
                picture(output, expected)
            lines.append(held(temporary, output))
            last = lines[-1]
            minute = (time.monotonic() - start) / 60
            print(f"{minute:.1f} | {cycles} | {last['memory']:.1f} | {last['files']} | "
                  f"{last['threads']} | {last['children']} | {last['temporary']} | "
                  f"{last['output']}", flush=True)  # fmt: skip
            if minute >= arguments.minutes:
                break
    report(lines, cycles, minute, len(lines) if arguments.paraview else 0)


def report(lines: list[dict[str, Any]], cycles: int, minutes: float, pictures: int) -> None:
    """Write the table, and exit with 1 if anything was left over."""
    names = ("files", "threads", "children", "temporary", "output")
    every = max(1, round((len(lines) - 1) / ROWS))
    kept = sorted({0, 1, *range(0, len(lines), every), len(lines) - 1})
    rows = [
        [number, f"{lines[number]['memory']:.1f}", *(_count(lines[number][name]) for name in names)]
        for number in kept
    ]
    peaks = ", ".join(f"{max(_count(line[name]) for line in lines)} {name}" for name in names)
    results.write(
        "soak",
        "Resources of a process that repeatedly resumes, reloads and draws",
        ["line", "memory, MiB", "open files", "threads", "children", "temporary files", "outputs"],
        rows,
        [f"{cycles} cycles in {minutes:.1f} minutes, {pictures} pictures by ParaView; line 0 is "
         "after the first cycle. Memory is anonymous resident memory after a garbage collection. "
         f"Maximum over all {len(lines)} lines: {max(line['memory'] for line in lines):.1f} MiB, "
         f"{peaks}."],
    )  # fmt: skip
    settled = lines[1:] if len(lines) > 2 else lines
    rise = settled[-1]["memory"] - settled[0]["memory"]
    piled = [name for name in names if _count(lines[-1][name]) > _count(lines[0][name])]
    print(f"memory rose by {rise:.1f} MiB; left over: {', '.join(piled) or 'nothing'}")
    if piled or lines[-1]["temporary"] or lines[-1]["output"] or rise > ALLOWED_MIB:
        raise SystemExit(1)


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value)


if __name__ == "__main__":
    main()
