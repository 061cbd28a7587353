"""The result: values on a grid with their errors, overlays such as trajectories, and provenance."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.consistency import check_consistency
from losslandscape.landscape.face import LandscapeFace
from losslandscape.landscape.overlays import ModelPoint, ProjectedTrajectory
from losslandscape.landscape.scale import scale_of
from losslandscape.planes.grid import Grid
from losslandscape.public_calls import public

if TYPE_CHECKING:
    from losslandscape.planes.subspace import Subspace
    from losslandscape.problem.objective import Objective

NOT_EVALUATED, EVALUATED, INTERPOLATED, NOT_FINITE = 0, 1, 2, 3
FORMAT_VERSION = 1


@dataclass(repr=False)
class Landscape(LandscapeFace):
    """A measured loss landscape.

    Returned by :func:`losslandscape.evaluate`, :meth:`open` and :meth:`imported`.

    Attributes
    ----------
    grid : Grid
    fields : dict of name to float64 ndarray, shape ``grid.shape``
        ``loss``, ``loss_standard_error``, ``accuracy`` ...; see ``docs/file_format.md``.
    status : int8 ndarray, shape ``grid.shape``
        0 not evaluated, 1 evaluated, 2 interpolated, 3 evaluated and not finite.
    gram_matrix : ndarray, shape (dimensions, dimensions)
        Inner products of the directions.
    samples : dict of name to float32 ndarray, shape ``(*grid.shape, samples)``
        Per-sample losses of each set, ``loss_samples`` and so on, if they were kept.
    provenance : dict
        What was measured and how.
    models : list of ModelPoint
    trajectories : list of ProjectedTrajectory
    path : Path or None
        The file of the landscape.

    Examples
    --------
    >>> loss = np.array([2.0, 1.0, 4.0])
    >>> line = Landscape(Grid.line(3), {"loss": loss}, np.ones(3, np.int8), np.eye(1))
    >>> line
    <Landscape: 3 points, loss>
    >>> line.values("loss"), line.scale, line.finished
    (array([2., 1., 4.]), 'linear', True)
    """

    grid: Grid
    fields: dict[str, np.ndarray]
    status: np.ndarray
    gram_matrix: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    models: list[ModelPoint] = field(default_factory=list)
    trajectories: list[ProjectedTrajectory] = field(default_factory=list)
    path: Path | None = None
    _measured: tuple[Objective, Subspace] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        check_consistency(self)

    def check(self) -> None:
        """Raise a LossLandscapeError if an attribute does not fit the grid any more.

        Attributes can be replaced; functions of a landscape look at them again.
        """
        check_consistency(self)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.grid.counts))
        where = f" {str(self.path)!r}" if self.path is not None else ""
        return f"<Landscape{where}: {size} points, {', '.join(self.fields)}>"

    @public()
    def values(self, name: str = "loss") -> np.ndarray:
        """A grid variable, shape ``grid.shape``: in 2-D (ny, nx), axis 0 along beta.

        Raises
        ------
        LossLandscapeError
            If there is no variable of that name.
        """
        if name not in self.fields:
            raise LossLandscapeError(
                f"{self._where()}there is no variable '{name}' (found: {', '.join(self.fields)})"
            )
        return self.fields[name]

    @property
    def scale(self) -> str:
        """``"log"`` if all losses are positive and span over two decades, else ``"linear"``."""
        return scale_of(self.values("loss"))

    @property
    def finished(self) -> bool:
        """Whether every point of the grid has a value."""
        return bool((self.status != NOT_EVALUATED).all())

    def description(self) -> dict[str, Any]:
        """The provenance and a summary of the data: the JSON object in the files."""
        return {
            "format": "losslandscape",
            "format_version": FORMAT_VERSION,
            **self.provenance,
            "grid": self.grid.to_json(),
            "scale": self.scale,
            "models": [model.label for model in self.models],
            "trajectories": [trajectory.label for trajectory in self.trajectories],
        }

    def _where(self) -> str:
        """The file, as the beginning of a message."""
        return f"{self.path}: " if self.path is not None else ""
