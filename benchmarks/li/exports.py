"""The data of Figure 8: surfaces of networks of the first seed, as ParaView reads them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.li.figures import shown, surface_of
from benchmarks.li.presets import VGG, Recipe

if TYPE_CHECKING:
    from benchmarks.li.__main__ import Study

FOLDER = Path(__file__).parents[2] / "state_files" / "data"


def folder_name(recipe: Recipe) -> str:
    """Of the folder that Figure 8 reads.

    >>> folder_name(Recipe(VGG, 9, 1, False, "sgd", 0.005, 50))
    'li_vgg9_sgd_batch50'
    """
    if recipe.kind == VGG:
        return f"li_vgg9_{recipe.optimizer}_batch{recipe.batch}"
    return f"li_{recipe.name}"


def export(study: Study, folder: Path) -> list[Path]:
    """Write ``landscape.nc`` and ``surface.vti`` of each network of width 1 that is shown."""
    by_depth, others = shown(study)
    made = []
    for recipe in [*by_depth, *(one for one in others if one.width == 1)]:
        made.append(folder / folder_name(recipe))
        landscape = surface_of(study, recipe)
        landscape.export(made[-1], ["vti"])
        shutil.copyfile(landscape.path, made[-1] / "landscape.nc")
    return made


def is_of_figure(study: Study, folder: Path = FOLDER) -> bool:
    """Whether Figure 8 shows the networks of this size."""
    by_depth, others = shown(study)
    names = {folder_name(one) for one in [*by_depth, *others] if one.width == 1}
    return names == {path.name for path in folder.glob("li_*")}
