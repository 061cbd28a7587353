"""``losslandscape export``: write a landscape for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a landscape as .vti, .vtp, .pvd, .ply and .csv for ParaView and other programs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=Path, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to write (default: a folder named like the file, beside it)",
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        metavar="NAME",
        help="some of vti, vtp, pvd, ply, csv (default: all)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace all that an earlier export wrote there"
    )


def run(arguments: argparse.Namespace) -> int:
    from losslandscape import formats
    from losslandscape.errors import OutputExistsError
    from losslandscape.landscape.landscape import Landscape

    landscape = Landscape.open(arguments.landscape)
    folder = arguments.output or arguments.landscape.with_suffix("")
    if folder.is_dir() and any(folder.iterdir()) and not arguments.overwrite:
        raise OutputExistsError(
            f"{folder}: is not empty; choose another or overwrite (--overwrite)"
        )
    for path in formats.export(landscape, folder, arguments.formats, alone=True):
        print(path)
    return 0
