"""Decision boundaries and minima: what is drawn is what the files have, where the axes say."""

import json

import numpy as np
import pytest
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkIOXML import vtkXMLImageDataWriter, vtkXMLPolyDataWriter

from losslandscape.formats.image_data import add_point_array
from losslandscape.formats.poly_data import poly_data
from losslandscape.formats.vtk_xml import write_xml

POINTS = np.array([[-1.5, 0.5], [-0.5, -1.0], [0.5, 1.5], [1.0, -0.5], [1.5, 1.0]])
RIGHT = np.array([1, 0, 1, 1, 0])
MINIMA = np.array([[0.0, 0.0], [4.0, 1.0], [-2.0, -3.0]])
VOLUMES = np.array([-100.0, -150.0, -200.0])


def write(data, path, **said):
    for name, words in said.items():
        array = vtkStringArray()
        array.SetName(name)
        for one in words:
            array.InsertNextValue(one)
        data.GetFieldData().AddArray(array)
    write_xml(vtkXMLPolyDataWriter(), data, path)
    return str(path)


@pytest.fixture(scope="module")
def built(tmp_path_factory, in_paraview):
    folder = tmp_path_factory.mktemp("points")
    image = vtkImageData()
    image.SetDimensions(9, 9, 1)
    image.SetOrigin(-2.0, -2.0, 0.0)
    image.SetSpacing(0.5, 0.5, 1.0)
    x = np.tile(np.linspace(-2, 2, 9), (9, 1))
    add_point_array(image, "log_odds", x - 0.75)  # class 1 has 1.25 of a width of 4
    regions = str(folder / "regions.vti")
    write_xml(vtkXMLImageDataWriter(), image, folder / "regions.vti")
    arrays = {"label": (POINTS[:, 0] > 0).astype(np.int32), "right": RIGHT.astype(np.int32)}
    points = write(poly_data(POINTS, arrays), folder / "points.vtp", title=["A title, 60%"])
    numbers = {
        "test_accuracy": np.array([90.0, 80.0, 70.0]),
        "factor": np.array([0.0, 0.1, 0.25]),
        "volume": VOLUMES,
        "volume_low": VOLUMES - 20.0,
        "volume_high": VOLUMES + 5.0,
    }
    minima = write(
        poly_data(MINIMA, numbers), folder / "minima.vtp", axis_titles=["first (80%)", "second"]
    )
    way = poly_data(np.array([[3.0, -2.0], [1.0, 1.0], [0.0, 0.0]]), {}, [np.arange(3)])
    trajectory = write(way, folder / "trajectory.vtp")
    options = {"labels": "factor", "series": ["volume"], "words": {"volume": "an estimate"}}
    builds = [
        {"figure": "decision_boundaries", "inputs": [[regions, points]] * 2, "options": {}},
        {"figure": "minima", "inputs": [minima, trajectory], "options": options},
        {"figure": "minima", "inputs": [minima], "options": {"colour": "accuracy"}},
        {"figure": "decision_boundaries", "inputs": [[points, points]], "options": {}},
    ]
    job = folder / "job.json"
    job.write_text(json.dumps(builds), encoding="utf-8")
    names = ("boundaries", "minima", "no array", "no regions")
    return dict(zip(names, in_paraview("point_figures.py", job)[0]))


def source(figure, start):
    """The first pipeline object whose name starts so."""
    return next(one for name, one in figure["sources"].items() if name.startswith(start))


def in_units(chart, points):
    """Points of a chart's view in the units of its axes."""
    return (np.array(points)[:, :2] - chart["shift"]) / chart["scale"]


def test_regions_are_cut_where_the_log_odds_are_0(built):
    figure = built["boundaries"]
    for number, share in ((0, 2.75), (1, 1.25)):
        region = source(figure, f"region of class {number} (regions, clipped)")
        assert region["area"] == pytest.approx(4.0 * share, rel=1e-5)


def test_right_points_are_dots_and_wrong_ones_crosses(built):
    figure = built["boundaries"]
    chart = figure["charts"][0]
    for name, chosen in (("right", RIGHT == 1), ("wrong", RIGHT == 0)):
        placed = source(figure, f"{name} points, placed")
        np.testing.assert_allclose(in_units(chart, placed["points"]), POINTS[chosen], atol=1e-4)
    assert "A title, 60%. 5 points, 2 of them wrong." in figure["report"]["caption"]
    # the same unit of length on both axes, and both charts alike
    assert chart["scale"][0] == pytest.approx(chart["scale"][1])
    assert "A title, 60%" in figure["texts"]


def test_minima_lie_where_the_axes_say_and_have_their_numbers_beside_them(built):
    figure = built["minima"]
    plane, beside = figure["charts"]
    placed = source(figure, "minima, placed")
    np.testing.assert_allclose(in_units(plane, placed["points"]), MINIMA, atol=1e-4)
    assert plane["scale"][0] == pytest.approx(plane["scale"][1])
    assert {"0", "0.1", "0.25", "first (80%)", "second"} <= set(figure["texts"])
    placed = source(figure, "an estimate, placed")
    given = in_units(beside, placed["points"])
    np.testing.assert_allclose(given, np.column_stack([[90, 80, 70], VOLUMES]), atol=1e-3)
    for end, away in (("low", -20.0), ("high", 5.0)):
        stems = in_units(beside, source(figure, f"an estimate, {end} stems")["points"])
        ends = np.reshape(stems, (3, -1, 2))
        np.testing.assert_allclose(ends[:, -1, 1] - ends[:, 0, 1], away, rtol=1e-4)


def test_what_a_file_lacks_is_named(built):
    assert "there is no point array 'accuracy' (found: test_accuracy" in built["no array"]["error"]
    assert "there is no point array 'log_odds'" in built["no regions"]["error"]
