"""Run the plugin's tests in each ParaView that it supports, and print a table of the results.

`make test-paraviews` runs this. The ParaViews are those of three Debian releases, each in a folder
(see `paraview_folders`). The tests themselves run in this Python, as `make test` runs them.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import paraview_folders

from losslandscape.paraview import programs as paraview_programs

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("release", "ParaView", "Python", "passed", "failed", "skipped", "seconds")


def main():
    """Run the tests; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder for the ParaViews")
    parser.add_argument(
        "--release",
        action="append",
        choices=list(paraview_folders.PACKAGES),
        help="Debian release whose ParaView is tried (default: all)",
    )
    parser.add_argument("tests", nargs="*", default=["tests/plugin"], help="as pytest takes them")
    arguments = parser.parse_args()
    lines = []
    for release in arguments.release or paraview_folders.PACKAGES:
        programs = paraview_folders.programs(release, arguments.cache, [ROOT])
        lines.append(run(release, programs, arguments.cache, arguments.tests))
        print_table(lines)
    return int(any(line["failed"] for line in lines))


def run(release, programs, cache, tests):
    """Run tests in the ParaView of a release; a line of the table."""
    environment = dict(os.environ)
    environment["PVPYTHON"] = str(programs / "pvpython")
    environment["PARAVIEW"] = str(programs / "paraview")
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    environment.pop("DISPLAY", None)  # each ParaView gets a screen without any other's windows
    os.environ.update(PVPYTHON=environment["PVPYTHON"])
    about = paraview_programs.describe(paraview_programs.find_pvpython())
    print(f"ParaView {about.version}, Python {about.python} ({release})", flush=True)
    # of this checkout alone: another one may be tried at the same time
    digest = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    report = Path(cache).resolve() / f"{release}-{digest}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-n", "0", "-rfEs", f"--junitxml={report}", *tests]
    subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if not report.is_file():
        sys.exit(f"{release}: pytest wrote no report; see its messages above")
    suite = ElementTree.parse(report).getroot().find("testsuite")
    count = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    return {
        "release": release,
        "ParaView": about.version,
        "Python": about.python,
        "passed": count["tests"] - failed - count["skipped"],
        "failed": failed,
        "skipped": count["skipped"],
        "seconds": round(float(suite.get("time"))),
    }


def print_table(lines):
    """The results so far, as a Markdown table."""
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for line in lines:
        print(f"| {' | '.join(str(line[column]) for column in COLUMNS)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
