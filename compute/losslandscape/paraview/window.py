"""Start ParaView's window with the plugin loaded and a figure of some files drawn."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview.process import fitting_figure
from losslandscape.paraview.programs import clean_environment, find_paraview, plugin_path
from losslandscape.paraview.settings import files_with_plugin, forget_plugin, settings_folder

LANDSCAPES = (".nc", ".llnc")
_VTK = ".vti"
_STATE = ".pvsm"


@dataclass(frozen=True)
class Opening:
    """What the window is to show.

    Attributes:
        files: absolute paths: landscapes, or one state.
        figure: a figure of all of them, `state`, or None: each is opened as a source.
        trust: the state may have objects that run code, and data anywhere.
    """

    files: tuple[str, ...] = ()
    figure: "str | None" = None
    trust: bool = False


def what_to_open(
    paths: Sequence["str | os.PathLike[str]"], figure: "str | None" = None, trust: bool = False
) -> Opening:
    """Which files to open, and as what.

    A folder stands for the landscapes in it (`.nc`, `.llnc`), for those in its folders where it
    holds none, or for the `surface.vti` of an export, in this order; never for a state, which may
    hold code.

    Args:
        paths: landscapes, exports' `surface.vti`, states, folders.
        figure: a figure's name; None for the one that fits: `default` for one landscape, `compare`
            for two, sources without a figure for more.
        trust: of a state; see `Opening`.

    Raises:
        LossLandscapeError: a file is missing or of another kind, a folder holds nothing to open,
            or the figure takes another number of landscapes.
    """
    files = [file for path in paths for file in _files(Path(os.path.abspath(path)))]
    states = [file for file in files if file.suffix.lower() == _STATE]
    names = tuple(str(file) for file in files)
    if states:
        if len(files) > 1:
            raise LossLandscapeError(
                f"a state opens alone; {len(files)} files were given: {_listed(files)}"
            )
        if figure:
            raise LossLandscapeError(f"{files[0]}: a state holds its figure; leave --figure out")
        return Opening(names, "state", trust)
    if not files:
        return Opening()
    return Opening(names, fitting_figure(figure, files))


def open_window(opening: Opening) -> int:
    """Start ParaView's window and wait for its end.

    The user's settings are used and left as they are: the welcome that a first start shows is
    switched off for this start alone, and the plugin is taken out of the list of plugins that
    ParaView keeps, unless it was there before.

    Returns:
        The window's exit code.

    Raises:
        LossLandscapeError: there is no ParaView, or no screen.
    """
    program = find_paraview()
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        raise LossLandscapeError(
            "no screen for ParaView's window: set DISPLAY, or draw into a file with "
            "`losslandscape render`"
        )
    settings = settings_folder()
    listed = files_with_plugin(settings)
    package = plugin_path().parent / "losslandscape_paraview"
    script = package / "startup" / "open_files.py"
    environment = clean_environment()
    environment["LOSSLANDSCAPE_PYTHON"] = sys.executable  # for what ParaView has computed
    environment["LOSSLANDSCAPE_OPEN"] = json.dumps({"package": str(package), **asdict(opening)})
    # a state names its data relative to its folder
    folder = os.path.dirname(opening.files[0]) if opening.figure == "state" else None
    with tempfile.TemporaryDirectory(prefix="losslandscape-") as defaults:
        # Qt looks here for what the user's own file does not say (Linux; other systems don't).
        Path(defaults, "ParaView.ini").write_text(
            "[General]\nGeneralSettings.ShowWelcomeDialog=false\n", encoding="ascii"
        )
        others = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        environment["XDG_CONFIG_DIRS"] = os.pathsep.join((defaults, others))
        try:
            done = subprocess.run(
                [str(program), f"--script={script}"], env=environment, cwd=folder, check=False
            )
        except OSError as error:
            raise LossLandscapeError(f"{program}: cannot be started ({error.strerror})") from error
        finally:
            forget_plugin(settings, kept=listed)
    return done.returncode


def _files(path: Path) -> list[Path]:
    """What a path stands for; see `what_to_open`."""
    if path.is_file():
        if path.suffix.lower() in (*LANDSCAPES, _VTK, _STATE):
            return [path]
        raise LossLandscapeError(
            f"{path}: neither a landscape (.nc, .llnc, .vti) nor a state (.pvsm)"
        )
    if not path.is_dir():
        raise LossLandscapeError(f"{path}: no such file or folder")
    inside = sorted(path.iterdir())
    below = sorted(file for folder in inside if folder.is_dir() for file in folder.iterdir())
    for candidates in (inside, below):
        landscapes = [file for file in candidates if file.suffix.lower() in LANDSCAPES]
        if landscapes:
            return landscapes
        exports = [file for file in candidates if file.name == "surface.vti"]
        if exports:
            return exports
    states = [file for file in (*inside, *below) if file.suffix.lower() == _STATE]
    if states:
        raise LossLandscapeError(
            f"{path}: holds no landscape; a state is opened by its own name only, because it may "
            f"hold code: {_listed(states)}"
        )
    raise LossLandscapeError(f"{path}: holds no landscape (.nc, .llnc, surface.vti)")


def _listed(files: Sequence[Path]) -> str:
    return ", ".join(str(file) for file in files)
