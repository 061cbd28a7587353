"""The choice between a linear and a logarithmic scale."""

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
