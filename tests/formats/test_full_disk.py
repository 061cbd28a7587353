"""Exports on a full disk: the reason is stated, and nothing is left half written."""

import shutil
import subprocess

import numpy as np
import pytest
from vtkmodules.vtkIOPLY import vtkPLYWriter
from vtkmodules.vtkIOXML import vtkXMLImageDataWriter

from losslandscape import Grid, Landscape
from losslandscape.errors import LossLandscapeError
from losslandscape.formats import ply
from losslandscape.formats.image_data import image_data
from losslandscape.formats.vtk_xml import write_xml


@pytest.fixture
def landscape():
    grid = Grid.square(41)
    return Landscape(grid, {"loss": np.random.default_rng(1).random(grid.shape)},
                     np.ones(grid.shape, np.int8), np.eye(2))  # fmt: skip


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KB, of which a part is taken."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    (place / "ballast").write_bytes(bytes(48 * 1024))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("name", ["vti", "ply", "csv", "pvd"])
def test_an_export_that_does_not_fit_leaves_nothing(landscape, small_disk, name):
    folder = small_disk / "exported"
    with pytest.raises(LossLandscapeError, match=r"exported.*no space left on the disk"):
        landscape.export(folder, [name])
    assert [file.name for file in small_disk.iterdir()] == ["ballast"]


def test_an_export_that_does_not_fit_keeps_the_earlier_one(landscape, small_disk):
    folder = small_disk / "exported"
    small = Landscape(
        Grid.square(2), {"loss": np.ones((2, 2))}, np.ones((2, 2), np.int8), np.eye(2)
    )
    small.export(folder, ["ply"])
    before = (folder / "surface.ply").read_bytes()
    with pytest.raises(LossLandscapeError, match="no space left on the disk"):
        landscape.export(folder)
    assert [file.name for file in folder.iterdir()] == ["surface.ply"]
    assert (folder / "surface.ply").read_bytes() == before


def test_a_mesh_that_vtk_did_not_finish_is_noticed(landscape, tmp_path, monkeypatch):
    write = vtkPLYWriter.Write

    def cut(writer):
        write(writer)
        with open(writer.GetFileName(), "r+b") as file:
            file.truncate(5000)
        return 1

    cutting = type("CuttingWriter", (vtkPLYWriter,), {"Write": cut})
    monkeypatch.setattr(ply, "vtkPLYWriter", cutting)
    with pytest.raises(LossLandscapeError, match="VTK could not write it"):
        landscape.export(tmp_path, ["ply"])
    assert list(tmp_path.iterdir()) == []


def test_xml_has_the_bytes_that_vtk_writes_itself(landscape, tmp_path):
    data = image_data(landscape)
    writer = vtkXMLImageDataWriter()
    writer.SetFileName(str(tmp_path / "vtk.vti"))
    writer.SetInputData(data)
    writer.SetDataModeToBinary()
    assert writer.Write()
    write_xml(vtkXMLImageDataWriter(), data, tmp_path / "ours.vti")
    assert (tmp_path / "ours.vti").read_bytes() == (tmp_path / "vtk.vti").read_bytes()
