"""The roughness of a surface."""

from __future__ import annotations

import numpy as np


def roughness(values: np.ndarray) -> float:
    """Mean normalized total variation along the lines of a grid.

    The value of a line is the sum of the absolute steps divided by the range of the line. It is 1
    if the field only rises or only falls and 2 in a valley with equal ends; each further bump adds
    to it. Wu et al. judge a landscape by the mean and the variance of this value along random
    directions. Here the lines are those of the grid, along all its axes, so no further evaluation
    is needed.

    Parameters
    ----------
    values : ndarray, shape of the grid
        Constant lines and lines with a value that is not finite are left out.

    Returns
    -------
    float
        At least 1; NaN if no line remains.

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
