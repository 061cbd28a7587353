"""Nothing is lost: kills, full disks, folders that cannot be written, two writers."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape
from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.files import output_lock
from losslandscape.files.atomic_files import remove_leftovers
from losslandscape.files.finished_parts import finished_parts
from losslandscape.files.journal import journal_path
from losslandscape.files.output_lock import OutputLock

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kills(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.kills import Kills

    return Kills(tmp_path)


@pytest.mark.parametrize("case", ["full, 1 worker", "adaptive, 2 workers"])
def test_killed_surfaces_end_in_the_same_bytes(kills, case):
    for number, rewrite in enumerate((30.0, 0.0)):
        killed = kills.kill(case, number, rewrite)
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


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_damages_nothing(problem, small_disk, tmp_path):
    objective, plane = problem
    expected = evaluate(objective, plane, Grid.square(11), path=tmp_path / "whole.nc", quiet=True)
    path = small_disk / "x.nc"
    # a record takes 1.6 KB, and 121 of them more than there is
    with pytest.raises(LossLandscapeError, match=r"No space left.*goes on when there is room"):
        evaluate(objective, plane, Grid.square(11), path=path, quiet=True)
    assert [file.name for file in small_disk.iterdir()] == ["x.nc.journal"]
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    measured = 0

    def count(*_):
        nonlocal measured
        measured += 1

    objective.model.register_forward_hook(count)
    found = evaluate(objective, plane, Grid.square(11), path=path, quiet=True)
    assert measured < 80  # what was finished was kept
    np.testing.assert_array_equal(found.samples["loss_samples"], expected.samples["loss_samples"])
    assert [file.name for file in small_disk.iterdir()] == ["x.nc"]


def test_the_result_does_not_fit_on_the_disk(problem, small_disk):
    objective, plane = problem
    path = small_disk / "x.nc"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4096 * 22))
    # the journal of nine points has room, the file of 40 KB has not
    with pytest.raises(LossLandscapeError, match=r"x\.nc: cannot be written; is the disk full"):
        evaluate(objective, plane, Grid.square(3), path=path, quiet=True)
    assert sorted(file.name for file in small_disk.iterdir()) == ["ballast", "x.nc.journal"]
    ballast.unlink()
    evaluate(objective, plane, Grid.square(3), path=path, quiet=True)
    assert Landscape.open(path).finished


def test_a_full_disk_keeps_the_landscape_that_is_there(problem, small_disk):
    objective, plane = problem
    path = small_disk / "x.nc"
    evaluate(objective, plane, Grid.square(2), path=path, quiet=True)
    before = path.read_bytes()
    with pytest.raises(LossLandscapeError, match="No space left"):
        evaluate(objective, plane, Grid.square(11), path=path, overwrite=True, quiet=True)
    assert path.read_bytes() == before
    assert Landscape.open(path).finished


@pytest.mark.parametrize("lost", [errno.EIO, errno.ESTALE])
def test_a_drive_that_goes_away(problem, tmp_path, monkeypatch, lost):
    """Whichever flush to the disk is the first to fail, the same call goes on to the same bytes."""
    evaluate(*problem, Grid.square(3), path=tmp_path / "whole.nc", quiet=True)
    path = tmp_path / "drive" / "x.nc"
    path.parent.mkdir()
    fsync, failures = os.fsync, 0
    for last in range(20):
        flushes = 0

        def flush(descriptor, last=last):
            nonlocal flushes
            flushes += 1
            if flushes > last:
                raise OSError(lost, os.strerror(lost))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", flush)
        try:
            evaluate(*problem, Grid.square(3), path=path, overwrite=True, quiet=True)
        except LossLandscapeError as error:
            failures += 1
            message = str(error)
            assert os.strerror(lost) in message, message
        finally:
            monkeypatch.setattr(os, "fsync", fsync)
        evaluate(*problem, Grid.square(3), path=path, overwrite=True, quiet=True)
        assert path.read_bytes() == (tmp_path / "whole.nc").read_bytes()
        assert [file.name for file in path.parent.iterdir()] == ["x.nc"]
        if flushes <= last:
            break
    assert failures >= 3  # the journal's, the points', the file's


def test_a_folder_that_cannot_be_written(problem, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x.nc.lock"))

    monkeypatch.setattr(output_lock.os, "open", refused)  # root may write anywhere
    with pytest.raises(LossLandscapeError, match=r"cannot write into .*give a folder"):
        evaluate(*problem, Grid.square(2), path=tmp_path / "x.nc")


def test_a_read_only_file_system(problem, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(LossLandscapeError, match=r"Read-only file system"):
        evaluate(*problem, Grid.square(2), path=small_disk / "x.nc")
    assert list(small_disk.iterdir()) == []


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


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    others = [".y.nc.0123abcd.partial", ".x.nc.notes.partial", "x.nc.0123abcd.partial"]
    for name in [".x.nc.0123abcd.partial", *others]:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "x.nc")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(others)


def test_training_killed_goes_on_to_the_same_weights(tmp_path):
    def start(folder):
        command = [sys.executable, "-m", "losslandscape", "train", "--model", "small_resnet"]
        command += ["--data", "digits8", "--samples", "120", "--epochs", "6", "--batch-size", "30"]
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
    calls = 0

    def interrupt(*_):
        nonlocal calls
        calls += 1
        if calls > 3:
            raise KeyboardInterrupt

    hook = objective.model.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(objective, plane, Grid.square(3), path=path, quiet=True)
    hook.remove()
    assert [file.name for file in tmp_path.iterdir()] == [journal_path(path).name]
    evaluate(objective, plane, Grid.square(3), path=path, quiet=True)
    assert [file.name for file in tmp_path.iterdir()] == ["x.nc"]
