"""An input is a regular file; of everything else a sentence says what it is."""

import os
import socket

import pytest

from losslandscape.errors import FileFormatError
from losslandscape.files.inputs import input_file


def refusal(path, **options):
    with pytest.raises(FileFormatError) as error:
        input_file(path, **options)
    return str(error.value)


def test_regular_files_and_links_to_them_are_read(tmp_path):
    (tmp_path / "x.nc").write_text("content")
    (tmp_path / "link.nc").symlink_to("x.nc")
    assert input_file(f"{tmp_path}/x.nc") == tmp_path / "x.nc"
    assert input_file(tmp_path / "link.nc") == tmp_path / "link.nc"


def test_what_is_no_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.nc")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.nc")
    for name in ("pipe.nc", "socket.nc"):
        assert f"is a {name[:-3]}" in refusal(name)
    (tmp_path / "link.nc").symlink_to("pipe.nc")
    assert "is a pipe" in refusal("link.nc")
    assert "is a device" in refusal("/dev/null")
    assert refusal("x.nc", wanted="a landscape is expected") == (
        "x.nc: no such file; a landscape is expected"
    )


def test_a_folder_is_no_file(tmp_path):
    assert refusal(tmp_path, endings=(".nc",)) == f"{tmp_path}: is a folder; give a file in it"
    for name in ("d.nc", "a.nc", "c.nc", "b.nc", "x.txt"):
        (tmp_path / name).touch()
    assert "(a.nc, b.nc, c.nc, ...)" in refusal(tmp_path, endings=(".nc",))


def test_links_and_names_that_lead_nowhere(tmp_path):
    (tmp_path / "link").symlink_to("gone")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    assert "is a link to gone, which does not exist" in refusal(tmp_path / "link")
    assert "symbolic links" in refusal(tmp_path / "loop")
    assert "no such file" in refusal(tmp_path / "file" / "x.nc")
    assert "null character" in refusal("a\0b")
    assert "too long" in refusal("x" * 300)
