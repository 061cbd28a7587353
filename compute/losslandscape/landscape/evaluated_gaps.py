"""The gaps between the evaluated points of a landscape."""

from __future__ import annotations

import numpy as np

from losslandscape.landscape.gaps import Gaps, gaps_between
from losslandscape.landscape.landscape import EVALUATED, NOT_FINITE, Landscape


def gaps_of(landscape: Landscape) -> Gaps:
    """The gaps between the evaluated points of a landscape; see :class:`Gaps`.

    Raises
    ------
    LossLandscapeError
        If no point is evaluated.
    """
    return gaps_between(np.isin(landscape.status, (EVALUATED, NOT_FINITE)))
