"""Removal of extrema of low persistence, localized to the parts of the field they dominate.

This is TTK's ``removeNonPersistentExtrema``. For its differences from the textbook cancellation of
persistence pairs, and the consequences for ties, see ``docs/topology_method.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from losslandscape.topology.discrete_gradient import DiscreteGradient
from losslandscape.topology.persistence import elder_rule, highest_vertex
from losslandscape.topology.scalar_field import FieldError, ScalarField, scalar_field, shown
from losslandscape.topology.segment_order import segment_order
from losslandscape.topology.segmentation import minimum_labels
from losslandscape.topology.v_paths import path_ends


@dataclass(frozen=True)
class SimplifiedField:
    """A field without its extrema of low persistence.

    Attributes
    ----------
    values : ndarray, shape of the field, float64
        Flat where an extremum was removed: the value of the saddle that ended it.
    order : ndarray, shape of the field, int32
        Rank of each vertex, 0 for the lowest, -1 outside the domain. It orders the flat parts so
        that they contain no extremum, which the values alone cannot express.
    """

    values: np.ndarray
    order: np.ndarray


def simplify(values, threshold) -> SimplifiedField:
    """Remove the maxima, then the minima, whose persistence does not exceed a threshold.

    An extremum stays only if its persistence strictly exceeds the threshold. Otherwise, the part of
    the field that it dominates is flattened to the value of its paired saddle; nothing else
    changes.

    Parameters
    ----------
    values : array_like, shape (ny, nx) or (n,)
        NaN marks vertices outside the domain.
    threshold : float
        In the units of the values, at least 0. At 0, only pairs caused by ties are removed.

    Returns
    -------
    SimplifiedField

    Raises
    ------
    FieldError
        If the threshold is negative or NaN, or the field is unusable, as in
        :func:`losslandscape.topology.morse_smale_complex`.

    Notes
    -----
    J. Lukasczyk, C. Garth, R. Maciejewski, J. Tierny, "Localized Topological Simplification of
    Scalar Data", IEEE TVCG 27(2), 2021 (online 2020).

    Examples
    --------
    >>> simplified = simplify([0.0, 3.0, 2.5, 5.0], 1.0)
    >>> simplified.values
    array([0. , 2.5, 2.5, 5. ])
    >>> simplified.order
    array([0, 1, 2, 3], dtype=int32)
    """
    field = simplified_field(scalar_field(values), check_threshold(threshold))
    shape = np.shape(values)
    order = np.where(field.domain, field.order, np.int32(-1))
    return SimplifiedField(field.values.reshape(shape), order.reshape(shape))


def check_threshold(threshold) -> float:
    """Return a persistence threshold as a float, or raise :class:`FieldError`."""
    try:
        number = math.nan if np.iscomplexobj(threshold) else float(threshold)
    except Exception:  # whatever the conversion of an object raises
        number = math.nan
    if isinstance(threshold, (bool, str, bytes)) or not number >= 0:
        raise FieldError(
            "the persistence threshold must be a number of 0 or more, in the units of the "
            f"values; it is {shown(threshold)}"
        )
    return number


def simplified_field(field: ScalarField, threshold: float) -> ScalarField:
    """Simplify a field whose vertices are already ordered; see :func:`simplify`.

    On a line, maxima end at minima. One that ends at the global minimum, which no pair removes,
    would take it along; it goes with the minimum that ends at it, in the second pass.
    """
    without_maxima = _remove_maxima(field, threshold, spare_lowest=field.dimension == 1)
    return _remove_maxima(without_maxima.inverted(), threshold).inverted()


def _remove_maxima(field: ScalarField, threshold: float, spare_lowest: bool = False) -> ScalarField:
    segment, saddles = _segments(field, threshold, spare_lowest)
    if not saddles.size:
        return field
    local_order = segment_order(field, segment, saddles)

    # Each vertex is ordered right below the saddle to which it is flattened. As in TTK, segments of
    # one saddle are interleaved by their local orders.
    rank = field.order.ravel()
    vertices = np.flatnonzero(segment >= 0)
    saddle = saddles[segment[vertices]]
    ascending = np.lexsort((vertices, local_order[vertices], rank[saddle]))
    vertices, saddle = vertices[ascending], saddle[ascending]
    ranked = field.by_rank()
    kept = ranked[segment[ranked] < 0]
    place = np.empty(rank.size, dtype=np.intp)
    place[kept] = np.arange(kept.size)
    ranked = np.insert(kept, place[saddle], vertices)
    order = rank.copy()
    order[ranked] = np.arange(field.size, dtype=np.int32)
    values = field.values.ravel().copy()
    values[vertices] = values[saddle]
    shape = field.values.shape
    return ScalarField(values.reshape(shape), order.reshape(shape), field.size, field.dimension)


def _segments(
    field: ScalarField, threshold: float, spare_lowest: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Find the parts of the field that removed maxima dominate.

    A removed maximum dominates its component of the superlevel set above the saddle that ends it.
    A component within another counts as part of the outermost one. No two segments touch.

    Returns
    -------
    segment : ndarray, shape (n_vertices,), intp
        Number of each vertex's segment, or -1.
    saddles : ndarray, shape (n_segments,), intp
        The saddle vertex of each segment.
    """
    upside_down = field.inverted()
    gradient = DiscreteGradient(upside_down)
    depth = upside_down.order.ravel()
    maxima = gradient.minima
    basin = minimum_labels(upside_down, gradient)
    edges = gradient.critical_edges
    first, second = gradient.grid.edge_vertices(edges)
    saddle = highest_vertex(depth, (first, second))
    in_order = np.argsort(depth[saddle], kind="stable")
    saddle = saddle[in_order]
    ends = np.stack([basin[first], basin[second]], axis=1)[in_order]
    dying, into = elder_rule(ends, depth[maxima])

    dies = dying >= 0
    saddle_of = np.full(maxima.size, -1, dtype=np.intp)
    saddle_of[dying[dies]] = saddle[dies]
    died_at = np.full(maxima.size, field.size, dtype=np.int64)
    died_at[dying[dies]] = depth[saddle[dies]]
    values = field.values.ravel()
    with np.errstate(invalid="ignore"):
        persistence = np.abs(values[maxima] - values[saddle_of])
    persistence[values[maxima] == values[saddle_of]] = 0.0
    removed = (saddle_of >= 0) & (persistence <= threshold)
    if spare_lowest:
        removed &= died_at != field.size - 1

    # The maximum that takes over each component: the first on the chain of heirs that is still
    # alive below the saddle. An heir outlives those it skips, so the steps can double.
    heir = into.copy()
    searching = np.flatnonzero(removed)
    while searching.size:
        searching = searching[died_at[heir[searching]] <= died_at[searching]]
        heir[searching] = heir[heir[searching]]
    outermost = path_ends(np.where(removed & removed[heir], heir, np.arange(maxima.size)))

    owner = outermost.take(basin)
    inside = removed.take(basin) & (depth < died_at.take(owner)) & (basin >= 0)
    owners = np.flatnonzero(removed & (outermost == np.arange(maxima.size)))
    number = np.full(maxima.size, -1, dtype=np.intp)
    number[owners] = np.arange(owners.size)
    return np.where(inside, number.take(owner), -1), saddle_of[owners]
