"""Reads many damaged landscape files: ``python -m tests.fuzz.run --count 10000``.

The damaged copies are those of the numbers 0, 1, ... (see mutations.py), so a number that fails can
be read again alone. Ends with 1 where a file brought about anything but an error or the
original values.
"""

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import forked_child, landscape_files
from tests.fuzz.mutations import mutated

from losslandscape.paraview.programs import clean_environment, find_pvpython

ROOT = Path(__file__).resolve().parents[2]
BATCH = 200


def in_compute(original, folder, first, last):
    """Outcome by number, with the package's reader."""
    expected = landscape_files.everything(landscape_files.netcdf.read(original))
    content, file = original.read_bytes(), folder / "damaged.nc"
    found = {}
    for number in range(first, last):
        file.write_bytes(mutated(content, number))
        found[number] = landscape_files.outcome(file, expected)
    return found


def in_paraview(original, folder, first, last):
    """Outcome by number, with the plugin's reader, so many to a ParaView process."""
    found = {}
    command = [str(find_pvpython()), str(Path(__file__).with_name("in_paraview.py"))]
    command += [str(ROOT / "paraview_plugin"), str(original), str(folder)]
    while first < last:
        stop = min(first + BATCH, last)
        with open(folder / "said", "w+", encoding="utf-8") as said:
            try:
                ended = subprocess.run(
                    [*command, str(first), str(stop)],
                    env=clean_environment(),
                    stdout=said,
                    stderr=subprocess.DEVNULL,
                    timeout=60 + 0.2 * (stop - first),
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                ended = "hung"
            said.seek(0)
            lines = [line.split(" ", 1) for line in said.read().splitlines()]
        lines = [line for line in lines if line[0].isdigit()]
        found.update((int(n), outcome.strip()) for n, outcome in lines if outcome.strip())
        first = stop
        unsaid = [int(n) for n, outcome in lines if not outcome.strip()]
        if unsaid:
            found[unsaid[-1]] = f"ParaView ended: {ended}"
            first = unsaid[-1] + 1
        elif ended != 0 and not lines:
            raise SystemExit(f"pvpython ended with {ended} and said nothing")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="damaged copies of each kind")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--plugin", action="store_true", help="the plugin's reader, in ParaView")
    parser.add_argument("--kinds", nargs="+", default=["sealed", "unsealed"],
                        choices=["sealed", "unsealed", "old"])  # fmt: skip
    arguments = parser.parse_args()
    failed = False
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory() as name:
            folder, started = Path(name), time.monotonic()
            landscape = landscape_files.small_landscape()
            original = landscape_files.write(landscape, folder / "original.nc", kind)
            read = in_paraview if arguments.plugin else in_compute
            found = read(original, folder, arguments.first, arguments.first + arguments.count)
        good = (landscape_files.REFUSED, landscape_files.UNCHANGED)
        bad = {number: outcome for number, outcome in found.items() if outcome not in good}
        failed = failed or bool(bad)
        summary = {
            "kind": kind,
            "files": len(found),
            "seconds": round(time.monotonic() - started, 1),
            "outcomes": dict(collections.Counter(found.values())),
            "children that crashed": forked_child.broken,
            "failed": dict(list(bad.items())[:20]),
        }
        print(json.dumps(summary), flush=True)
        forked_child.broken.clear()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
