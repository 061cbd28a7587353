"""``losslandscape paraview``: ParaView's window with the plugin loaded."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from losslandscape.cli.arguments import add_state_trust
from losslandscape.paraview.process import FIGURES

HELP = "open ParaView with the plugin loaded and, where given, a landscape's figure"

EPILOG = """\
examples:
  losslandscape paraview vgg11.nc                       the figure that fits it
  losslandscape paraview vgg11_pca.nc --figure trajectory
  losslandscape paraview vgg11.nc resnet50.nc           compared, side by side
  losslandscape paraview figure1_surfaces.pvsm          a state, from any folder
  losslandscape paraview runs/                          the landscapes in a folder

ParaView is found with PVPYTHON= or PARAVIEW=, on the PATH, or in the usual folders.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="landscapes (.nc, .vti), a state (.pvsm), or a folder of landscapes",
    )
    parser.add_argument(
        "--figure",
        choices=FIGURES,
        help="what to draw (default: what fits the file; compare for two files; for more, none)",
    )
    add_state_trust(parser, "open")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--check",
        action="store_true",
        help="say which ParaView would be used and what it can do, and do no more",
    )
    instead.add_argument(
        "--install",
        action="store_true",
        help="have every start of ParaView load the plugin (close its windows first)",
    )
    instead.add_argument("--uninstall", action="store_true", help="undo --install")
    parser.add_argument(
        "--ask-reader",
        action="store_true",
        help="with --install: let File > Open ask which reader takes a .nc file (else, all .nc "
        "files are opened as landscapes, also those that are none)",
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
        print(f"opening {', '.join(opening.files)} ({done})", file=sys.stderr)
    return open_window(opening)


def _check() -> int:
    from losslandscape.errors import LossLandscapeError
    from losslandscape.paraview import settings
    from losslandscape.paraview.programs import describe, find_paraview, find_pvpython, plugin_path

    problems = []
    try:
        print(f"paraview: {find_paraview()}")
    except LossLandscapeError as error:
        print("paraview: none")
        problems.append(str(error))
    try:
        program = find_pvpython()
        print(f"pvpython: {program}")
        about = describe(program)
        print(f"version: {about.version}")
        print(f"Python inside: {about.python}")
        if not about.loads_python_plugins:
            print("  loads no Python plugin by itself; losslandscape mends that at each start")
        print(f"Topology ToolKit: {'yes' if about.ttk else 'no (its own filters are used)'}")
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
            f"ParaView {about.version} on Python {about.python} loads no Python plugin by itself, "
            "and its Python reads no folder of yours where that could be mended; start it with "
            "`losslandscape paraview`"
        )
    programs = settings.program_paths(find_paraview())
    folder = settings.settings_folder()
    written = settings.install(folder, programs, about, plugin_path(), take_nc)
    buttons = settings.add_macros(folder, plugin_path())
    for path in (*written, *buttons):
        print(path)
    print(
        f"ParaView {about.version} loads the plugin at every start, with a button a figure. "
        "Undo with --uninstall."
    )
    if written and take_nc:
        print("File > Open takes every .nc file for a landscape; with --ask-reader it asks.")
    return 0


def _uninstall() -> int:
    from losslandscape.paraview import settings
    from losslandscape.paraview.programs import plugin_path

    folder = settings.settings_folder()
    changed = settings.uninstall(folder) + settings.take_macros_out(folder, plugin_path())
    for path in changed:
        print(path)
    print("The plugin is not loaded any more." if changed else f"{folder}: it was not installed.")
    return 0
