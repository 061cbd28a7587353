"""ParaView as a process: found, kept apart from the user's Python, its failures one message."""

import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from skimage.io import imread

from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.overlays import ProjectedTrajectory
from losslandscape.paraview import process as paraview_process
from losslandscape.planes.grid import Grid


@pytest.fixture
def shared(monkeypatch, shared_paraview):
    """The test's jobs are done in the process that others use, too."""
    monkeypatch.setattr(paraview_process, "run_script", shared_paraview.run_script)


def test_render_writes_picture_state_and_report(tmp_path, write_landscape):
    # a folder with a space and a letter beyond ASCII in it
    folder = tmp_path / "a lándscape"
    folder.mkdir()
    landscape = write_landscape(folder / "surface.nc")
    picture, state = folder / "surface.png", folder / "states" / "surface.pvsm"
    state.parent.mkdir()
    report = paraview_process.render(
        [landscape], "surface", picture, size=(600, 500), options={"title": "A title"}, state=state
    )
    assert report["picture"] == str(picture)
    assert report["panels"][0]["title"] == "A title"
    assert report["panels"][0]["holes"] == 2
    named = {e.get("value") for e in ElementTree.parse(state).getroot().iter("Element")}
    assert "../surface.nc" in named
    with pytest.raises(LossLandscapeError, match=r"outside of its folder \(\.\./surface\.nc\)"):
        paraview_process.render_state(state, folder / "again.png", size=(600, 500))
    again = paraview_process.render_state(state, folder / "again.png", size=(600, 500), trust=True)
    assert np.array_equal(imread(again), imread(picture))


@pytest.mark.usefixtures("shared")
def test_the_flat_regions_state_holds_no_code_and_says_the_area(tmp_path, write_landscape):
    x, y = np.meshgrid(np.linspace(-1.5, 1.0, 7), np.linspace(-1.5, 1.0, 5))
    landscape = write_landscape(tmp_path / "bowl.nc", loss=0.1 + x**2 + y**2)
    page, state = tmp_path / "flat.html", tmp_path / "flat.pvsm"
    options = {"threshold": 0.4, "log": False}
    report = paraview_process.render([landscape], "flat_region", page, options=options, state=state)
    area = report["panels"][0]["flatness"]["size"]
    assert 0.3 < area < 2.0
    words = f'"words":"flat area\\n{area:.3g}\\nwithin 0.4"'
    assert words in page.read_text(encoding="utf-8")
    # not trusted, and from the state alone
    paraview_process.render_state(state, tmp_path / "again.html")
    assert words in (tmp_path / "again.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("figure", "count", "options", "words"),
    [
        ("surface", 1, {"levels": 3}, "figure 'surface' has no option 'levels'"),
        ("pie chart", 1, {}, "no figure 'pie chart'; there are surface, contours"),
        ("compare", 1, {}, "figure 'compare' takes 2 landscape(s), not 1"),
        ("flatness", 3, {}, "figure 'flatness' takes 1 or 2 landscape(s), not 3"),
        ("surface", 1, {"array": "hessian"}, "there is no array 'hessian'"),
    ],
)
@pytest.mark.usefixtures("shared")
def test_what_does_not_fit_is_one_message(tmp_path, write_landscape, figure, count, options, words):
    landscape = write_landscape(tmp_path / "x.nc")
    with pytest.raises(LossLandscapeError, match=r"^[^\n]+$") as caught:
        paraview_process.render([landscape] * count, figure, tmp_path / "x.png", options=options)
    assert words in str(caught.value)


@pytest.mark.usefixtures("shared")
def test_a_trajectory_of_another_surface_is_not_drawn_on_this_one(tmp_path):
    grid = Grid.square(5, 1.0)
    x, y = grid.points().T.reshape(2, 5, 5)
    status, steps = np.ones((5, 5), np.int8), np.arange(3.0)
    way = ProjectedTrajectory(
        "way", steps, np.full((3, 2), 0.25) * steps[:, None], steps, steps, 0 * steps
    )
    first = Landscape(grid, {"loss": 1 + x**2}, status, np.eye(2), trajectories=[way])
    Landscape(grid, {"loss": 1 + y**2}, status, np.eye(2)).export(tmp_path / "ex")
    first.export(tmp_path / "ex", ["vtp"])
    with pytest.raises(LossLandscapeError, match=r"trajectory\.vtp: belongs to another landscape"):
        paraview_process.render([tmp_path / "ex"], "trajectory", tmp_path / "x.png")
    first.export(tmp_path / "ex", ["vti"])
    paraview_process.render([tmp_path / "ex"], "trajectory", tmp_path / "x.png")


@pytest.mark.usefixtures("shared")
def test_missing_data_of_a_state_are_named(tmp_path):
    state = tmp_path / "x.pvsm"
    state.write_text(
        '<ParaView><Proxy group="sources" type="XMLImageDataReader" id="1">'
        '<Property name="FileName"><Element index="0" value="gone.vti"/></Property></Proxy>'
        "</ParaView>",
        encoding="utf-8",
    )
    with pytest.raises(LossLandscapeError, match=r"its data are missing: gone\.vti"):
        paraview_process.render_state(state, tmp_path / "x.png")


def test_a_crash_is_reported_with_what_was_said(tmp_path, monkeypatch):
    broken = tmp_path / "pvpython"
    broken.write_text("#!/bin/sh\necho 'libGL is gone' >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PVPYTHON", str(broken))
    with pytest.raises(LossLandscapeError, match=r"exit code 3\): libGL is gone"):
        paraview_process.render_state(tmp_path / "x.pvsm", tmp_path / "x.png")


def test_plugin_beside_a_foreign_numpy_loads_alone(tmp_path, repository, in_paraview):
    """As in a wheel's site-packages, whose NumPy is not ParaView's."""
    site_packages = tmp_path / "site-packages"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repository / "paraview_plugin", site_packages, ignore=ignored)
    shutil.copytree(
        repository / "compute" / "losslandscape", site_packages / "losslandscape", ignore=ignored
    )
    for name in ("numpy", "vtkmodules", "torch"):
        (site_packages / name).mkdir()
        (site_packages / name / "__init__.py").write_text(
            "raise ImportError('the wrong one')", encoding="utf-8"
        )
    answer, _done = in_paraview("topology_alone.py", plugin=site_packages)
    assert answer["topology"].startswith(str(site_packages))
    assert not answer["numpy"].startswith(str(site_packages))
    assert not answer["on_path"]
    assert not answer["torch"]


def test_plugin_finds_topology_in_a_checkout(repository, in_paraview):
    answer, _done = in_paraview("topology_alone.py", alone=True)
    assert answer["topology"].startswith(str(repository / "compute"))
