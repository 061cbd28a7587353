"""A figure of sharpness through training, with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from losslandscape.views.random_lines_plot import COLORS, checked_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from losslandscape.analysis.training_sharpness import TrainingSharpness


def plot_training_sharpness(found: TrainingSharpness, ax: Axes | None = None) -> Axes:
    """Draw critical sharpness with its bracket, the largest eigenvalue, and the stability limit.

    Raises
    ------
    LossLandscapeError
        If ``ax`` is no axes of matplotlib.
    """
    ax = checked_axes(ax)
    if np.isfinite(found.sharpness).any():
        ax.plot(found.step, found.sharpness, color=COLORS[1], label="largest eigenvalue")
    known = np.isfinite(found.critical_sharpness)
    ax.fill_between(found.step[known], found.critical_low[known], found.critical_high[known],
                    color=COLORS[0], alpha=0.3, linewidth=0)  # fmt: skip
    ax.plot(found.step[known], found.critical_sharpness[known], ".", color=COLORS[0], markersize=4,
            label=f"critical sharpness along the {found.direction}")  # fmt: skip
    ax.plot(found.step, found.stability_limit, "--", color="0.2", label="stability limit")
    ax.set_xlabel("training step")
    ax.set_ylabel("sharpness")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize="small")
    return ax
