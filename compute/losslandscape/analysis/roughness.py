"""How bumpy a surface is."""

from __future__ import annotations

import numpy as np


def roughness(values: np.ndarray) -> float:
    """Mean normalised total variation along the lines of a grid.

    Along a line the sum of the steps' heights over the range of the line: 1 where the field only
    rises or only falls, 2 in a valley with equal ends, and more by every further bump. Wu et al.
    judge a landscape by the mean and the variance of this along random directions; here the lines
    are the grid's, along all its axes, so that no further evaluation is needed.

    Parameters
    ----------
    values : ndarray, shape of the grid
        Lines with a value that is not finite, and constant ones, are left out.

    Returns
    -------
    float
        At least 1; NaN where no line is left.

    Notes
    -----
    K. Wu, X. Jian, R. Du, J. Chen, X. Zhou, "Roughness index for loss landscapes of neural network
    models of partial differential equations", arXiv:2103.11069, 2021.

    Examples
    --------
    >>> roughness(np.array([4.0, 1.0, 0.0, 1.0, 4.0])), roughness(np.array([0.0, 1.0, 0.0, 1.0]))
    (2.0, 3.0)
    """
    found = []
    for axis in range(values.ndim):
        lines = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
        lines = lines[np.isfinite(lines).all(axis=1)]
        height = np.ptp(lines, axis=1)
        variation = abs(np.diff(lines, axis=1)).sum(axis=1)
        found.append(variation[height > 0] / height[height > 0])
    ratios = np.concatenate(found)
    return float(ratios.mean()) if ratios.size else float("nan")
