"""Persistence pairs of a field: the critical cell of each birth and the cell of its death."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from losslandscape.topology.discrete_gradient import DiscreteGradient
from losslandscape.topology.scalar_field import ScalarField, scalar_field
from losslandscape.topology.segmentation import maximum_labels, minimum_labels
from losslandscape.topology.v_paths import path_ends

# Rounds of the parallel merge continue while each settles at least this share of the remaining
# edges, and while more edges remain than a scalar loop can process in the time of a round.
_WORTHWHILE_SHARE = 0.002
_FEW_EDGES = 256


def elder_rule(ends: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge components along edges by the elder rule: when two meet, the younger one dies.

    Kruskal's algorithm would process the edges one by one. Here, each component considers its first
    edge. No earlier edge touches the component, so if the other side is older, the component dies
    there, whatever happens elsewhere. All such components merge at once, and the next round takes
    the remaining edges. When rounds settle few edges, the rest is processed one by one.

    Parameters
    ----------
    ends : ndarray of int, shape (k, 2)
        The two components that each edge joins, in the order in which edges appear.
    age : ndarray of int, shape (m,)
        Age of each component, smaller for older ones; all different.

    Returns
    -------
    dying : ndarray of intp, shape (k,)
        The component that dies at each edge; -1 if an edge joins a component with itself.
    into : ndarray of intp, shape (m,)
        The component on the other side when each component died; the component itself if it never
        dies. The other component may have died before; follow the chain to the survivor.

    Notes
    -----
    H. Edelsbrunner, J. Harer, "Computational Topology", AMS 2010, section VII.1 (elder rule);
    O. Boruvka's rounds as in J. Nesetril, E. Milkova, H. Nesetrilova, Discrete Math. 233, 2001.

    Examples
    --------
    >>> elder_rule(np.array([[0, 1], [1, 2], [0, 2]]), np.array([0, 1, 2]))
    (array([ 1,  2, -1]), array([0, 0, 1]))
    """
    edge_count, component_count = len(ends), len(age)
    dying = np.full(edge_count, -1, dtype=np.intp)
    into = np.arange(component_count, dtype=np.intp)
    edges = np.arange(edge_count)
    one, other = (np.ascontiguousarray(ends[:, side]) for side in (0, 1))
    while True:
        joins = one != other
        edges, one, other = edges[joins], one[joins], other[joins]
        if not edges.size:
            return dying, into
        # The last assignment to a repeated index wins: in reverse order, that is the first edge.
        first = np.full(component_count, edges.size, dtype=np.intp)
        backwards = np.arange(edges.size - 1, -1, -1)
        first[one[::-1]] = backwards
        first_as_other = np.full(component_count, edges.size, dtype=np.intp)
        first_as_other[other[::-1]] = backwards
        np.minimum(first, first_as_other, out=first)

        components = np.flatnonzero(first < edges.size)
        edge = first[components]
        beyond = one[edge] + other[edge] - components
        dies = age[beyond] < age[components]
        components, edge, beyond = components[dies], edge[dies], beyond[dies]
        dying[edges[edge]] = components
        into[components] = beyond
        merged = np.arange(component_count)
        merged[components] = beyond
        survivor = path_ends(merged)
        one, other = survivor.take(one), survivor.take(other)
        if components.size < _WORTHWHILE_SHARE * edges.size or edges.size < _FEW_EDGES:
            _elder_rule_one_by_one(edges, one, other, age, dying, into)
            return dying, into


def _elder_rule_one_by_one(edges, one, other, age, dying, into) -> None:
    """Finish :func:`elder_rule` with a union-find, in place."""
    components, renamed = np.unique(np.stack([one, other]), return_inverse=True)
    first, second = renamed.reshape(2, -1).tolist()
    root = list(range(components.size))
    ages = age[components].tolist()

    def find(component):
        while root[component] != component:
            root[component] = component = root[root[component]]
        return component

    merges = []
    for edge, a, b in zip(edges.tolist(), first, second):
        a, b = find(a), find(b)
        if a != b:
            older, younger = (a, b) if ages[a] < ages[b] else (b, a)
            root[younger] = older
            merges.append((edge, younger, older))
    if merges:
        edge, younger, older = np.array(merges).T
        dying[edge] = components[younger]
        into[components[younger]] = components[older]


@dataclass(frozen=True)
class MorsePairs:
    """Persistence pairs of the critical cells of a discrete gradient, as indices of critical edges.

    Attributes
    ----------
    edge_of_minimum : ndarray, shape (n_minima,)
        The critical edge at which each minimum dies; -1 for the lowest one of each connected
        component.
    edge_of_maximum : ndarray, shape (n_maxima,)
        The critical edge where the cycle that each maximum fills is born (2-D).
    """

    edge_of_minimum: np.ndarray
    edge_of_maximum: np.ndarray


def morse_pairs(
    field: ScalarField,
    gradient: DiscreteGradient,
    minimum_labels: np.ndarray,
    maximum_labels: np.ndarray | None,
) -> MorsePairs:
    """Pair the critical cells of a discrete gradient.

    Minima die at the saddle that joins them with a lower minimum. Maxima, on the dual graph, die
    at the saddle that joins them with a higher maximum or with the outside of the domain, which
    counts as an infinitely high maximum (Guillou, Vidal, Tierny, "Discrete Morse Sandwich", IEEE
    TVCG 2023). Saddles and extrema suffice (Robins et al. 2011).

    Parameters
    ----------
    minimum_labels : ndarray, shape (n_vertices,)
        Index of the minimum to which each vertex descends.
    maximum_labels : ndarray, shape (n_triangles,), or None in one dimension
        Index of the maximum to which each triangle ascends; -1 if it ascends to the boundary.
    """
    grid = gradient.grid
    rank = field.order.ravel()
    saddles = gradient.critical_edges
    first, second = grid.edge_vertices(saddles)
    high = np.maximum(rank[first], rank[second]).astype(np.int64)
    low = np.minimum(rank[first], rank[second])
    ascending = np.argsort(high * np.int64(field.size) + low)

    ends = np.stack([minimum_labels[first], minimum_labels[second]], axis=1)[ascending]
    dying, _ = elder_rule(ends, rank[gradient.minima])
    edge_of_minimum = _inverse(dying, ascending, gradient.minima.size)
    if maximum_labels is None:
        return MorsePairs(edge_of_minimum, np.empty(0, dtype=np.intp))

    # Each edge is paired once: an edge that ends a minimum starts no cycle.
    descending = ascending[::-1][dying[::-1] < 0]
    maxima = gradient.critical_triangles
    outside = maxima.size
    ends = np.empty((descending.size, 2), dtype=np.intp)
    for side, triangles in enumerate(grid.edge_triangles(saddles[descending])):
        label = maximum_labels.take(triangles) if maximum_labels.size else triangles
        ends[:, side] = np.where((triangles < 0) | (label < 0), outside, label)
    peaks = np.max(rank[np.stack(grid.triangle_vertices(maxima))], axis=0, initial=0)
    dying, _ = elder_rule(ends, np.append(-peaks.astype(np.int64), -field.size))
    return MorsePairs(edge_of_minimum, _inverse(dying, descending, maxima.size))


def _inverse(dying: np.ndarray, edges: np.ndarray, component_count: int) -> np.ndarray:
    edge_of = np.full(component_count, -1, dtype=np.intp)
    dies = dying >= 0
    edge_of[dying[dies]] = edges[dies]
    return edge_of


def pair_arrays(
    field: ScalarField, gradient: DiscreteGradient, pairs: MorsePairs
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Express persistence pairs as TTK's persistence diagram.

    Returns
    -------
    diagram : dict of ndarray
        As returned by :func:`persistence_pairs`.
    pair_of : ndarray, shape (n,), int32
        The pair of each critical cell: minima first, then edges, then triangles.
    """
    grid, rank = gradient.grid, field.order.ravel()
    minima, edges, triangles = gradient.minima, gradient.critical_edges, gradient.critical_triangles
    vertex = np.concatenate(
        [
            minima,
            highest_vertex(rank, grid.edge_vertices(edges)),
            highest_vertex(rank, grid.triangle_vertices(triangles)),
        ]
    )
    # Cells are numbered like the critical points: minima, edges, triangles; -1 means no cell.
    first_edge, first_triangle = minima.size, minima.size + edges.size
    ending_edge = np.where(pairs.edge_of_minimum < 0, -1, pairs.edge_of_minimum + first_edge)
    beginning_edge = pairs.edge_of_maximum + first_edge
    paired = np.zeros(vertex.size, dtype=bool)
    paired[ending_edge[ending_edge >= 0]] = True
    paired[beginning_edge] = True
    around_hole = first_edge + np.flatnonzero(~paired[first_edge:first_triangle])
    birth = np.concatenate([np.arange(minima.size), beginning_edge, around_hole])
    death = np.concatenate(
        [
            ending_edge,
            np.arange(first_triangle, vertex.size),
            np.full(around_hole.size, -1, dtype=np.intp),
        ]
    )
    ascending = np.argsort(rank[vertex[birth]], kind="stable")
    birth, death = birth[ascending], death[ascending]
    pair_of = np.empty(vertex.size, dtype=np.int32)
    finite = death >= 0
    pair_of[birth] = np.arange(birth.size)
    pair_of[death[finite]] = np.flatnonzero(finite)

    # As in TTK, pairs that never die extend to the highest value.
    highest = int(np.argmax(np.where(rank < field.size, rank, -1)))
    birth_vertex = vertex[birth]
    death_vertex = np.where(finite, vertex[death], highest)
    value = field.values.ravel()
    with np.errstate(invalid="ignore"):
        lifetime = value[death_vertex] - value[birth_vertex]
    # Two infinite values of one sign are equal, although their difference is NaN.
    lifetime[value[death_vertex] == value[birth_vertex]] = 0.0
    diagram = {
        "birth_vertex": birth_vertex.astype(np.int32),
        "death_vertex": death_vertex.astype(np.int32),
        "PairType": (birth >= first_edge).astype(np.int32),
        "Persistence": lifetime,
        "Birth": value[birth_vertex],
        "IsFinite": finite.astype(np.uint8),
    }
    return diagram, pair_of


def highest_vertex(rank: np.ndarray, corners) -> np.ndarray:
    """Return the highest of the corners of each cell.

    Parameters
    ----------
    rank : ndarray, shape (n_vertices,)
    corners : sequence of ndarray, shape (k,) each
    """
    highest = corners[0]
    for corner in corners[1:]:
        highest = np.where(rank[corner] > rank[highest], corner, highest)
    return highest


def persistence_pairs(values) -> dict[str, np.ndarray]:
    """Compute the persistence diagram of a scalar field by sublevel sets.

    Parameters
    ----------
    values : array_like, shape (ny, nx) or (n,)
        NaN marks vertices outside the domain.

    Returns
    -------
    dict of ndarray, shape (p,)
        ``birth_vertex`` and ``death_vertex`` int32; ``PairType`` int32, 0 for a minimum and the
        saddle that ends it (in one dimension, the maximum), 1 for a saddle and the maximum that
        ends it; ``Persistence`` and ``Birth`` float64; ``IsFinite`` uint8. In order of birth.
        Pairs that never die (the lowest minimum of each component of the domain, and one saddle
        per hole) have ``IsFinite`` 0 and, as in TTK, the highest vertex as their death.

    Raises
    ------
    FieldError
        As in :func:`losslandscape.topology.morse_smale_complex`.

    Examples
    --------
    >>> pairs = persistence_pairs([0.0, 3.0, 1.0, 5.0])
    >>> pairs["birth_vertex"], pairs["death_vertex"], pairs["Persistence"]
    (array([0, 2], dtype=int32), array([3, 1], dtype=int32), array([5., 2.]))
    """
    field = scalar_field(values)
    gradient = DiscreteGradient(field)
    regions = maximum_labels(gradient) if field.dimension == 2 else None
    pairs = morse_pairs(field, gradient, minimum_labels(field, gradient), regions)
    return pair_arrays(field, gradient, pairs)[0]
