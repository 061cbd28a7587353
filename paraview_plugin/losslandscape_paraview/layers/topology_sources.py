"""The topology of a panel's loss as pipeline objects: from files, from TTK, or from this plugin."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..compatibility import warn_if_ttk_was_left_out
from ..errors import LandscapeError, LandscapeFileError
from ..plugin import load_plugin, load_topology
from ..sources.landscape_sources import fetch, point_array
from ..style.scale import HEIGHT

FILES = ("critical_points.vtp", "separatrices.vtp", "persistence_diagram.vtp")


@dataclass
class TopologySources:
    """Critical points and what belongs to them, in plane coordinates.

    Attributes:
        critical_points: proxy of points with TTK's arrays and the quantity; with an array
            `significant` where they come from `losslandscape topology`.
        separatrices: proxy of lines with TTK's arrays.
        diagram: proxy of the persistence diagram with TTK's arrays.
        segmentation: proxy of the grid with TTK's labels and `height`, or None.
        threshold: the persistence above which all pairs count, in the diagram's unit. Where the
            pairs have an array `significant`, that says which count; some below may.
        log: whether the diagram is of log10 of the quantity.
        follows: whether the diagram's arrays `Threshold` and `AboveThreshold` say what the filter
            was asked to remove, and change with it.
    """

    critical_points: Any
    separatrices: Any
    diagram: Any
    segmentation: Optional[Any]
    threshold: float
    log: bool
    follows: bool = False


def open_topology(panel, folder):
    """What `losslandscape topology` wrote into a folder, with ParaView's own readers.

    Raises:
        LandscapeFileError: a file is missing or no such file.
    """
    from paraview import simple

    folder = Path(folder)
    missing = [name for name in (*FILES, "topology.json") if not (folder / name).is_file()]
    if missing:
        raise LandscapeFileError(
            f"{folder}: there is no {', '.join(missing)}; "
            "`losslandscape topology FILE.nc --output FOLDER` writes them"
        )
    try:
        facts = json.loads((folder / "topology.json").read_text(encoding="utf-8"))
        threshold, log = float(facts["threshold"]), facts["scale"] == "log"
    except (ValueError, KeyError, TypeError) as error:
        raise LandscapeFileError(f"{folder / 'topology.json'}: damaged ({error})") from error
    points, lines, diagram = (
        simple.XMLPolyDataReader(
            registrationName=panel.named(name.split(".")[0].replace("_", " ")),
            FileName=[str(folder / name)],
        )
        for name in FILES
    )
    panel.report["topology"] = {"threshold": threshold, "summary": facts.get("summary", [])}
    return TopologySources(points, lines, diagram, None, threshold, log)


def compute_topology(panel, persistence=0.0):
    """The topology of what a panel draws: its height, which is log10 of the loss on a log scale.

    TTK's filters do it where they are loaded, this plugin's where they are not; ports and names
    of arrays are the same.

    Raises:
        LandscapeError: the landscape has three directions and TTK is not there, the field cannot
            be used, or the threshold is negative.
    """
    from paraview import simple

    if not persistence >= 0:
        raise LandscapeError(f"persistence {persistence:g}: the threshold must not be negative")
    field = height_on_grid(panel)
    simplify = panel.named("pairs up to the threshold removed")
    # with holes only this plugin knows what is outside the domain
    if hasattr(simple, "TTKMorseSmaleComplex") and not panel.holes:
        return _from_ttk(panel, field, persistence, simplify)
    warn_if_ttk_was_left_out()
    load_plugin()
    _require_usable(field)
    found = simple.LossMorseSmaleComplex(
        registrationName=panel.named("Morse-Smale complex"),
        Input=field,
        ScalarField=["POINTS", HEIGHT],
        Persistence=persistence,
    )
    ports = [simple.OutputPort(found, number) for number in range(5)]
    return _described(panel, ports, ports[4], persistence, follows=True)


def _from_ttk(panel, field, persistence, name):
    from paraview import simple

    simplified = simple.TTKTopologicalSimplificationByPersistence(
        registrationName=name,
        Input=field,
        InputArray=["POINTS", HEIGHT],
        PersistenceThreshold=persistence,
        ThresholdIsAbsolute=1,
    )
    found = simple.TTKMorseSmaleComplex(
        registrationName=panel.named("Morse-Smale complex"),
        Input=simplified,
        ScalarField=["POINTS", HEIGHT],
    )
    diagram = simple.TTKPersistenceDiagram(
        registrationName=panel.named("persistence diagram"),
        Input=field,
        ScalarField=["POINTS", HEIGHT],
    )
    ports = [simple.OutputPort(found, number) for number in range(4)]
    return _described(panel, ports, diagram, persistence, follows=False)


def _described(panel, ports, diagram, persistence, follows):
    from paraview import simple

    # the drawn height is sampled under the points; their own goes back to the quantity's name
    valued = simple.Calculator(
        registrationName=panel.named(f"critical points, {panel.scale.array}"),
        Input=ports[0],
        Function=panel.scale.inverse_expression,
        ResultArrayName=panel.scale.array,
    )
    kept = ["CellDimension", "CellId", "IsOnBoundary", "ManifoldSize", panel.scale.array]
    persistences = point_array(fetch(ports[0]), "persistence")
    if persistences is not None and not persistences.all():
        # on a plateau each point is critical, and no pair of them is more than the order of points
        valued = simple.Calculator(
            registrationName=panel.named("critical points, of a plateau or not"),
            Input=valued,
            Function="if(persistence > 0, 1, 0)",
            ResultArrayName="significant",
        )
        kept.append("significant")
    points = simple.PassArrays(
        registrationName=panel.named("critical points, arrays"),
        Input=valued,
        PointDataArrays=kept,
        CellDataArrays=[],
    )
    panel.report["topology"] = {"threshold": persistence}
    return TopologySources(
        points, ports[1], diagram, ports[3], persistence, panel.scale.log, follows
    )


def height_on_grid(panel):
    """The grid with `height`; not a number, and so outside the domain, where there is no loss."""
    from paraview import simple

    if panel.sliders or not panel.holes:
        return panel.valued
    return simple.Calculator(
        registrationName=panel.named("height on the whole grid"),
        Input=panel.landscape.surface,
        Function=panel.scale.expression,
        ResultArrayName=HEIGHT,
        ReplaceInvalidResults=0,
    )


def _require_usable(field):
    """Raise here what the filter could only print; the order of the values is all that needs it."""
    topology, grid = load_topology(), fetch(field)
    nx, ny, nz = grid.GetDimensions()
    if nz > 1:
        raise LandscapeError("the grid has three directions; TTK's filters are needed for it")
    try:
        topology.scalar_field.scalar_field(point_array(grid, HEIGHT).reshape(ny, nx))
    except topology.FieldError as error:
        raise LandscapeError(f"array '{HEIGHT}': {error}") from error
