"""The surfaces of the study as one figure of panels, of the networks of the first seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import losslandscape as ll
from benchmarks.li.measures import evaluated, objective_of, plane_of
from benchmarks.li.presets import RESNET, VGG, Recipe, mapped_recipes, recipes
from losslandscape.analysis.convexity import NEARLY_CONVEX
from losslandscape.files.journal import JOURNAL
from losslandscape.study.datasets import stratified_subset

if TYPE_CHECKING:
    from benchmarks.li.__main__ import Study

FOLDER = Path(__file__).parents[2] / "docs" / "images"
NAME = "score_card.png"
POINTS = 17  # along each axis of a surface


def shown(study: Study) -> list[list[Recipe]]:
    """The networks of each row: by depth and shortcuts, by width, and by batch size."""
    preset, every = study.preset, recipes(study.preset)
    plain = [r for r in every if r.kind == RESNET and r.width == 1]
    ends = sorted({min(preset.depths), preset.deepest})
    by_depth = [r for d in ends for r in plain if r.depth == d]
    widest = [r for r in every if r.kind == RESNET and r.width == max(preset.widths)]
    batches = [r for r in every if r.kind == VGG and r.optimizer == "sgd" and r.weight_decay]
    return [by_depth, [*widest, *batches]]


def title(recipe: Recipe) -> str:
    if recipe.kind == VGG:
        return f"VGG-9, batches of {recipe.batch}"
    width = f", width {recipe.width}" if recipe.width > 1 else ""
    return f"ResNet-{recipe.depth}{width}, {'with' if recipe.shortcuts else 'without'} shortcuts"


def draw(study: Study, folder: Path) -> Path:
    """Write the figure: surfaces, and below the first row its convexity maps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    first, second = shown(study)
    columns = max(len(first), len(second))
    mapped = [r for r in first if r in mapped_recipes(study.preset) and study.mapped(r, 0)]
    heights = (1.15, 0.85 if mapped else 0.01, 1.15)
    figure = pyplot.figure(figsize=(3.3 * columns, 3.05 * sum(heights)), layout="constrained")
    grid = figure.add_gridspec(3, columns, height_ratios=heights)
    for row, networks in ((0, first), (2, second)):
        for column, recipe in enumerate(networks):
            axis = figure.add_subplot(grid[row, column], projection="3d")
            _surface(axis, surface_of(study, recipe))
            axis.set_title(title(recipe), fontsize=9)
    maps = []
    for column, recipe in enumerate(first):
        if recipe in mapped:
            maps.append(figure.add_subplot(grid[1, column]))
            last = _map(maps[-1], _landscape(study, recipe, "convexity.nc"))
    if maps:
        figure.colorbar(
            last, ax=maps, extend="max", shrink=0.8, label="|smallest / largest eigenvalue|"
        )
    figure.suptitle("log10 of the training loss on a filter-normalized random plane", fontsize=10)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / NAME, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return folder / NAME


def surface_of(study: Study, recipe: Recipe) -> ll.Landscape:
    """The plane of the network of the first seed, on a finer grid; measured once."""
    path = study.measures(study.place(recipe, 0)) / "figure.nc"
    if not path.exists() or path.with_name(path.name + JOURNAL).exists():
        network = study.network(recipe, 0)
        samples = stratified_subset(*study.data.train, study.preset.samples)
        evaluated(
            path, objective_of(network.model, samples, study.device), plane_of(network, 0),
            ll.Grid.square(POINTS), executor=study.executor, title=title(recipe),
            keep_samples=False,
        )  # fmt: skip
    return ll.Landscape.open(path)


def _landscape(study: Study, recipe: Recipe, name: str) -> ll.Landscape:
    return ll.Landscape.open(study.measures(study.place(recipe, 0)) / name)


def _surface(axis: Any, landscape: ll.Landscape) -> None:
    alpha, beta = np.meshgrid(*landscape.grid.axes())
    height = np.log10(landscape.values())
    axis.plot_surface(alpha, beta, height, cmap="viridis", linewidth=0.2, edgecolor="0.3")
    axis.set_xlabel("alpha", fontsize=7)
    axis.set_ylabel("beta", fontsize=7)
    axis.tick_params(labelsize=6)
    axis.view_init(35, -60)


def _map(axis: Any, landscape: ll.Landscape) -> Any:
    ratio = landscape.values("convexity")
    ends = [  # a cell around each point
        end + sign * step / 2
        for bounds, step in zip(landscape.grid.bounds, landscape.grid.spacing)
        for end, sign in zip(bounds, (-1, 1))
    ]
    image = axis.imshow(ratio, cmap="magma", vmin=0, vmax=1, origin="lower", extent=ends)
    known = ratio[np.isfinite(ratio)]
    share = 100 * (known > NEARLY_CONVEX).mean() if known.size else float("nan")
    axis.set_title(f"above {NEARLY_CONVEX:g} at {share:.0f}% of the points", fontsize=8)
    axis.set_xlabel("alpha", fontsize=7)
    axis.set_ylabel("beta", fontsize=7)
    axis.tick_params(labelsize=6)
    return image
