"""Refine Here, in a script and in ParaView's window, with a real child process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

import losslandscape
from losslandscape import Landscape
from losslandscape.paraview import process as paraview_process
from losslandscape.paraview import programs as paraview_programs
from losslandscape.paraview import settings as paraview_settings

SCRIPTS = Path(__file__).resolve().parents[1] / "in_paraview"
MINE = """
import time
from pathlib import Path
import torch

Path(__file__).with_name("ran.txt").write_text("mine")

def build():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)

def load():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(64, 3, generator=generator)
    return inputs, (inputs.sum(1) > 0).long()

def loss(model, batch):
    time.sleep(1.0 if Path(__file__).with_name("slow").exists() else 0)
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    (folder / "evil.sh").write_text('#!/bin/sh\necho evil > "$(dirname "$0")/evil.txt"\n')
    (folder / "evil.sh").chmod(0o755)
    package = str(Path(losslandscape.__file__).resolve().parents[1])
    names = [f"--{n}=mine:{f}" for n, f in (("model", "build"), ("data", "load"), ("loss", "loss"))]
    subprocess.run(
        [sys.executable, "-m", "losslandscape", "surface", *names, "--grid", "6", "--quiet",
         "--output", "coarse.nc"],
        cwd=folder, env={**os.environ, "PYTHONPATH": package}, check=True,
    )  # fmt: skip
    (folder / "ran.txt").unlink()
    return folder


@pytest.fixture
def installed(project):
    """ParaView's settings in config/, where `--install` named this Python."""
    about = paraview_programs.Installation("5.11.0", "3.11.2", False, True, None)
    paraview_settings.install(
        project / "config" / "ParaView", [], about, paraview_programs.plugin_path()
    )


def test_what_is_seen_is_refined(project, installed, in_paraview):
    found, done = in_paraview("refine_seen.py", project, alone=True)
    # the camera sees x from -0.02 to 0.52 and y from -0.5 to -0.1: one point, and its cells
    assert found["plain"] == pytest.approx([-0.2, 0.6, -0.6, 0.2, 0, 0])
    assert "all of the landscape is seen; zoom in" in found["all"]
    for name in ("none", "hidden"):
        assert "shows no point of the landscape" in found[name]
    for name in ("perspective", "figure"):
        inside = np.array(found[f"{name} by VTK"])
        assert 0 < len(inside) < 36
        expected = [(inside[:, i].min() - 0.4, inside[:, i].max() + 0.4) for i in range(2)]
        expected = np.clip(np.ravel(expected), -1, 1)
        np.testing.assert_allclose(found[name][:4], expected, atol=1e-6)
    # the file's code is refused until a person trusts it
    assert found["untrusted"] == 0
    assert "to allow it to run, name it again: --model mine:build" in done.stdout + done.stderr
    assert found["box"] == pytest.approx([-0.2, 0.6, -0.6, 0.2, 0, 0])
    assert found["points"] == 9 * 9
    assert not found["reader shown"]
    assert found["beside"] == ["Refine What Is Seen"]
    assert found["beside box"] == pytest.approx(found["figure"])
    assert found["shown"] == [True, False]
    assert (Landscape.open(project / "coarse_refined.nc").status == 1).all()


def test_in_a_script(project, installed, in_paraview):
    found, done = in_paraview("refine_here.py", project, alone=True)
    said = done.stdout + done.stderr
    assert "the Python that has the package losslandscape is not known" in said
    assert found["no python"]["loss"] is None
    assert found["untrusted"]["loss"] is None
    assert "to allow it to run, name it again: --model mine:build" in said
    landscape = Landscape.open(project / "trusted.nc")
    assert found["ran"]
    assert found["trusted"]["dimensions"] == [*landscape.grid.counts, 1]
    np.testing.assert_array_equal(found["trusted"]["loss"], landscape.values().ravel())
    refined = landscape.provenance["refined"]
    assert refined["points"] == refined["equal"] > 0
    assert found["again"]
    assert not found["state ran"]
    assert not found["state ran later"]
    assert found["kept"]
    assert not (project / "untrusted.nc").exists()
    assert not (project / "from_state.nc").exists()


@pytest.mark.slow
def test_in_the_window(project, repository):
    """Apply, event loop alive, cancel, go on, the result shown; what a person chose stays."""
    with paraview_process.screen() as display:
        environment = paraview_programs.clean_environment()
        plugin = paraview_programs.plugin_path()
        config = project / "plugins.xml"
        config.write_text(
            f'<Plugins><Plugin name="LossLandscape" filename="{plugin}" auto_load="1"/></Plugins>'
        )
        environment.update(
            DISPLAY=display or "",
            HOME=str(project),
            PYTHONPATH=str(plugin.parent / "losslandscape_paraview" / "startup"),
            PV_PLUGIN_CONFIG_FILE=str(config),
            LOSSLANDSCAPE_PYTHON=sys.executable,
            LOSSLANDSCAPE_TEST_FOLDER=str(project),
        )
        # even the window of a busy machine sees a first part before the run has ended
        (project / "slow").touch()
        script = SCRIPTS / "refine_in_window.py"
        with (project / "window.log").open("wb") as log:
            window = subprocess.Popen(
                [str(paraview_programs.find_paraview()), f"--script={script}"],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                window.wait(600)
            finally:
                window.kill()
                window.wait(240)
    report = project / "report.txt"
    assert report.exists(), (project / "window.log").read_text()
    said = report.read_text().splitlines()
    assert said[-1] == "done", said
    assert "cancelled with some points" in said
    # in the place of the outline that ParaView shows of an empty grid
    assert "running: Slice of loss, range fits: True" in said
    assert "a person's own: Wireframe of loss, range fits: True" in said
    landscape = Landscape.open(project / "window.nc")
    assert (landscape.status == 1).all()
    # the surface is in the pictures; what is not evaluated yet is yellow
    (surface, missing), (whole, none) = (
        shares(project / f"{name}.png") for name in ("running", "result")
    )
    assert surface > 0.2
    assert 0.1 < missing < surface
    assert whole > 0.2
    assert none < 1e-3  # the yellow axis in the corner


def shares(picture):
    """Of the pixels of a picture, those that are not of its corner's colour, and the yellow."""
    pixels = imread(picture)[..., :3].astype(int)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    drawn = np.abs(pixels - pixels[0, 0]).max(axis=2) > 25
    return drawn.mean(), ((red > 180) & (green > 180) & (blue < 30)).mean()


@pytest.mark.parametrize(
    ("log", "progress"),
    [
        ("", ("starting", 0.0)),
        ("loss surface: 41 x 41 = 1681 points", ("starting", 0.0)),
        ("loss surface: 3/8, 2/s\nloss surface: 41 x 41 = 1", ("3/8, 2/s", 0.375)),
        ("loss surface: 8/8, 2/s\nwritten", ("8/8, 2/s", 1.0)),
    ],
)
def test_only_a_count_of_points_is_progress(repository, monkeypatch, log, progress):
    monkeypatch.syspath_prepend(str(repository / "paraview_plugin"))
    from losslandscape_paraview.window.refine_process import RefineProcess

    process = RefineProcess.__new__(RefineProcess)
    monkeypatch.setattr(process, "_read_log", lambda: log)
    assert process.progress() == progress
