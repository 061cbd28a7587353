"""A landscape where a function is given the path of its file."""

from __future__ import annotations

import os
from typing import Union

from losslandscape.landscape.landscape import Landscape

# what functions of a landscape take
LandscapeOrPath = Union[Landscape, str, "os.PathLike[str]"]


def opened(landscape: LandscapeOrPath) -> Landscape:
    """The landscape, or the one in the file of this path.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged or not a landscape.
    LossLandscapeError
        If the landscape's arrays were replaced by others that are not on its grid.

    Examples
    --------
    >>> opened("missing.nc")
    Traceback (most recent call last):
    losslandscape.errors.FileFormatError: missing.nc: no such file
    """
    if not isinstance(landscape, Landscape):
        return Landscape.open(landscape)
    landscape.check()
    return landscape
