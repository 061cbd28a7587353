"""The layer of a flat region: tinted, outlined, with its area."""

import json
from functools import partial
from pathlib import Path

from ..errors import LandscapeError, LandscapeFileError
from ..plugin import load_plugin
from ..sources.landscape_sources import fetch, loss_sha256
from ..style import theme
from .drape import drape_valued_points
from .topology_sources import height_on_grid


def add_flat_region(panel, folder=None, threshold=0.1):
    """The flat region, tinted, outlined, with its area.

    Args:
        panel: a `Panel`.
        folder: what `losslandscape flatness` wrote, to draw that: `flat_region.vtp`,
            `flat_region_outline.vtp` and `flatness.json`. None computes it in the pipeline.
        threshold: how far above the minimum it goes, where it is computed; a slider of its filter.
    """
    from paraview import simple

    if folder is None:
        region, outline, area = _computed_region(simple, panel, threshold)
        # they come with their height, and touch the grid's edge, where sampling may miss
        lay = panel.lift
    else:
        region, outline, area = _region_of_files(simple, panel, folder)
        lay = partial(drape_valued_points, panel)
    lifted = lay(region, "flat region, tint")
    faces = simple.ExtractSurface(registrationName=panel.named("flat region, faces"), Input=lifted)
    # Just above the surface, which has the same triangles. A representation could move it as well,
    # but a state with that is another one in ParaView before 5.13.
    above = simple.Transform(registrationName=panel.named("flat region"), Input=faces)
    above.Transform.Translate = [0.0, 0.0, 0.004 * panel.box.unit]
    panel.show(above, theme.FLAT_REGION)
    edge = lay(outline, "flat region, outline")
    tubes = panel.tubes(edge, "flat region: outline", theme.SEPARATRIX_RADIUS)
    panel.show(tubes, theme.INK)
    if area is None:
        return
    written = simple.Show(area, panel.view)
    written.WindowLocation = "Any Location"
    width = panel.figure.letter_width
    written.FontSize = round(theme.LETTER_SHARE * width)
    written.Color = theme.INK
    written.Position = [0.74, 0.04]


def _computed_region(simple, panel, threshold):
    load_plugin()
    found = simple.LossFlatRegion(
        registrationName=panel.named("flat region, threshold"),
        Input=height_on_grid(panel),
        ScalarField=["POINTS", panel.scale.array],
        Scale="Logarithmic" if panel.scale.log else "Linear",
    )
    # given at once, the property's default would count as not given, and follow the data
    found.Threshold = threshold
    region, outline = simple.OutputPort(found, 0), simple.OutputPort(found, 1)
    facts = fetch(region).GetFieldData()
    if facts.GetArray("area") is None:
        raise LandscapeError(f"{panel.landscape.path}: no flat region; the messages say why")
    panel.report["flatness"] = {
        key: facts.GetArray(name).GetValue(0)
        for key, name in (
            ("epsilon", "threshold"),
            ("minimum_loss", "minimum"),
            ("size", "area"),
            ("lower_bound", "lower_bound"),
        )
    }
    # follows the slider, with no expression in the state: ParaView evaluates those as Python
    return region, outline, simple.OutputPort(found, 2)


def _region_of_files(simple, panel, folder):
    folder = Path(folder)
    names = ("flat_region.vtp", "flat_region_outline.vtp", "flatness.json")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise LandscapeFileError(
            f"{folder}: there is no {', '.join(missing)}; "
            "`losslandscape flatness FILE.nc --output FOLDER` writes them"
        )
    facts = json.loads((folder / names[2]).read_text(encoding="utf-8"))
    of = facts.get("loss_sha256")
    if of is not None and of != loss_sha256(panel.landscape.surface):
        raise LandscapeFileError(
            f"{folder / names[2]}: belongs to another landscape than {panel.landscape.path}; write "
            "it again (losslandscape flatness --overwrite)"
        )
    region, outline = (
        simple.XMLPolyDataReader(registrationName=panel.named(what), FileName=[str(folder / name)])
        for what, name in zip(("region of flatness", "outline of flatness"), names)
    )
    panel.report["flatness"] = {
        key: facts[key] for key in ("epsilon", "minimum_loss", "size", "lower_bound", "resolved")
    }
    panel.notes.append(_area_words(facts))
    return region, outline, None


def _area_words(facts):
    digits = 3 if facts["resolved"] else 1
    bound = "at least " if facts["lower_bound"] else ""
    words = f"flat area: {bound}{facts['size']:.{digits}g}, within {facts['epsilon']:.3g}"
    return words if facts["resolved"] else f"{words} (unresolved)"
