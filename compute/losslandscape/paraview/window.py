"""Start ParaView's window with the plugin loaded, and draw a figure of some files."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from losslandscape.errors import LossLandscapeError
from losslandscape.files.file_kinds import FOLDER, LANDSCAPE_ENDINGS
from losslandscape.files.inputs import input_file, input_kind
from losslandscape.files.temporary_folders import temporary_folder
from losslandscape.paraview.process import fitting_figure
from losslandscape.paraview.programs import clean_environment, find_paraview, plugin_path
from losslandscape.paraview.settings import files_with_plugin, forget_plugin, settings_folder

_VTK = ".vti"
_STATE, _PICTURE = ".pvsm", ".png"  # a picture carries its state


@dataclass(frozen=True)
class Opening:
    """What the window shows at the start.

    Attributes:
        files: absolute paths of landscapes, or of one state.
        figure: the figure of all files, `state`, or None to open each file as a source.
        trust: allow a state with objects that may run code, and data outside its folder.
    """

    files: tuple[str, ...] = ()
    figure: "str | None" = None
    trust: bool = False


def what_to_open(
    paths: Sequence["str | os.PathLike[str]"], figure: "str | None" = None, trust: bool = False
) -> Opening:
    """Find the files to open, and the figure for them.

    In a folder, the landscapes (`.nc`, `.llnc`) or else the `surface.vti` of an export are opened;
    if it has neither, those in its subfolders. A state in a folder is never opened, because it may
    contain code.

    Args:
        paths: landscapes, `surface.vti` files of exports, states, folders.
        figure: a figure's name; None for the one that fits: `default` for one landscape, `compare`
            for two, sources without a figure for more.
        trust: whether a state is trusted; see `Opening`.

    Raises:
        LossLandscapeError: a file is missing or of another kind, a folder contains nothing to open,
            or the figure takes another number of landscapes.
    """
    files = [file for path in paths for file in _files(Path(os.path.abspath(path)))]
    states = [file for file in files if file.suffix.lower() in (_STATE, _PICTURE)]
    names = tuple(str(file) for file in files)
    if states:
        if len(files) > 1:
            raise LossLandscapeError(
                f"a state must be opened alone, but {len(files)} files were given: {_listed(files)}"
            )
        if figure:
            raise LossLandscapeError(
                f"{files[0]}: a state already contains its figure; omit --figure"
            )
        return Opening(names, "state", trust)
    if not files:
        return Opening()
    return Opening(names, fitting_figure(figure, files))


def open_window(opening: Opening) -> int:
    """Start ParaView's window and wait until it closes.

    The user's settings are used and stay unchanged: the welcome dialog is disabled only for this
    start, and the plugin is removed from ParaView's list of plugins unless it was there before.

    Returns:
        The exit code of ParaView.

    Raises:
        LossLandscapeError: there is no ParaView or no screen.
    """
    program = find_paraview()
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        raise LossLandscapeError(
            "ParaView's window needs a screen: set DISPLAY, or draw to a file with "
            "`losslandscape render`"
        )
    settings = settings_folder()
    listed = files_with_plugin(settings)
    package = plugin_path().parent / "losslandscape_paraview"
    script = package / "startup" / "open_files.py"
    environment = clean_environment()
    environment["LOSSLANDSCAPE_PYTHON"] = sys.executable  # the Python that computes for the plugin
    environment["LOSSLANDSCAPE_OPEN"] = json.dumps({"package": str(package), **asdict(opening)})
    # a state names its data relative to its own folder
    folder = os.path.dirname(opening.files[0]) if opening.figure == "state" else None
    with temporary_folder() as defaults:
        # Qt reads defaults from here for settings missing from the user's file (only on Linux).
        Path(defaults, "ParaView.ini").write_text(
            "[General]\nGeneralSettings.ShowWelcomeDialog=false\n", encoding="ascii"
        )
        others = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        environment["XDG_CONFIG_DIRS"] = os.pathsep.join((str(defaults), others))
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
    """The files that a path stands for; see `what_to_open`."""
    if input_kind(path) != FOLDER:
        input_file(path)
        if path.suffix.lower() in (*LANDSCAPE_ENDINGS, _VTK, _STATE, _PICTURE):
            return [path]
        raise LossLandscapeError(
            f"{path}: neither a landscape (.nc, .llnc, .vti) nor a state (.pvsm, or .png that "
            "carries one)"
        )
    inside = sorted(path.iterdir())
    below = sorted(file for folder in inside if folder.is_dir() for file in folder.iterdir())
    for candidates in (inside, below):
        landscapes = [file for file in candidates if file.suffix.lower() in LANDSCAPE_ENDINGS]
        if landscapes:
            return landscapes
        exports = [file for file in candidates if file.name == "surface.vti"]
        if exports:
            return exports
    states = [file for file in (*inside, *below) if file.suffix.lower() == _STATE]
    if states:
        raise LossLandscapeError(
            f"{path}: contains no landscape. To open a state, give its file name, because a state "
            f"may contain code: {_listed(states)}"
        )
    raise LossLandscapeError(f"{path}: contains no landscape (.nc, .llnc, surface.vti)")


def _listed(files: Sequence[Path]) -> str:
    return ", ".join(str(file) for file in files)
