"""Ctrl-C in the middle of each long verb: exit status 130; the last line goes on, to the bit."""

import json
import os
import re
import shlex
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from tests.cli import command_process

import losslandscape
from losslandscape import Landscape, Trajectory, TrajectoryRecorder
from losslandscape.cli import EXIT_INTERRUPTED

# a model whose forward pass takes as long as PAUSE says
_CODE = """
import os, time, torch

class Sine(torch.nn.Module):  # whose surface has many critical points
    def forward(self, inputs):
        return torch.sin(inputs)

class Slow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 6), Sine(), torch.nn.Linear(6, 3)
        )

    def forward(self, inputs):
        time.sleep(float(os.environ["PAUSE"]))
        return self.layers(inputs)

def build():
    return Slow()

def load():
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    return inputs, torch.arange(30) % 3
"""
_OWN = ["--model", "slow_code:build", "--data", "slow_code:load"]
_SURFACE = ["surface", *_OWN, "--half-width", "5", "--batch-size", "15"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "slow_code.py").write_text(_CODE)
    return tmp_path


def _run(folder, arguments):
    done = command_process.run(arguments, folder, PAUSE="0", **_path(folder))
    assert done.returncode == 0, done.stderr


def _path(folder):
    """Where worker processes find the model's code, too."""
    return {"PYTHONPATH": f"{Path(losslandscape.__file__).parent.parent}{os.pathsep}{folder}"}


def _interrupt(folder, arguments, begun, pause=0.03):
    """Start a command, press Ctrl-C once ``begun()``; returns what its last line says to do."""
    running = command_process.Running(arguments, folder, PAUSE=str(pause), **_path(folder))
    deadline = time.monotonic() + 180
    while running.poll() is None and time.monotonic() < deadline and not begun():
        time.sleep(0.02)
    assert running.poll() is None, running.texts()
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers too
    running.wait()
    _, error = running.texts()
    assert running.returncode == EXIT_INTERRUPTED, error
    assert "Traceback" not in error, error
    name, *again = shlex.split(error.splitlines()[-1])
    assert name == "losslandscape"
    return again, error


def _grows(journal, records, record_bytes):
    """Whether so many records came after the journal's first size."""
    first = []

    def begun():
        if not journal.exists():
            return False
        first.append(journal.stat().st_size)
        return first[-1] - first[0] >= records * record_bytes

    return begun


def _assert_same(folder, one="whole.nc", other="stopped.nc"):
    one, other = (Landscape.open(folder / name) for name in (one, other))
    for name, values in one.fields.items():
        np.testing.assert_array_equal(other.values(name), values)
    np.testing.assert_array_equal(other.samples["loss_samples"], one.samples["loss_samples"])


@pytest.mark.parametrize(
    "options",
    [
        ["--grid", "9"],
        ["--grid", "9", "--workers", "2"],
        ["--grid", "17", "--tolerance", "0.02"],
    ],
)
def test_surface(folder, options):
    _run(folder, [*_SURFACE, *options, "--output", "whole.nc"])
    stopped = [*_SURFACE, *options, "--output", "stopped.nc"]
    journal = folder / "stopped.nc.journal"
    again, error = _interrupt(folder, stopped, _grows(journal, 8, 30 * 4))
    assert again == stopped
    assert re.search(r"interrupted; \d+ of \d+ points are in stopped\.nc\.journal, and the", error)
    assert journal.exists()
    finished = journal.read_bytes()
    _run(folder, again)
    assert len(finished) > 8 * 30 * 4
    assert not journal.exists()
    _assert_same(folder)


def test_train(folder):
    train = ["train", *_OWN, "--epochs", "4", "--batch-size", "15"]
    _run(folder, [*train, "--output", "whole"])

    def begun():
        metrics = folder / "stopped" / "metrics.json"
        return metrics.exists() and len(json.loads(metrics.read_text())) >= 2

    again, _ = _interrupt(folder, [*train, "--overwrite", "--output", "stopped"], begun, pause=0.1)
    assert again == [*train, "--output", "stopped"]
    assert not (folder / "stopped" / "weights.safetensors").exists()
    _run(folder, again)
    for name in ("weights.safetensors", "trajectory/trajectory.json"):
        assert (folder / "stopped" / name).read_bytes() == (folder / "whole" / name).read_bytes()


def test_trajectory(folder):
    namespace = {}
    exec(_CODE, namespace)  # the module of the subprocesses
    model = namespace["build"]()
    with TrajectoryRecorder(model, folder / "way") as recorder:
        for step in range(12):
            recorder.record(step)
            for parameter in model.parameters():
                parameter.data.add_(0.02)
    assert len(Trajectory.open(folder / "way")) == 12
    for name in ("whole.nc", "stopped.nc"):
        _run(folder, [*_SURFACE, "--grid", "3", "--output", name])
    _run(folder, ["trajectory", "whole.nc", "way", *_OWN])
    before = (folder / "stopped.nc").read_bytes()
    journal = folder / "stopped.nc.trajectory.journal"
    again, _ = _interrupt(
        folder, ["trajectory", "stopped.nc", "way", *_OWN], _grows(journal, 3, 16), pause=0.1
    )
    assert (folder / "stopped.nc").read_bytes() == before
    assert journal.exists()
    _run(folder, again)
    assert not journal.exists()
    one, other = (Landscape.open(folder / n).trajectories[0] for n in ("whole.nc", "stopped.nc"))
    np.testing.assert_array_equal(other.loss, one.loss)
    np.testing.assert_array_equal(other.checkpoint_loss, one.checkpoint_loss)


def test_verify(folder):
    _run(folder, [*_SURFACE, "--grid", "13", "--output", "x.nc"])
    verify = ["verify", "x.nc", "--noise", "none", *_OWN]
    _run(folder, [*verify, "--output", "whole"])
    journal = folder / "stopped.journal"
    again, error = _interrupt(
        folder, [*verify, "--output", "stopped"], _grows(journal, 2, 8 * 13), pause=0.02
    )
    kept = "critical points are saved in stopped.journal, and the same call continues"
    assert f"{kept}. To continue:" in error
    assert journal.exists()
    assert not (folder / "stopped").exists()
    _run(folder, again)
    assert not journal.exists()
    one, other = (
        json.loads((folder / name / "verification.json").read_text())
        for name in ("whole", "stopped")
    )
    assert one["critical_points"] == other["critical_points"]
    assert len(one["critical_points"]) > 2


def test_what_writes_at_the_end_leaves_nothing(folder):
    _run(folder, [*_SURFACE, "--grid", "5", "--output", "x.nc"])
    flatness = ["flatness", "x.nc", "--sharpness", *_OWN]
    begun = time.monotonic()
    again, error = _interrupt(folder, flatness, lambda: time.monotonic() - begun > 3, pause=1.0)
    assert again == flatness
    assert "nothing was finished" in error
    assert not list(folder.glob("*flatness*"))
