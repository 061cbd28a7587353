"""Mutation testing, by sample: `make mutants`, or `python -m tests.mutants.run --help`.

Of each module, some places are chosen; each is changed in a copy of the tree and the module's
tests run. A change that they pass is a survivor: either it changes nothing that matters, or a
test is missing.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants.modules import FOLDERS, tests_of
from tests.mutants.sample import mutants
from tests.mutants.trial import OUTPUT, passes, warm_up

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("compute/losslandscape")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="as planes/grid or planes; all if none")
    parser.add_argument("--count", type=int, default=10, help="mutants a module (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="another seed chooses others")
    parser.add_argument("--results", type=Path, help="append each mutant to this file, as JSON")
    options = parser.parse_args()
    names = [
        name
        for name in (options.modules or FOLDERS)
        for name in ([name] if (ROOT / PACKAGE / f"{name}.py").is_file() else _modules(name))
    ]
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="mutants_", dir=in_memory) as folder:
        tree = Path(folder)
        _copy(tree)
        os.environ["PYTHONPATH"] = os.pathsep.join(
            str(tree / part) for part in ("compute", "paraview_plugin")
        )
        sys.path.insert(0, str(tree / "compute"))
        warm_up(tree / PACKAGE)
        print(f"{'module':40} {'mutants':>8} {'killed':>8}", flush=True)
        rows = [_try(tree, name, options) for name in names]
    tried, killed = (sum(column) for column in zip(*rows))
    print(f"{'all':40} {tried:8} {killed:8}")


def _modules(folder: str) -> list[str]:
    files = sorted((ROOT / PACKAGE / folder).glob("*.py"))
    if not files:
        raise SystemExit(f"{PACKAGE / folder}: no modules here")
    return [f"{folder}/{file.stem}" for file in files if file.stem != "__init__"]


def _copy(tree: Path) -> None:
    """The files that git knows or would know."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def _try(tree: Path, name: str, options: argparse.Namespace) -> tuple[int, int]:
    file = tree / PACKAGE / f"{name}.py"
    source = file.read_text(encoding="utf-8")
    # the module's own doctests last: pytest would bind `topology.morse_smale_complex`, a function,
    # to the module of that name
    tests = [*tests_of(name, tree), str(PACKAGE / f"{name}.py")]
    sound, seconds = passes(tree, tests, 600, keep_bytecode=True)
    if not sound:
        print(f"{name}: no numbers, for its tests fail before any change: {' '.join(tests)}")
        print((tree / OUTPUT).read_text(errors="replace")[-2000:], flush=True)
        return 0, 0
    chosen = mutants(source, options.count, f"{options.seed} {name}")
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
    survivors = []
    for mutant in chosen:
        file.write_text(mutant.source, encoding="utf-8")
        survived, _ = passes(tree, tests, 10 + 3 * seconds)
        if survived:
            survivors.append(mutant)
        if options.results:
            record = {"module": name, "line": mutant.line, "change": mutant.change}
            with options.results.open("a") as results:
                results.write(json.dumps({**record, "survived": survived}) + "\n")
    file.write_text(source, encoding="utf-8")
    killed = len(chosen) - len(survivors)
    print(f"{name:40} {len(chosen):8} {killed:8}", flush=True)
    for mutant in survivors:
        print(f"    {PACKAGE / name}.py:{mutant.line}: {mutant.change}", flush=True)
    return len(chosen), killed


if __name__ == "__main__":
    main()
