"""Variables that do not fit together are refused, each for its own reason."""

import json
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.errors import FileFormatError, OutputExistsError
from losslandscape.formats.content_stream import Variable
from losslandscape.formats.netcdf import landscape_of
from losslandscape.landscape.overlays import ModelPoint, ProjectedTrajectory

FILE = Path("some.nc")


def provenance(**entries):
    return np.frombuffer(json.dumps(entries).encode(), dtype="S1")


def variables(**changes):
    found = {
        "alpha": Variable(("alpha",), np.array([0.0, 1.0, 2.0])),
        "beta": Variable(("beta",), np.array([10.0, 20.0])),
        "loss": Variable(("beta", "alpha"), np.arange(6.0).reshape(2, 3)),
        "status": Variable(("beta", "alpha"), np.ones((2, 3), np.int8)),
        "subspace_gram_matrix": Variable(("direction", "other_direction"), np.diag([4.0, 9.0])),
        "provenance": Variable(("provenance_length",), provenance(title="x")),
    }
    found.update(changes)
    return {name: variable for name, variable in found.items() if variable is not None}


def test_variables_on_the_grid_are_fields_and_those_with_one_more_are_samples():
    found = landscape_of(
        variables(
            accuracy=Variable(("beta", "alpha"), np.zeros((2, 3))),
            loss_samples=Variable(("beta", "alpha", "sample"), np.zeros((2, 3, 4))),
            other=Variable(("alpha", "beta"), np.zeros((3, 2))),
            words=Variable(("beta", "alpha"), np.full((2, 3), "a")),
        ),
        FILE,
    )
    assert list(found.fields) == ["loss", "accuracy"]
    assert list(found.samples) == ["loss_samples"]
    assert found.grid == Grid((3, 2), ((0.0, 2.0), (10.0, 20.0)))
    assert found.gram_matrix.tolist() == [[4, 0], [0, 9]]
    assert found.path == FILE
    assert found.models == found.trajectories == []
    former = variables()["subspace_gram_matrix"]  # what older files call it
    older = landscape_of(variables(subspace_gram_matrix=None, gram_matrix=former), FILE)
    assert older.gram_matrix.tolist() == [[4, 0], [0, 9]]
    without = landscape_of(variables(subspace_gram_matrix=None), FILE)
    assert without.gram_matrix.shape == (2, 2)
    assert np.isnan(without.gram_matrix).all()


@pytest.mark.parametrize("name", ["loss", "status", "alpha", "provenance"])
def test_a_variable_that_is_missing_is_named(name):
    with pytest.raises(FileFormatError, match=rf"some\.nc: .*'{name}' is missing"):
        landscape_of(variables(**{name: None}), FILE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": Variable(("alpha", "beta"), np.zeros((3, 2)))}, "'loss'.*'alpha', 'beta'"),
        ({"status": Variable(("alpha",), np.ones(3))}, "'status'"),
        ({"beta": Variable(("alpha",), np.zeros(2))}, "'beta'"),
        ({"beta": Variable(("beta",), np.array([10.0, 20.0, 30.0]))}, "shape"),
        ({"alpha": Variable(("alpha",), np.array([0.0, 1.00001, 2.0]))}, "'alpha'"),
        ({"subspace_gram_matrix": Variable(("a",), np.zeros(3))}, "ValueError"),
        ({"provenance": Variable(("l",), provenance(title=3))}, "'title' .* int"),
        ({"provenance": Variable(("l",), provenance(format_version=2))}, "2 .*newer"),
        ({"provenance": Variable(("l",), np.frombuffer(b"[1]", dtype="S1"))}, "JSON object"),
        ({"provenance": Variable(("l",), np.frombuffer(b"{", dtype="S1"))}, "not JSON"),
        (
            {
                "provenance": Variable(
                    ("l",), provenance(grid={"shape": [2, 2], "bounds": [[0, 1]] * 2})
                )
            },
            "shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(FileFormatError, match=rf"some\.nc: .*{words}"):
        landscape_of(variables(**changes), FILE)


def test_coordinates_may_be_off_by_a_millionth_of_a_cell():
    near = Variable(("alpha",), np.array([0.0, 1.0 + 0.9e-6, 2.0]))
    assert landscape_of(variables(alpha=near), FILE).grid.counts == (3, 2)
    of_10 = Variable(("beta",), np.array([10.0, 20.0 - 0.9e-5]))
    grid = {"shape": [2, 3], "bounds": [[0, 2], [10, 20]]}
    described = Variable(("l",), provenance(grid=grid, format_version=1, adaptive=None))
    assert landscape_of(variables(beta=of_10, provenance=described), FILE).grid.size == 6


def test_models_and_trajectories_have_their_labels_or_their_numbers():
    rows = {
        "model_alpha": Variable(("model",), np.array([1.0, 2.0])),
        "model_beta": Variable(("model",), np.array([10.0, 20.0])),
        "model_loss": Variable(("model",), np.array([0.5, 0.25])),
        "trajectory_index": Variable(("step",), np.array([0, 1, 0])),
        "trajectory_alpha": Variable(("step",), np.array([1.0, 2.0, 3.0])),
        "trajectory_beta": Variable(("step",), np.array([4.0, 5.0, 6.0])),
        **{
            f"trajectory_{name}": Variable(("step",), np.array([7.0, 8.0, 9.0]))
            for name in ("step", "loss", "checkpoint_loss", "distance_to_plane")
        },
    }
    found = landscape_of(variables(**rows), FILE)
    assert found.models == [
        ModelPoint("model 0", (1.0, 10.0), 0.5), ModelPoint("model 1", (2.0, 20.0), 0.25),
    ]  # fmt: skip
    first, second = found.trajectories
    assert (first.label, second.label) == ("trajectory 0", "trajectory 1")
    assert first.coordinates.tolist() == [[1, 4], [3, 6]]
    assert second.loss.tolist() == [8]
    named = Variable(("l",), provenance(models=["a", "b"], trajectories=["t", "u"]))
    found = landscape_of(variables(**rows, provenance=named), FILE)
    assert [model.label for model in found.models] == ["a", "b"]
    assert [trajectory.label for trajectory in found.trajectories] == ["t", "u"]
    one_short = Variable(("l",), provenance(models=["a"], trajectories=["t", "u", "v"]))
    found = landscape_of(variables(**rows, provenance=one_short), FILE)
    assert found.models[1].label == "model 1"
    assert found.trajectories[1].label == "trajectory 1"
    for index in ([0, 3, 0], [-1, 0, 0], []):
        bad = {**rows, "trajectory_index": Variable(("step",), np.array(index, int))}
        with pytest.raises(FileFormatError, match="trajectory_index"):
            landscape_of(variables(**bad), FILE)


def test_a_volume_with_all_it_may_hold_comes_back(tmp_path, rng):
    grid = Grid.rectangle((2, 3, 4), ((0, 1), (0, 2), (0, 3)))
    landscape = Landscape(
        grid,
        {"loss": rng.random((4, 3, 2)), "accuracy": rng.random((4, 3, 2))},
        np.ones((4, 3, 2), np.int8),
        np.diag([1.0, 2.0, 3.0]),
        {"title": "a title", "command": "a command", "quantities": {"loss": "words"}},
        {"loss_samples": rng.random((4, 3, 2, 5)).astype(np.float32),
         "test_loss_samples": rng.random((4, 3, 2, 6)).astype(np.float32)},
        [ModelPoint("m", (0.0, 1.0, 2.0), 3.0)],
        [ProjectedTrajectory(
            label, np.arange(n), rng.random((n, 3)), rng.random(n), rng.random(n), rng.random(n)
        ) for label, n in (("t", 2), ("u", 3))],
    )  # fmt: skip
    path = tmp_path / "x.nc"
    landscape.save(path)
    with netCDF4.Dataset(path) as dataset:
        assert dataset["loss"].dimensions == ("gamma", "beta", "alpha")
        assert dataset["loss_samples"].dimensions[-1] == "sample"
        assert dataset["test_loss_samples"].dimensions[-1] == "test_sample"
        assert dataset["loss"].long_name == "words"
        assert dataset["loss"].filters()["fletcher32"]
        assert dataset["loss_samples"].filters()["zlib"]
        assert (dataset.title, dataset.history) == ("a title", "a command")
    opened = Landscape.open(path)
    for name in ("fields", "samples"):
        for key, values in getattr(landscape, name).items():
            np.testing.assert_array_equal(getattr(opened, name)[key], values)
    assert opened.models == landscape.models
    for one, other in zip(opened.trajectories, landscape.trajectories):
        assert one.label == other.label
        for name in ("step", "coordinates", "loss", "checkpoint_loss", "distance_to_plane"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    with pytest.raises(OutputExistsError, match="exists"):
        landscape.save(path)
    landscape.save(path, overwrite=True)


def test_further_numbers_of_a_trajectory_come_back(tmp_path):
    def run(label, count, **arrays):
        columns = [np.arange(float(count))] * 3
        return ProjectedTrajectory(
            label, np.arange(float(count)), np.zeros((count, 1)), *columns, arrays=arrays
        )

    sharpness = np.array([1.0, np.nan, np.inf])
    runs = [run("t", 3, top_eigenvalue=sharpness), run("u", 2, along_valley=np.array([2.0, 3.0]))]
    line = Landscape(
        Grid.line(2), {"loss": np.ones(2)}, np.ones(2, np.int8), np.eye(1), trajectories=runs
    )
    line.save(tmp_path / "x.nc")
    first, second = Landscape.open(tmp_path / "x.nc").trajectories
    assert list(first.arrays) == ["top_eigenvalue"]
    np.testing.assert_array_equal(first.arrays["top_eigenvalue"], sharpness)
    assert list(second.arrays) == ["along_valley"]
    np.testing.assert_array_equal(second.array("along_valley"), [2.0, 3.0])
    assert np.isnan(second.array("top_eigenvalue")).all()
    with netCDF4.Dataset(tmp_path / "x.nc") as dataset:
        assert dataset["trajectory_along_valley"].long_name == "along valley"
        np.testing.assert_array_equal(dataset["trajectory_along_valley"][3:], [2.0, 3.0])
