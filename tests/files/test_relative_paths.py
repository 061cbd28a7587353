from pathlib import Path

import pytest

from losslandscape.files import relative_paths
from losslandscape.files.relative_paths import seen_from


@pytest.mark.parametrize(
    ("folder", "path", "expected"),
    [
        ("a/b", "a/b/c.pt", "c.pt"),
        ("a/b", "a/c/d.pt", "../c/d.pt"),
        ("a", "a", "."),
        (".", "a/b", "a/b"),
    ],
)
def test_a_path_is_relative_to_the_folder(folder, path, expected):
    assert seen_from(Path(folder), Path(path)) == expected


def test_a_path_on_another_drive_is_absolute(monkeypatch):
    def refuse(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(relative_paths.os.path, "relpath", refuse)
    assert seen_from(Path("a"), Path("b/c")) == (Path.cwd() / "b/c").as_posix()
