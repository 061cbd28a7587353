"""Pictures of the study: decision boundaries, minima as dots, lines, volume against accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.huang.claims import ESTIMATORS
from benchmarks.huang.measures import HALF_WIDTH, LINE_POINTS, Measured
from benchmarks.huang.minima import LEVEL, held_out_set, network_of, training_set
from benchmarks.huang.plane import minima_plane
from losslandscape.study.spirals import right

FOLDER = Path(__file__).parents[2] / "docs" / "images"
_EXTENT, _MESH = 18.0, 400
_CLASSES = ("#9ecae1", "#fdd0a2")  # of the regions
_POINTS = ("#08519c", "#a63603")
_GOOD, _BAD = "#0072b2", "#d55e00"
_SHOWN = 300  # test points in a panel


def draw(found: Sequence[Measured], folder: Path, embedding: str = "pca") -> list[Path]:
    """Write all pictures of the study into a folder, of the networks that reached the level."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = shown(found)
    best = max(found, key=lambda one: one.numbers["test_accuracy"])
    worst = min(found, key=lambda one: one.numbers["test_accuracy"])
    pictures = {
        "huang_boundaries": _boundaries(pyplot, best, worst),
        "huang_minima": _dots(pyplot, found, embedding),
        "huang_lines": _lines(pyplot, best, worst),
        "huang_volumes": _volumes(pyplot, found),
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in pictures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=130, metadata={"Software": None})
        pyplot.close(figure)
    return paths


def shown(found: Sequence[Measured]) -> Sequence[Measured]:
    """The networks that reached the level; all if none did."""
    return [one for one in found if one.numbers["loss"] <= LEVEL] or found


def _boundaries(pyplot: Any, best: Measured, worst: Measured) -> Any:
    """Regions of the two classes; right points are dots, wrong ones crosses."""
    figure, axes = pyplot.subplots(
        2, 2, figsize=(8.4, 8.8), layout="constrained", sharex=True, sharey=True
    )
    ticks = torch.linspace(-_EXTENT, _EXTENT, _MESH)
    mesh = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).reshape(-1, 2)
    for row, (what, one) in enumerate((("Good", best), ("Bad", worst))):
        model = network_of(one.minimum.weights)
        with torch.no_grad():
            regions = (model(mesh) > 0).reshape(_MESH, _MESH).float().numpy()
        for axis, (name, samples) in zip(
            axes[row], (("training", training_set()), ("test", held_out_set()))
        ):
            axis.contourf(ticks, ticks, regions, levels=(-0.5, 0.5, 1.5), colors=_CLASSES)
            points, labels = (part[:_SHOWN] for part in samples)
            with torch.no_grad():
                good = right(model(points), labels).numpy() > 0.5
            for label, color in enumerate(_POINTS):
                mine = labels.flatten().numpy() == label
                axis.scatter(*points[mine & good].T, s=9, color=color, linewidths=0)
                axis.scatter(*points[mine & ~good].T, s=22, color=color, marker="x", linewidths=1.1)
            share = one.numbers[f"{name}_accuracy"]
            axis.set_title(
                f"{what} minimum (poison factor {one.minimum.factor:g}): "
                f"{name} accuracy {100 * share:.1f}%",
                fontsize=9,
            )
            axis.set_aspect("equal")
    for axis in axes[1]:
        axis.set_xlabel("$x_1$")
    for axis in axes[:, 0]:
        axis.set_ylabel("$x_2$")
    return figure


def _dots(pyplot: Any, found: Sequence[Measured], embedding: str) -> Any:
    """Minima on a plane, colored by test accuracy, with the trajectory of the best one."""
    best = max(found, key=lambda one: one.numbers["test_accuracy"])
    weights = np.stack([one.minimum.weights for one in found]).astype(np.float64)
    path = best.minimum.path.astype(np.float64)
    if embedding == "pca":
        plane = minima_plane(weights, path)
        places, way, names, away = plane.places, plane.way, plane.axis_titles(), plane.away
        note = (
            f"{len(found)} minima; distance of a minimum from the plane "
            f"{away.min():.1f} to {away.max():.1f}, of two minima {plane.nearest:.1f} or more"
        )
    else:
        from sklearn.manifold import TSNE

        both = np.concatenate([weights, path])
        near = min(30.0, (len(both) - 1) / 3)
        placed = TSNE(perplexity=near, init="pca", random_state=0).fit_transform(both)
        places, way = placed[: len(weights)], placed[len(weights) :]
        names = [f"t-SNE {i + 1} (no unit)" for i in (0, 1)]
        note = f"{len(found)} minima; t-SNE, perplexity {near:.0f}: distances have no meaning"
    figure, axis = pyplot.subplots(figsize=(7.2, 5.6), layout="constrained")
    axis.plot(*way.T, color="0.5", linewidth=1, zorder=1)
    axis.scatter(*way[:-1].T, s=10, color="0.5", zorder=1, label="trajectory of the best minimum")
    test = [100 * one.numbers["test_accuracy"] for one in found]
    dots = axis.scatter(*places.T, c=test, cmap="viridis", s=60, edgecolors="black", linewidths=0.5)
    at = places[found.index(best)]
    axis.scatter(*at, s=200, marker="*", color="white", edgecolors="black", label="best minimum")
    figure.colorbar(dots, label="test accuracy, %")
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
    if embedding == "pca":
        axis.set_aspect("equal", adjustable="datalim")
    axis.set_title(note, fontsize=8)
    axis.legend(fontsize=8)
    return figure


def _lines(pyplot: Any, best: Measured, worst: Measured) -> Any:
    """Losses along filter-normalized random directions."""
    figure, axis = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")
    steps = np.linspace(-HALF_WIDTH, HALF_WIDTH, LINE_POINTS)
    for name, color, one in (("good", _GOOD, best), ("bad", _BAD, worst)):
        share = 100 * one.numbers["test_accuracy"]
        label = f"{name} minimum, test accuracy {share:.1f}%"
        for line in one.lines:
            axis.plot(steps, line, color=color, linewidth=1, alpha=0.8, label=label)
            label = None
    axis.set_yscale("log")
    axis.set_xlabel("step along a filter-normalized random direction")
    axis.set_ylabel("training loss")
    axis.legend(fontsize=9)
    return figure


def _volumes(pyplot: Any, found: Sequence[Measured]) -> Any:
    """log10 V against test accuracy, by estimator."""
    figure, axes = pyplot.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
    test = [100 * one.numbers["test_accuracy"] for one in found]
    factors = sorted({one.minimum.factor for one in found})
    colors = pyplot.get_cmap("plasma")(np.linspace(0, 0.85, len(factors)))
    for axis, name in zip(axes, ESTIMATORS):
        for factor, color in zip(factors, colors):
            chosen = [i for i, one in enumerate(found) if one.minimum.factor == factor]
            values = np.array([found[i].numbers[name]["log10_volume"] for i in chosen])
            ends = np.array([found[i].numbers[name]["interval"] for i in chosen])
            axis.errorbar(
                [test[i] for i in chosen], values,
                yerr=np.abs(ends.T - values), fmt="o", color=color, markersize=5, capsize=2,
                label=f"{factor:g}",
            )  # fmt: skip
        axis.set_title(f"{name} estimator, a lower bound", fontsize=10)
        axis.set_xlabel("test accuracy, %")
        axis.set_ylabel(r"$\log_{10}$ of the basin's volume")
    axes[1].legend(title="poison factor", fontsize=8, title_fontsize=8)
    return figure
