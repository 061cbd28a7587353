import hashlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOPLY import vtkPLYReader
from vtkmodules.vtkIOXML import vtkXMLImageDataReader, vtkXMLPolyDataReader

from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.formats import export
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.overlays import ModelPoint, ProjectedTrajectory
from losslandscape.planes.grid import Grid


@pytest.fixture
def landscape(rng):
    grid = Grid.rectangle((5, 4), ((-1, 1), (0, 6)))
    loss = rng.normal(size=grid.shape)
    loss[3, 4] = np.nan
    loss[0, 0] = np.inf
    return Landscape(
        grid=grid,
        fields={"loss": loss, "accuracy": rng.random(grid.shape)},
        status=np.where(np.isfinite(loss), 1, 3).astype(np.int8),
        gram_matrix=np.eye(2),
        provenance={"title": "a title"},
        models=[ModelPoint("first", (0.0, 0.0), 1.5), ModelPoint("second", (0.5, 1.0), 2.5)],
        trajectories=[
            ProjectedTrajectory(
                label=label,
                step=np.arange(3.0),
                coordinates=rng.random((3, 2)),
                loss=rng.random(3),
                checkpoint_loss=rng.random(3),
                distance_to_plane=rng.random(3),
            )
            for label in ("one", "two")
        ],
    )


def read(reader, path):
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def test_image_data_holds_every_variable(landscape, tmp_path):
    landscape.export(tmp_path)
    image = read(vtkXMLImageDataReader(), tmp_path / "surface.vti")
    assert image.GetDimensions() == (5, 4, 1)
    assert image.GetOrigin() == (-1, 0, 0)
    assert image.GetSpacing() == (0.5, 2.0, 1.0)
    for name, values in landscape.fields.items():
        np.testing.assert_array_equal(
            vtk_to_numpy(image.GetPointData().GetArray(name)).reshape(4, 5), values
        )
    assert "a title" in image.GetFieldData().GetAbstractArray("provenance").GetValue(0)
    assert b"<AppendedData" not in (tmp_path / "surface.vti").read_bytes()


def test_trajectories_are_polylines_and_models_points(landscape, tmp_path):
    landscape.export(tmp_path, ["vtp"])
    lines = read(vtkXMLPolyDataReader(), tmp_path / "trajectory.vtp")
    assert lines.GetNumberOfLines() == 2
    loss = vtk_to_numpy(lines.GetPointData().GetArray("loss"))
    np.testing.assert_array_equal(loss, np.concatenate([t.loss for t in landscape.trajectories]))
    points = vtk_to_numpy(lines.GetPoints().GetData())
    np.testing.assert_array_equal(points[3:, :2], landscape.trajectories[1].coordinates)
    numbers = vtk_to_numpy(lines.GetPointData().GetArray("trajectory"))
    assert numbers.tolist() == [0, 0, 0, 1, 1, 1]
    labels = lines.GetFieldData().GetAbstractArray("trajectories")
    assert [labels.GetValue(i) for i in range(2)] == ["one", "two"]
    models = read(vtkXMLPolyDataReader(), tmp_path / "models.vtp")
    assert models.GetPointData().GetAbstractArray("label").GetValue(1) == "second"
    assert models.GetNumberOfVerts() == 2


def test_the_mesh_leaves_out_cells_that_touch_a_hole(landscape, tmp_path):
    landscape.export(tmp_path, ["ply"])
    mesh = read(vtkPLYReader(), tmp_path / "surface.ply")
    assert mesh.GetNumberOfCells() == 2 * (4 * 3 - 2)  # two corners of the grid are not finite
    points = vtk_to_numpy(mesh.GetPoints().GetData())
    finite = landscape.fields["loss"][np.isfinite(landscape.fields["loss"])]
    assert set(np.round(points[:, 2], 5)) <= set(np.round(finite.astype(np.float32), 5))


def test_the_collection_names_what_is_there(landscape, tmp_path):
    landscape.export(tmp_path, ["pvd"])
    names = [d.get("file") for d in ElementTree.parse(tmp_path / "landscape.pvd").iter("DataSet")]
    assert names == ["surface.vti", "trajectory.vtp", "models.vtp"]
    assert all((tmp_path / name).exists() for name in names)


def other_than(landscape):
    """Another landscape on the same grid, without trajectory and models."""
    fields = {name: 2 * values for name, values in landscape.fields.items()}
    return Landscape(landscape.grid, fields, landscape.status, landscape.gram_matrix)


@pytest.mark.parametrize(
    ("formats", "alone", "left"),
    [
        (None, False, {"surface.vti", "landscape.pvd", "surface.ply", "surface.csv"}),
        (["pvd"], True, {"surface.vti", "landscape.pvd"}),
        (["vti"], True, {"surface.vti"}),
        (
            ["pvd"],
            False,
            {"surface.vti", "landscape.pvd", "surface.ply", "surface.csv", "trajectories.csv"},
        ),
    ],
)
def test_an_export_leaves_no_file_of_an_earlier_one(landscape, tmp_path, formats, alone, left):
    (tmp_path / "notes.txt").touch()
    landscape.export(tmp_path)
    assert (tmp_path / "trajectory.vtp").exists()
    other = other_than(landscape)
    written = export(other, tmp_path, formats, alone=alone)
    assert {path.name for path in tmp_path.iterdir()} == left | {"notes.txt"}
    assert set(written) <= {tmp_path / name for name in left}
    image = read(vtkXMLImageDataReader(), tmp_path / "surface.vti")
    np.testing.assert_array_equal(
        vtk_to_numpy(image.GetPointData().GetArray("loss")), other.values("loss").ravel()
    )


def test_formats_exported_one_by_one_stay(landscape, tmp_path):
    for name in ("vti", "vtp", "csv"):
        landscape.export(tmp_path, [name])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "surface.vti",
        "trajectory.vtp",
        "models.vtp",
        "surface.csv",
        "trajectories.csv",
    }


def test_polylines_and_points_say_whose_they_are(landscape, tmp_path):
    landscape.export(tmp_path)
    image = read(vtkXMLImageDataReader(), tmp_path / "surface.vti")
    loss = vtk_to_numpy(image.GetPointData().GetArray("loss"))
    for name in ("trajectory.vtp", "models.vtp"):
        data = read(vtkXMLPolyDataReader(), tmp_path / name)
        said = data.GetFieldData().GetAbstractArray("loss_sha256").GetValue(0)
        assert said == hashlib.sha256(loss.tobytes()).hexdigest()


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5)])
def test_lines_and_volumes_are_image_data_too(tmp_path, rng, shape):
    grid = Grid(shape, ((-1.0, 1.0),) * len(shape))
    values = rng.random(grid.shape)
    landscape = Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), np.eye(len(shape)))
    landscape.export(tmp_path)
    image = read(vtkXMLImageDataReader(), tmp_path / "surface.vti")
    assert image.GetDimensions() == (*shape, 1, 1)[:3]
    np.testing.assert_array_equal(
        vtk_to_numpy(image.GetPointData().GetArray("loss")), values.ravel()
    )
    with pytest.raises(LossLandscapeError, match="cannot hold"):
        landscape.export(tmp_path, ["ply"])


def test_unknown_format_and_existing_file(landscape, tmp_path):
    with pytest.raises(LossLandscapeError, match="'stl' is not one of vti, vtp, pvd, ply"):
        landscape.export(tmp_path, ["stl"])
    landscape.save(tmp_path / "x.nc")
    with pytest.raises(OutputExistsError):
        landscape.save(tmp_path / "x.nc")
    again = Landscape.open(tmp_path / "x.nc")
    assert [t.label for t in again.trajectories] == ["one", "two"]
    assert again.models == landscape.models
    np.testing.assert_array_equal(again.trajectories[1].loss, landscape.trajectories[1].loss)


def test_a_trajectory_alone_has_no_number_and_no_table(landscape, tmp_path):
    del landscape.trajectories[1]
    landscape.export(tmp_path)
    lines = read(vtkXMLPolyDataReader(), tmp_path / "trajectory.vtp")
    assert lines.GetPointData().GetArray("trajectory") is None
    assert lines.GetFieldData().GetAbstractArray("trajectories") is None
    assert not (tmp_path / "trajectories.csv").exists()


def test_several_trajectories_are_a_table(landscape, tmp_path):
    import csv

    landscape.trajectories[1].label = 'two, "fast"'
    landscape.export(tmp_path, ["csv"])
    with (tmp_path / "trajectories.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["one"] * 3 + ['two, "fast"'] * 3
    for name in ("step", "loss", "checkpoint_loss", "distance_to_plane"):
        told = [float(row[name]) for row in rows]
        stored = np.concatenate([getattr(one, name) for one in landscape.trajectories])
        np.testing.assert_array_equal(told, stored)
    told = [[float(row["alpha"]), float(row["beta"])] for row in rows]
    stored = np.concatenate([one.coordinates for one in landscape.trajectories])
    np.testing.assert_array_equal(told, stored)
    landscape.trajectories[1].arrays["top_eigenvalue"] = np.array([1.0, 2.0, 3.0])
    landscape.export(tmp_path, ["csv", "vtp"])
    with (tmp_path / "trajectories.csv").open(newline="") as file:
        told = [float(row["top_eigenvalue"]) for row in csv.DictReader(file)]
    lines = read(vtkXMLPolyDataReader(), tmp_path / "trajectory.vtp")
    drawn = vtk_to_numpy(lines.GetPointData().GetArray("top_eigenvalue"))
    for found in (told, drawn):
        np.testing.assert_array_equal(found, [np.nan] * 3 + [1.0, 2.0, 3.0])
    del landscape.trajectories[1]
    landscape.export(tmp_path, ["csv"])
    assert not (tmp_path / "trajectories.csv").exists()
