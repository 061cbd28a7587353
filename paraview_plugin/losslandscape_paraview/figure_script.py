"""The command line that every script in `state_files/` has, and building many in one process."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

from .errors import LandscapeError
from .export.picture_record import record_picture
from .session import end_session, new_session


def run(build, script):
    """Build a figure and write what the command line asks for.

    Args:
        build: function of the data folder (a `Path`) that returns a `Figure`.
        script: the script's `__file__`; its folder holds `data/` and takes the state.
    """
    script = Path(script).resolve()
    parser = argparse.ArgumentParser(prog=script.name, description=build.__doc__)
    parser.add_argument("--data", type=Path, default=script.parent / "data", help="data folder")
    parser.add_argument(
        "--output", type=Path, help="picture, .glb or .html (default: NAME_picture.png, here)"
    )
    parser.add_argument(
        "--save-state",
        action="store_true",
        help="write the state file and its thumbnail beside the script",
    )
    arguments = parser.parse_args()
    try:
        figure = build(arguments.data)
        if arguments.save_state:
            figure.save_state(script.with_suffix(".pvsm"))
            figure.save_thumbnail(script.with_suffix(".png"))
            if arguments.data.resolve() == script.parent / "data":
                record_picture(script)
        written = figure.save(arguments.output or f"{script.stem}_picture.png")
    except LandscapeError as error:
        end_session()
        sys.exit(f"{script.name}: {error}")
    print(json.dumps({"picture": written["path"], **figure.report()}, indent=1))


def build_script(script, data=None):
    """Build the figure of a script in this process, in an empty session.

    Args:
        script: a file with a function `build(data)`.
        data: its data folder; None for `data/` beside it.

    Returns:
        Figure
    """
    script = Path(script).resolve()
    new_session()
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build(Path(data) if data else script.parent / "data")


def scripts_in(folder):
    """The figure scripts of a folder: those that define `build`, by name."""
    return [
        path
        for path in sorted(Path(folder).glob("*.py"))
        if "\ndef build(" in path.read_text(encoding="utf-8")
    ]
