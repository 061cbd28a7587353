"""Nothing is lost: kills, full disks, folders that cannot be written, two writers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import losslandscape
from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.files.atomic_files import remove_leftovers
from losslandscape.files.journal import journal_path

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kills(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.kills import Kills

    return Kills(tmp_path)


@pytest.mark.parametrize(
    ("case", "rewrite"),
    [
        pytest.param("full, 1 worker", 30.0, marks=pytest.mark.slow),
        ("adaptive, 2 workers", 0.0),
    ],
)
def test_killed_surfaces_end_in_the_same_bytes(kills, case, rewrite):
    killed = kills.kill(case, 0, rewrite)
    assert killed.equal
    assert killed.left == []
    assert killed.survivors == 0


@pytest.mark.slow
def test_thirty_kills(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks/kills.py"), "--runs", "30", "--seed", "7"]
    path = str(Path(losslandscape.__file__).parents[1])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.fixture
def problem():
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    data = torch.randn(400, 5), torch.randint(0, 3, (400,))
    return Objective(model, "cross_entropy", data, batch_size=400), Subspace.random(model)


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    others = [".y.nc.0123abcd.partial", ".x.nc.notes.partial", "x.nc.0123abcd.partial"]
    for name in [".x.nc.0123abcd.partial", *others]:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "x.nc")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(others)


def test_training_killed_goes_on_to_the_same_weights(tmp_path):
    def start(folder):
        command = [sys.executable, "-m", "losslandscape", "train", "--model", "small_resnet"]
        command += ["--data", "digits8", "--samples", "40", "--epochs", "6", "--batch-size", "10"]
        command += ["--threads", "1", "--quiet", "--output", str(tmp_path / folder)]
        path = str(Path(losslandscape.__file__).parents[1])
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})

    assert start("whole").wait() == 0
    killed = start("killed")
    metrics = tmp_path / "killed" / "metrics.json"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and killed.poll() is None:
        if metrics.exists() and len(json.loads(metrics.read_text())) > 2:
            break
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "weights.safetensors").exists()
    assert start("killed").wait() == 0
    whole, found = (tmp_path / name / "weights.safetensors" for name in ("whole", "killed"))
    assert found.read_bytes() == whole.read_bytes()
    files = [
        sorted(str(file.relative_to(tmp_path / name)) for file in (tmp_path / name).rglob("*"))
        for name in ("whole", "killed")
    ]
    assert files[1] == files[0]
    for name in files[0]:
        if name.endswith(".safetensors"):
            one, other = ((tmp_path / run / name).read_bytes() for run in ("whole", "killed"))
            if "state" not in name:  # which holds the seconds of each epoch
                assert one == other, name


def test_a_journal_that_is_there_but_whose_output_was_never_written(problem, tmp_path):
    """What a kill before the first record leaves."""
    objective, plane = problem
    path = tmp_path / "x.nc"

    def interrupt(*_):
        if journal_path(path).exists():
            raise KeyboardInterrupt

    hook = objective.model.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(objective, plane, Grid.square(3), path=path, quiet=True)
    hook.remove()
    assert [file.name for file in tmp_path.iterdir()] == [journal_path(path).name]
    evaluate(objective, plane, Grid.square(3), path=path, quiet=True)
    assert [file.name for file in tmp_path.iterdir()] == ["x.nc"]
