"""The figure of the study with matplotlib: four panels for each algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import losslandscape as ll
from benchmarks.actor_critic.agents import PROBLEM

PANELS = (
    "actor loss under the frozen critic",
    "critic loss against fixed targets",
    "cost per period",
    "standard error of the cost",
)


def draw(landscapes: Mapping[str, Mapping[str, ll.Landscape]], path: Path) -> None:
    """Write the figure of one agent for each algorithm."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(landscapes), len(PANELS), figsize=(13, 3.1 * len(landscapes)), layout="constrained"
    )
    for row, (algorithm, found) in zip(axes, landscapes.items()):
        for ax, name, title in zip(row, ("actor", "critic", "cost"), PANELS):
            found[name].plot(ax=ax)
            ax.get_legend().remove()  # the line is the training, the star the lowest point
            ax.set_title(f"{algorithm}: {title}", fontsize=9)
        _errors(row[3], found["cost"])
        row[3].set_title(f"{algorithm}: {PANELS[3]}", fontsize=9)
        for ax in row:
            ax.set_aspect("auto")
        for ax, name in zip(row, ("actor", "critic", "cost", "cost")):
            _name_axes(ax, found[name])
    figure.suptitle(f"Inventory control, optimal cost {PROBLEM.optimal_cost:g} per period")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _name_axes(ax, landscape: ll.Landscape) -> None:
    shares = landscape.provenance["subspace"]["explained_variance"]
    for number, share, write in zip((1, 2), shares, (ax.set_xlabel, ax.set_ylabel)):
        write(f"principal component {number} ({share:.0%})", fontsize=8)
    ax.tick_params(labelsize=8)


def _errors(ax, cost: ll.Landscape) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    alpha, beta = cost.grid.axes()
    errors = cost.standard_error()
    levels = np.geomspace(errors.min(), errors.max(), 40)
    filled = ax.contourf(alpha, beta, errors, levels=levels, norm=LogNorm())
    ax.figure.colorbar(filled, ax=ax, ticks=LogLocator(), label="standard error, log scale")
    path = cost.trajectories[0].coordinates
    ax.plot(path[:, 0], path[:, 1], color="crimson", linewidth=1.2)
