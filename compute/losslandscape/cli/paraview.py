"""``losslandscape paraview``: open ParaView's window with the plugin loaded."""

from __future__ import annotations

import argparse
import sys

from losslandscape.cli.arguments import add_state_trust
from losslandscape.cli.kinds import PATH
from losslandscape.paraview.process import FIGURES

HELP = "open ParaView with the plugin loaded, and draw a figure of landscapes if you name some"

EPILOG = """\
examples:
  losslandscape paraview vgg11.nc                       draw the figure that fits the file
  losslandscape paraview vgg11_pca.nc --figure trajectory
  losslandscape paraview vgg11.nc resnet50.nc           compare two landscapes side by side
  losslandscape paraview figure1_surfaces.pvsm          open a state, from any folder
  losslandscape paraview runs/                          open the landscapes in a folder

ParaView is searched for in PVPYTHON and PARAVIEW, on the PATH, and in the usual folders.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        type=PATH,
        metavar="FILE",
        help="landscapes (.nc, .vti), a state (.pvsm, or .png that carries one), or a folder of "
        "landscapes",
    )
    parser.add_argument(
        "--figure",
        choices=FIGURES,
        help="figure to draw (default: the one that fits the file; compare for two files; none for "
        "more)",
    )
    add_state_trust(parser, "open")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--check",
        action="store_true",
        help="only show which ParaView would be used and what it supports",
    )
    instead.add_argument(
        "--install",
        action="store_true",
        help="let ParaView load the plugin at every start (close ParaView first)",
    )
    instead.add_argument("--uninstall", action="store_true", help="undo --install")
    parser.add_argument(
        "--ask-reader",
        action="store_true",
        help="with --install: let File > Open ask which reader to use for a .nc file (otherwise "
        "every .nc file is opened as a landscape, even if it is not one)",
    )


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.paraview.window import open_window, what_to_open

    if arguments.check:
        return _check()
    if arguments.install:
        return _install(take_nc=not arguments.ask_reader)
    if arguments.uninstall:
        return _uninstall()
    opening = what_to_open(arguments.files, arguments.figure, arguments.trust_file)
    if len(opening.files) > 1 or any(path.is_dir() for path in arguments.files):
        done = f"figure: {opening.figure}" if opening.figure else "as sources, without a figure"
        print(f"Opening {', '.join(opening.files)} ({done})", file=sys.stderr)
    return open_window(opening)


def _check() -> int:
    from losslandscape.errors import LossLandscapeError
    from losslandscape.paraview import settings
    from losslandscape.paraview.programs import describe, find_paraview, find_pvpython, plugin_path

    problems = []
    try:
        print(f"paraview: {find_paraview()}")
    except LossLandscapeError as error:
        print("paraview: not found")
        problems.append(str(error))
    try:
        program = find_pvpython()
        print(f"pvpython: {program}")
        about = describe(program)
        print(f"version: {about.version}")
        print(f"Python of ParaView: {about.python}")
        if not about.loads_python_plugins:
            print(
                "  cannot load Python plugins by itself; losslandscape works around this at each "
                "start"
            )
        print(
            "Topology ToolKit: "
            f"{'yes' if about.ttk else 'no (the filters of losslandscape are used)'}"
        )
        plugin = plugin_path()
        installed = settings.is_installed(settings.settings_folder(), about.version, plugin)
        print(f"plugin: {plugin}")
        print(f"loaded at every start: {'yes' if installed else 'no (--install)'}")
    except LossLandscapeError as error:
        problems.append(str(error))
    if problems:
        raise LossLandscapeError("; ".join(dict.fromkeys(problems)))
    return 0


def _install(take_nc: bool) -> int:
    from losslandscape.errors import LossLandscapeError
    from losslandscape.paraview import settings
    from losslandscape.paraview.programs import describe, find_paraview, find_pvpython, plugin_path

    about = describe(find_pvpython())
    if not about.loads_python_plugins and not about.user_site:
        raise LossLandscapeError(
            f"ParaView {about.version} on Python {about.python} cannot load Python plugins by "
            "itself, and its Python does not read your package folder, where this could be fixed; "
            "start it with `losslandscape paraview` instead"
        )
    programs = settings.program_paths(find_paraview())
    folder = settings.settings_folder()
    written = settings.install(folder, programs, about, plugin_path(), take_nc)
    buttons = settings.add_macros(folder, plugin_path())
    for path in (*written, *buttons):
        print(path)
    print(
        f"ParaView {about.version} now loads the plugin at every start, and has a button for each "
        "figure. To undo this, use --uninstall."
    )
    if written and take_nc:
        print(
            "File > Open now opens every .nc file as a landscape. To be asked for a reader "
            "instead, use --install --ask-reader."
        )
    return 0


def _uninstall() -> int:
    from losslandscape.paraview import settings
    from losslandscape.paraview.programs import plugin_path

    folder = settings.settings_folder()
    changed = settings.uninstall(folder) + settings.take_macros_out(folder, plugin_path())
    for path in changed:
        print(path)
    print(
        "ParaView no longer loads the plugin at the start."
        if changed
        else f"{folder}: the plugin was not installed."
    )
    return 0
