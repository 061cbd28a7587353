"""The methods of a landscape that other parts of the package implement.

:class:`~losslandscape.landscape.landscape.Landscape` itself is plain data. Each method here names a
function elsewhere in the package and calls it. The function is imported by name at the call, so
this module imports none of the folders above it, and using the data loads neither PyTorch nor VTK.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

import numpy as np

from losslandscape.argument_checks import CEILING, FINITE
from losslandscape.argument_kinds import ANYTHING, FLAG, TEXT, Word
from losslandscape.landscape.confidence_interval import ConfidenceInterval
from losslandscape.landscape.overlays import ProjectedTrajectory
from losslandscape.planes.grid import AXIS_NAMES
from losslandscape.public_calls import FORMATS, public

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from typing_extensions import Self

    from losslandscape.landscape.gaps import Gaps
    from losslandscape.planes.subspace import Subspace
    from losslandscape.problem.objective import Objective
    from losslandscape.training.trajectory import Trajectory

Against = Literal["population", "dataset"]
AGAINST = ("population", "dataset")
# "minimum", or a grid point by number (x fastest) or by coordinates
Reference = Union[str, int, Sequence[float]]


def _above(name: str) -> Callable[..., Any]:
    """Import the function ``module:function`` of this package."""
    module, _, function = name.partition(":")
    return getattr(import_module(f"losslandscape.{module}"), function)


class LandscapeFace:
    """The methods of a landscape that other parts of the package implement."""

    @classmethod
    @public()
    def open(cls, path: str | os.PathLike) -> Self:
        """Read a landscape file (netCDF).

        Raises
        ------
        FileFormatError
            If the file is missing, damaged or not a landscape.
        """
        return _above("formats.netcdf:read")(path)

    @classmethod
    @public(format=TEXT, options=ANYTHING)
    def imported(cls, path: str | os.PathLike, format: str | None = None, **options: Any) -> Self:
        """Read a file of another tool: Li et al.'s HDF5, Landscaper's ``.npz``, ``.npy``, CSV, ...

        Parameters
        ----------
        format : str, optional
            By default detected from the content; see ``docs/import.md``.
        **options
            ``bounds``, ``array`` and more; see :func:`losslandscape.formats.imports.read`.

        Raises
        ------
        FileFormatError
            If the file is missing, damaged or of unknown layout, or holds no regular grid.
        LossLandscapeError
            If an option is missing or does not apply to the format.

        Examples
        --------
        >>> from losslandscape import Landscape
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "loss.npy"
        >>> np.save(file, np.array([[3.0, 1.0, np.nan], [4.0, 2.0, 5.0]]))
        >>> landscape = Landscape.imported(file, bounds=[(-1, 1), (0, 1)])
        >>> landscape.values("loss")[1], landscape.status.tolist()
        (array([4., 2., 5.]), [[1, 1, 3], [1, 1, 1]])
        """
        return _above("formats.imports:read")(path, format, **options)

    @public(against=Word(AGAINST))
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
            Name of the loss, such as ``"test_loss"``.
        against : "population" or "dataset"
            For the mean over the population from which the samples come, s / sqrt(n). For the mean
            over the data set of N samples from which the n were drawn without replacement,
            s / sqrt(n) * sqrt(1 - n/N); this is 0 if n = N. Where a point stopped drawing samples
            when its error sufficed, it is at least 0.75 of the error that was allotted, because s
            is then more often too small than too large (``docs/measurement.md``).
        dataset_samples : int, optional
            N; by default as recorded in the landscape.

        Raises
        ------
        LossLandscapeError
            If the landscape holds neither errors nor per-sample losses, or N is needed and unknown.

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

    @public(reference=ANYTHING, against=Word(AGAINST))
    def difference_standard_error(
        self,
        reference: Reference = "minimum",
        name: str = "loss",
        *,
        against: Against = "population",
        dataset_samples: int | None = None,
    ) -> np.ndarray:
        """Standard error of each loss minus that of a reference point, over the same samples.

        This is s_d / sqrt(n), with the standard deviation s_d of the per-sample differences. It is
        NaN without finite per-sample losses, as at interpolated points, and 0 at the reference. It
        does not include that the lowest point was selected; see
        :meth:`difference_confidence_interval`.

        Parameters
        ----------
        reference : "minimum", int or sequence of float
            The lowest point that has per-sample losses; or a grid point by its number, x fastest
            (``ttkVertexScalarField``), or by its coordinates, alpha first.
        name, against, dataset_samples
            As for :meth:`standard_error`.

        Returns
        -------
        float64 ndarray, shape ``grid.shape``

        Raises
        ------
        LossLandscapeError
            If the landscape holds no per-sample losses, the reference is not a grid point or has
            none, or N is needed and unknown.

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

    @public(axis=Word(AXIS_NAMES), against=Word(AGAINST))
    def neighbour_difference_standard_error(
        self,
        axis: str,
        name: str = "loss",
        *,
        against: Against = "population",
        dataset_samples: int | None = None,
    ) -> np.ndarray:
        """Standard error of the loss difference between each point and the next along an axis.

        Computed as in :meth:`difference_standard_error`.

        Parameters
        ----------
        axis : "alpha", "beta" or "gamma"
        name, against, dataset_samples
            As for :meth:`standard_error`.

        Returns
        -------
        float64 ndarray
            With the shape of ``numpy.diff(landscape.values(name))`` along that axis: (ny, nx - 1)
            for alpha, (ny - 1, nx) for beta.

        Raises
        ------
        LossLandscapeError
            If the axis does not exist, the landscape holds no per-sample losses, or N is needed and
            unknown.
        """
        return _above("landscape.sampling_errors:neighbour_difference_standard_error")(
            self, axis, name, against, dataset_samples
        )

    @public(against=Word(AGAINST), undrawn_loss=FINITE)
    def confidence_interval(
        self,
        name: str = "loss",
        *,
        level: float = 0.954,
        against: Against = "population",
        dataset_samples: int | None = None,
        undrawn_loss: float | None = None,
    ) -> ConfidenceInterval:
        """Confidence interval of each mean loss, and whether it can be trusted.

        Losses of trained networks are skewed: most are near 0 and a few are large. The interval is
        Student's, corrected for skewness. Its ends are moved to what samples that were not drawn
        could add. If they are of a kind that n draws miss with a chance of (1 - level) / 2, they
        are a share p of at most 1 - ((1 - level) / 2)^(1/n) of all. The mean is then at most
        (1 - p) mean + p ``undrawn_loss``, and at least the same with the median over the evaluated
        points of the smallest per-sample loss.

        Parameters
        ----------
        name : str
            Name of the loss, such as ``"test_loss"``.
        level : float
            The nominal coverage; 0.954 is that of two standard errors.
        against, dataset_samples
            As for :meth:`standard_error`.
        undrawn_loss : float, optional
            The mean loss that samples of a kind that was not drawn are assumed to have at most,
            such as the log of the number of classes. By default the median over the evaluated
            points of the largest per-sample loss: away from the minimum many samples are wrong.

        Returns
        -------
        low, high, trusted : ndarray, shape ``grid.shape``
            ``trusted`` is False where what was not drawn could move the mean out of the
            skewness-corrected interval, so that an end rests on the assumed losses; where a single
            sample carries half of the variance or all losses are equal; and where there is no
            interval (NaN).

        Raises
        ------
        LossLandscapeError
            If the landscape holds no per-sample losses, N is needed and unknown, or the level is
            not between 0 and 1.

        Notes
        -----
        P. Hall, "On the removal of skewness by transformation", JRSS B 54, 1992. J. A. Hanley and
        A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249, 1983.

        Examples
        --------
        >>> from losslandscape import Grid, Landscape
        >>> losses = np.zeros((3, 400))
        >>> losses[:, :40] = [[2.0], [1.0], [3.0]]
        >>> losses[1, 1:] = 0.01
        >>> line = Landscape(Grid.line(3), {"loss": losses.mean(1)}, np.ones(3, np.int8), np.eye(1),
        ...                  samples={"loss_samples": losses})
        >>> low, high, trusted = line.confidence_interval()
        >>> low.round(3), high.round(3), trusted
        (array([0.145, 0.009, 0.218]), array([0.267, 0.031, 0.401]), array([ True, False,  True]))
        """
        return _above("landscape.confidence:confidence_interval")(
            self, name, level, against, dataset_samples, undrawn_loss
        )

    @public(reference=ANYTHING, against=Word(AGAINST), undrawn_loss=FINITE)
    def difference_confidence_interval(
        self,
        reference: Reference = "minimum",
        name: str = "loss",
        *,
        level: float = 0.954,
        against: Against = "population",
        dataset_samples: int | None = None,
        undrawn_loss: float | None = None,
    ) -> ConfidenceInterval:
        """Confidence interval of each loss minus that of a reference point, over the same samples.

        Student's interval of the mean of the per-sample differences, together with the one
        corrected for skewness: the lower of their lower ends to the higher of their higher ends.
        Large differences have both signs, and the estimated skewness may then have the wrong one.
        It is (0, 0) at the reference.

        With ``reference="minimum"`` it takes into account that the lowest point was selected. On a
        flat bottom, that point is the one whose samples make it too low, and all differences are
        too large. The lower ends are therefore those of a simultaneous interval over the m points
        that could be the minimum: (1 - level) / 2 is divided by m (Bonferroni). The upper ends need
        no correction. The m points are those not significantly above the lowest one, simultaneously
        over all points, at a tenth of (1 - level).

        Parameters
        ----------
        reference
            As for :meth:`difference_standard_error`.
        name, level, against, dataset_samples, undrawn_loss
            As for :meth:`confidence_interval`.

        Returns
        -------
        low, high, trusted : ndarray, shape ``grid.shape``
            ``trusted`` is False where one or two samples carry half of the variance of the
            differences; where the losses of neither point can be trusted, since the same samples
            may be missing in their difference; and where there is no interval (NaN).

        Raises
        ------
        LossLandscapeError
            If the landscape holds no per-sample losses, the reference is not a grid point or has
            none, N is needed and unknown, or the level is not between 0 and 1.

        Notes
        -----
        P. Hall, "On the removal of skewness by transformation", JRSS B 54, 1992. J. C. Hsu,
        "Multiple Comparisons", 1996, chapter 4, has comparisons with the best.

        Examples
        --------
        >>> from losslandscape import Grid, Landscape
        >>> losses = np.random.default_rng(0).gamma(2.0, size=(3, 400)) + [[1.0], [0.0], [0.02]]
        >>> line = Landscape(Grid.line(3), {"loss": losses.mean(1)}, np.ones(3, np.int8), np.eye(1),
        ...                  samples={"loss_samples": losses})
        >>> low, high, trusted = line.difference_confidence_interval()
        >>> low > 0, trusted
        (array([ True, False, False]), array([ True,  True,  True]))
        """
        return _above("landscape.confidence:difference_confidence_interval")(
            self, reference, name, level, against, dataset_samples, undrawn_loss
        )

    @property
    def gaps(self) -> Gaps:
        """The gaps between the evaluated points: how narrow a well can be and still be missed.

        Raises
        ------
        LossLandscapeError
            If no point is evaluated.

        Examples
        --------
        >>> from losslandscape import Grid, Landscape
        >>> status = np.array([1, 2, 2, 2, 1], np.int8)
        >>> line = Landscape(Grid.line(5), {"loss": np.arange(5.0)}, status, np.eye(1))
        >>> line.gaps.largest, line.gaps.probability(1.0), line.gaps.half_width(0.95)
        (2.0, 0.8, 2.0)
        """
        return _above("landscape.evaluated_gaps:gaps_of")(self)

    @public()
    def add_trajectory(
        self,
        trajectory: Trajectory,
        label: str | None = None,
        objective: Objective | None = None,
        subspace: Subspace | None = None,
        quiet: bool = False,
        overwrite: bool = False,
    ) -> ProjectedTrajectory:
        """Project a training trajectory onto the landscape's subspace and measure its loss there.

        A landscape returned by :func:`losslandscape.evaluate` holds its objective and subspace. For
        a landscape read from a file, pass both.

        If the landscape has a file, the trajectory is added to the current content of the file,
        which is locked meanwhile. Trajectories that other processes added are kept.

        Raises
        ------
        LossLandscapeError
            If the trajectory belongs to another model; the objective or subspace are missing or
            not those of this landscape; a trajectory with this label exists and ``overwrite`` is
            not set; another process is writing the file; or the file now holds another landscape.
        """
        return _above("run.projected_trajectory:add_trajectory")(
            self, trajectory, label, objective, subspace, quiet, overwrite
        )

    @public()
    def check_objective(self, objective: Objective) -> None:
        """Raise a LossLandscapeError if an objective is not the one that was measured.

        Its device and precision may differ.
        """
        _above("landscape.identity:check_objective")(self, objective)

    @public()
    def save(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Write a landscape file (netCDF), completely or not at all.

        Raises
        ------
        OutputExistsError
            If the file exists and ``overwrite`` is not set.
        """
        _above("formats.netcdf:save")(self, path, overwrite)

    @public(formats=FORMATS)
    def export(self, folder: str | os.PathLike, formats: Sequence[str] | None = None) -> list[Path]:
        """Write ``.vti``, ``.vtp``, ``.pvd``, ``.ply`` and ``.csv`` files; return their paths.

        Files of an earlier export in these formats are replaced, or removed if this landscape has
        no such file, for example no trajectory.

        Parameters
        ----------
        formats : sequence of "vti", "vtp", "pvd", "ply", "csv", optional
            By default all that apply; only 2-D landscapes have a surface mesh. "pvd" also writes
            the "vti" and "vtp" files that it names.
        """
        return _above("formats:export")(self, folder, formats)

    @public(
        kind=TEXT,
        field=TEXT,
        scale=TEXT,
        trajectory=FLAG,
        critical_points=FLAG,
        show_interpolated=FLAG,
        ceiling=CEILING,
        ax=ANYTHING,
    )
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

        Grid variables have the dimensions (beta, alpha), trajectories have the dimension ``step``,
        and the labels of trajectories and models are coordinates. ``docs/file_format.md`` lists the
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
