"""What a landscape can be asked to do by the parts of the package above it.

:class:`~losslandscape.landscape.landscape.Landscape` itself is plain data. These methods are its
face: each names a function elsewhere in the package and calls it. The functions are looked up by
name when they are called, so that nothing below is imported by this module, and the data cost
neither PyTorch nor VTK.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

import numpy as np

from losslandscape.landscape.overlays import ProjectedTrajectory

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from typing_extensions import Self

    from losslandscape.planes.subspace import Subspace
    from losslandscape.problem.objective import Objective
    from losslandscape.training.trajectory import Trajectory

Against = Literal["population", "dataset"]
# "minimum", the number of a grid point (x fastest), or the coordinates of one
Reference = Union[str, int, Sequence[float]]


def _above(name: str) -> Callable[..., Any]:
    """The function ``module:function`` of this package."""
    module, _, function = name.partition(":")
    return getattr(import_module(f"losslandscape.{module}"), function)


class LandscapeFace:
    """The methods of a landscape that other parts of the package carry out."""

    @classmethod
    def open(cls, path: str | os.PathLike) -> Self:
        """Read a landscape file (netCDF).

        Raises
        ------
        FileFormatError
            If the file is missing, damaged or no landscape.
        """
        return _above("formats.netcdf:read")(path)

    @classmethod
    def imported(cls, path: str | os.PathLike, format: str | None = None, **options: Any) -> Self:
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
        >>> from losslandscape import Landscape
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "loss.npy"
        >>> np.save(file, np.array([[3.0, 1.0, np.nan], [4.0, 2.0, 5.0]]))
        >>> landscape = Landscape.imported(file, bounds=[(-1, 1), (0, 1)])
        >>> landscape.values("loss")[1], landscape.status.tolist()
        (array([4., 2., 5.]), [[1, 1, 3], [1, 1, 1]])
        """
        return _above("formats.imports:read")(path, format, **options)

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
        >>> from losslandscape import Grid, Landscape
        >>> losses = np.array([[1.0, 3.0], [2.0, 2.0]])
        >>> line = Landscape(Grid.line(2), {"loss": losses.mean(1)}, np.ones(2, np.int8), np.eye(1),
        ...                  samples={"loss_samples": losses})
        >>> line.standard_error()
        array([1., 0.])
        >>> line.standard_error(against="dataset", dataset_samples=8).round(3)
        array([0.866, 0.   ])
        """
        return _above("landscape.sampling_errors:standard_error")(
            self, name, against, dataset_samples
        )

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
        >>> from losslandscape import Grid, Landscape
        >>> losses = np.array([[1.0, 3.0], [2.0, 4.0], [4.0, 2.0]])
        >>> line = Landscape(Grid.line(3), {"loss": losses.mean(1)}, np.ones(3, np.int8), np.eye(1),
        ...                  samples={"loss_samples": losses})
        >>> line.difference_standard_error((-1.0,))
        array([0., 0., 2.])
        """
        return _above("landscape.sampling_errors:difference_standard_error")(
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
        return _above("landscape.sampling_errors:neighbour_difference_standard_error")(
            self, axis, name, against, dataset_samples
        )

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
        return _above("run.projected_trajectory:add_trajectory")(
            self, trajectory, label, objective, subspace, quiet, overwrite
        )

    def check_objective(self, objective: Objective) -> None:
        """Raise a LossLandscapeError if an objective is not the one that was measured.

        Where it is computed, and in which precision, may differ.
        """
        _above("landscape.identity:check_objective")(self, objective)

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Write a landscape file (netCDF), whole or not at all.

        Raises
        ------
        OutputExistsError
            If the file is there and ``overwrite`` is not set.
        """
        _above("formats.netcdf:save")(self, path, overwrite)

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
        return _above("formats:export")(self, folder, formats)

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
        """Draw the landscape with matplotlib; see :func:`losslandscape.views.plotting.plot`.

        Examples
        --------
        >>> from losslandscape import Grid, Landscape
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> loss = np.array([2.0, 1.0, 4.0])
        >>> ax = Landscape(Grid.line(3), {"loss": loss}, np.ones(3, np.int8), np.eye(1)).plot()
        >>> ax.get_ylabel(), ax.get_xlim() == (-1, 1)
        ('loss', True)
        """
        return _above("views.plotting:plot")(
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
        >>> from losslandscape import Grid, Landscape
        >>> loss = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> plane = Landscape(Grid.square(2), {"loss": loss}, np.ones((2, 2), np.int8), np.eye(2))
        >>> float(plane.to_xarray().loss.sel(alpha=1, beta=-1))
        2.0
        """
        return _above("formats.xarray_dataset:to_xarray")(self)

    def _repr_html_(self) -> str:
        return _above("views.notebook:html")(self)

    def _repr_png_(self) -> bytes | None:
        return _above("views.notebook:png")(self)
