"""Distances between persistence diagrams, computed with GUDHI's Hera."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from losslandscape.errors import LossLandscapeError

NEEDS_GUDHI = "distances between persistence diagrams need GUDHI: pip install gudhi"


def finite_points(pairs: Mapping[str, np.ndarray], pair_type: int) -> np.ndarray:
    """Birth and death of the finite pairs of one type off the diagonal, shape (n, 2).

    Parameters
    ----------
    pairs : mapping
        As returned by :func:`losslandscape.topology.persistence_pairs`.
    pair_type : int
        0 for minimum and saddle, 1 for saddle and maximum.

    Examples
    --------
    >>> from losslandscape.topology import persistence_pairs
    >>> finite_points(persistence_pairs([0.0, 3.0, 1.0, 5.0]), 0)
    array([[1., 3.]])
    """
    kept = (pairs["IsFinite"] == 1) & (pairs["PairType"] == pair_type) & (pairs["Persistence"] > 0)
    birth, persistence = pairs["Birth"][kept], pairs["Persistence"][kept]
    with np.errstate(invalid="ignore"):  # from -inf to a finite value
        return np.column_stack([birth, birth + persistence])


def lowest_birth(pairs: Mapping[str, np.ndarray]) -> float:
    """Birth of the pair that never ends: the value of the global minimum."""
    return float(pairs["Birth"].min())


def bottleneck_distance(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """The largest bottleneck distance over both pair types and the matched global minima.

    Raises
    ------
    LossLandscapeError
        If GUDHI is not installed.

    Notes
    -----
    D. Cohen-Steiner, H. Edelsbrunner, J. Harer, "Stability of persistence diagrams", Discrete &
    Computational Geometry 37, 2007, section 1: the distance is at most max |f - g|. M. Kerber, D.
    Morozov, A. Nigmetov, "Geometry helps to compare persistence diagrams", ACM JEA 22, 2017 (Hera).
    """
    return max(
        abs(lowest_birth(one) - lowest_birth(other)),
        *(finite_bottleneck_distance(one, other, pair_type) for pair_type in (0, 1)),
    )


def finite_bottleneck_distance(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], pair_type: int
) -> float:
    """Bottleneck distance of the finite pairs of one type; infinite if a value is infinite."""
    first, second = finite_points(one, pair_type), finite_points(other, pair_type)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return np.inf
    return float(_hera().bottleneck_distance(first, second, delta=0.0))


def wasserstein_distance(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """1-Wasserstein distance with the maximum norm, summed over pair types and the global minima.

    The result is within 0.1% of the exact distance. The distance to an empty diagram is half the
    total persistence.

    Raises
    ------
    LossLandscapeError
        If GUDHI is not installed.

    Notes
    -----
    D. Cohen-Steiner, H. Edelsbrunner, J. Harer, Y. Mileyko, "Lipschitz functions have L_p-stable
    persistence", Foundations of Computational Mathematics 10, 2010, section 2.
    """
    hera = _hera()
    total = abs(lowest_birth(one) - lowest_birth(other))
    for pair_type in (0, 1):
        first, second = finite_points(one, pair_type), finite_points(other, pair_type)
        total += hera.wasserstein_distance(first, second, order=1.0, internal_p=np.inf, delta=1e-3)
    return float(total)


def total_persistence(pairs: Mapping[str, np.ndarray]) -> float:
    """Sum of the persistence of all finite pairs.

    Examples
    --------
    >>> from losslandscape.topology import persistence_pairs
    >>> total_persistence(persistence_pairs([0.0, 3.0, 1.0, 5.0]))
    2.0
    """
    return float(sum(np.diff(finite_points(pairs, kind), axis=1).sum() for kind in (0, 1)))


def distances_are_available() -> bool:
    """Whether GUDHI is installed."""
    try:
        _hera()
    except LossLandscapeError:
        return False
    return True


def _hera() -> Any:
    try:
        # Hera alone: GUDHI's own bottleneck distance has another license (GPL)
        return import_module("gudhi.hera")
    except ImportError:
        raise LossLandscapeError(NEEDS_GUDHI) from None
