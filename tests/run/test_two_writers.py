"""One process writes an output at a time; a second one is told who the first is."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import losslandscape
from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.files import output_lock
from losslandscape.files.finished_parts import finished_parts
from losslandscape.files.output_lock import OutputLock


@pytest.fixture
def problem():
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    data = torch.randn(400, 5), torch.randint(0, 3, (400,))
    return Objective(model, "cross_entropy", data, batch_size=400), Subspace.random(model)


_HOLD = """
import sys, time
from losslandscape.files.output_lock import OutputLock
with OutputLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that is writing an output."""
    path = {**os.environ, "PYTHONPATH": str(Path(losslandscape.__file__).parents[1])}
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "x.nc")]
    with subprocess.Popen(command, env=path, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_the_first_is(problem, tmp_path, holder):
    who = f"process {holder.pid} on {socket.gethostname()}"
    with pytest.raises(LossLandscapeError, match=rf"x\.nc: {who} has been writing it since"):
        evaluate(*problem, Grid.square(2), path=tmp_path / "x.nc")
    assert [file.name for file in tmp_path.iterdir()] == ["x.nc.lock"]


def test_the_lock_of_a_killed_writer_stops_nobody(problem, tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / "x.nc.lock").read_text())["pid"] == holder.pid
    evaluate(*problem, Grid.square(2), path=tmp_path / "x.nc")
    assert [file.name for file in tmp_path.iterdir()] == ["x.nc"]


def test_without_locks_of_the_file_system_the_file_decides(tmp_path, monkeypatch, holder):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(output_lock.fcntl, "flock", no_locks)
    with pytest.raises(LossLandscapeError, match=rf"process {holder.pid} .*delete .*x\.nc\.lock"):
        OutputLock(tmp_path / "x.nc").__enter__()
    holder.kill()
    holder.wait()
    with OutputLock(tmp_path / "x.nc") as lock:
        assert json.loads(lock.path.read_text())["pid"] == os.getpid()
    elsewhere = {"pid": holder.pid, "host": "elsewhere", "since": "yesterday"}
    lock.path.write_text(json.dumps(elsewhere))  # not known to have ended
    with pytest.raises(LossLandscapeError, match="on elsewhere has been writing"):
        OutputLock(tmp_path / "x.nc").__enter__()


def test_without_locks_or_reads_at_a_place_as_on_windows(problem, tmp_path, monkeypatch):
    """There no open file can be removed either."""
    removed = Path.unlink
    opened = []

    def unlink(path, *arguments, **options):
        assert str(path) not in {os.path.realpath(f"/proc/self/fd/{file}") for file in opened}
        removed(path, *arguments, **options)

    monkeypatch.setattr(output_lock, "fcntl", None)
    monkeypatch.delattr(os, "pread")
    monkeypatch.delattr(os, "pwrite")
    monkeypatch.setattr(Path, "unlink", unlink)
    with OutputLock(tmp_path / "x.nc") as lock:
        opened.append(lock._file)
        assert json.loads(lock.path.read_text())["pid"] == os.getpid()
        with pytest.raises(LossLandscapeError, match=rf"process {os.getpid()} .*x\.nc\.lock"):
            evaluate(*problem, Grid.square(2), path=tmp_path / "x.nc")
    evaluate(*problem, Grid.square(2), path=tmp_path / "x.nc")
    assert [file.name for file in tmp_path.iterdir()] == ["x.nc"]


@pytest.fixture
def on_a_file(problem, tmp_path, record_trajectory):
    """A landscape's file, and what is added to it."""
    objective, plane = problem
    path = tmp_path / "x.nc"
    evaluate(objective, plane, Grid.square(2), path=path, quiet=True)
    origin = plane.parameters_at((0.0, 0.0))
    trajectory = record_trajectory(objective.model, [origin, origin])

    def add(label, landscape=None, **options):
        landscape = landscape or Landscape.open(path)
        return landscape.add_trajectory(trajectory, label, objective, plane, True, **options)

    return path, add


def labels(path):
    return [trajectory.label for trajectory in Landscape.open(path).trajectories]


def test_two_that_opened_a_file_both_add_to_it(on_a_file):
    path, add = on_a_file
    one, other = Landscape.open(path), Landscape.open(path)
    add("one", one)
    add("other", other)
    assert labels(path) == ["one", "other"]
    assert [trajectory.label for trajectory in other.trajectories] == ["one", "other"]
    with pytest.raises(LossLandscapeError, match="there is a trajectory 'other' already"):
        add("other", one)  # which does not know of it
    add("other", one, overwrite=True)
    assert labels(path) == ["one", "other"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["trajectory", "x.nc"]


def test_nobody_adds_to_a_file_that_another_process_writes(on_a_file, holder):
    path, add = on_a_file
    before = path.read_bytes()
    with pytest.raises(LossLandscapeError, match=rf"x\.nc: process {holder.pid} .*wait for it or"):
        add("one")
    assert path.read_bytes() == before


def test_nothing_is_added_to_another_landscape_of_the_same_name(on_a_file, problem):
    path, add = on_a_file
    landscape = Landscape.open(path)
    evaluate(*problem, Grid.square(3), path=path, overwrite=True, quiet=True)
    with pytest.raises(LossLandscapeError, match=r"x\.nc: holds another landscape by now"):
        add("one", landscape)
    assert labels(path) == []
    path.unlink()
    add("one", landscape)  # the file is written anew
    assert labels(path) == ["one"]


def test_two_at_the_same_work(tmp_path):
    path = tmp_path / "work.journal"
    with finished_parts(path, {"of": 1}, 1) as (_, keep):
        keep(0, b"a")
        who = f"work.journal: process {os.getpid()} on"
        with (
            pytest.raises(LossLandscapeError, match=rf"{who} .*; wait for it or stop it$"),
            finished_parts(path, {"of": 1}, 1),
        ):
            pass
        keep(1, b"b")
    assert list(tmp_path.iterdir()) == []
