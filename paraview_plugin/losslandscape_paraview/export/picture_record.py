"""Which data and which script a thumbnail was built from, so that an outdated one is noticed.

`pictures.json`, beside the figures' scripts, holds SHA-256 sums by figure: of its picture, and of
each file it was built from. Times of files say nothing about that in a repository.
"""

import hashlib
import json
import os
import re
from pathlib import Path

RECORD = "pictures.json"
# The landscape itself, whose exports in the same folder a figure reads.
_NOT_READ = "landscape.nc"


def inputs_of(script):
    """The files that a figure is built from.

    Args:
        script: the figure's script; its state file, `NAME.pvsm`, lies beside it and says which
            folders of `data/` it reads.

    Returns:
        list of `Path`: the script, then all files of these folders but `landscape.nc`.
    """
    script = Path(script)
    state = script.with_suffix(".pvsm").read_text(encoding="utf-8")
    folders = sorted(set(re.findall(r'"(data/[^"]+)/[^"/]+"', state)))
    files = [path for folder in folders for path in sorted((script.parent / folder).iterdir())]
    return [script, *(path for path in files if path.name != _NOT_READ)]


def record_picture(script):
    """Enter a figure whose state and thumbnail have just been written in the record."""
    script = Path(script)
    path = script.parent / RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    record[script.stem] = _sums(script)
    temporary = path.with_suffix(".writing")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def outdated(script):
    """Why a figure's thumbnail is not the picture of its script and data; "" where it is."""
    script = Path(script)
    picture = script.with_suffix(".png")
    if not picture.is_file():
        return f"{picture.name}: there is no such picture"
    path = script.parent / RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if script.stem not in record:
        return f"{picture.name}: {RECORD} does not say what it was built from"
    then, now = record[script.stem], _sums(script)
    if then["picture"] != now["picture"]:
        return f"{picture.name}: not the picture that was built and entered in {RECORD}"
    names = sorted(then["inputs"].keys() | now["inputs"].keys())
    changed = [name for name in names if then["inputs"].get(name) != now["inputs"].get(name)]
    return f"{picture.name}: built before a change of {', '.join(changed)}" if changed else ""


def _sums(script):
    inputs = {path.relative_to(script.parent).as_posix(): path for path in inputs_of(script)}
    return {
        "picture": _sum(script.with_suffix(".png")),
        "inputs": {name: _sum(path) for name, path in inputs.items()},
    }


def _sum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
