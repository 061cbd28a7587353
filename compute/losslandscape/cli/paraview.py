"""``losslandscape paraview``: ParaView's window with the plugin loaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.cli.render import FIGURES

HELP = "open ParaView with the plugin loaded and, where given, a landscape's figure"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="landscapes (.nc, .vti) or a state (.pvsm)",
    )
    parser.add_argument(
        "--figure",
        choices=FIGURES,
        help="what to draw (default: what fits the file, or compare for two files)",
    )
    parser.add_argument(
        "--check", action="store_true", help="say which ParaView would be used, and do no more"
    )


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.paraview_process import find_paraview, find_pvpython, open_window

    if arguments.check:
        print(f"paraview: {find_paraview()}")
        print(f"pvpython: {find_pvpython()}")
        return 0
    return open_window(arguments.files, arguments.figure)
