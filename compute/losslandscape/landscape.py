"""The result: values on a grid with their errors, what lies on it, and where it all came from."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.grid import Grid

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from losslandscape.objective import Objective
    from losslandscape.sampling_errors import Against, Reference
    from losslandscape.subspace import Subspace
    from losslandscape.trajectory import Trajectory

NOT_EVALUATED, EVALUATED, INTERPOLATED, NOT_FINITE = 0, 1, 2, 3
FORMAT_VERSION = 1
_LOG_SCALE_DECADES = 2.0


@dataclass
class ProjectedTrajectory:
    """A training trajectory seen from a subspace; all arrays have one row a checkpoint.

    Attributes
    ----------
    coordinates : ndarray, shape (checkpoints, dimensions)
        Of the orthogonal projections.
    loss : ndarray, shape (checkpoints,)
        Evaluated exactly at the projections.
    checkpoint_loss : ndarray, shape (checkpoints,)
        Of the checkpoints themselves; where batch-norm statistics are re-estimated, with statistics
        re-estimated at the checkpoint, else with its own.
    distance_to_plane : ndarray, shape (checkpoints,)
        Euclidean, in parameter space.
    """

    label: str
    step: np.ndarray
    coordinates: np.ndarray
    loss: np.ndarray
    checkpoint_loss: np.ndarray
    distance_to_plane: np.ndarray


@dataclass
class ModelPoint:
    """A labelled model on the subspace and the loss there."""

    label: str
    coordinates: tuple[float, ...]
    loss: float


@dataclass(repr=False)
class Landscape:
    """A measured loss landscape.

    Made by :func:`losslandscape.evaluate`, :meth:`open` or :meth:`imported`.

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
        Per-sample losses of each set, ``loss_samples`` and so on, where they were kept.
    provenance : dict
        What was measured and how.
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

    @classmethod
    def open(cls, path: str | os.PathLike) -> Landscape:
        """Read a landscape file (netCDF).

        Raises
        ------
        FileFormatError
            If the file is missing, damaged or no landscape.
        """
        from losslandscape.formats import netcdf

        return netcdf.read(path)

    @classmethod
    def imported(
        cls, path: str | os.PathLike, format: str | None = None, **options: Any
    ) -> Landscape:
        """Read a file of another tool: Li et al.'s HDF5, Landscaper's ``.npz``, ``.npy``, CSV, ...

        Parameters
        ----------
        format : str, optional
            By default found from the content; see ``docs/import.md``.
        **options
            ``bounds``, ``array`` and more: :func:`losslandscape.formats.imports.read`.

        Raises
        ------
        FileFormatError
            If the file is missing, damaged, of no known layout, or holds no regular grid.
        LossLandscapeError
            If an option is missing or does not belong to the format.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "loss.npy"
        >>> np.save(file, np.array([[3.0, 1.0, np.nan], [4.0, 2.0, 5.0]]))
        >>> landscape = Landscape.imported(file, bounds=[(-1, 1), (0, 1)])
        >>> landscape.values("loss")[1], landscape.status.tolist()
        (array([4., 2., 5.]), [[1, 1, 3], [1, 1, 1]])
        """
        from losslandscape.formats import imports

        return imports.read(path, format, **options)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.grid.counts))
        where = f" {str(self.path)!r}" if self.path is not None else ""
        return f"<Landscape{where}: {size} points, {', '.join(self.fields)}>"

    def values(self, name: str = "loss") -> np.ndarray:
        """A grid variable, shape ``grid.shape``: (ny, nx), axis 0 along the second direction.

        Raises
        ------
        LossLandscapeError
            If there is none of that name.
        """
        if name not in self.fields:
            raise LossLandscapeError(
                f"{self._where()}there is no variable '{name}' (found: {', '.join(self.fields)})"
            )
        return self.fields[name]

    def standard_error(
        self,
        name: str = "loss",
        *,
        against: Against = "population",
        dataset_samples: int | None = None,
    ) -> np.ndarray:
        """Standard error of a mean loss over n samples, shape ``grid.shape``.

        Parameters
        ----------
        name : str
            The loss, such as ``"test_loss"``.
        against : "population" or "dataset"
            s / sqrt(n), how far the mean over the population may be that the samples come from; or
            s / sqrt(n) * sqrt(1 - n/N), how far the mean over the data set may be, the N samples
            that the n were drawn from without replacement: 0 where they are all of it.
        dataset_samples : int, optional
            N, in place of what the landscape says.

        Raises
        ------
        LossLandscapeError
            If neither errors nor losses by sample are kept, or N is needed and not known.

        Notes
        -----
        W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, sections 2.6 and 2.7.

        Examples
        --------
        >>> losses = np.array([[1.0, 3.0], [2.0, 2.0]])
        >>> line = Landscape(Grid.line(2), {"loss": losses.mean(1)}, np.ones(2, np.int8), np.eye(1),
        ...                  samples={"loss_samples": losses})
        >>> line.standard_error()
        array([1., 0.])
        >>> line.standard_error(against="dataset", dataset_samples=8).round(3)
        array([0.866, 0.   ])
        """
        from losslandscape import sampling_errors

        return sampling_errors.standard_error(self, name, against, dataset_samples)

    def difference_standard_error(
        self,
        reference: Reference = "minimum",
        name: str = "loss",
        *,
        against: Against = "population",
        dataset_samples: int | None = None,
    ) -> np.ndarray:
        """Standard error of loss - loss at one grid point, both over the same samples.

        That of the mean difference by sample, s_d / sqrt(n). NaN where there are no finite losses
        by sample, as at interpolated points; 0 at the reference.

        Parameters
        ----------
        reference : "minimum", int or sequence of float
            The lowest point that has losses by sample; or the number of a grid point, x fastest
            (``ttkVertexScalarField``); or its coordinates, alpha first.
        name, against, dataset_samples
            As for :meth:`standard_error`.

        Returns
        -------
        float64 ndarray, shape ``grid.shape``

        Raises
        ------
        LossLandscapeError
            If losses by sample are not kept, the reference is no grid point or has none, or N is
            needed and not known.

        Notes
        -----
        W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, theorem 2.3.

        Examples
        --------
        >>> losses = np.array([[1.0, 3.0], [2.0, 4.0], [4.0, 2.0]])
        >>> line = Landscape(Grid.line(3), {"loss": losses.mean(1)}, np.ones(3, np.int8), np.eye(1),
        ...                  samples={"loss_samples": losses})
        >>> line.difference_standard_error((-1.0,))
        array([0., 0., 2.])
        """
        from losslandscape import sampling_errors

        return sampling_errors.difference_standard_error(
            self, reference, name, against, dataset_samples
        )

    def neighbour_difference_standard_error(
        self,
        axis: str,
        name: str = "loss",
        *,
        against: Against = "population",
        dataset_samples: int | None = None,
    ) -> np.ndarray:
        """Standard error of the loss at the next point along an axis - that at the point.

        As in :meth:`difference_standard_error`.

        Parameters
        ----------
        axis : "alpha", "beta" or "gamma"

        Returns
        -------
        float64 ndarray
            Of the shape of ``numpy.diff(landscape.values(name))`` along that axis: for alpha (ny,
            nx - 1), for beta (ny - 1, nx).

        Raises
        ------
        LossLandscapeError
            If there is no such axis, losses by sample are not kept, or N is needed and not known.
        """
        from losslandscape import sampling_errors

        return sampling_errors.neighbour_difference_standard_error(
            self, axis, name, against, dataset_samples
        )

    @property
    def scale(self) -> str:
        """``"log"`` where the positive losses span more than two decades, else ``"linear"``."""
        return scale_of(self.values("loss"))

    @property
    def finished(self) -> bool:
        """Whether every point of the grid has a value."""
        return bool((self.status != NOT_EVALUATED).all())

    def description(self) -> dict[str, Any]:
        """The provenance and what follows from the data; the JSON object in the files."""
        return {
            "format": "losslandscape",
            "format_version": FORMAT_VERSION,
            **self.provenance,
            "grid": self.grid.to_json(),
            "scale": self.scale,
            "models": [model.label for model in self.models],
            "trajectories": [trajectory.label for trajectory in self.trajectories],
        }

    def add_trajectory(
        self,
        trajectory: Trajectory,
        label: str | None = None,
        objective: Objective | None = None,
        subspace: Subspace | None = None,
        quiet: bool = False,
        overwrite: bool = False,
    ) -> ProjectedTrajectory:
        """Project a trajectory on the landscape's subspace and measure the loss along it.

        The landscape that :func:`losslandscape.evaluate` returned knows its objective and subspace;
        one read from a file needs both.

        Where the landscape lies in a file, the trajectory is added to what the file holds then, and
        nobody else writes it for the while; trajectories that others added are taken over.

        Raises
        ------
        LossLandscapeError
            If the trajectory is of another model, the objective or subspace are not known or are
            not those of this landscape, there is a trajectory of that label and ``overwrite`` is
            not set, another process is writing the file, or it holds another landscape by now.
        """
        from losslandscape.determinism import check_origin_loss
        from losslandscape.identity import check_plane
        from losslandscape.journal import trajectory_journal_path
        from losslandscape.output_lock import OutputLock
        from losslandscape.projected_trajectory import (
            measure_trajectory,
            trajectory_label,
            warn_outside,
        )

        label = label or trajectory_label(trajectory)
        self._check_label(label, overwrite)
        if objective is None or subspace is None:
            if self._measured is None:
                raise LossLandscapeError(
                    f"{self._where()}a landscape read from a file does not hold its model; "
                    "give objective= and subspace= as they were"
                )
            objective, subspace = self._measured
        check_plane(self, subspace)
        self.check_objective(objective)
        with OutputLock(self.path, elsewhere=False) if self.path is not None else nullcontext():
            target = self._as_it_lies()
            target._check_label(label, overwrite)
            check_origin_loss(self, objective, subspace)
            measured = self.provenance.get("objective", {})
            projected = measure_trajectory(
                objective,
                subspace,
                trajectory,
                label,
                quiet,
                measured.get("batch_size"),
                trajectory_journal_path(self.path) if self.path is not None else None,
            )
            warn_outside(self.grid, projected)
            others = [t for t in target.trajectories if t.label != projected.label]
            target.trajectories = [*others, projected]
            if self.path is not None:
                target.save(self.path, overwrite=True)
            self.trajectories = list(target.trajectories)
        return projected

    def _check_label(self, label: str, overwrite: bool) -> None:
        if any(t.label == label for t in self.trajectories) and not overwrite:
            raise OutputExistsError(
                f"{self._where()}there is a trajectory '{label}' already; "
                "give another label (--label) or overwrite it (--overwrite)"
            )

    def _as_it_lies(self) -> Landscape:
        """This landscape as its file holds it now; itself where there is no file."""
        if self.path is None or not self.path.exists():
            return self
        there = Landscape.open(self.path)
        if there._identity() != self._identity():
            raise LossLandscapeError(
                f"{self.path}: holds another landscape by now than when it was read or written "
                "here; open it again"
            )
        return there

    def _identity(self) -> str:
        """What was measured and where."""
        parts = [self.provenance.get(name) for name in ("subspace", "objective")]
        return json.dumps([self.grid.to_json(), *parts], sort_keys=True)

    def check_objective(self, objective: Objective) -> None:
        """Raise a LossLandscapeError if an objective is not the one that was measured.

        Where it is computed, and in which precision, may differ.
        """
        from losslandscape.identity import check_objective

        check_objective(self, objective)

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Write a landscape file (netCDF), whole or not at all.

        Raises
        ------
        OutputExistsError
            If the file is there and ``overwrite`` is not set.
        """
        from losslandscape.formats import netcdf

        if Path(path).exists() and not overwrite:
            raise OutputExistsError(
                f"{path}: exists; choose another name or overwrite it (overwrite=True, --overwrite)"
            )
        netcdf.write(self, path)
        self.path = Path(path)

    def export(self, folder: str | os.PathLike, formats: Sequence[str] | None = None) -> list[Path]:
        """Write ``.vti``, ``.vtp``, ``.pvd``, ``.ply`` and ``.csv`` into a folder; returns paths.

        Files of these formats that an earlier export left there are replaced, or removed where this
        landscape has none such (no trajectory, say).

        Parameters
        ----------
        formats : sequence of "vti", "vtp", "pvd", "ply", "csv", optional
            All that apply by default (a surface mesh only of 2-D landscapes). "pvd" writes the
            "vti" and "vtp" that it names, too.
        """
        from losslandscape.formats import export

        return export(self, folder, formats)

    def plot(
        self,
        kind: str | None = None,
        field: str = "loss",
        scale: str = "auto",
        *,
        trajectory: bool = True,
        critical_points: bool = False,
        show_interpolated: bool = False,
        ceiling: float | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw the landscape with matplotlib; see :func:`losslandscape.plotting.plot`.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> loss = np.array([2.0, 1.0, 4.0])
        >>> ax = Landscape(Grid.line(3), {"loss": loss}, np.ones(3, np.int8), np.eye(1)).plot()
        >>> ax.get_ylabel(), ax.get_xlim() == (-1, 1)
        ('loss', True)
        """
        from losslandscape import plotting

        return plotting.plot(
            self,
            kind,
            field,
            scale,
            trajectory=trajectory,
            critical_points=critical_points,
            show_interpolated=show_interpolated,
            ceiling=ceiling,
            ax=ax,
        )

    def to_xarray(self) -> xarray.Dataset:
        """The landscape as an xarray.Dataset, with the variables and attributes of its file.

        Grid variables have the dimensions (beta, alpha), trajectories run along ``step``; the
        labels of trajectories and models are coordinates. ``docs/file_format.md`` lists the
        variables.

        Raises
        ------
        LossLandscapeError
            If xarray is not installed.

        Examples
        --------
        >>> loss = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> plane = Landscape(Grid.square(2), {"loss": loss}, np.ones((2, 2), np.int8), np.eye(2))
        >>> float(plane.to_xarray().loss.sel(alpha=1, beta=-1))
        2.0
        """
        from losslandscape.formats.xarray_dataset import to_xarray

        return to_xarray(self)

    def _repr_html_(self) -> str:
        from losslandscape import notebook

        return notebook.html(self)

    def _repr_png_(self) -> bytes | None:
        from losslandscape import notebook

        return notebook.png(self)

    def _where(self) -> str:
        return f"{self.path}: " if self.path is not None else ""


def scale_of(values: np.ndarray) -> str:
    """``"log"`` where the positive finite values span more than two decades, else ``"linear"``.

    Examples
    --------
    >>> [scale_of(np.array(values)) for values in ([0.01, 5.0], [1.0, 5.0], [-1.0, 9e9])]
    ['log', 'linear', 'linear']
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() <= 0:
        return "linear"
    return "log" if np.log10(finite.max() / finite.min()) > _LOG_SCALE_DECADES else "linear"
