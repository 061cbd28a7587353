"""ParaView's real window, started by the launcher on a virtual screen with settings of its own."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from benchmarks import startup

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview import programs as paraview_programs


@pytest.fixture
def own_settings(tmp_path):
    """An environment that touches nothing of the user's."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no virtual screen for a window: Xvfb is not installed")
    try:
        paraview_programs.find_paraview()
    except LossLandscapeError as error:
        pytest.skip(str(error))
    home = tmp_path / "home"
    home.mkdir()
    names = {name: str(home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")}
    home.chmod(0o700)
    package = Path(paraview_programs.__file__).parents[2]
    return {**os.environ, **names, "PYTHONPATH": str(package), "QT_QPA_PLATFORM": "xcb"}


def test_the_window_shows_the_figure(write_landscape, tmp_path, own_settings):
    """Coloured pixels in the views; a first start's welcome would stop it there."""
    landscape = write_landscape(tmp_path / "a lándscape.nc")
    command = [sys.executable, "-m", "losslandscape", "paraview", str(landscape)]
    assert startup.seconds_to_picture(command, own_settings, limit=120.0) > 0
    # ParaView was killed: what it holds is what the launcher wrote, nothing
    assert not list(Path(own_settings["HOME"]).rglob("*UserSettings.json"))


@pytest.mark.parametrize("figure", ["trajectory", pytest.param("topology", marks=pytest.mark.slow)])
def test_the_window_shows_the_figure_where_everything_is_applied_at_once(
    figure, write_landscape, tmp_path, own_settings
):
    """ParaView 5.11 ended while the trajectory was drawn."""
    landscape = write_landscape(tmp_path / "a.nc")
    folder = tmp_path / "settings"
    folder.mkdir()
    environment = {**own_settings, **startup.fresh_settings(folder)}  # AutoApply
    command = [sys.executable, "-m", "losslandscape", "paraview", str(landscape)]
    command += ["--figure", figure]
    assert startup.seconds_to_picture(command, environment, limit=120.0) > 0


def test_no_figure_no_colours(tmp_path, own_settings):
    """The watcher of the screen sees the difference."""
    command = [sys.executable, "-m", "losslandscape", "paraview"]
    with pytest.raises(RuntimeError, match="no picture after"):
        startup.seconds_to_picture(command, own_settings, limit=12.0)


def test_documentation_of_functions_is_paraviews(in_paraview):
    answer, _done = in_paraview("documentation.py", alone=True)
    assert answer["differ"] == []
    assert answer["documented"] > 300
    assert answer["checked"] > 300
