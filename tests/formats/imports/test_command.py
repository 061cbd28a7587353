"""``losslandscape import``, and what the other verbs make of an imported landscape."""

import json

import numpy as np
import pytest

from losslandscape import Landscape
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.paraview import process as paraview_process


def waves(points):
    x, y = np.linspace(-1, 1, points[0]), np.linspace(-1, 1, points[1])
    x, y = np.meshgrid(x, y)
    return 2 + np.cos(5 * x) + np.sin(4 * y) + x**2 + 0.3 * x


@pytest.fixture
def imported(tmp_path, capsys):
    np.save(tmp_path / "loss.npy", waves((21, 17)))
    output = tmp_path / "loss.nc"
    arguments = ["import", str(tmp_path / "loss.npy"), "--bounds=-1,1,-1,1"]
    assert main([*arguments, "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "loss.npy: imported as npy (detected from the content), NumPy array" in said
    assert "21 x 17 points, alpha -1 to 1, beta -1 to 1" in said
    return output


def test_the_file_says_how_it_came_to_be(imported):
    provenance = Landscape.open(imported).provenance
    assert provenance["command"].startswith("losslandscape import ")
    assert provenance["imported"]["file"] == "loss.npy"


def test_a_table_without_bounds_comes_back_from_the_export(imported, tmp_path):
    assert main(["export", str(imported), "--formats", "csv", "--output", str(tmp_path / "e")]) == 0
    again = tmp_path / "again.nc"
    assert main(["import", str(tmp_path / "e" / "surface.csv"), "--output", str(again)]) == 0
    one, two = Landscape.open(imported), Landscape.open(again)
    assert one.values("loss").tobytes() == two.values("loss").tobytes()
    assert one.grid == two.grid


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "x.txt"], "the name must end in .nc or .llnc"),
        (["--output", "x.nc"], "4 x 5 values without coordinates"),
        (["--bounds=0,1,0,1", "--output", "there.nc"], "exists; choose another name"),
        (
            ["--bounds=0,1,0,1", "--overwrite", "--output", "link.nc"],
            "is an input of the same command",
        ),
        (["--bounds=0,1,0,1", "--output", "no/x.nc"], "does not exist; create it"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.zeros((4, 5)))
    (tmp_path / "there.nc").write_text("kept", encoding="utf-8")
    (tmp_path / "link.nc").symlink_to("a.npy")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["import", "a.npy", *arguments]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_topology_and_flatness_work_on_it(imported, tmp_path):
    assert main(["topology", str(imported), "--output", str(tmp_path / "topology")]) == 0
    found = json.loads((tmp_path / "topology" / "topology.json").read_text(encoding="utf-8"))
    assert found["noise"]["method"] == "none"
    assert found["counts"]["minimum"]["significant"] >= 2
    folder = tmp_path / "flatness"
    assert main(["flatness", str(imported), "--epsilon", "0.2", "--output", str(folder)]) == 0
    report = json.loads((folder / "flatness.json").read_text(encoding="utf-8"))
    assert report["size"] > 0
    assert report["parameter_size"] is None  # the directions' lengths are not known


def test_a_surface_with_holes_has_its_topology(tmp_path):
    np.save(tmp_path / "plane.npy", waves((12, 12)))
    landscape = Landscape.imported(
        tmp_path / "plane.npy", "loss-landscapes", function="random_plane", distance=1.0
    )
    landscape.save(tmp_path / "plane.nc")
    assert main(["topology", str(tmp_path / "plane.nc"), "--output", str(tmp_path / "t")]) == 0


def test_what_needs_the_model_says_so(imported, capsys):
    arguments = ["--model", "mlp", "--data", "digits8"]
    assert main(["verify", str(imported), *arguments]) == 1
    said = capsys.readouterr().err
    assert "was imported from another tool's file" in said
    assert said.count("\n") == 1


@pytest.mark.paraview
def test_its_figure_through_paraview(tmp_path):
    try:
        paraview_process.find_pvpython()
    except LossLandscapeError as error:
        pytest.skip(str(error))
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "surface.h5", "w") as file:
        file["xcoordinates"] = file["ycoordinates"] = np.linspace(-1, 1, num=41)
        file["train_loss"] = waves((41, 41))
        file["train_loss"][0, :2] = -1
        file["train_acc"] = np.full((41, 41), 50.0)
    with h5py.File(tmp_path / "d_proj_cos.h5", "w") as file:
        file["proj_xcoord"], file["proj_ycoord"] = np.linspace(0.8, 0, 9), np.linspace(-0.6, 0, 9)
    landscape = Landscape.imported(
        tmp_path / "surface.h5", trajectory=tmp_path / "d_proj_cos.h5", title="Imported"
    )
    landscape.save(tmp_path / "surface.nc")
    for figure, holes in (("surface", 2), ("trajectory", 2)):
        picture = tmp_path / f"{figure}.png"
        report = paraview_process.render(
            [tmp_path / "surface.nc"], figure, picture, size=(700, 600)
        )
        assert report["panels"][0]["holes"] == holes
        assert picture.stat().st_size > 10_000
