"""In memory as in the file."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.landscape.overlays import ModelPoint, ProjectedTrajectory

xarray = pytest.importorskip("xarray", reason="pip install xarray")


def make(shape=(3, 4)):
    rng = np.random.default_rng(0)
    grid = Grid.rectangle(shape[::-1], tuple((-1.0, 1.0 + i) for i in range(len(shape))))
    loss = rng.random(shape)
    loss.flat[0], loss.flat[1] = np.nan, np.inf
    status = np.ones(shape, np.int8)
    status.flat[0], status.flat[1], status.flat[2] = 0, 3, 2

    def way(label, n):
        columns = rng.random((3, n))
        return ProjectedTrajectory(label, np.arange(n), rng.random((n, len(shape))), *columns)

    return Landscape(
        grid,
        {"loss": loss, "loss_standard_error": rng.random(shape)},
        status,
        np.eye(len(shape)),
        provenance={"title": "t", "quantities": {"loss": "cross-entropy loss"}},
        samples={"loss_samples": rng.random((*shape, 5)).astype(np.float32)},
        models=[ModelPoint("seed é", (0.0,) * len(shape), 0.5)],
        trajectories=[way("first", 2), way("second", 3)],
    )


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4)])
def test_variables_and_attributes_are_those_of_the_file(tmp_path, shape):
    landscape = make(shape)
    landscape.save(tmp_path / "x.nc")
    found = landscape.to_xarray()
    with xarray.open_dataset(tmp_path / "x.nc") as file:
        assert set(file.variables) - set(found.variables) == {"provenance"}
        assert set(found.variables) - set(file.variables) == {"trajectory", "model_label"}
        for name in set(file.variables) - {"provenance"}:
            xarray.testing.assert_equal(found[name].variable, file[name].variable)
            assert found[name].dtype == file[name].dtype
            for key, value in file[name].attrs.items():
                np.testing.assert_array_equal(found[name].attrs[key], value)
        written = {k: v for k, v in file.attrs.items() if k != "content_sha256"}
        assert found.attrs == written
    assert found["loss"].attrs == {"units": "1", "long_name": "cross-entropy loss"}


def test_dimensions_coordinates_and_labels():
    found = make().to_xarray()
    assert found["loss"].dims == ("beta", "alpha")
    np.testing.assert_allclose(found["alpha"], np.linspace(-1, 1, 4), rtol=1e-15)
    assert found["status"].attrs["flag_values"].tolist() == [0, 1, 2, 3]
    assert len(found["status"].attrs["flag_meanings"].split()) == 4
    assert found["trajectory"].values.tolist() == ["first"] * 2 + ["second"] * 3
    second = found.where(found["trajectory"] == "second", drop=True)
    assert second["trajectory_step"].values.tolist() == [0, 1, 2]
    assert found["model_label"].values.tolist() == ["seed é"]


def test_it_can_be_written_and_shares_no_memory(tmp_path):
    landscape = make()
    found = landscape.to_xarray()
    found.to_netcdf(tmp_path / "again.nc")
    found["loss"][1, 1] = 99.0
    assert landscape.values("loss")[1, 1] != 99
    with xarray.open_dataset(tmp_path / "again.nc") as again:
        xarray.testing.assert_equal(again["loss_samples"], found["loss_samples"])
