"""One writer an output: who is refused, and what the refusal says."""

import errno
import json
import os
import re
import socket
import subprocess
import sys

import pytest

from losslandscape.errors import LossLandscapeError
from losslandscape.files import output_lock
from losslandscape.files.output_lock import OutputLock


@pytest.fixture
def output(tmp_path):
    return tmp_path / "x.nc"


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def enter(output, **options):
    with OutputLock(output, **options):
        pass


def refusal(output, **options):
    with pytest.raises(LossLandscapeError) as caught:
        enter(output, **options)
    return str(caught.value)


def owner(pid, host=None):
    return json.dumps({"pid": pid, "host": host or socket.gethostname(), "since": "yesterday"})


def test_the_lock_names_its_process_and_goes_with_it(output):
    with OutputLock(output) as lock:
        assert lock.path == output.with_name("x.nc.lock")
        text = lock.path.read_text()
        written = json.loads(text)
        assert (written["pid"], written["host"]) == (os.getpid(), socket.gethostname())
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", written["since"])
    assert not lock.path.exists()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_second_writer_is_refused_until_the_first_ends(output, elsewhere):
    with OutputLock(output):
        said = refusal(output, elsewhere=elsewhere)
        assert f"process {os.getpid()} on {socket.gethostname()} has been writing it" in said
        assert ("or give another output" in said) == elsewhere
        assert "delete" not in said
        assert output.with_name("x.nc.lock").exists()
        refusal(output)
    enter(output)


def test_a_lock_file_that_was_left_blocks_nobody(output, ended):
    path = output.with_name("x.nc.lock")
    path.write_text(owner(ended) + " " * 500)
    with OutputLock(output):
        assert json.loads(path.read_text())["pid"] == os.getpid()
        assert path.stat().st_size < 200


def test_a_holder_that_ended_has_workers_left(output, ended):
    with OutputLock(output) as lock:
        lock.path.write_text(owner(ended))
        assert "its workers are still running; stop them" in refusal(output)
        lock.path.write_text("{}")
        assert "another process is writing it; wait" in refusal(output)
        lock.path.write_text(owner(ended, "elsewhere"))
        assert f"process {ended} on elsewhere has been writing it" in refusal(output)


@pytest.mark.parametrize("kind", ["none", "refused"])
def test_without_locks_the_content_decides(output, ended, monkeypatch, kind):
    if kind == "none":
        monkeypatch.setattr(output_lock, "fcntl", None)
    else:

        def refuse(*_):
            raise OSError("no locks here")

        monkeypatch.setattr(output_lock.fcntl, "flock", refuse)
    path = output.with_name("x.nc.lock")
    for text in (owner(ended), "", "{", '{"pid": 1}'):
        path.write_text(text)
        enter(output)
        assert not path.exists()
    for text in ("[]", '{"name": 1}', "pid"):  # files of other programs
        path.write_text(text)
        assert "is not a lock" in refusal(output)
        assert path.read_text() == text
    for text in (owner(os.getpid()), owner(ended, "elsewhere")):
        path.write_text(text)
        assert f"if that process no longer exists, delete {path}" in refusal(output)
        assert path.read_text() == text


def test_what_killed_writers_left_is_removed(output):
    left = [".x.nc.0123abcd.partial", ".x.nc.journal.0123abcd.partial"]
    for name in [*left, ".y.nc.0123abcd.partial"]:
        (output.parent / name).touch()
    enter(output)
    assert [file.name for file in output.parent.iterdir()] == [".y.nc.0123abcd.partial"]


def test_a_lock_file_removed_while_it_was_opened_is_made_again(output, monkeypatch):
    lock, path = output_lock._lock, output.with_name("x.nc.lock")
    calls = []

    def removed_once(file):
        calls.append(file)
        if len(calls) == 1:
            path.unlink()
        elif len(calls) == 2:  # another process made a new one
            path.unlink()
            path.touch()
        return lock(file)

    monkeypatch.setattr(output_lock, "_lock", removed_once)
    with OutputLock(output):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert len(calls) == 3


def test_a_folder_that_is_missing_is_refused_and_no_other_file_is_closed(tmp_path):
    open_before = sorted(os.listdir("/dev/fd"))
    assert "missing" in refusal(tmp_path / "missing" / "x.nc")
    assert sorted(os.listdir("/dev/fd")) == open_before


def test_a_lock_that_cannot_be_written_is_removed(output, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output_lock.os, "write", full)
    assert "no space left on the disk" in refusal(output)
    assert list(output.parent.iterdir()) == []
