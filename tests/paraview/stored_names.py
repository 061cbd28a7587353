"""What each version of ParaView calls a thing: lists in `names/`, which need no ParaView to read.

`tests/plugin/in_paraview/names.py` prints that of one version. Started with its PVPYTHON, this
stores it: ``python -m tests.paraview.stored_names``.
"""

import json
import lzma
from pathlib import Path

from losslandscape.paraview import process

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent / "names"


def stored_names():
    """By version: `functions` of paraview.simple, `types` by group, `proxies` and `labels`.

    `proxies` has the names of the properties of each `group.type`, and `labels` the function that
    makes one.
    """
    paths = sorted(FOLDER.glob("*.json.xz"))
    return {path.name[: -len(".json.xz")]: json.loads(lzma.open(path).read()) for path in paths}


def store():
    """Ask the ParaView that PVPYTHON names, and write its list."""
    script = ROOT / "tests" / "plugin" / "in_paraview" / "names.py"
    done = process.run_script(script, [str(ROOT / "paraview_plugin")], capture=True)
    found = json.loads(done.stdout.splitlines()[-1])
    text = json.dumps(found["names"], sort_keys=True, separators=(",", ":"))
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{found['version']}.json.xz"
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(path)


if __name__ == "__main__":
    store()
