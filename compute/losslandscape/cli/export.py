"""``losslandscape export``: write a landscape in formats of other programs."""

from __future__ import annotations

import argparse

from losslandscape.cli.kinds import PATH, TEXT

HELP = "write a landscape as .vti, .vtp, .pvd, .ply and .csv for ParaView and other programs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "--output",
        type=PATH,
        metavar="FOLDER",
        help="folder for the files (default: a folder beside the file, with the same name)",
    )
    parser.add_argument(
        "--formats",
        type=TEXT,
        nargs="+",
        metavar="NAME",
        help="one or more of vti, vtp, pvd, ply, csv (default: all)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write to a folder that is not empty, and replace the files of an earlier export",
    )


def run(arguments: argparse.Namespace) -> int:
    from losslandscape import formats
    from losslandscape.errors import OutputExistsError
    from losslandscape.landscape.landscape import Landscape

    landscape = Landscape.open(arguments.landscape)
    folder = arguments.output or arguments.landscape.with_suffix("")
    if folder.is_dir() and any(folder.iterdir()) and not arguments.overwrite:
        raise OutputExistsError(
            f"{folder}: is not empty; choose another folder, or replace its files (--overwrite)"
        )
    paths = formats.export(landscape, folder, arguments.formats, alone=True)
    print(f"{arguments.landscape}: exported to {len(paths)} files in {folder}")
    for path in paths:
        print(path)
    return 0
