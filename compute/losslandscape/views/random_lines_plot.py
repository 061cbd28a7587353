"""A figure of the profiles along random directions, with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from losslandscape.errors import LossLandscapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from losslandscape.analysis.random_lines import RandomLines

COLORS = ("#d55e00", "#0072b2", "#009e73")  # of Okabe and Ito 2008
_DECADES = 2.0


def plot_random_lines(lines: RandomLines, ax: Axes | None = None) -> Axes:
    """Draw the profiles along random directions, their band, and those of the plane itself.

    The band holds 95% of the directions at each coordinate. The axis is logarithmic if the losses
    are positive and span more than two decades.

    Raises
    ------
    LossLandscapeError
        If ``ax`` is no axes of matplotlib.
    """
    ax = checked_axes(ax)
    low, middle, high = lines.band()
    x = lines.coordinates
    ax.plot(x, lines.profiles.T, color="0.6", linewidth=0.5, alpha=0.6)
    ax.fill_between(x, low, high, color="0.5", alpha=0.3, linewidth=0,
                    label=f"95% of {lines.count} random directions")  # fmt: skip
    ax.plot(x, middle, color="0.2", label="their median")
    own = [] if lines.own_profiles is None else list(lines.own_profiles)
    for name, profile, color in zip(("alpha", "beta", "gamma"), own, COLORS):
        ax.plot(x, profile, color=color, linewidth=1.8, label=f"this plane, along {name}")
    finite = lines.profiles[np.isfinite(lines.profiles)]
    if finite.size and finite.min() > 0 and np.log10(finite.max() / finite.min()) > _DECADES:
        ax.set_yscale("log")
    ax.set_xlabel(f"coordinate ({lines.normalization}-normalized)")
    ax.set_ylabel("loss")
    ax.legend(frameon=False, fontsize="small")
    return ax


def checked_axes(ax: Any) -> Any:
    """These axes, or new ones.

    Raises
    ------
    LossLandscapeError
        If they are no axes of matplotlib.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=(5.5, 3.6), layout="constrained")[1]
    if not hasattr(ax, "fill_between"):
        raise LossLandscapeError(
            f"ax is a {type(ax).__name__}; pass axes of matplotlib, such as plt.subplots()[1]"
        )
    return ax
