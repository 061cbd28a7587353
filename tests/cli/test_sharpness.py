"""``losslandscape sharpness``: the numbers of the Python call, in a folder and in the landscape."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape as ll
from losslandscape.cli import main

NETS = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))

def load():
    return torch.randn(12, 3, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
"""
OWN = ["--model", "sharp_nets:build", "--data", "sharp_nets:load"]
SHARPNESS = ["sharpness", "x.nc", "run", *OWN, "--learning-rate", "rate", "--quiet"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A landscape that has no trajectory, and a run of four steps of gradient descent."""
    (tmp_path / "sharp_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sharp_nets", raising=False)
    import sharp_nets

    model, (inputs, targets) = sharp_nets.build(), sharp_nets.load()
    with ll.TrajectoryRecorder(model, "run") as recorder:
        for step in range(4):
            recorder.record(step, rate=0.5 / (step + 1))
            model.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.5 / (step + 1) * parameter.grad
    assert main(["surface", *OWN, "--grid", "3", "--output", "x.nc", "--quiet"]) == 0
    return tmp_path


def expected(**options):
    import sharp_nets

    objective = ll.Objective(sharp_nets.build(), "cross_entropy", sharp_nets.load())
    return ll.training_sharpness(objective, ll.Trajectory.open("run"), "rate", **options)


def test_the_numbers_of_the_python_call_are_written_and_drawn(place, capsys):
    assert main(["trajectory", "x.nc", "run", *OWN, "--quiet"]) == 0
    assert main([*SHARPNESS, "--top", "2", "--momentum", "0.5"]) == 0
    assert "written to x_sharpness and into x.nc" in capsys.readouterr().out
    found = expected(top=2, momentum=0.5)
    report = json.loads((place / "x_sharpness" / "sharpness.json").read_text())
    assert report["direction"] == "update"
    rows = report["checkpoints"]
    assert [row["eigenvalues"] for row in rows] == found.eigenvalues.tolist()
    assert [row["residuals"] for row in rows] == found.residuals.tolist()
    assert rows[0]["critical_sharpness"] == found.critical_sharpness[0]
    assert rows[-1]["critical_sharpness"] is None  # the last update is not known
    assert rows[1]["stability_limit"] == 2 * 1.5 / 0.25
    (run,) = ll.Landscape.open("x.nc").trajectories
    for name, values in found.arrays().items():
        np.testing.assert_array_equal(run.array(name), values)
    np.testing.assert_array_equal(run.array("top_eigenvalue_residual"), found.residuals[:, 0])
    assert (place / "x_sharpness" / "sharpness.png").read_bytes().startswith(b"\x89PNG")


def test_a_landscape_without_the_trajectory_stays_as_it_is(place, capsys, monkeypatch):
    before = (place / "x.nc").read_bytes()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main([*SHARPNESS, "--top", "0", "--direction", "gradient"]) == 0
    printed = capsys.readouterr().out
    assert "has no trajectory 'run' with these steps" in printed
    assert "needs matplotlib" in printed
    assert (place / "x.nc").read_bytes() == before
    assert [path.name for path in (place / "x_sharpness").iterdir()] == ["sharpness.json"]
    rows = json.loads((place / "x_sharpness" / "sharpness.json").read_text())["checkpoints"]
    found = expected(top=0, direction="gradient")
    written = np.array([row["critical_sharpness"] for row in rows], float)
    np.testing.assert_array_equal(written, found.critical_sharpness)
    assert rows[0]["top_eigenvalue"] is None
