"""ParaView is found where people have it, and says what it is; no ParaView is needed here."""

import sys

import pytest

from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.paraview import programs


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without ParaView; returns a function that puts a program somewhere on it."""
    monkeypatch.delenv("PVPYTHON", raising=False)
    monkeypatch.delenv("PARAVIEW", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(
        programs, "_INSTALL_PATTERNS", {"linux": (f"{tmp_path}/opt/[Pp]ara[Vv]iew*/bin",)}
    )

    def put(folder, *names, text="#!/bin/sh\n"):
        for name in names:
            program = tmp_path / folder / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(text, encoding="utf-8")
            program.chmod(0o755)
        return tmp_path / folder

    return put


def test_newest_version_first_by_number(nowhere):
    for version in ("5.9.1", "5.13.2", "5.12.0"):
        nowhere(f"opt/ParaView-{version}-MPI-Linux-Python3.10/bin", "pvpython", "paraview")
    assert "5.13.2" in str(programs.find_pvpython())
    assert "5.13.2" in str(programs.find_paraview())


def test_search_path_before_folders_and_variable_before_both(nowhere, monkeypatch, tmp_path):
    nowhere("opt/ParaView-6.0.0/bin", "pvpython", "paraview")
    on_path = nowhere("path", "pvpython", "paraview")
    assert programs.find_pvpython() == on_path / "pvpython"
    mine = nowhere("mine", "pvpython", "paraview")
    monkeypatch.setenv("PVPYTHON", str(mine / "pvpython"))
    assert programs.find_pvpython() == mine / "pvpython"
    # its window, and not one of another version
    assert programs.find_paraview() == mine / "paraview"


def test_none_says_what_to_install(nowhere, monkeypatch, tmp_path, capsys):
    with pytest.raises(
        LossLandscapeError, match=r"ParaView was not found: install it .* set PVPYTHON to"
    ):
        programs.find_pvpython()
    assert main(["paraview", "--check"]) == 1
    printed = capsys.readouterr()
    assert "paraview: not found" in printed.out
    assert "install it" in printed.err
    monkeypatch.setenv("PVPYTHON", str(tmp_path / "gone"))
    with pytest.raises(LossLandscapeError, match="no such program"):
        programs.find_pvpython()


def test_a_program_that_is_no_paraview_is_named(nowhere):
    folder = nowhere("path", "pvpython", text="#!/bin/sh\necho 'no module' >&2\nexit 1\n")
    with pytest.raises(LossLandscapeError, match="does not work as ParaView's Python: no module"):
        programs.describe(folder / "pvpython")


def test_the_users_python_paths_do_not_reach_paraview(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere/site-packages")
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    environment = programs.clean_environment()
    assert "PYTHONPATH" not in environment
    assert "VIRTUAL_ENV" not in environment
