"""What `losslandscape topology` writes and prints."""

import json

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLImageDataReader, vtkXMLPolyDataReader

from losslandscape import Grid, Landscape
from losslandscape.cli import main


def read(path):
    reader = (vtkXMLPolyDataReader if path.suffix == ".vtp" else vtkXMLImageDataReader)()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def arrays(attributes):
    return {
        attributes.GetArrayName(i): vtk_to_numpy(attributes.GetArray(i))
        for i in range(attributes.GetNumberOfArrays())
    }


@pytest.fixture
def file(tmp_path, rng):
    grid = Grid.rectangle((17, 13), ((-1.5, 1.5), (-1, 1)))
    x, y = grid.points().T
    field = (10 * ((x**2 - 1) ** 2 + y**2) + 0.3 * x + 0.5).reshape(grid.shape)
    losses = (field[..., None] + 0.1 * rng.standard_normal((*grid.shape, 50))).astype(np.float32)
    path = tmp_path / "wells.nc"
    Landscape(
        grid, {"loss": losses.mean(-1, dtype=float)}, np.ones(grid.shape, np.int8), np.eye(2),
        samples={"loss_samples": losses},
    ).save(path)  # fmt: skip
    return path


def test_the_files_hold_ttks_arrays_and_the_significance(file, capsys):
    assert main(["topology", str(file), "--scale", "linear", "--seed", "5"]) == 0
    printed, progress = capsys.readouterr()
    assert progress.startswith("bootstrap: 1,000 draws of 221 points, 50 samples each\n")
    assert "bootstrap: 1000/1000, " in progress
    assert "2 minima significant at 95%" in printed
    first, second = printed.splitlines()[:2]
    assert first.startswith(f"{file}: of the mean loss, 2 of 2 minima are significant at 95%, each")
    assert (
        f"render {file} --figure topology --topology {file.with_name('wells_topology')}" in second
    )
    folder = file.with_name("wells_topology")
    report = json.loads((folder / "topology.json").read_text())
    assert (report["noise"]["seed"], report["noise"]["draws"]) == (5, 1000)
    assert report["counts"]["minimum"]["significant"] == 2
    assert report["critical_points"][0]["persistence"] == "Infinity"
    assert report["critical_points"][0]["p_value"] is None
    assert report["critical_points"][1]["p_value"] == pytest.approx(1 / 1001)
    assert report["noise"]["method"] == "studentized"
    assert report["threshold"] == report["noise"]["persistence"] < 1

    points = read(folder / "critical_points.vtp")
    found = arrays(points.GetPointData())
    assert {"CellDimension", "CellId", "loss", "IsOnBoundary", "ttkVertexScalarField",
            "ManifoldSize", "persistence", "significant", "p_value"} <= set(found)  # fmt: skip
    judged = [
        row["p_value"] for row in sorted(report["critical_points"], key=lambda r: r["number"])
    ]
    np.testing.assert_allclose(found["p_value"], [np.nan if p is None else p for p in judged])
    loss = Landscape.open(file).values("loss")
    np.testing.assert_allclose(found["loss"], loss.ravel()[found["ttkVertexScalarField"]])
    assert points.GetNumberOfVerts() == len(report["critical_points"])

    separatrices = read(folder / "separatrices.vtp")
    cells = arrays(separatrices.GetCellData())
    assert {"SourceId", "DestinationId", "SeparatrixType"} <= set(cells)
    assert separatrices.GetNumberOfLines() == len(cells["SourceId"]) > 0

    segmentation = arrays(read(folder / "segmentation.vti").GetPointData())
    assert {"loss", "DescendingManifold", "AscendingManifold", "MorseSmaleManifold"} <= set(
        segmentation
    )
    diagram = read(folder / "persistence_diagram.vtp")
    pairs = arrays(diagram.GetCellData())
    assert pairs["PairIdentifier"][-1] == -1
    finite = pairs["IsFinite"] == 1
    assert (pairs["significant"][finite] == (pairs["p_value"][finite] <= 0.05)).all()
    assert np.isnan(pairs["p_value"][~finite]).all()
    ends = vtk_to_numpy(diagram.GetPoints().GetData())
    np.testing.assert_allclose((ends[1::2] - ends[::2])[:-1, 1], pairs["Persistence"][:-1])


def test_quiet_shows_no_progress(file, capsys):
    assert main(["topology", str(file), "--quiet"]) == 0
    printed, progress = capsys.readouterr()
    assert "significant at 95%" in printed
    assert progress == ""


def test_simplification_leaves_the_significant_points_alone(file, capsys):
    assert main(["topology", str(file), "--scale", "linear", "--simplify"]) == 0
    report = json.loads((file.with_name("wells_topology") / "topology.json").read_text())
    minima = [row for row in report["critical_points"] if row["kind"] == "minimum"]
    assert len(minima) == 2
    assert all(row["significant"] for row in report["critical_points"])


def test_a_threshold_for_all_pairs_writes_no_p_values(file, capsys):
    assert main(["topology", str(file), "--scale", "linear", "--noise", "bootstrap"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "2 of 2 minima are significant at 95%, by a persistence above t = " in first
    folder = file.with_name("wells_topology")
    assert "p_value" not in arrays(read(folder / "critical_points.vtp").GetPointData())
    assert "p_value" not in arrays(read(folder / "persistence_diagram.vtp").GetCellData())
    assert "p_value" not in json.loads((folder / "topology.json").read_text())["critical_points"][0]


def test_a_log_scale_is_decades_and_keeps_the_loss_itself(file):
    assert main(["topology", str(file), "--scale", "log", "--persistence", "0.2"]) == 0
    folder = file.with_name("wells_topology")
    found = arrays(read(folder / "critical_points.vtp").GetPointData())
    loss = Landscape.open(file).values("loss")
    np.testing.assert_allclose(found["loss"], loss.ravel()[found["ttkVertexScalarField"]])
    finite = np.isfinite(found["persistence"])
    assert found["persistence"][finite].max() < 3


def test_errors_say_what_to_do_and_write_nothing(file, capsys):
    folder = file.with_name("wells_topology")
    with pytest.raises(SystemExit, match="2"):
        main(["topology", str(file), "--persistence", "-1"])
    assert "--persistence -1: must be a finite number of at least 0" in capsys.readouterr().err
    assert not folder.exists()
    assert main(["topology", str(file.with_name("none.nc"))]) == 1
    assert main(["topology", str(file)]) == 0
    assert main(["topology", str(file)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["topology", str(file), "--overwrite"]) == 0


def test_a_landscape_without_samples_says_so(file, capsys):
    measured = Landscape.open(file)
    measured.samples = {}
    measured.save(file, overwrite=True)
    assert main(["topology", str(file)]) == 0
    assert "nothing is told from noise" in capsys.readouterr().out
    for option in ("--draws", "--seed"):  # there is nothing to draw
        assert main(["topology", str(file), option, "9", "--overwrite"]) == 1
        said = f"has no per-sample losses; leave out {option}"
        assert said in " ".join(capsys.readouterr().err.split())
    assert main(["topology", str(file), "--noise", "bootstrap", "--overwrite"]) == 1
    assert "loss_samples" in capsys.readouterr().err


def test_one_dimension(tmp_path, capsys):
    path = tmp_path / "line.nc"
    grid = Grid.line(41, 2.0)
    x = grid.points()[:, 0]
    Landscape(grid, {"loss": (x**2 - 1) ** 2 + 1}, np.ones(41, np.int8), np.eye(1)).save(path)
    assert main(["topology", str(path), "--persistence", "0.5"]) == 0
    assert "2 minima" in capsys.readouterr().out
    diagram = read(tmp_path / "line_topology" / "persistence_diagram.vtp")
    assert set(arrays(diagram.GetPointData())["CriticalType"]) == {-1, 0, 3}
