"""The data of Figures 9 and 10: VTK files of the regions, the points and the minima."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkIOXML import vtkXMLImageDataWriter, vtkXMLPolyDataWriter

from benchmarks.huang.claims import ESTIMATORS
from benchmarks.huang.measures import Measured
from benchmarks.huang.minima import _CHECKPOINTS, held_out_set, network_of, training_set
from benchmarks.huang.plane import minima_plane
from losslandscape.formats.image_data import add_point_array
from losslandscape.formats.poly_data import poly_data
from losslandscape.formats.vtk_xml import write_xml
from losslandscape.study.spirals import right

FOLDER = Path(__file__).parents[2] / "state_files" / "data"
_EXTENT, _MESH = 18.0, 151
_SHOWN = 300  # test points in a panel


def export(found: Sequence[Measured], folder: Path = FOLDER) -> None:
    """Write ``huang_boundaries/`` and ``huang_minima/`` into a folder."""
    best = max(found, key=lambda one: one.numbers["test_accuracy"])
    worst = min(found, key=lambda one: one.numbers["test_accuracy"])
    boundaries, minima = folder / "huang_boundaries", folder / "huang_minima"
    for path in (boundaries, minima):
        path.mkdir(parents=True, exist_ok=True)
    for what, one in (("good", best), ("bad", worst)):
        _write_boundary(what, one, boundaries)
    _write_minima(found, best, minima)


def _write_boundary(what: str, one: Measured, folder: Path) -> None:
    """The log odds of label 1 on a square, and points with their label, right or wrong."""
    model = network_of(one.minimum.weights)
    ticks = torch.linspace(-_EXTENT, _EXTENT, _MESH)
    mesh = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).reshape(-1, 2)
    image = vtkImageData()
    image.SetDimensions(_MESH, _MESH, 1)
    image.SetOrigin(-_EXTENT, -_EXTENT, 0.0)
    image.SetSpacing(*[2 * _EXTENT / (_MESH - 1)] * 2, 1.0)
    with torch.no_grad():
        add_point_array(image, "log_odds", model(mesh).flatten().numpy())
    write_xml(vtkXMLImageDataWriter(), image, folder / f"{what}.vti")
    for name, samples in (("training", training_set()), ("test", held_out_set())):
        points, labels = (part[:_SHOWN] for part in samples)
        with torch.no_grad():
            is_right = right(model(points), labels).numpy()
        arrays = {
            "label": labels.flatten().numpy().astype(np.int32),
            "right": is_right.astype(np.int32),
        }
        data = poly_data(points.numpy(), arrays)
        share = 100 * one.numbers[f"{name}_accuracy"]
        _say(data, "title", [f"{what.capitalize()} minimum: {name} accuracy {share:.1f}%"])
        write_xml(vtkXMLPolyDataWriter(), data, folder / f"{what}_{name}.vtp")


def _write_minima(found: Sequence[Measured], best: Measured, folder: Path) -> None:
    """Minima and the trajectory of the best on their plane, with volumes and accuracies."""
    weights = np.stack([one.minimum.weights for one in found]).astype(np.float64)
    plane = minima_plane(weights, best.minimum.path.astype(np.float64))
    arrays: dict[str, Any] = {
        "test_accuracy": np.array([100 * one.numbers["test_accuracy"] for one in found]),
        "training_loss": np.array([one.numbers["loss"] for one in found]),
        "poison_factor": np.array([one.minimum.factor for one in found]),
        "seed": np.array([one.minimum.seed for one in found], dtype=np.int32),
        "distance_to_plane": plane.away,
    }
    for name in ESTIMATORS:
        volumes = [one.numbers[name] for one in found]
        arrays[f"{name}_volume"] = np.array([one["log10_volume"] for one in volumes])
        for end, which in enumerate(("low", "high")):
            arrays[f"{name}_volume_{which}"] = np.array([one["interval"][end] for one in volumes])
    data = poly_data(plane.places, arrays)
    _say(data, "axis_titles", plane.axis_titles())
    _say(
        data,
        "notes",
        [
            f"distances from the plane {plane.away.min():.1f} to {plane.away.max():.1f}; "
            f"of two minima {plane.nearest:.1f} or more"
        ],
    )
    write_xml(vtkXMLPolyDataWriter(), data, folder / "minima.vtp")
    steps = checkpoint_steps(len(plane.way), best.minimum.steps)
    way = poly_data(
        plane.way,
        {"step": steps, "distance_to_plane": plane.away_on_way},
        [np.arange(len(plane.way))],
    )
    write_xml(vtkXMLPolyDataWriter(), way, folder / "trajectory.vtp")


def checkpoint_steps(count: int, last: int) -> np.ndarray:
    """The steps of the checkpoints of `minima.train`, of which the last is the minimum.

    >>> checkpoint_steps(5, 40).tolist()
    [0.0, 10.0, 15.0, 22.0, 40.0]
    """
    steps, following = [0.0], _CHECKPOINTS
    while len(steps) < count - 1:
        steps.append(following)
        following += following // 2
    return np.array([*steps, last], dtype=np.float64)


def _say(data: Any, name: str, words: Sequence[str]) -> None:
    """Add field data of strings."""
    array = vtkStringArray()
    array.SetName(name)
    for one in words:
        array.InsertNextValue(one)
    data.GetFieldData().AddArray(array)
