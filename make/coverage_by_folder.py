"""The share of lines that the tests ran, by folder, from the ``.coverage`` that pytest-cov wrote.

``make coverage`` runs it. ``--missing`` lists the lines that did not run as well.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

PACKAGE = Path("compute/losslandscape")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--missing", action="store_true", help="list the lines that did not run")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", "-"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    folders = defaultdict(lambda: [0, 0])
    for name, file in sorted(report["files"].items()):
        folder = Path(name).relative_to(PACKAGE).parent.parts[:1]
        run, lines = file["summary"]["covered_lines"], file["summary"]["num_statements"]
        for row in (folder[0] if folder else ".", "all"):
            folders[row][0] += run
            folders[row][1] += lines
        if arguments.missing and file["missing_lines"]:
            print(f"{name}: {', '.join(map(str, file['missing_lines']))}")
    print(f"{'folder':<14} {'lines':>6} {'not run':>8} {'share':>7}")
    for folder, (run, lines) in folders.items():
        if folder != "all":
            print_row(folder, run, lines)
    print_row("all", *folders["all"])


def print_row(folder, run, lines):
    print(f"{folder:<14} {lines:>6} {lines - run:>8} {run / max(lines, 1):>7.1%}")


if __name__ == "__main__":
    main()
