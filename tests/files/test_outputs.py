"""What may be written is known before any work, and compared again when it is replaced."""

import errno
import os
import re
import socket
import subprocess
import sys
import threading

import pytest

from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.files import atomic_files
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.journal import journal_path
from losslandscape.files.outputs import (
    OutputFile,
    OutputFolder,
    claimed,
    complete_results,
    content_of,
)


def write(path, text="new"):
    with replace_file(path) as temporary:
        temporary.write_text(text)


def refusal(*outputs, inputs=(), kind=LossLandscapeError):
    """The message with which outputs are refused; nothing changes."""
    with pytest.raises(kind) as error, claimed(*outputs, inputs=inputs):
        pytest.fail("was not refused")
    return str(error.value)


def failure(work, kind=LossLandscapeError):
    """The message of what some work raises."""
    with pytest.raises(kind) as error:
        work()
    return str(error.value)


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture
def special(tmp_path):
    """A path with something that is no regular file, by kind."""

    def make(kind):
        path = tmp_path / "special"
        if kind == "a pipe (FIFO)":
            os.mkfifo(path)
        elif kind == "a socket":
            with socket.socket(socket.AF_UNIX) as one:
                os.chdir(tmp_path)  # the names of sockets are short
                one.bind("special")
        elif kind == "a folder":
            path.mkdir()
        else:
            path.symlink_to("/dev/null")
        return path

    before = os.getcwd()
    yield make
    os.chdir(before)


@pytest.mark.parametrize("name", ["x.nc", "x.nc.lock", "x.nc.journal"])
@pytest.mark.parametrize("kind", ["a pipe (FIFO)", "a socket", "a folder", "a link to a device"])
@pytest.mark.parametrize("linked", [False, True])
def test_only_regular_files_are_replaced(special, tmp_path, kind, name, linked):
    path = tmp_path / name
    place = special(kind)
    if linked:
        path.symlink_to(place)
    else:
        place.rename(path)
    before = path.lstat()
    output = OutputFile(tmp_path / "x.nc", overwrite=True, journals=[".journal"])
    assert kind.removeprefix("a link to ") in refusal(output)
    with pytest.raises(LossLandscapeError):
        write(path)
    after = path.lstat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


def test_a_pipe_that_appears_during_the_work_stays(tmp_path):
    path = tmp_path / "x.nc"

    def work():
        with replace_file(path) as temporary:
            temporary.write_text("new")
            os.mkfifo(path)

    assert "is a pipe" in failure(work)
    assert names(tmp_path) == ["x.nc"]


def test_links_lead_to_the_file_that_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "x.nc"
    link.symlink_to("folder/new.nc")  # which is not there yet
    with claimed(OutputFile(link)):
        write(link)
    assert link.is_symlink()
    assert (tmp_path / "folder/new.nc").read_text() == "new"
    loop = tmp_path / "loop.nc"
    loop.symlink_to("loop.nc")
    assert "symbolic links" in refusal(OutputFile(loop, overwrite=True))


def test_inputs_are_not_replaced(tmp_path):
    weights = tmp_path / "w.nc"
    weights.write_text("precious")
    linked, hard = tmp_path / "linked.nc", tmp_path / "hard.nc"
    linked.symlink_to("w.nc")
    os.link(weights, hard)
    for path in (weights, linked, hard):
        output = OutputFile(path, overwrite=True, option="--output")
        assert refusal(output, inputs=[weights]) == (
            f"--output {path}: is an input of the same command; give another name"
        )
    lock = tmp_path / "x.nc.lock"
    lock.write_text("{}")
    assert "is an input" in refusal(OutputFile(tmp_path / "x.nc"), inputs=[lock])
    folder = OutputFolder(tmp_path, ["w.nc"], overwrite=True)
    assert "is an input" in refusal(folder, inputs=[hard])
    assert weights.read_text() == "precious"


def test_two_outputs_have_no_name_in_common(tmp_path):
    one, other = tmp_path / "o.png", tmp_path / "o.png"
    found = refusal(OutputFile(one, option="--output"), OutputFile(other, option="--state"))
    assert found == f"--state {other}: would be written over --output {one}; give another name"
    (tmp_path / "link.png").symlink_to("o.png")
    assert "over" in refusal(OutputFile(one), OutputFile(tmp_path / "link.png"))
    journal = OutputFile(tmp_path / "o.png.journal")
    assert "over" in refusal(OutputFile(one, journals=[".journal"]), journal)
    assert "over" in refusal(OutputFile(one), OutputFolder(tmp_path, ["o.png"]))
    with claimed(OutputFile(one), OutputFile(tmp_path / "p.png")):
        pass


def test_a_file_that_is_there_needs_overwrite(tmp_path):
    path = tmp_path / "x.nc"
    path.write_text("old")
    output = OutputFile(path, journals=[".journal"])
    assert "--overwrite" in refusal(output, kind=OutputExistsError)
    journal_path(path).write_text("of an unfinished run")
    with claimed(output):  # the same command continues
        write(path)
    path.write_text("old")
    with claimed(OutputFile(path, overwrite=True)):
        write(path)
    assert path.read_text() == "new"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_during_the_work_stays(tmp_path, monkeypatch, links):
    if not links:  # as on a file system without hard links
        monkeypatch.delattr(atomic_files.os, "link")
    path = tmp_path / "x.nc"
    (tmp_path / "x.1.nc").write_text("of another command")

    def work():
        with claimed(OutputFile(path)):
            path.write_text("precious")
            write(path)

    assert f"the result is in {tmp_path}/x.2.nc" in failure(work, OutputExistsError)
    found = {name: (tmp_path / name).read_text() for name in names(tmp_path)}
    assert found == {"x.nc": "precious", "x.1.nc": "of another command", "x.2.nc": "new"}


def test_a_file_that_is_changed_during_the_work_stays(tmp_path):
    path = tmp_path / "x.nc"
    path.write_text("old")

    def work():
        with claimed(OutputFile(path, changed=True)):
            write(path, "unfinished")
            write(path, "finished")
            path.write_text("precious")
            write(path)

    failure(work, OutputExistsError)
    assert path.read_text() == "precious"
    assert (tmp_path / "x.1.nc").read_text() == "new"
    with claimed(OutputFile(path, changed=True)):
        write(path)
    assert path.read_text() == "new"


def test_with_overwrite_a_file_that_appears_is_replaced(tmp_path):
    path = tmp_path / "x.nc"
    with claimed(OutputFile(path, overwrite=True)):
        path.write_text("appeared")
        write(path)
    assert path.read_text() == "new"


def test_a_file_that_appears_while_the_output_is_claimed(tmp_path, monkeypatch):
    path = tmp_path / "x.nc"
    check = OutputFile.check_free

    def appears_after(output):
        check(output)
        if (tmp_path / "x.nc.lock").exists():
            path.write_text("appeared")

    monkeypatch.setattr(OutputFile, "check_free", appears_after)

    def work():
        with claimed(OutputFile(path)):
            write(path)

    assert "a file appeared there" in failure(work, OutputExistsError)
    assert path.read_text() == "appeared"
    assert (tmp_path / "x.1.nc").read_text() == "new"


def test_folders_of_several_outputs_are_removed(tmp_path):
    outer, inner = tmp_path / "a", tmp_path / "a" / "b"

    def work():
        with claimed(OutputFolder(outer), OutputFolder(inner)):
            assert inner.is_dir()
            raise ZeroDivisionError

    failure(work, ZeroDivisionError)
    assert names(tmp_path) == []


def test_names_that_are_written_with_an_output(tmp_path):
    (tmp_path / "x.nc.journal").mkdir()
    message = refusal(OutputFile(tmp_path / "x.nc", journals=[".journal"]))
    assert "x.nc.journal: is a folder; this name is needed for" in message
    os.mkfifo(tmp_path / "a")
    message = refusal(OutputFolder(tmp_path, ["a"], overwrite=True))
    assert message.endswith(f"needed for {tmp_path}: rename it, or give another output")


def test_folders_are_made_and_removed_if_the_work_fails(tmp_path):
    path = tmp_path / "a" / "b" / "x.nc"
    assert "does not exist; create it" in refusal(OutputFile(path))

    def work(output, error, journal=False):
        with claimed(output):
            assert output.folder.is_dir()
            if journal:
                journal_path(path).write_text("of an unfinished run")
            raise error

    failure(lambda: work(OutputFile(path, parents=True), ZeroDivisionError), ZeroDivisionError)
    assert names(tmp_path) == []
    failure(lambda: work(OutputFolder(path), KeyboardInterrupt), KeyboardInterrupt)
    assert names(tmp_path) == []
    output = OutputFile(path, parents=True)
    failure(lambda: work(output, ZeroDivisionError, journal=True), ZeroDivisionError)
    assert names(tmp_path) == ["a", "b", "x.nc.journal"]


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "x").write_text("a file")
    assert "x is a file, not a folder" in refusal(OutputFile(tmp_path / "x/y/z.nc", parents=True))
    assert "is a file; give the name of a folder" in refusal(OutputFolder(tmp_path / "x"))
    (tmp_path / "link").symlink_to("nowhere")
    assert "does not exist" in refusal(OutputFolder(tmp_path / "link"))
    assert "leads nowhere" in refusal(OutputFile(tmp_path / "link/z.nc", parents=True))


def test_names(tmp_path):
    for text in ("a\udcff.nc", "\ud800.nc"):
        assert "is not UTF-8" in refusal(OutputFile(tmp_path / text))
    assert "null character" in refusal(OutputFile(tmp_path / "a\0b.nc"))
    assert "is a folder" in refusal(OutputFile(tmp_path / ".." / "."))
    output = OutputFile(tmp_path / ("x" * 252 + ".nc"), journals=[".journal"])
    most = int(re.search(r"at most (\d+)", refusal(output))[1])
    fits = OutputFile(tmp_path / ("é" * ((most - 3) // 2) + ".nc"), journals=[".journal"])
    with claimed(fits):
        write(fits.path)
        write(f"{fits.path}.journal")
    assert "name too long" in refusal(OutputFile(tmp_path / ("x" * 300) / "y.nc")).lower()
    assert "too long" in refusal(OutputFile(tmp_path / ("x/" * 3000) / "y.nc", parents=True))


def test_a_current_folder_that_was_deleted(tmp_path):
    program = (
        "import os, pathlib\n"
        "from losslandscape.files.outputs import *\n"
        "os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())\n"
        "try:\n    with claimed(OutputFile(pathlib.Path('x.nc'))): pass\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("LossLandscapeError x.nc: the current folder does not exist")


def test_a_folder_that_is_not_writable(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert "Permission denied); choose a folder" in refusal(OutputFile(tmp_path / "x.nc"))


def test_one_writer_at_a_time(tmp_path):
    found = []

    def second(output):
        try:
            with claimed(output):
                found.append("entered")
        except LossLandscapeError as error:
            found.append(str(error))

    for output in (OutputFile(tmp_path / "x.nc"), OutputFolder(tmp_path / "results", ["a"])):
        with claimed(output):
            thread = threading.Thread(target=second, args=(output,))
            thread.start()
            thread.join()
            assert f"process {os.getpid()} on" in found.pop()
            with claimed(output):  # of the same work
                pass
        second(output)
        assert found.pop() == "entered"
    assert names(tmp_path) == ["results"]


def test_a_lock_that_is_not_ours_stays(tmp_path):
    lock = tmp_path / "x.nc.lock"
    lock.write_text("precious")
    assert "x.nc.lock: is not a lock, but" in refusal(OutputFile(tmp_path / "x.nc"))
    assert lock.read_text() == "precious"
    lock.unlink()
    (tmp_path / "target").touch()
    lock.symlink_to("target")
    assert "x.nc.lock: is a link, but" in refusal(OutputFile(tmp_path / "x.nc"))
    assert lock.is_symlink()


def test_results_appear_together(tmp_path):
    folder = tmp_path / "results"
    with claimed(OutputFolder(folder, ["a", "b"])):
        with complete_results(folder) as place:
            write(place / "a")
            assert content_of(folder) == []
            write(place / "b")
        assert names(folder) == [".losslandscape.lock", "a", "b"]
    assert names(folder) == ["a", "b"]
    assert "b: already exists" in refusal(OutputFolder(folder, ["b"]), kind=OutputExistsError)
    assert "is not empty" in refusal(OutputFolder(folder, ["c"], empty=True))
    with claimed(OutputFolder(folder, ["c"])):
        pass


def test_results_that_fail_leave_nothing(tmp_path):
    folder = tmp_path / "results"

    def work():
        with claimed(OutputFolder(folder, ["a", "b"])), complete_results(folder) as place:
            write(place / "a")
            raise LossLandscapeError(f"{place / 'b'}: cannot be written")

    assert failure(work) == f"{folder / 'b'}: cannot be written"
    assert names(tmp_path) == []


def test_results_stay_together_if_one_appeared(tmp_path):
    folder = tmp_path / "results"

    def work():
        with claimed(OutputFolder(folder, ["a", "b"])), complete_results(folder) as place:
            write(place / "a")
            write(place / "b")
            (folder / "b").write_text("precious")

    assert f"the results are in {folder}.1" in failure(work, OutputExistsError)
    assert names(tmp_path) == ["a", "b", "b", "results", "results.1"]
    assert (folder / "b").read_text() == "precious"


def test_what_killed_writers_left_in_a_folder_is_removed(tmp_path):
    left = tmp_path / ".0123abcd.partial"
    left.mkdir()
    (left / "a").touch()
    assert content_of(tmp_path) == []
    with claimed(OutputFolder(tmp_path, ["a"], empty=True)):
        assert not left.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_the_reason_whatever_the_library_says(tmp_path, monkeypatch, number):
    real = open

    def full(file, mode="r", *rest, **options):
        if str(file).endswith(".partial") and mode == "ab":
            raise OSError(number, os.strerror(number))
        return real(file, mode, *rest, **options)

    monkeypatch.setattr("builtins.open", full)
    words = "larger than files may be" if number == errno.EFBIG else "no space left"
    for error in (PermissionError(errno.EACCES, "Permission denied"), RuntimeError("HDF error")):
        with pytest.raises(LossLandscapeError, match=words), replace_file(tmp_path / "x.nc"):
            raise error
    assert names(tmp_path) == []
