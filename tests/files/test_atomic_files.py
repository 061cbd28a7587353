"""Files that appear completely or not at all."""

import os

import pytest
from torch import nn

from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import make_folder, replace_file
from losslandscape.training.weights import save_weights


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail_half_way():
        with replace_file(file) as temporary:
            temporary.write_text("half of the n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with replace_file(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_new_files_have_the_usual_permissions(tmp_path):
    with replace_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("")
    (tmp_path / "b.txt").write_text("")
    save_weights(nn.Linear(1, 1), tmp_path / "c.safetensors")
    assert len({file.stat().st_mode for file in tmp_path.iterdir()}) == 1


def test_missing_folder_and_folder_in_the_way(tmp_path):
    with pytest.raises(LossLandscapeError, match="does not exist"), replace_file(tmp_path / "x/a"):
        pass
    with pytest.raises(LossLandscapeError, match="is a folder"), replace_file(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(LossLandscapeError, match="a file has this name"):
        make_folder(tmp_path / "file" / "folder")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_for_real(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(LossLandscapeError, match="cannot write into"), replace_file(tmp_path / "a"):
        pass


def test_read_only_folder(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LossLandscapeError, match="cannot write into"), replace_file(tmp_path / "a"):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_full_disk(tmp_path):
    with (
        pytest.raises(LossLandscapeError, match="no space left"),
        replace_file(tmp_path / "a"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"1")
    assert list(tmp_path.iterdir()) == []
