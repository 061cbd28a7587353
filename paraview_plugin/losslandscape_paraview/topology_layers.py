"""Layers of a panel's topology: critical points, separatrices, basins, models, flat regions."""

from functools import partial

from . import style
from .drape import drape_difference, drape_points
from .errors import LandscapeError
from .landscape_sources import fetch, loss_sha256, point_array, points_of
from .provenance import literal

KINDS = "CellDimension"
SIGNIFICANT = "significant"


def add_critical_points(panel, topology):
    """Spheres on the surface, coloured by kind: minimum, saddle, maximum.

    Where the points say whether they are significant, those that are not are small and have no
    dark edge.
    """
    source = topology.critical_points
    panel.report["critical_points"] = drape_difference(panel, fetch(source))
    significant = point_array(fetch(source), SIGNIFICANT)
    groups = [("critical points", source, style.CRITICAL_RADIUS)]
    if significant is not None:
        groups = [
            (name, _where(panel, source, SIGNIFICANT, wanted, name), radius)
            for name, wanted, radius in (
                ("critical points", True, style.CRITICAL_RADIUS),
                ("critical points, not significant", False, style.FAINT_RADIUS),
            )
            if (significant.astype(bool) == wanted).any()
        ]
    table = panel.figure.category_table(KINDS, style.KIND_COLOURS)
    for name, points, radius in groups:
        lifted = drape_points(panel, points, name)
        shown = panel.show(panel.spheres(lifted, name, radius))
        panel.colour_by(shown, KINDS, table)
        shown.Ambient, shown.Diffuse = 0.3, 0.7
        edge = style.OUTLINE if radius == style.CRITICAL_RADIUS else style.OUTLINE / 2
        panel.outline(panel.spheres(lifted, f"{name}: edge", radius + edge))


def add_separatrices(panel, topology):
    """The lines of steepest descent and ascent from the saddles, as thin dark tubes."""
    source = topology.separatrices
    if fetch(source).GetNumberOfCells() == 0:
        return
    # their pieces are half a cell long at most, so there is nothing to cut
    lifted = drape_points(panel, source, "separatrices")
    tubes = panel.tubes(lifted, "separatrices", style.SEPARATRIX_RADIUS, sides=12)
    panel.show(tubes, style.INK)


def add_basins(panel, topology):
    """The surface coloured by the basin of the minimum that each point flows down to."""
    from paraview import simple

    if topology.segmentation is None:
        raise LandscapeError("files of `losslandscape topology` are drawn without basins")
    source = topology.segmentation
    if panel.holes:
        source = simple.Threshold(
            registrationName=panel.named("basins, in the domain"),
            Input=source,
            Scalars=["POINTS", "DescendingManifold"],
            ThresholdMethod="Above Upper Threshold",
            UpperThreshold=-0.5,
        )
    faces = simple.ExtractSurface(registrationName=panel.named("basins, plane"), Input=source)
    flat = simple.Triangulate(registrationName=panel.named("basins, triangles"), Input=faces)
    smooth = simple.GenerateSurfaceNormals(
        registrationName=panel.named("basins"),
        Input=panel.lift(flat, "basins"),
        FeatureAngle=180.0,
        Splitting=0,
    )
    shown = panel.show(smooth, style.PAPER)
    basins = int(point_array(fetch(topology.segmentation), "DescendingManifold").max()) + 1
    colours = {
        f"basin {n}": style.BASIN_COLOURS[n % len(style.BASIN_COLOURS)] for n in range(basins)
    }
    table = panel.figure.category_table("DescendingManifold", colours, in_legend=False)
    panel.colour_by(shown, "DescendingManifold", table)


def add_models(panel):
    """A pole with its name on each labelled model of the landscape."""
    from paraview import simple

    source = panel.landscape.models
    if source is None or fetch(source).GetNumberOfPoints() == 0:
        raise LandscapeError(f"{panel.landscape.path}: there are no labelled models in it")
    labels = fetch(source).GetPointData().GetAbstractArray("label")
    # ParaView 5.11 crashes on sampling under points that have an array of texts
    places = simple.PassArrays(
        registrationName=panel.named("models, without labels"),
        Input=source,
        PointDataArrays=[panel.scale.array],
        CellDataArrays=[],
    )
    lifted = drape_points(panel, places, "models")
    width = panel.figure.letter_width
    top = panel.box.bounds[5] + 0.12 * panel.box.unit
    for number, place in enumerate(points_of(fetch(lifted))):
        label = labels.GetValue(number)
        above = [float(place[0]), float(place[1]), top]
        pole = simple.Line(
            registrationName=panel.named(f"models: pole of {label}, line"),
            Point1=[float(x) for x in place],
            Point2=above,
        )
        tube = simple.Tube(
            registrationName=panel.named(f"models: pole of {label}"),
            Input=pole,
            Radius=0.006 * panel.box.unit,
            NumberofSides=12,
        )
        panel.show(tube, style.INK)
        text = simple.Text(registrationName=panel.named(f"models: {label}"), Text=literal(label))
        written = style.write_at(panel.view, text, above, width)
        # near the right corner, towards the surface's middle
        low, high = panel.box.bounds[:2]
        if place[0] > low + 0.7 * (high - low):
            written.Justification = "Right"
        written.Color, written.Shadow, written.Bold = [1.0, 1.0, 1.0], 1, 1


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
        lay = partial(drape_points, panel)
    lifted = lay(region, "flat region, tint")
    faces = simple.ExtractSurface(registrationName=panel.named("flat region"), Input=lifted)
    shown = panel.show(faces, style.FLAT_REGION)
    # just above the surface, which has the same triangles
    shown.Position = [0.0, 0.0, 0.004 * panel.box.unit]
    edge = lay(outline, "flat region, outline")
    tubes = panel.tubes(edge, "flat region: outline", style.SEPARATRIX_RADIUS)
    panel.show(tubes, style.INK)
    written = simple.Show(area, panel.view)
    written.WindowLocation = "Any Location"
    width = panel.figure.letter_width
    written.FontSize = round(style.LETTER_SHARE * width)
    written.Color = style.INK
    written.Position = [0.70, 0.74]


def _computed_region(simple, panel, threshold):
    from .plugin import load_plugin
    from .topology_sources import height_on_grid

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
    import json
    from pathlib import Path

    from .errors import LandscapeFileError

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
    text = simple.Text(registrationName=panel.named("area"), Text=_area_words(facts))
    return region, outline, text


def _area_words(facts):
    digits = 3 if facts["resolved"] else 1
    bound = "at least " if facts["lower_bound"] else ""
    words = f"flat area\n{bound}{facts['size']:.{digits}g}\nwithin {facts['epsilon']:.3g}"
    if not facts["resolved"]:
        words += "\n(unresolved)"
    return words


def _where(panel, source, array, wanted, what):
    """The points where a 0/1 array says so."""
    from paraview import simple

    return simple.Threshold(
        registrationName=panel.named(f"{what}, chosen"),
        Input=source,
        Scalars=["POINTS", array],
        ThresholdMethod="Above Upper Threshold" if wanted else "Below Lower Threshold",
        LowerThreshold=0.5,
        UpperThreshold=0.5,
    )


LAYERS = {
    "critical points": add_critical_points,
    "separatrices": add_separatrices,
    "basins": add_basins,
    "models": add_models,
    "flat region": add_flat_region,
}
