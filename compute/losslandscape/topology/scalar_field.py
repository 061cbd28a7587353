"""A scalar field on a grid: checked values, its domain, and the order of its vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from losslandscape.errors import LossLandscapeError


class FieldError(LossLandscapeError, ValueError):
    """The field, its grid or a threshold is unusable; the message gives the reason and a remedy."""


def shown(value) -> str:
    """A value for a message, by its type where it has no short text."""
    try:
        text = repr(value)
    except Exception:  # whatever the object raises; a whole number of thousands of digits, too
        text = ""
    return text if 0 < len(text) < 80 else f"a {type(value).__name__}"


@dataclass(frozen=True)
class ScalarField:
    """A scalar field on the vertices of a regular grid, with a strict total order of its vertices.

    Attributes
    ----------
    values : ndarray, shape (ny, nx), float64
        One row for a 1-D field. NaN outside the domain.
    order : ndarray, shape (ny, nx), integer
        Rank of each vertex of the domain, 0 for the lowest; ``size`` outside the domain.
    size : int
        Number of vertices in the domain.
    dimension : int
        1 or 2.
    """

    values: np.ndarray
    order: np.ndarray
    size: int
    dimension: int

    @property
    def has_holes(self) -> bool:
        """Whether any vertex of the grid lies outside the domain."""
        return self.size < self.values.size

    @property
    def domain(self) -> np.ndarray:
        """Boolean mask of the vertices that have a value, shape (ny, nx)."""
        return self.order < self.size

    def by_rank(self) -> np.ndarray:
        """Return the vertices of the domain from the lowest to the highest, shape (size,)."""
        vertices = np.flatnonzero(self.domain)
        ranked = np.empty(self.size, dtype=np.intp)
        ranked[self.order.ravel()[vertices]] = vertices
        return ranked

    def inverted(self) -> ScalarField:
        """Return the same field upside down: the highest vertex becomes the lowest."""
        order = np.where(self.domain, self.size - 1 - self.order, self.order)
        return ScalarField(self.values, order, self.size, self.dimension)


def scalar_field(values) -> ScalarField:
    """Check a field and order its vertices.

    Ties are broken by vertex id, x fastest: values are compared as (value, id), as in TTK
    (Tierny et al. 2017, after H. Edelsbrunner, E. P. Mucke, "Simulation of simplicity", ACM
    Transactions on Graphics 9(1), 1990).

    Parameters
    ----------
    values : array_like, shape (ny, nx) or (n,)
        NaN marks vertices outside the domain. Infinite values are in the domain and are ordered
        like any other: -inf below, +inf above every finite value.

    Raises
    ------
    FieldError
        If the field is not 1-D or 2-D, not real, has fewer than 2 vertices along an axis, is NaN
        everywhere, or has the same value everywhere.

    Examples
    --------
    >>> field = scalar_field([[2.0, 0.0], [np.nan, 2.0]])
    >>> field.order
    array([[1, 0],
           [3, 2]], dtype=int32)
    """
    try:
        array = np.asarray(values)
    except Exception as error:  # rows of several lengths, tensors without values, ...
        reason = str(error).partition("\n")[0]
        raise FieldError(
            f"the field must be an array of real numbers; it is a {type(values).__name__} that "
            f"makes none ({reason})"
        ) from error
    if array.dtype.kind not in "fiub":
        raise FieldError(f"the field must hold real numbers; its type is {array.dtype}")
    if array.ndim == 3:
        raise FieldError(
            f"the field is 3-D, shape {array.shape}; only 1-D and 2-D fields are supported. For a "
            "volume, use TTK's TTKMorseSmaleComplex, or pass a slice such as values[k]"
        )
    if array.ndim not in (1, 2):
        raise FieldError(f"the field must be 1-D or 2-D; its shape is {array.shape}")
    if min(array.shape) < 2:
        raise FieldError(
            f"the field of shape {array.shape} has fewer than 2 points along an axis; "
            "pass a single row or column as a 1-D array of at least 2 points"
        )
    dimension = array.ndim
    if isinstance(values, np.ma.MaskedArray):  # what is masked is outside the domain
        array = np.where(np.ma.getmaskarray(values), np.nan, array)
    array = np.array(np.atleast_2d(array), dtype=np.float64, order="C")
    flat = array.ravel()
    ranked = np.argsort(flat)
    # NaN sorts last.
    size = flat.size - int(np.count_nonzero(np.isnan(flat)))
    if size == 0:
        raise FieldError(
            f"all {flat.size} values of the field are NaN: no point was evaluated, or no loss was "
            "finite; check the landscape's status"
        )
    sorted_values = flat[ranked[:size]]
    if sorted_values[0] == sorted_values[-1]:
        raise FieldError(
            f"the field is {sorted_values[0]:g} at each of its {size} points, and a constant field "
            "has no critical points; check the scale of the directions and the array you passed"
        )
    _break_ties(ranked[:size], sorted_values)
    order = np.full(flat.size, size, dtype=np.int32)
    order[ranked[:size]] = np.arange(size, dtype=np.int32)
    return ScalarField(array, order.reshape(array.shape), size, dimension)


def _break_ties(ranked: np.ndarray, sorted_values: np.ndarray) -> None:
    """Order vertices of equal value by their ids, in place.

    NumPy's default sort leaves them in any order, and its stable sort is several times slower.
    """
    same = sorted_values[1:] == sorted_values[:-1]
    tied = np.append(False, same) | np.append(same, False)
    if not tied.any():
        return
    run = np.append(0, np.cumsum(~same))[tied]
    vertices = ranked[tied]
    ranked[tied] = vertices[np.argsort(run * (vertices.max() + 1) + vertices)]
