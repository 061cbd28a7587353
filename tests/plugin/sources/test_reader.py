"""The reader gives back a landscape file bit for bit, and refuses what is none."""

import json

import numpy as np
import pytest
from netCDF4 import Dataset

from losslandscape import Grid, Landscape


@pytest.fixture(scope="module")
def files(tmp_path_factory, write_landscape):
    folder = tmp_path_factory.mktemp("read")
    paths = [write_landscape(folder / f"grid{n}.nc", n) for n in (1, 2, 3)]
    return [*paths, write_landscape(folder / "again.llnc", 3)]


@pytest.fixture(scope="module")
def stored(files):
    """What the files held, before the last of them was written again."""
    found = {}
    for path in files:
        with Dataset(path) as file:
            file.set_auto_mask(False)
            found[path.stem] = {name: variable[:] for name, variable in file.variables.items()}
    return found


@pytest.fixture(scope="module")
def read(tmp_path_factory, files, stored, in_paraview):
    output = tmp_path_factory.mktemp("arrays") / "arrays.npz"
    facts, _done = in_paraview("read.py", output, *files)
    with np.load(output) as arrays:
        return facts, dict(arrays)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_surface_equals_the_file_bit_for_bit(read, stored, dimensions):
    facts, arrays = read
    stem = f"grid{dimensions}"
    assert facts[stem]["proxy"] == "LossLandscapeReader"
    names = {"loss", "loss_standard_error", "accuracy", "epochs", "status"}
    assert {name.split("/")[-1] for name in arrays if name.startswith(f"{stem}/0/")} == names
    assert set(facts[stem]["arrays"]) == names
    for name in names:
        expected, given = stored[stem][name].ravel(), arrays[f"{stem}/0/{name}"]
        assert given.dtype == expected.dtype
        assert given.tobytes() == expected.tobytes()
    assert np.isnan(arrays[f"{stem}/0/loss"][2])
    assert np.isposinf(arrays[f"{stem}/0/loss"][-2])


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_grid_lies_where_the_coordinates_say(read, stored, dimensions):
    facts = read[0][f"grid{dimensions}"]["0"]
    assert facts["class"] == "vtkImageData"
    axes = [stored[f"grid{dimensions}"][name] for name in ("alpha", "beta", "gamma")[:dimensions]]
    assert facts["dimensions"] == [len(axis) for axis in axes] + [1] * (3 - dimensions)
    assert facts["origin"] == [axis[0] for axis in axes] + [0] * (3 - dimensions)
    np.testing.assert_allclose(facts["spacing"][:dimensions], [a[1] - a[0] for a in axes])


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_trajectories_and_models(read, stored, dimensions):
    facts, arrays = read
    stem = f"grid{dimensions}"
    variables = stored[stem]
    assert facts[stem]["1"]["cells"] == [[0, 1, 2, 3], [4, 5, 6]]
    for name in ("loss", "checkpoint_loss", "distance_to_plane", "step"):
        given = arrays[f"{stem}/1/{name}"]
        assert given.tobytes() == variables[f"trajectory_{name}"].tobytes()
    numbers = arrays[f"{stem}/1/trajectory"]
    assert numbers.tolist() == variables["trajectory_index"].tolist()
    for port, prefix in ((1, "trajectory"), (2, "model")):
        points = arrays[f"{stem}/{port}/points"]
        for axis, name in enumerate(("alpha", "beta", "gamma")[:dimensions]):
            assert points[:, axis].tobytes() == variables[f"{prefix}_{name}"].tobytes()
        assert not points[:, dimensions:].any()
    assert facts[stem]["2"]["label"] == ["seed 0", "seed 1"]
    assert arrays[f"{stem}/2/loss"].tolist() == [0.5, 0.25]


def test_provenance_is_in_the_field_data_of_every_output(read):
    for port in "012":
        assert json.loads(read[0]["grid2"][port]["provenance"])["title"] == "a landscape"


def test_arrays_can_be_left_out_and_files_reloaded(read):
    assert read[0]["selected"] == ["loss"]
    assert read[0]["reloaded"] == [7, 1, 1]


@pytest.fixture(scope="module")
def refused(tmp_path_factory, write_landscape, in_paraview):
    folder = tmp_path_factory.mktemp("refused")
    whole = write_landscape(folder / "whole.nc").read_bytes()
    (folder / "text.nc").write_text("hello", encoding="utf-8")
    (folder / "cut.nc").write_bytes(whole[: len(whole) // 2])
    write_landscape(folder / "no_loss.nc", leave_out=["loss"])
    # one flipped byte in the middle of the losses: only their checksum can tell
    with Dataset(folder / "whole.nc") as file:
        file.set_auto_mask(False)
        start = whole.index(file["loss"][:].tobytes())
    flipped = bytearray(whole)
    flipped[start + 40] ^= 1
    (folder / "flipped.nc").write_bytes(flipped)
    with Dataset(folder / "uneven.nc", "w") as file:
        file.createDimension("alpha", 3)
        file.createVariable("alpha", "f8", ("alpha",))[:] = [0, 1, 3]
        file.createVariable("loss", "f8", ("alpha",))[:] = 1
    names = ["missing", "text", "cut", "no_loss", "flipped", "uneven"]
    paths = [str(folder / f"{name}.nc") for name in names]
    found, done = in_paraview("read_bad.py", *paths)
    return {name: found[path] for name, path in zip(names, paths)}, done


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "No such file"),
        ("text", "not a netCDF file"),
        ("cut", "damaged"),
        ("no_loss", "variable 'loss' is missing"),
        ("uneven", "'alpha' does not increase in even steps"),
    ],
)
def test_a_refused_file_is_named_with_the_reason(refused, name, words):
    facts, done = refused
    assert words in facts[name]["message"]
    assert f"{name}.nc" in facts[name]["message"]
    assert f"LossLandscapeReader: {facts[name]['message']}" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["missing", "text", "cut", "no_loss", "flipped", "uneven"])
def test_a_refused_file_leaves_no_half_of_an_output(refused, name):
    assert refused[0][name]["points"] == [0, 0, 0]
    assert refused[0][name]["arrays"] == [0, 0, 0]


def test_what_is_no_landscape_is_left_to_other_readers(refused):
    facts = refused[0]
    assert [name for name in facts if facts[name]["can_read"]] == ["flipped", "uneven"]


def test_a_flipped_bit_is_told_by_its_checksum(refused):
    _facts, done = refused
    messages = [m for m in (done.stdout + done.stderr).splitlines() if "flipped.nc" in m]
    assert messages
    assert "loss" in messages[0]
    assert "damaged" in messages[0]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_paraviews_own_reader_shows_the_loss_on_its_axes(tmp_path, in_paraview, dimensions):
    """Its variables are sorted by name, and the first one's dimensions are read."""
    grid = Grid((4, 3, 2)[:dimensions], ((-1.0, 2.0), (0.5, 1.0), (3.0, 4.0))[:dimensions])
    loss = np.arange(float(grid.size)).reshape(grid.shape)
    landscape = Landscape(
        grid=grid,
        fields={"loss": loss},
        status=np.ones(grid.shape, np.int8),
        gram_matrix=np.eye(dimensions),
        samples={"loss_samples": np.zeros((*grid.shape, 2), np.float32)},
    )
    landscape.save(tmp_path / "x.nc")
    shown, _done = in_paraview("own_netcdf_reader.py", tmp_path / "x.nc")
    assert shown["arrays"] == ["loss", "status"]
    assert shown["loss"] == loss.ravel().tolist()
    assert shown["bounds"][: 2 * dimensions] == [end for ends in grid.bounds for end in ends]
