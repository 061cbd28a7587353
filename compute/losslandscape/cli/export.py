"""``losslandscape export``: write a landscape in formats of other programs."""

from __future__ import annotations

import argparse

from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH, TEXT
from losslandscape.counted import counted
from losslandscape.files.outputs import OutputFolder, claimed

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
    from losslandscape.landscape.landscape import Landscape

    folder = arguments.output or arguments.landscape.with_suffix("")
    output = OutputFolder(
        folder,
        formats.export_files(),
        arguments.overwrite,
        "--output" if arguments.output else "",
        empty=True,
    )
    with claimed(output, inputs=inputs_of(arguments)):
        landscape = Landscape.open(arguments.landscape)
        paths = formats.export(landscape, folder, arguments.formats, alone=True)
    print(f"{arguments.landscape}: exported to {counted(len(paths), 'file')} in {folder}")
    for path in paths:
        print(path)
    return 0
