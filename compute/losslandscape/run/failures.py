"""Points that could not be measured: they stop no others, and the file says which they are."""

from __future__ import annotations

import warnings

import numpy as np

from losslandscape.landscape.landscape import Landscape
from losslandscape.public_calls import users_line
from losslandscape.run.point_records import PointFailure


class Failures(dict[int, PointFailure]):
    """Number of a point -> why it has no record.

    Parameters
    ----------
    points : ndarray, shape (points, dimensions)
        Coordinates by number.

    Examples
    --------
    >>> failures = Failures(np.array([[0.0, 0.0], [0.5, 1.0]]))
    >>> failures[1] = PointFailure("ArithmeticError: overflow", "this process")
    >>> failures.describe(1)
    'at (0.5, 1), on this process: ArithmeticError: overflow'
    """

    def __init__(self, points: np.ndarray):
        super().__init__()
        self._points = points

    def describe(self, number: int) -> str:
        """A failure in a sentence: where, on which worker, and why."""
        failure = self[number]
        place = ", ".join(f"{x:g}" for x in self._points[number])
        return f"at ({place}), on {failure.worker}: {failure.error}"

    def state(self, landscape: Landscape, tried_again: bool) -> None:
        """Put the failures into the landscape's provenance, and warn of them.

        ``tried_again`` says whether the same call will try these points again.
        """
        if not self:
            return
        landscape.provenance["failed_points"] = [
            {"coordinates": [float(x) for x in self._points[number]], "error": failure.error}
            for number, failure in sorted(self.items())
        ]
        again = "; the same call tries them again" if tried_again else ""
        warnings.warn(
            f"{len(self)} points could not be measured and are left out; the first "
            f"{self.describe(min(self))}{again}",
            stacklevel=users_line(),
        )
