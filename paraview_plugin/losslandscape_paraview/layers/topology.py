"""Layers of a panel's topology: critical points, separatrices, basins, models."""

from ..errors import LandscapeError
from ..sources.landscape_sources import fetch, point_array, points_of
from ..sources.provenance import literal
from ..style import theme
from ..style.text import write_at
from .drape import drape_difference, drape_points, drape_valued_points
from .free_places import FreePlaces, ball_points

KINDS = "CellDimension"
SIGNIFICANT = "significant"
# of points that are not significant, and of others: a ball has a thousand triangles
MOST_FAINT_BALLS, MOST_BALLS = 50, 300
MOST_ROUND_LINES = 5000  # points of separatrices
SMOOTHING = 600  # rounds, each of which moves points by a hundredth towards their neighbors


def add_critical_points(panel, topology):
    """Spheres on the surface, coloured by kind: minimum, saddle, maximum.

    Where the points say whether they are significant, those that are not are small and have no
    dark edge.
    """
    source = topology.critical_points
    panel.report["critical_points"] = drape_difference(panel, fetch(source))
    significant = point_array(fetch(source), SIGNIFICANT)
    groups = [("critical points", source, theme.CRITICAL_RADIUS)]
    if significant is not None:
        groups = [
            (name, _where(panel, source, SIGNIFICANT, wanted, name), radius)
            for name, wanted, radius in (
                ("critical points", True, theme.CRITICAL_RADIUS),
                ("critical points, not significant", False, theme.FAINT_RADIUS),
            )
            if (significant.astype(bool) == wanted).any()
        ]
    # where a slider chooses the points, others may come
    kinds = None if topology.follows else {int(kind) for kind in point_array(fetch(source), KINDS)}
    table = panel.figure.category_table(KINDS, theme.KIND_COLOURS, in_legend=kinds)
    for name, points, radius in groups:
        lifted = drape_valued_points(panel, points, name)
        panel.obstacles += ball_points(panel, points_of(fetch(lifted)), radius)
        most = MOST_FAINT_BALLS if radius == theme.FAINT_RADIUS else MOST_BALLS
        if fetch(lifted).GetNumberOfPoints() > most:
            # of eight faces each, and so in web pages, too, where points are not
            small = panel.nearer(lifted, f"{name}, nearer", 2 * theme.SEPARATRIX_RADIUS)
            shown = panel.show(panel.spheres(small, name, 1.5 * theme.SEPARATRIX_RADIUS, sides=4))
            panel.colour_by(shown, KINDS, table)
            shown.Ambient, shown.Diffuse = 1.0, 0.0
            continue
        edge = theme.OUTLINE if radius == theme.CRITICAL_RADIUS else theme.OUTLINE / 2
        # those that count lie before those that do not, and all before the separatrices
        lifted = panel.nearer(lifted, f"{name}, nearer", 2 * radius + edge)
        shown = panel.show(panel.spheres(lifted, name, radius))
        panel.colour_by(shown, KINDS, table)
        shown.Ambient, shown.Diffuse = 0.3, 0.7
        panel.outline(panel.spheres(lifted, f"{name}: edge", radius + edge))


def add_separatrices(panel, topology):
    """The lines of steepest descent and ascent from the saddles, as thin dark tubes."""
    from paraview import simple

    source = topology.separatrices
    if fetch(source).GetNumberOfCells() == 0:
        return
    # their pieces are half a cell long at most, so there is nothing to cut
    # they run along the grid's edges and diagonals, in steps; the file keeps them as they are
    even = simple.Smooth(
        registrationName=panel.named("separatrices, smoothed"),
        Input=panel.joined(source, "separatrices on the plane"),
        NumberofIterations=SMOOTHING,
        Convergence=0.0,
    )
    if panel.holes:
        # a line that passes a hole would be left out as a whole
        even = simple.Triangulate(
            registrationName=panel.named("separatrices, in segments beside holes"), Input=even
        )
    lifted = drape_points(panel, even, "separatrices")
    if fetch(lifted).GetNumberOfCells() < fetch(even).GetNumberOfCells():
        panel.notes.append("separatrices are cut beside holes")
    panel.obstacles.append(points_of(fetch(lifted)))
    lifted = panel.nearer(lifted, "separatrices, nearer", theme.SEPARATRIX_RADIUS)
    sides = 12 if fetch(lifted).GetNumberOfPoints() <= MOST_ROUND_LINES else 4
    tubes = panel.tubes(lifted, "separatrices", theme.SEPARATRIX_RADIUS, sides)
    panel.show(tubes, theme.INK)


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
    smooth = panel.smooth(panel.lift(flat, "basins"), "basins")
    shown = panel.show(smooth, theme.PAPER)
    basins = int(point_array(fetch(topology.segmentation), "DescendingManifold").max()) + 1
    colours = {
        f"basin {n}": theme.BASIN_COLOURS[n % len(theme.BASIN_COLOURS)] for n in range(basins)
    }
    table = panel.figure.category_table("DescendingManifold", colours, in_legend=())
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
    free = FreePlaces(panel)
    for number, place in enumerate(points_of(fetch(lifted))):
        label = labels.GetValue(number)
        above, before, turned, colour, shadow = free.above(place, label)
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
        panel.show(tube, theme.INK)
        text = simple.Text(registrationName=panel.named(f"models: {label}"), Text=literal(label))
        written = write_at(panel.view, text, before, width)
        if turned:
            written.Justification = "Right"
        written.Color, written.Bold, written.Shadow = colour, 1, int(shadow)


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
