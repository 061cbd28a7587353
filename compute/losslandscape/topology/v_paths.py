"""Follow V-paths of the discrete gradient: find their ends, or every cell along them."""

from __future__ import annotations

import numpy as np

# For fewer unfinished paths, a scalar loop is faster than whole-array steps.
_FEW_PATHS = 24


def path_ends(successor: np.ndarray) -> np.ndarray:
    """Return the last element of the path from every element.

    Pointer jumping replaces each successor by the successor's successor until nothing changes. The
    number of rounds is the logarithm of the longest path (Wyllie 1979).

    Parameters
    ----------
    successor : ndarray of int, shape (n,)
        The next element; the last element of a path is its own successor. There must be no other
        cycle.

    Examples
    --------
    >>> path_ends(np.array([1, 2, 2, 3, 0]))
    array([2, 2, 2, 3, 2])
    """
    ends = successor
    while True:
        further = ends.take(ends)
        if np.array_equal(further, ends):
            return ends
        ends = further


def trace_paths(successor: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List every element on the paths from the given starts, including both ends.

    Parameters
    ----------
    successor : ndarray of int, shape (n,)
        As in :func:`path_ends`.
    starts : ndarray of int, shape (k,)

    Returns
    -------
    elements : ndarray, type of ``successor``
        The concatenated paths.
    offsets : ndarray of intp, shape (k + 1,)
        Path p is ``elements[offsets[p]:offsets[p + 1]]``.

    Examples
    --------
    >>> trace_paths(np.array([1, 2, 2, 3]), np.array([0, 3]))
    (array([0, 1, 2, 3]), array([0, 3, 4]))
    """
    lengths = np.ones(starts.size, dtype=np.intp)
    active, at = np.arange(starts.size), starts
    steps = []
    while active.size > _FEW_PATHS:
        steps.append((active, at))
        following = successor.take(at)
        moving = following != at
        active, at = active[moving], following[moving]
        lengths[active] += 1
    # Indexing a memoryview is much cheaper than indexing an array.
    follow = np.ascontiguousarray(successor).data
    tails = []
    for path, element in zip(active.tolist(), at.tolist()):
        tail = [element]
        while follow[element] != element:
            element = follow[element]
            tail.append(element)
        tails.append((path, tail))
        lengths[path] += len(tail) - 1

    offsets = np.concatenate([[0], np.cumsum(lengths)])
    elements = np.empty(offsets[-1], dtype=successor.dtype)
    for count, (path, element) in enumerate(steps):
        elements[offsets[path] + count] = element
    for path, tail in tails:
        elements[offsets[path] + len(steps) : offsets[path + 1]] = tail
    return elements, offsets
