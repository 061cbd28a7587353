"""Components of sublevel sets of a grid field: where a piecewise linear field is below a level."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations, product

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Region:
    """A part of the plane, line or volume, made of simplices.

    Attributes
    ----------
    points : ndarray, shape (n, dimensions)
    values : ndarray, shape (n,)
        The field there; the level itself on the contour.
    simplices : int ndarray, shape (k, dimensions + 1)
        Segments, triangles or tetrahedra.
    vertices : ndarray of bool, shape of the grid
        Grid points that belong to the region.
    touches_edge : bool
        Whether it reaches the end of the domain: the window's edge or a point without a value.
    """

    points: np.ndarray
    values: np.ndarray
    simplices: np.ndarray
    vertices: np.ndarray
    touches_edge: bool

    @cached_property
    def sizes(self) -> np.ndarray:
        """Length, area or volume of each simplex."""
        corners = self.points[self.simplices]
        edges = corners[:, 1:] - corners[:, :1]
        return abs(np.linalg.det(edges)) / math.factorial(edges.shape[1])

    @property
    def size(self) -> float:
        """Length, area or volume."""
        return float(self.sizes.sum())

    def semi_axes(self, unit: np.ndarray) -> np.ndarray:
        """Semi-axes of the ellipsoid with the region's second moments, the shortest first.

        Parameters
        ----------
        unit : ndarray, shape (dimensions,)
            Lengths along the axes to measure in, such as a grid's spacing.
        """
        corners = self.points[self.simplices] / unit
        dimensions, sizes = corners.shape[2], self.sizes
        if sizes.sum() == 0:
            return np.zeros(dimensions)
        weights = sizes / sizes.sum()
        center = weights @ corners.mean(axis=1)
        corners = corners - center
        sums = corners.sum(axis=1)
        # exact second moments of a simplex
        squares = np.einsum("kvi,kvj->kij", corners, corners) + np.einsum("ki,kj->kij", sums, sums)
        moments = np.einsum("k,kij->ij", weights, squares)
        moments /= (dimensions + 1) * (dimensions + 2)
        # along a semi-axis a, a full ellipsoid has the second moment a^2 / (dimensions + 2)
        return np.sqrt(np.maximum((dimensions + 2) * np.linalg.eigvalsh(moments), 0.0))

    def thickness(self, unit: np.ndarray) -> float:
        """Its mean thickness: the radius of the ball with the same ratio of size to surface.

        That of a strip is its whole width: unlike the semi-axes it is small for a thin ring, too.

        Parameters
        ----------
        unit : ndarray, shape (dimensions,)
            Lengths along the axes to measure in, such as a grid's spacing.

        Examples
        --------
        >>> points = np.array([[0.0], [3.0]])
        >>> line = Region(points, np.zeros(2), np.array([[0, 1]]), np.ones(2, bool), False)
        >>> round(line.thickness(np.ones(1)), 9)
        1.5
        """
        dimensions = self.points.shape[1]
        facets = (self.points / unit)[self.outline]
        edges = facets[:, 1:] - facets[:, :1]
        # the content of a facet from the Gram matrix of its edges; 1 for a point
        gram = np.einsum("fij,fkj->fik", edges, edges)
        surface = np.sqrt(np.maximum(np.linalg.det(gram), 0.0)) / math.factorial(dimensions - 1)
        total = float(surface.sum())
        return dimensions * self.size / float(np.prod(unit)) / total if total else 0.0

    @cached_property
    def outline(self) -> np.ndarray:
        """Facets on the region's boundary, shape (m, dimensions): points, segments or triangles."""
        return _once(self.simplices)


class PiecewiseLinearField:
    """A field on a grid, linear on the simplices of the grid's Freudenthal triangulation.

    In two dimensions squares are split as TTK does, by the diagonal from (i + 1, j) to (i, j + 1).
    Simplices with a NaN corner are not in the domain.

    Parameters
    ----------
    points : ndarray, shape (n, dimensions)
        Of the grid, x fastest.
    values : ndarray, shape of the grid, slowest axis first

    Examples
    --------
    >>> field = PiecewiseLinearField(np.arange(5.0)[:, None], np.array([4.0, 1, 0, 1, 4]))
    >>> region = field.component(2.0, 2)
    >>> region.points.ravel(), round(region.size, 3)
    (array([0.66666667, 1.        , 2.        , 3.        , 3.33333333]), 2.667)
    """

    def __init__(self, points: np.ndarray, values: np.ndarray):
        self.points = points
        self.shape = values.shape
        self.values = values.ravel()
        simplices = _freudenthal(values.shape)
        self.simplices = simplices[np.isfinite(self.values[simplices]).all(axis=1)]

    @cached_property
    def _at_edge(self) -> np.ndarray:
        """Grid points at the end of the domain: fewer simplices meet there than inside."""
        meeting = np.bincount(self.simplices.ravel(), minlength=self.values.size)
        return (meeting > 0) & (meeting < math.factorial(len(self.shape) + 1))

    def with_values(self, values: np.ndarray) -> PiecewiseLinearField:
        """Another field on the same simplices; a value that is missing in it is above any level.

        One of -inf, such as log10 of a loss of 0, is below any.
        """
        other = copy(self)
        lowest = -np.finfo(float).max / 4  # finite, so that contours have a place
        other.values = np.where(np.isnan(values), np.inf, np.maximum(values, lowest)).ravel()
        return other

    def component(self, level: float, vertex: int) -> Region:
        """The connected part of {field <= level} that holds a grid point.

        Empty where the grid point is in no simplex or above the level.
        """
        inside = np.isfinite(self.values) & (self.values <= level)
        member = self._connected(inside, vertex)
        touched = self.simplices[member[self.simplices].any(axis=1)]
        pairs = _clipped(touched, inside)
        used, numbers = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
        low, high = used.T
        below, above = self.values[low], self.values[high]
        crossing = low != high
        share = np.zeros(len(used))
        share[crossing] = (level - below[crossing]) / (above[crossing] - below[crossing])
        points = self.points[low] + share[:, None] * (self.points[high] - self.points[low])
        return Region(
            points=points,
            values=np.where(crossing, level, below),
            simplices=numbers.reshape(pairs.shape[:2]),
            vertices=member.reshape(self.shape),
            touches_edge=bool((member & self._at_edge).any()),
        )

    def _connected(self, inside: np.ndarray, vertex: int) -> np.ndarray:
        near = self.simplices[inside[self.simplices].any(axis=1)]
        edges = np.concatenate([near[:, pair] for pair in combinations(range(near.shape[1]), 2)])
        edges = edges[inside[edges].all(axis=1)]
        graph = coo_matrix((np.ones(len(edges), bool), edges.T), shape=(inside.size,) * 2)
        _, label = connected_components(graph, directed=False)
        return inside & (label == label[vertex])


def _freudenthal(shape: tuple[int, ...]) -> np.ndarray:
    """Simplices of a grid as vertex numbers: a cell's monotone paths between opposite corners.

    H. Freudenthal, "Simplizialzerlegungen von beschraenkter Flachheit", Annals of Mathematics 43,
    1942.
    """
    number = np.arange(int(np.prod(shape))).reshape(shape)
    dimensions = len(shape)
    corners = {
        corner: number[tuple(slice(bit, n - 1 + bit) for bit, n in zip(corner, shape))].ravel()
        for corner in product((0, 1), repeat=dimensions)
    }
    simplices = []
    for order in permutations(range(dimensions)):
        # paths start at the far end of x, so that squares are split as TTK splits them
        here = [0] * (dimensions - 1) + [1]
        path = [corners[tuple(here)]]
        for axis in order:
            here[axis] = 1 - here[axis]
            path.append(corners[tuple(here)])
        simplices.append(np.stack(path, axis=1))
    return np.concatenate(simplices)


def _clipped(simplices: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The parts of simplices below the level, cut into simplices.

    Corners are pairs of grid points, shape (k, dimensions + 1, 2): a grid point twice, or the ends
    (below, above) of the edge that the contour crosses.
    """
    dimensions = simplices.shape[1] - 1
    # below first, then by number: neighbours cut a common face the same way
    order = np.lexsort((simplices, ~inside[simplices]), axis=1)
    simplices = np.take_along_axis(simplices, order, axis=1)
    count = inside[simplices].sum(axis=1)
    parts = [np.empty((0, dimensions + 1, 2), dtype=simplices.dtype)]
    for below in range(1, dimensions + 2):
        corners = simplices[count == below].T

        def corner(i: int, j: int | None = None, corners=corners) -> np.ndarray:
            return np.stack([corners[i], corners[i if j is None else j]], axis=1)

        above = range(below, dimensions + 1)
        if below == dimensions + 1:
            cut = [[corner(i) for i in range(below)]]
        elif below == 1:
            cut = [[corner(0), *(corner(0, j) for j in above)]]
        elif below == dimensions:
            top = [corner(i) for i in range(below)]
            cut = _prism(top, [corner(i, dimensions) for i in range(below)])
        else:  # two of four corners below
            cut = _prism(*([corner(i), *(corner(i, j) for j in above)] for i in (0, 1)))
        parts += [np.stack(simplex, axis=1) for simplex in cut]
    return np.concatenate(parts)


def _prism(one: list[np.ndarray], other: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Simplices of the prism between two simplices."""
    return [one[: i + 1] + other[i:] for i in range(len(one))]


def _once(simplices: np.ndarray) -> np.ndarray:
    """Facets that belong to one simplex only."""
    facets = np.concatenate([np.delete(simplices, i, axis=1) for i in range(simplices.shape[1])])
    facets, counts = np.unique(np.sort(facets, axis=1), axis=0, return_counts=True)
    return facets[counts == 1]
