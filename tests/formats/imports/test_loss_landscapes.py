"""Arrays of ``loss-landscapes``, measured by itself on a model whose loss is known everywhere."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Landscape
from losslandscape.errors import FileFormatError, LossLandscapeError

STEPS, DISTANCE = 5, 2.0


class Point(nn.Module):
    """Four parameters; its loss is a polynomial of them, symmetric in nothing."""

    def __init__(self, *values):
        super().__init__()
        self.place = nn.Parameter(torch.tensor([values], dtype=torch.float64))

    def forward(self, _):
        return self.place


@pytest.fixture
def tool():
    found = pytest.importorskip("loss_landscapes")
    from loss_landscapes.metrics.metric import Metric

    class Recorded(Metric):
        """Loss, and the parameters it was measured at."""

        def __init__(self):
            super().__init__()
            self.places = {}

        def __call__(self, wrapper):
            place = wrapper.forward(None).detach().numpy().ravel().copy()
            value = float(1 + place @ [1.0, 10.0, 100.0, 1000.0] + (place**2).sum())
            self.places[value] = place
            return value

    return found, Recorded()


def check(landscape, metric, origin, directions=None):
    """Each value was measured at the parameters that its coordinates stand for.

    Without ``directions``, they are found from the values of the first axis points and all other
    places must follow.
    """
    points = landscape.grid.points()
    evaluated = landscape.status.ravel() == 1
    values = landscape.values("loss").ravel()[evaluated]
    moves = np.array([metric.places[value] for value in values]) - origin
    coordinates = points[evaluated]
    if directions is None:
        directions = np.linalg.lstsq(coordinates, moves, rcond=None)[0]
        norms = np.linalg.norm(directions, axis=1)
        np.testing.assert_allclose(norms, np.linalg.norm(origin), rtol=1e-6)  # their unit
    np.testing.assert_allclose(coordinates @ directions, moves, atol=1e-6)
    assert len(metric.places) == evaluated.sum()


def test_linear_interpolation(tool, tmp_path):
    found, metric = tool
    start, end = Point(0.1, 0.2, 0.3, 0.4), Point(1.0, -1.0, 2.0, 0.0)
    values = found.linear_interpolation(start, end, metric, STEPS, deepcopy_model=True)
    np.save(tmp_path / "line.npy", values)
    landscape = Landscape.imported(
        tmp_path / "line.npy", "loss-landscapes", function="linear_interpolation"
    )
    assert landscape.grid.bounds == ((1 / STEPS, 1.0),)
    assert landscape.values("loss").tobytes() == values.tobytes()
    origin = np.array([0.1, 0.2, 0.3, 0.4])
    check(landscape, metric, origin, np.array([[1.0, -1.0, 2.0, 0.0]]) - origin)


@pytest.mark.parametrize("steps", [STEPS, STEPS + 1])
def test_planar_interpolation(tool, tmp_path, steps):
    found, metric = tool
    ends = np.array([[1.0, -1.0, 2.0, 0.0], [0.5, 3.0, 0.0, 1.0]])
    models = [Point(0.1, 0.2, 0.3, 0.4), *(Point(*row) for row in ends)]
    values = found.planar_interpolation(*models, metric, steps, deepcopy_model=True)
    np.save(tmp_path / "plane.npy", values)
    landscape = Landscape.imported(
        tmp_path / "plane.npy", "loss-landscapes", function="planar_interpolation"
    )
    assert landscape.grid.counts == (steps, steps + 1)
    origin = np.array([0.1, 0.2, 0.3, 0.4])
    check(landscape, metric, origin, ends - origin)
    # what was not evaluated is at the two ends of beta alone
    inside = landscape.status[1:-1]
    assert (inside == 1).all()
    assert (landscape.status == 0).sum() == steps
    assert sorted(values.ravel()) == sorted(
        landscape.values("loss")[np.isfinite(landscape.values("loss"))]
    )


@pytest.mark.parametrize(("function", "dimensions"), [("random_line", 1), ("random_plane", 2)])
@pytest.mark.parametrize("steps", [STEPS, STEPS + 1])
def test_random_directions(tool, tmp_path, function, dimensions, steps):
    found, metric = tool
    torch.manual_seed(3)
    origin = np.array([0.1, 0.2, 0.3, 0.4])
    values = getattr(found, function)(
        Point(*origin), metric, DISTANCE, steps, normalization="model", deepcopy_model=True
    )
    np.save(tmp_path / "x.npy", values)
    landscape = Landscape.imported(
        tmp_path / "x.npy", "loss-landscapes", function=function, distance=DISTANCE
    )
    assert landscape.grid.dimensions == dimensions
    check(landscape, metric, origin)
    assert landscape.provenance["imported"]["distance"] == DISTANCE


def test_a_value_that_is_not_finite_is_not_a_point_that_was_not_evaluated(tmp_path):
    values = np.arange(16.0).reshape(4, 4)
    values[1, 1] = np.nan
    np.save(tmp_path / "x.npy", values)
    landscape = Landscape.imported(
        tmp_path / "x.npy", "loss-landscapes", function="planar_interpolation"
    )
    assert np.argwhere(landscape.status == 3).tolist() == [[1, 1]]
    assert (landscape.status == 0).sum() == 4


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((5, 5), {}, "name the function"),
        ((5, 5), {"function": "plane"}, "linear_interpolation, random_line"),
        ((5, 5), {"function": "random_plane"}, "give the distance"),
        ((5, 5), {"function": "random_plane", "distance": -1.0}, "number above 0"),
        ((5, 5), {"function": "planar_interpolation", "distance": 1.0}, "takes no distance"),
        ((5,), {"function": "planar_interpolation"}, r"shape \(5,\).*two equal axes"),
        ((5, 4), {"function": "planar_interpolation"}, r"shape \(5, 4\).*two equal axes"),
        ((5, 5), {"function": "linear_interpolation"}, "returns one axis"),
        (
            (5, 5),
            {"function": "planar_interpolation", "bounds": [(0, 1)]},
            "takes no option bounds",
        ),
    ],
)
def test_what_is_missing_or_does_not_fit_is_said(tmp_path, shape, options, words):
    np.save(tmp_path / "x.npy", np.zeros(shape))
    with pytest.raises(LossLandscapeError, match=words):
        Landscape.imported(tmp_path / "x.npy", "loss-landscapes", **options)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"not a \.npy file \(found: text"):
        Landscape.imported(tmp_path / "x.csv", "loss-landscapes", function="planar_interpolation")


def test_where_the_values_of_a_line_were_measured(tmp_path):
    np.save(tmp_path / "x.npy", np.array([4.0, 3.0, np.inf, 5.0]))
    line = Landscape.imported(
        tmp_path / "x.npy", "loss-landscapes", function="linear_interpolation"
    )
    np.testing.assert_allclose(line.grid.axes()[0], [0.25, 0.5, 0.75, 1.0])
    assert line.status.tolist() == [1, 1, 3, 1]
    assert "distance" not in line.provenance["imported"]
    random = Landscape.imported(
        tmp_path / "x.npy", "loss-landscapes", function="random_line", distance=4.0
    )
    np.testing.assert_allclose(random.grid.axes()[0], np.array([1, 2, 3, 4]) / 16)
    assert random.provenance["imported"]["distance"] == 4.0
    assert random.provenance["imported"]["function"] == "random_line"


@pytest.mark.parametrize("function", ["planar_interpolation", "random_plane"])
def test_where_the_values_of_a_plane_were_measured(tmp_path, function):
    values = np.arange(16.0).reshape(4, 4)
    values[2, 1] = np.nan
    np.save(tmp_path / "x.npy", values)
    random = function == "random_plane"
    options = {"distance": 2.0} if random else {}
    plane = Landscape.imported(tmp_path / "x.npy", "loss-landscapes", function=function, **options)
    assert plane.grid.counts == (4, 5)
    step, start = (1 / 8, -2) if random else (1 / 4, 0)
    np.testing.assert_allclose(plane.grid.axes()[0], step * (start + np.arange(4)))
    np.testing.assert_allclose(plane.grid.axes()[1], step * (start + np.arange(5)))
    for i in range(4):
        up = i % 2 == 0  # one step higher where it walks up
        for j in range(5):
            place = j - 1 if up else j
            measured = 0 <= place < 4
            expected = values[i, place] if measured else np.nan
            np.testing.assert_equal(plane.values()[j, i], expected)
            status = 0 if not measured else 3 if np.isnan(expected) else 1
            assert plane.status[j, i] == status
