"""A line, plane or volume in parameter space: an origin and one to three directions."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.argument_checks import Whole
from losslandscape.argument_kinds import ANYTHING, FLAG, TEXT, Either, Instance, Items, Word
from losslandscape.argument_kinds import coordinates as coordinates_of
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.directions import (
    CENTERS,
    NORMALIZATIONS,
    Normalization,
    joint_principal_directions,
    random_direction,
)
from losslandscape.planes.grid import AXIS_NAMES, Grid
from losslandscape.planes.independence import check_directions
from losslandscape.planes.model_buffers import (
    buffers_of,
    check_buffers,
    differing,
    of_norm_layers,
)
from losslandscape.planes.parameters import (
    ParameterLayout,
    blocks,
    check_tensors,
    inner_products,
    sha256,
    trainable_parameters,
)
from losslandscape.planes.parts import as_patterns, matching_names, part_title
from losslandscape.public_calls import MODEL, TENSOR, TENSORS, public
from losslandscape.training.finite_values import DIVERGED, in_tensors
from losslandscape.training.tensor_names import renamed, renaming
from losslandscape.training.trajectory import labeled_runs

if TYPE_CHECKING:
    from losslandscape.training.trajectory import Trajectory


ENDS = ("largest", "smallest", "extreme", "magnitude")
GRADIENT = "gradient"
DEVICE = Instance("torch:device", "torch.device('cpu')")
DTYPE = Instance("torch:dtype", "torch.float64")
_COORDINATE_ERROR = 1e-3  # by rounding, above which coordinates are refused
_PARALLEL = 100.0  # how many times the rounding counts more than on orthogonal directions


@dataclass(frozen=True)
class LabelledPoint:
    """A labeled model that lies in or near the subspace."""

    label: str
    coordinates: tuple[float, ...]


@dataclass(frozen=True)
class Projection:
    """Points of parameter space projected onto a subspace.

    Attributes
    ----------
    coordinates : ndarray, shape (points, dimensions)
    distance : ndarray, shape (points,)
        Euclidean distance from each point to its projection.
    """

    coordinates: np.ndarray
    distance: np.ndarray


class Subspace:
    """Origin and directions; coordinates (a, b) stand for theta0 + a * d1 + b * d2.

    Directions need not be orthogonal or of unit norm. The Gram matrix is stored and converts
    lengths and areas to parameter space.

    Parameters
    ----------
    origin : mapping of name to tensor
        Parameters at coordinates 0, for instance ``dict(model.named_parameters())``.
    directions : sequence of mappings of name to tensor
        One to three directions with the origin's names and shapes.
    buffers : mapping of name to tensor, optional
        The origin's buffers (batch-norm statistics); by default the model's own.

    Raises
    ------
    LossLandscapeError
        If names, shapes or types differ, or there are no or more than three directions.

    Examples
    --------
    >>> origin = {"weight": torch.zeros(2)}
    >>> plane = Subspace(origin, [{"weight": torch.tensor([1.0, 0.0])},
    ...                           {"weight": torch.tensor([1.0, 1.0])}])
    >>> plane.parameters_at((2.0, 3.0))["weight"]
    tensor([5., 3.])
    >>> plane.project({"weight": torch.tensor([5.0, 3.0])})
    array([2., 3.])
    """

    @public(origin=TENSORS, directions=Items(TENSORS, "dicts of tensors"), buffers=TENSORS)
    def __init__(
        self,
        origin: Mapping[str, Tensor],
        directions: Sequence[Mapping[str, Tensor]],
        buffers: Mapping[str, Tensor] | None = None,
    ):
        shapes = {name: tuple(tensor.shape) for name, tensor in origin.items()}
        dtypes = {tensor.dtype for tensor in origin.values()}
        if len(dtypes) != 1:
            names = ", ".join(sorted(map(str, dtypes)))
            raise LossLandscapeError(
                f"the origin must have tensors of one type; it has {names or 'no tensors'}"
            )
        layout = ParameterLayout(shapes, dtypes.pop())
        if bad := in_tensors(origin):
            raise LossLandscapeError(f"not finite: {bad}; {DIVERGED}")
        self._set(
            layout,
            layout.flatten(origin, "origin"),
            [self._flattened(layout, d, i) for i, d in enumerate(directions)],
            buffers,
            {"kind": "given"},
        )
        check_directions(self.directions)

    @staticmethod
    def _flattened(layout: ParameterLayout, direction: Mapping[str, Tensor], index: int) -> Tensor:
        unknown = set(direction) - {segment.name for segment in layout.segments}
        if unknown:
            raise LossLandscapeError(
                f"direction {index}: '{min(unknown)}' is not a parameter of the origin"
            )
        return layout.flatten(direction, f"direction {index}")

    def _set(self, layout, origin, directions, buffers, recipe, points=(), default_grid=None):
        if not 1 <= len(directions) <= 3:
            raise LossLandscapeError(
                f"a subspace has 1, 2 or 3 directions, and {len(directions)} were given"
            )
        self.layout: ParameterLayout = layout
        self.origin: Tensor = origin
        self.directions: list[Tensor] = list(directions)
        self.buffers: dict[str, Tensor] = {
            name: tensor.detach().cpu().clone() for name, tensor in (buffers or {}).items()
        }
        self.recipe: dict[str, Any] = recipe
        self.points: tuple[LabelledPoint, ...] = tuple(points)
        self._default_grid: Grid | None = default_grid
        self.trajectory_folder: Path | None = None  # of principal components, for provenance
        self.direction_names: tuple[str, ...] = AXIS_NAMES[: len(directions)]
        # of each labeled model, and the names of those that differ between models or checkpoints
        self.model_buffers: tuple[dict[str, Tensor], ...] = ()
        self.differing_buffers: frozenset[str] = frozenset()
        self.model_buffers_sha256: str | None = None  # of those that do not follow from weights
        # parameters that were frozen in training: the model must have these values
        self.fixed: dict[str, Tensor] = {}

    @classmethod
    def _make(cls, *arguments, **options) -> Subspace:
        subspace = cls.__new__(cls)
        subspace._set(*arguments, **options)
        return subspace

    @classmethod
    @public(normalization=Word(NORMALIZATIONS))
    def random(
        cls,
        model: nn.Module,
        dimensions: int = 2,
        normalization: Normalization = "filter",
        seed: int = 0,
        zero_vectors: bool = True,
        parameters: str | Sequence[str] | None = None,
    ) -> Subspace:
        """Random Gaussian directions through the model (Li et al. 2018, section 4).

        Parameters
        ----------
        dimensions : 1, 2 or 3
        normalization : "filter", "layer" or "none"
        seed : int
        zero_vectors : bool
            Keep biases, normalization weights and other parameters of one dimension or none fixed.
        parameters : str or sequence of str, optional
            Move only a part of the network: patterns of parameter names such as ``"layer3.*"``, or
            names of modules. The others stay at their values. A part's direction equals that of
            the same seed for the whole network, in these parameters.

        Raises
        ------
        LossLandscapeError
            If an argument has an unknown value, the model has no trainable parameters, nothing
            would move, or a pattern matches nothing.

        Examples
        --------
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> plane = Subspace.random(model, parameters="2.*")
        >>> plane.recipe["parameters"], plane.recipe["parameters_moved"]
        (['2.*'], '2 of 11')
        >>> plane.direction_names
        ('alpha: 2.*', 'beta: 2.*')
        """
        layout = ParameterLayout.of(model)
        moving = _chosen(parameters, layout, model)
        directions = [
            random_direction(model, layout, seed, index, normalization, zero_vectors, moving)
            for index in range(_checked_dimensions(dimensions))
        ]
        recipe = {
            "kind": "random",
            "normalization": normalization,
            "seed": seed,
            "zero_vectors": zero_vectors,
        }
        if bad := in_tensors(dict(model.named_parameters())):
            raise LossLandscapeError(f"not finite: {bad}; {DIVERGED}")
        origin = layout.flatten(dict(model.named_parameters()))
        check_directions(directions)
        subspace = cls._make(layout, origin, directions, dict(model.named_buffers()), recipe)
        subspace._name_part(parameters)
        return subspace

    @classmethod
    @public(trajectory=ANYTHING, center=Word(CENTERS))
    def pca(
        cls,
        trajectory: Trajectory | Sequence[Trajectory] | Mapping[str, Trajectory],
        dimensions: int = 2,
        center: Literal["origin", "mean"] = "origin",
        parameters: str | Sequence[str] | None = None,
    ) -> Subspace:
        """Principal components of one or several training trajectories of one model.

        The origin is the last checkpoint: of the first trajectory, if there are several. See
        :func:`losslandscape.planes.directions.joint_principal_directions`. The share of the
        trajectories that the plane shows is ``subspace.recipe["explained_variance"]``, one number
        per direction. Of several, ``subspace.recipe["runs"]`` has for each its label, its number of
        checkpoints, the share of this run alone and its largest distance from the plane. The
        default grid contains the projected trajectories and a margin of 20%.

        Parameters
        ----------
        trajectory : Trajectory, sequence or mapping of these
            Several as a list, or as a dictionary from label to trajectory. They may have different
            lengths; each counts the same.
        parameters : str or sequence of str, optional
            As for :meth:`random`: the components are those of a part of the network. The other
            parameters stay at the last checkpoint, and the shares are those of the part's movement.

        Raises
        ------
        LossLandscapeError
            If this is no trajectory, one has no checkpoint, they are of different models or share a
            label, span too few directions, or have parameters of several types or without finite
            values; or a pattern matches nothing.
        """
        runs = labeled_runs(trajectory)
        for one in runs.values():
            if not len(one):
                raise LossLandscapeError(
                    f"{one.path}: no checkpoint was recorded; record at least one"
                )
        runs = _of_one_model(runs)
        first = next(iter(runs.values()))
        final = first.parameters(-1)
        fixed = _fixed(list(runs.values()), final)
        moving = {n: t for n, t in final.items() if t.is_floating_point() and n not in fixed}
        dtypes = {tensor.dtype for tensor in moving.values()}
        if len(dtypes) == 1:  # the widest of the runs, so that none is rounded
            for other in list(runs.values())[1:]:
                last = other.parameters(-1, moving)
                dtypes = {
                    functools.reduce(
                        torch.promote_types, [one.dtype for one in last.values()], *dtypes
                    )
                }
        if len(dtypes) != 1:
            raise LossLandscapeError(
                f"{first.path}: its parameters have types "
                f"{', '.join(sorted(map(str, dtypes)))}; a plane needs one type"
            )
        layout = ParameterLayout({n: tuple(t.shape) for n, t in moving.items()}, dtypes.pop())
        found = joint_principal_directions(
            list(runs.values()),
            layout,
            _checked_dimensions(dimensions),
            center,
            moving=_chosen(parameters, layout),
        )
        recipe: dict[str, Any] = {
            "kind": "pca",
            "center": center,
            "trajectory": first.path.name,
            "checkpoints": sum(map(len, runs.values())),
            "explained_variance": [float(share) for share in found.explained],
        }
        origin = layout.flatten(final)
        subspace = cls._make(layout, origin, found.directions, first.buffers(-1), recipe)
        subspace.fixed = fixed
        subspace._name_part(parameters)
        projections = {label: subspace.project_trajectory(one) for label, one in runs.items()}
        coordinates = np.concatenate([one.coordinates for one in projections.values()])
        subspace._default_grid = Grid.around(coordinates, margin=0.2)
        if subspace.buffers:
            subspace.differing_buffers = differing(
                [one.buffers(i) for one in runs.values() for i in range(len(one))]
            )
        if len(runs) == 1:
            if first.step_source == "recorded":
                subspace.trajectory_folder = first.path.absolute()
            return subspace
        del recipe["trajectory"]
        recipe["origin"] = f"the last checkpoint of {next(iter(runs))}"
        recipe["runs"] = [
            {
                "label": label,
                "checkpoints": len(one),
                "explained_variance": [None if np.isnan(x) else float(x) for x in shares],
                "largest_distance": float(projections[label].distance.max()),
            }
            for (label, one), shares in zip(runs.items(), found.run_explained)
        ]
        return subspace

    @classmethod
    @public(directions=Items(TEXT, "kinds of directions", one=True))
    def inputs(
        cls,
        objective: Any,
        directions: Sequence[str] = ("gradient_sign", "random_sign"),
        seed: int = 0,
    ) -> Subspace:
        """Directions in the space of the inputs, through the samples as they are.

        The loss at ``x + a * d1 + b * d2``, for one sample or the mean over a batch, in which every
        sample has its own directions. Coordinates are in the unit of the inputs.

        Parameters
        ----------
        objective : Objective
            One over the inputs: ``objective.over_inputs()``.
        directions : one to three of
            - ``"gradient_sign"``: the sign of the loss's gradient, the direction of the fast
              gradient sign method. A coordinate is the change of each input value (L-infinity).
            - ``"gradient"``: the gradient, scaled to Euclidean length 1 for each sample.
            - ``"random_sign"``: random signs, with the unit of ``"gradient_sign"``.
            - ``"random"``: Gaussian, orthogonal to the directions before it, of Euclidean length 1
              for each sample.
        seed : int
            Of the random directions.

        Raises
        ------
        LossLandscapeError
            If the objective is not one over the inputs, a direction is unknown, or the gradient is
            zero for all samples or not finite.

        Warns
        -----
        UserWarning
            If the gradient is exactly zero for some samples; the recipe states how many.

        Notes
        -----
        I. J. Goodfellow, J. Shlens, C. Szegedy, "Explaining and harnessing adversarial examples",
        ICLR 2015, section 4.

        Examples
        --------
        >>> from losslandscape import Objective
        >>> model = nn.Linear(3, 1, bias=False)
        >>> _ = model.weight.data.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
        >>> objective = Objective(model, "mse", (torch.ones(1, 3), torch.zeros(1, 1)))
        >>> plane = Subspace.inputs(objective.over_inputs())
        >>> plane.parameters_at((0.5, 0.0))["inputs"]
        tensor([[1.5000, 0.5000, 1.5000]])
        """
        # imported by name: `problem` is above this folder
        inputs = import_module("losslandscape.problem.input_directions")
        kinds = list(directions)
        _checked_dimensions(len(kinds))
        origin, vectors, recipe, widths = inputs.plane_of_inputs(objective, kinds, seed)
        layout = ParameterLayout({"inputs": tuple(origin.shape)}, origin.dtype)
        subspace = cls._make(
            layout,
            layout.flatten({"inputs": origin}),
            [layout.flatten({"inputs": vector}) for vector in vectors],
            dict(objective.model.named_buffers()),
            recipe,
            default_grid=Grid((51,) * len(kinds), tuple((-w, w) for w in widths)),
        )
        subspace.direction_names = tuple(inputs.TITLES[kind] for kind in kinds)
        return subspace

    @classmethod
    @public(which=Either(Items(ANYTHING, "eigenvectors", least=1), Word(ENDS)))
    def eigenvectors(
        cls,
        curvature: Any,
        which: str | Sequence[int | str | Mapping[str, Tensor]] = "largest",
        dimensions: int | None = None,
    ) -> Subspace:
        """Eigenvectors of the Hessian as directions, of length 1 and never rescaled.

        A coordinate is then a Euclidean distance in the space of the parameters, and the Hessian of
        the surface at the origin is diagonal: it has the eigenvalues. Filter normalization would
        make other directions of them.

        Parameters
        ----------
        curvature : Curvature
            Of :func:`losslandscape.curvature`; the origin is the model that it was measured at.
        which : str or sequence
            - ``"largest"``: those of the largest eigenvalues;
            - ``"smallest"``: those of the smallest, most negative ones;
            - ``"extreme"``: of the largest and the smallest in turn;
            - ``"magnitude"``: of the largest absolute values;
            - or one to three of: the number of an eigenvalue in ``curvature.eigenvalues``;
              ``"gradient"``, the gradient scaled to length 1; or a direction of your own as a dict
              of tensors, as it is. A mixed plane is, for example, ``("gradient", 0)``.
        dimensions : 1, 2 or 3, optional
            How many of a word; 2 by default.

        Raises
        ------
        LossLandscapeError
            If there are fewer eigenvectors, or a direction is zero or parallel to another.

        Examples
        --------
        >>> from losslandscape import Objective, curvature
        >>> model = nn.Linear(3, 1, bias=False).double()
        >>> data = torch.diag(torch.tensor([3.0, 2.0, 1.0])).double(), torch.zeros(3, 1).double()
        >>> found = curvature(Objective(model, "mse", data), top=2)
        >>> plane = Subspace.eigenvectors(found, "extreme")
        >>> [[round(share) for share in d.tolist()] for d in plane.directions]
        [[1, 0, 0], [0, 0, 1]]
        >>> [round(value, 9) for value in plane.recipe["eigenvalues"]]
        [6.0, 0.666666667]
        """
        count = len(curvature.eigenvalues)
        if isinstance(which, str):
            wanted = 2 if dimensions is None else dimensions
            each = count if count == curvature.parameters else count // 2
            chosen: list[Any] = _numbers_of(which, curvature.eigenvalues, each)[:wanted]
            if len(chosen) < wanted:
                raise LossLandscapeError(
                    f"which='{which}' needs {wanted} eigenvectors, and {each} were computed at "
                    f"each end of the spectrum; pass top={wanted} to curvature() (--top)"
                )
        else:
            chosen = list(which)
            if dimensions is not None and dimensions != len(chosen):
                raise LossLandscapeError(
                    f"dimensions={dimensions}, and which names {len(chosen)} directions; leave "
                    "dimensions out"
                )
        _checked_dimensions(len(chosen))
        layout = curvature.layout
        directions, names, values = [], [], []
        for index, one in enumerate(chosen):
            direction, name, value = _curved_direction(curvature, one, index)
            directions.append(cls._flattened(layout, direction, index))
            names.append(name)
            values.append(value)
        check_directions(directions)
        subspace = cls._make(
            layout,
            layout.flatten(curvature.origin),
            directions,
            curvature.buffers,
            {
                "kind": "eigenvectors",
                "which": which if isinstance(which, str) else names,
                "matrix": curvature.kind,
                "eigenvalues": values,
                "seed": curvature.about["seed"],
                "tolerance": curvature.about["tolerance"],
                "precision": curvature.about["precision"],
            },
        )
        subspace.direction_names = tuple(f"{axis}: {name}" for axis, name in zip(AXIS_NAMES, names))
        return subspace

    @classmethod
    @public(model_a=MODEL, model_b=MODEL, model_c=MODEL)
    def between(
        cls,
        model_a: nn.Module,
        model_b: nn.Module,
        model_c: nn.Module | None = None,
        labels: Sequence[str] | None = None,
    ) -> Subspace:
        """The line through two models or the plane through three (Garipov et al. 2018, section 3).

        d1 = b - a; d2 is the part of c - a orthogonal to d1, scaled to the length of d1. The models
        are labeled points of the subspace: a at (0, 0), b at (1, 0).

        Raises
        ------
        LossLandscapeError
            If two models are equal, the three lie on one line, they differ in a frozen parameter
            or in the shape of a buffer, or the number of labels is wrong.

        Examples
        --------
        >>> line = Subspace.between(nn.Linear(2, 1), nn.Linear(2, 1), labels=["SGD", "Adam"])
        >>> [(point.label, point.coordinates) for point in line.points]
        [('SGD', (0.0,)), ('Adam', (1.0,))]
        """
        models = [model_a, model_b] + ([model_c] if model_c is not None else [])
        labels = list(labels or [f"model {letter}" for letter in "abc"[: len(models)]])
        if len(labels) != len(models):
            raise LossLandscapeError(f"{len(labels)} labels were given for {len(models)} models")
        if len(set(labels)) < len(labels):
            raise LossLandscapeError(
                f"two models have the same label ({', '.join(labels)}); give each its own: "
                'labels=["SGD", "Adam"] (--labels)'
            )
        layout = ParameterLayout.of(model_a)
        _check_fixed_parts(layout, models, labels)
        flat = [
            layout.flatten(dict(m.named_parameters()), label) for m, label in zip(models, labels)
        ]
        origin = flat[0]
        first = flat[1] - origin
        length = float(np.sqrt(inner_products([first], [first])[0, 0]))
        if length == 0:
            raise LossLandscapeError(
                f"{labels[0]} and {labels[1]} have the same parameters: they span no direction"
            )
        directions = [first]
        coordinates: list[tuple[float, ...]] = [(0.0,), (1.0,)]
        if model_c is not None:
            second = flat[2] - origin
            along = float(inner_products([second], [first])[0, 0]) / length**2
            whole = float(np.sqrt(inner_products([second], [second])[0, 0]))
            rest = (second.double() - along * first.double()).to(layout.dtype)
            height = float(np.sqrt(inner_products([rest], [rest])[0, 0]))
            if height <= 1e-6 * max(whole, length):
                raise LossLandscapeError(
                    f"{labels[2]} lies on the line through {labels[0]} and {labels[1]} "
                    "(or equals one of them): they span no plane"
                )
            directions.append((rest.double() * (length / height)).to(layout.dtype))
            coordinates = [(0.0, 0.0), (1.0, 0.0), (along, height / length)]
        points = [LabelledPoint(label, c) for label, c in zip(labels, coordinates)]
        subspace = cls._make(
            layout,
            origin,
            directions,
            dict(model_a.named_buffers()),
            {"kind": "between", "models": labels},
            points=points,
            default_grid=Grid.around(np.array(coordinates), margin=0.4),
        )
        subspace.model_buffers = tuple(buffers_of(model) for model in models)
        check_buffers(models, subspace.model_buffers, labels)
        subspace.differing_buffers = differing(subspace.model_buffers)
        carried = sorted(subspace.differing_buffers - of_norm_layers(model_a))
        if carried:  # statistics of norm layers are those of the point
            subspace.model_buffers_sha256 = sha256(
                [buffers[name] for buffers in subspace.model_buffers for name in carried]
            )
        return subspace

    def _name_part(self, patterns: str | Sequence[str] | None) -> None:
        """State in the recipe and on the axes that only a part of the network moves."""
        if patterns is None:
            return
        patterns = as_patterns(patterns)
        moved = sum(
            segment.stop - segment.start
            for segment in self.layout.segments
            if any(segment.view(direction).any() for direction in self.directions)
        )
        self.recipe["parameters"] = patterns
        self.recipe["parameters_moved"] = f"{moved} of {self.layout.size}"
        self.direction_names = tuple(
            f"{name}: {part_title(patterns)}" for name in self.direction_names
        )

    @property
    def dimensions(self) -> int:
        return len(self.directions)

    @cached_property
    def gram_matrix(self) -> np.ndarray:
        """Inner products of the directions, float64, shape (dimensions, dimensions)."""
        return inner_products(self.directions, self.directions)

    @cached_property
    def identity(self) -> str:
        """Hash of the origin, the directions and the origin's buffers."""
        return sha256(
            [
                *(self.origin, *self.directions),
                *(self.buffers[n] for n in sorted(self.buffers)),
                *(self.fixed[n] for n in sorted(self.fixed)),
            ]
        )

    @cached_property
    def part_hashes(self) -> dict[str, Any]:
        """Hashes of the origin, its buffers and each direction, which show what differs."""
        carried = self.model_buffers_sha256
        return {
            "parameters_sha256": sha256([self.origin]),
            "buffers_sha256": sha256([self.buffers[n] for n in sorted(self.buffers)]),
            "directions_sha256": [sha256([direction]) for direction in self.directions],
            **({"model_buffers_sha256": carried} if carried else {}),
        }

    @public()
    def default_grid(self, points: int = 51, half_width: float = 1.0) -> Grid:
        """A grid around the trajectory or the models of the plane; otherwise +-half_width."""
        if self._default_grid is not None:
            return self._default_grid.resized(points)
        return Grid((points,) * self.dimensions, ((-half_width, half_width),) * self.dimensions)

    @public()
    def parameters_at(self, coordinates: Sequence[float]) -> dict[str, Tensor]:
        """The parameters theta0 + a * d1 + b * d2, name -> tensor, in new memory."""
        return self.layout.views(self.move(self.layout.empty(), coordinates))

    @public(flat=TENSOR)
    def move(self, flat: Tensor, coordinates: Sequence[float]) -> Tensor:
        """Write theta0 + a * d1 + b * d2 into a flat buffer, always from the origin.

        ``flat``, the origin and the directions must have one device and one type. The result does
        not depend on the points visited before.
        """
        if flat.shape != self.origin.shape or flat.dtype != self.origin.dtype or flat.requires_grad:
            raise LossLandscapeError(
                f"flat is a {flat.dtype} tensor of shape {tuple(flat.shape)}; pass one of "
                f"{self.origin.dtype} and shape {tuple(self.origin.shape)} that needs no gradient, "
                "such as plane.layout.empty()"
            )
        return combine(self.checked(coordinates), self.origin, self.directions, flat)

    @public()
    def checked(self, coordinates: Sequence[float] | np.ndarray) -> list[float]:
        """Coordinates as floats.

        Raises
        ------
        LossLandscapeError
            If there is not one finite number per direction.
        """
        return coordinates_of("coordinates", coordinates, self.dimensions)

    @public(device=DEVICE, dtype=DTYPE, channels_last=FLAG, row_major=ANYTHING)
    def placed(
        self,
        device: torch.device,
        dtype: torch.dtype,
        channels_last: bool = True,
        row_major: Collection[str] = (),
    ) -> Subspace:
        """The same subspace with its vectors on this device, in this type and memory order.

        The kernels named in ``row_major`` are row-major in any case. Returns the subspace itself
        if nothing changes.
        """
        layout = self.layout.changed(dtype, channels_last, row_major)
        if layout == self.layout and self.origin.dtype == dtype and self.origin.device == device:
            return self

        def moved(vector: Tensor) -> Tensor:
            if layout == self.layout:
                return vector.to(device, dtype)
            new = vector.to(device, dtype, copy=True)
            for segment, old in zip(layout.segments, self.layout.segments):
                if segment != old and _reordered(segment.shape):
                    segment.view(new).copy_(old.view(vector))
            return new

        return self._make(
            layout,
            moved(self.origin),
            [moved(direction) for direction in self.directions],
            self.buffers,
            self.recipe,
            self.points,
            self._default_grid,
        )

    @public()
    def model_shares(self, coordinates: Sequence[float] | np.ndarray) -> np.ndarray:
        """The shares of the labeled models in a point, which sum to 1, float64, shape (models,).

        They are affine in the coordinates, and at a model its own share is 1.

        Examples
        --------
        >>> line = Subspace.between(nn.Linear(2, 1), nn.Linear(2, 1))
        >>> line.model_shares((0.25,))
        array([0.75, 0.25])
        """
        if len(self.points) != self.dimensions + 1:
            raise LossLandscapeError(
                "a plane that is not between models has no shares of models in a point; "
                "Subspace.between(model_a, model_b) makes one that is"
            )
        places = np.array([[1.0, *point.coordinates] for point in self.points]).T
        return np.linalg.solve(places, np.array([1.0, *self.checked(coordinates)]))

    @public(parameters=TENSORS)
    def project(self, parameters: Mapping[str, Tensor]) -> np.ndarray:
        """Coordinates of the orthogonal projection of parameters, float64, shape (dimensions,).

        Solves the normal equations G c = D^T (theta - theta0), with the Gram matrix G of the
        directions. Coordinates of points of the subspace come back within 0.001, as far as their
        rounded parameters allow; on nearly parallel directions, where they would not, they are
        refused.

        Raises
        ------
        LossLandscapeError
            If names or shapes differ from those of the subspace, or the directions are not linearly
            independent, or too nearly parallel for the parameters' type.
        """
        return self._project(parameters)[0]

    @public()
    def project_trajectory(self, trajectory: Trajectory) -> Projection:
        """Coordinates and distances of all checkpoints of a training trajectory."""
        names = {segment.name: None for segment in self.layout.segments}
        trajectory = trajectory.named_as(names)
        rows = [self._project(trajectory.parameters(i, names)) for i in range(len(trajectory))]
        return Projection(np.array([c for c, _ in rows]), np.array([d for _, d in rows]))

    def _project(self, parameters: Mapping[str, Tensor]) -> tuple[np.ndarray, float]:
        flat = self.layout.flatten(parameters, "parameters to project")
        products, squared = np.zeros(self.dimensions), 0.0
        for part in blocks(self.layout.size):
            difference = flat[part].double() - self.origin[part].double()
            squared += float(difference @ difference)
            for i, direction in enumerate(self.directions):
                products[i] += float(difference @ direction[part].double())
        self._check_independence()
        gram = self.gram_matrix
        coordinates = np.linalg.solve(gram, products)
        # ||r||^2 = ||x||^2 - c.G.c, which near the plane is mostly rounding error
        residual = squared - coordinates @ gram @ coordinates
        if residual < 1e-6 * squared:
            residual = self._residual(flat, coordinates)
        return coordinates, float(np.sqrt(max(residual, 0.0)))

    def _check_independence(self) -> None:
        """Raise a LossLandscapeError if coordinates are not unique, or lost in the rounding."""
        gram = self.gram_matrix
        norms = np.sqrt(np.diag(gram))
        if (norms == 0).any() or np.linalg.cond(gram / np.outer(norms, norms)) > 1e10:
            raise LossLandscapeError(
                "the directions are not independent (their Gram matrix is singular), so "
                "coordinates in their subspace are not unique; choose other directions"
            )
        # a coordinate changes by this where each parameter has the rounding of the origin's
        spread = np.sqrt(np.diag(np.linalg.inv(gram)))
        rounding = spread * self._rounding
        parallel = spread * norms > _PARALLEL
        if (parallel & (rounding > _COORDINATE_ERROR)).any():
            raise LossLandscapeError(
                "the directions are nearly parallel: the rounding of the parameters "
                f"({str(self.layout.dtype).removeprefix('torch.')}) moves coordinates by about "
                f"{rounding.max():.2g}; choose other directions, or parameters of float64"
            )

    @cached_property
    def _rounding(self) -> float:
        """Root mean square of the origin's parameters, times their type's precision."""
        squares = float(inner_products([self.origin], [self.origin])[0, 0])
        return float(torch.finfo(self.layout.dtype).eps * np.sqrt(squares / self.layout.size))

    def _residual(self, flat: Tensor, coordinates: np.ndarray) -> float:
        """Squared distance from a flat vector to a point of the subspace, without cancellation."""
        squared = 0.0
        for part in blocks(self.layout.size):
            rest = flat[part].double() - self.origin[part].double()
            for coordinate, direction in zip(coordinates, self.directions):
                rest -= coordinate * direction[part].double()
            squared += float(rest @ rest)
        return squared

    @public()
    def fitted_to(self, model: nn.Module) -> Subspace:
        """The same subspace with the model's names, whatever wrappers add to one of them.

        The subspace itself is returned if no name differs, or the model is another one.

        Examples
        --------
        >>> model = nn.Linear(3, 2)
        >>> plane = Subspace.random(nn.DataParallel(model))
        >>> [segment.name for segment in plane.fitted_to(model).layout.segments]
        ['weight', 'bias']
        """
        own = [segment.name for segment in self.layout.segments]
        names = renaming(own, dict(model.named_parameters()))
        if names is None or all(name == other for name, other in names.items()):
            return self
        subspace = copy.copy(self)
        subspace.layout = self.layout.with_names(names)
        given = {*self.buffers, *self.differing_buffers}
        known = dict(model.named_buffers(remove_duplicate=False))
        buffers = renaming(given.union(*self.model_buffers), known) or {}
        subspace.buffers = renamed(self.buffers, buffers)
        subspace.model_buffers = tuple(renamed(one, buffers) for one in self.model_buffers)
        subspace.differing_buffers = frozenset(
            buffers.get(name, name) for name in self.differing_buffers
        )
        fixed = renaming(self.fixed, dict(model.named_parameters()))
        subspace.fixed = renamed(self.fixed, fixed or {})
        return subspace

    @public()
    def check_model(self, model: nn.Module) -> None:
        """Raise a LossLandscapeError if the subspace does not fit the model's parameters."""
        what = f"model {type(model).__name__}"
        parameters = dict(model.named_parameters())
        if self.recipe["kind"] == "inputs" and "inputs" not in parameters:
            raise LossLandscapeError(
                f"{what}: this plane moves the inputs, not the parameters; pass the objective that "
                "it was made with, objective.over_inputs()"
            )
        self.layout.check(parameters, what)
        check_tensors(model)
        for segment in self.layout.segments:
            part = slice(segment.start, segment.stop)
            frozen = not parameters[segment.name].requires_grad
            if frozen and any(direction[part].any() for direction in self.directions):
                raise LossLandscapeError(
                    f"{what}: '{segment.name}' is frozen (requires_grad=False), and the subspace "
                    "moves it. Freeze parameters before you make the subspace; or, to move this "
                    "one, call model.requires_grad_(True)"
                )
        for name, value in self.fixed.items():
            if name in parameters and not torch.equal(value, parameters[name].detach().cpu()):
                raise LossLandscapeError(
                    f"{what}: '{name}' was frozen in the training of the trajectory and has other "
                    "values there; load the weights that the training started from"
                )
        known = {segment.name for segment in self.layout.segments} | set(self.fixed)
        for name in trainable_parameters(model):
            if name not in known:
                raise LossLandscapeError(
                    f"{what}: the trainable parameter '{name}' is not in the subspace; freeze it "
                    "(requires_grad=False), or make a new subspace"
                )


def _reordered(kernel: Sequence[int]) -> bool:
    """Whether channels-last and row-major kernels of this shape differ in memory."""
    _, inputs, *pixels = kernel
    return inputs > 1 and math.prod(pixels) > 1


def combine(
    coordinates: Sequence[float], origin: Tensor, directions: Sequence[Tensor], out: Tensor
) -> Tensor:
    """Write origin + a * d1 + b * d2 into ``out``; all must have one shape, type and device."""
    torch.add(origin, directions[0], alpha=coordinates[0], out=out)
    for coordinate, direction in zip(coordinates[1:], directions[1:]):
        out.add_(direction, alpha=coordinate)
    return out


def _check_fixed_parts(
    layout: ParameterLayout, models: Sequence[nn.Module], labels: Sequence[str]
) -> None:
    """Raise a LossLandscapeError if the models differ in parameters that the plane cannot move."""
    moving = {segment.name for segment in layout.segments}
    first = {n: p for n, p in models[0].named_parameters() if n not in moving}
    for model, label in zip(models[1:], labels[1:]):
        others = dict(model.named_parameters())
        for name, parameter in first.items():
            if name in others and not torch.equal(parameter, others[name]):
                raise LossLandscapeError(
                    f"{labels[0]} and {label} differ in '{name}', which is frozen "
                    "(requires_grad=False) and would not move between them; unfreeze it in both"
                )


def _of_one_model(runs: Mapping[str, Trajectory]) -> dict[str, Trajectory]:
    """The runs with the names of the first.

    Raises
    ------
    LossLandscapeError
        If two are of different models; the message names the first tensor that differs.
    """
    label, first = next(iter(runs.items()))
    found = {label: first}
    buffers = first.buffers(-1)
    for other_label, other in list(runs.items())[1:]:
        other = other.named_as(first.parameter_names, buffers)
        one, two = first.shapes, other.shapes
        for name in [*one, *two]:
            if one.get(name) != two.get(name):
                raise LossLandscapeError(
                    f"'{label}' and '{other_label}' are runs of different models: '{name}' "
                    f"{_has_shape(one.get(name))} in {first.path} and {_has_shape(two.get(name))} "
                    f"in {other.path}; one plane shows runs of one model"
                )
        found[other_label] = other
    return found


def _has_shape(shape: tuple[int, ...] | None) -> str:
    return "is missing" if shape is None else f"has shape {shape}"


def _fixed(runs: Sequence[Trajectory], final: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters that were frozen in all runs, and are the same in all."""
    names = frozenset.intersection(*(one.frozen for one in runs))
    for other in runs[1:] if names else ():
        last = other.parameters(-1)
        names = frozenset(name for name in names if torch.equal(final[name], last[name]))
    return {name: tensor.clone() for name, tensor in final.items() if name in names}


def _chosen(
    patterns: str | Sequence[str] | None, layout: ParameterLayout, model: nn.Module | None = None
) -> set[str] | None:
    """Names of the parameters that the patterns choose; None means all."""
    if patterns is None:
        return None
    names = [segment.name for segment in layout.segments]
    if model is None:
        return set(matching_names(patterns, names, what="the trajectory"))
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    return set(matching_names(patterns, names, frozen, type(model).__name__))


def _numbers_of(which: str, eigenvalues: np.ndarray, each: int) -> list[int]:
    """Numbers of descending eigenvalues in the order in which a word takes them.

    Parameters
    ----------
    each : int
        How many were computed at each end of the spectrum. Those between are not known, so a word
        takes no eigenvalue that one of them may come before.

    >>> both = np.array([5.0, 1.0, -3.0, -7.0])
    >>> [_numbers_of(word, both, 2) for word in ("largest", "smallest", "extreme", "magnitude")]
    [[0, 1], [3, 2], [0, 3, 1, 2], [3, 0, 2]]
    """
    count = len(eigenvalues)
    if which == "largest":
        return list(range(each))
    if which == "smallest":
        return list(range(count))[: -each - 1 : -1]
    if which == "magnitude":
        sizes = abs(eigenvalues)
        between = 0.0 if each == count else max(sizes[each - 1], sizes[-each])
        return [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] >= between]
    ends = [end for i in range(count) for end in (i, count - 1 - i)]
    return list(dict.fromkeys(ends))


def _curved_direction(
    curvature: Any, one: Any, index: int
) -> tuple[Mapping[str, Tensor], str, float | None]:
    """A direction, its name, and its eigenvalue if it has one."""
    if isinstance(one, Mapping):
        return TENSORS.check(f"which[{index}]", one), "given", None
    if isinstance(one, str) and one == GRADIENT:
        return curvature.gradient_direction(), GRADIENT, None
    count = len(curvature.eigenvalues)
    number = Whole(0, count - 1).check(f"which[{index}]", one)
    value = float(curvature.eigenvalues[number])
    return curvature.direction(number), f"eigenvalue {value:.3g}", value


def _checked_dimensions(dimensions: int) -> int:
    if dimensions not in (1, 2, 3):
        raise LossLandscapeError(f"dimensions must be 1, 2 or 3, not {dimensions!r}")
    return dimensions
