"""Disks that are full, read-only or go away damage nothing that is finished."""

import errno
import os
import shutil
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.files import output_lock


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
    with pytest.raises(
        LossLandscapeError, match=r"No space left.*Free some space, then run the same command"
    ):
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
    with pytest.raises(LossLandscapeError, match=r"x\.nc: no space left on the disk"):
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
    with pytest.raises(LossLandscapeError, match=r"cannot write into .*choose a folder"):
        evaluate(*problem, Grid.square(2), path=tmp_path / "x.nc")


def test_a_read_only_file_system(problem, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(LossLandscapeError, match=r"Read-only file system"):
        evaluate(*problem, Grid.square(2), path=small_disk / "x.nc")
    assert list(small_disk.iterdir()) == []
