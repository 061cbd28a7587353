"""Reports that commands write about a landscape, as JSON: where they are, and what is in them."""

import json
from pathlib import Path

from ..errors import LandscapeFileError


def find_report(path, verb, folder=None):
    """The report that a command wrote about a landscape.

    Args:
        path: of the landscape file, or of a `surface.vti`.
        verb: the command, such as `curvature`: its report is `curvature.json`.
        folder: where it is; None looks in the folder that the command writes to by default, of this
            landscape or of the one that its convexity map was added to, and then beside the file.

    Returns:
        Path; None where there is none.

    Raises:
        LandscapeFileError: the folder was given and has none.
    """
    path, name = Path(path), f"{verb}.json"
    if folder is not None:
        if not (Path(folder) / name).is_file():
            raise LandscapeFileError(
                f"{folder}: there is no {name}; `losslandscape {verb} FILE.nc --output FOLDER` "
                "writes it"
            )
        return Path(folder) / name
    stems = [path.stem, path.stem.removesuffix("_convexity")]
    folders = [path.with_name(f"{stem}_{verb}") for stem in stems]
    found = (folder / name for folder in (*folders, path.parent))
    return next((one for one in found if one.is_file()), None)


def read_report(path):
    """What is in a report.

    Returns:
        dict

    Raises:
        LandscapeFileError: it cannot be read, or is no JSON object.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LandscapeFileError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise LandscapeFileError(f"{path}: is no JSON object")
    return found
