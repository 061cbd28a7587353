"""The choice between a linear and a logarithmic scale, and values on them."""

import numpy as np

_LOG_SCALE_DECADES = 2.0


def scale_of(values: np.ndarray) -> str:
    """``"log"`` if finite values are positive and span over two decades, else ``"linear"``.

    Examples
    --------
    >>> [scale_of(np.array(values)) for values in ([0.01, 5.0], [1.0, 5.0], [-1.0, 9e9])]
    ['log', 'linear', 'linear']
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() <= 0:
        return "linear"
    return "log" if np.log10(finite.max() / finite.min()) > _LOG_SCALE_DECADES else "linear"


def to_scale(values: np.ndarray, scale: str) -> np.ndarray:
    """Values or their log10; NaN if not finite or, on the log scale, not above 0.

    Examples
    --------
    >>> to_scale(np.array([100.0, 0.0, np.inf]), "log")
    array([ 2., nan, nan])
    """
    finite = np.where(np.isfinite(values), values, np.nan)
    if scale == "linear":
        return finite
    return np.log10(np.where(finite > 0, finite, np.nan))
