"""Each command line of commands.txt ends in its sentence, and leaves its folder as it was."""

import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.abuse.cases import command_cases

from losslandscape.cli import main


def content(folder):
    """What each name in a folder is, to compare the folder before and after."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if "__pycache__" in name:
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif stat.S_ISREG(mode):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = stat.S_IFMT(mode)
    return found


def outputs(words):
    """The files that a command line names after options for outputs."""
    named = dict(zip(words, words[1:]))
    return [named[option] for option in ("--output", "--state") if option in named]


def run_words(words):
    """The exit status of a command line, which argparse may raise."""
    try:
        return main(words)
    except SystemExit as error:
        return error.code


@pytest.fixture
def own_folder(template, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:  # the user's own, which another case may have as well
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(folder):
            del sys.modules[name]


@pytest.mark.parametrize("case", command_cases(), ids=lambda case: f"line {case.line}")
def test_a_command(case, own_folder, capfd):
    status, words, command = case.parts
    *prepared, last = command.split(";;")
    for step in prepared:
        if step.split()[:1] == ["losslandscape"]:
            assert run_words(shlex.split(step)[1:]) == 0
            continue
        subprocess.run(["sh", "-e", "-c", step], cwd=own_folder, check=True, timeout=60)
    before = content(own_folder)
    arguments = shlex.split(last)
    found = run_words(arguments)
    out, err = capfd.readouterr()
    told = f"{last.strip()}\n{out}{err}"
    assert found == int(status.rstrip("+")), told
    assert " ".join(words.lower().split()) in " ".join((out + err).lower().split()), told
    assert "Traceback" not in out + err, told
    if found == 0:
        assert all((own_folder / name).exists() for name in outputs(arguments)), told
    elif not status.endswith("+"):
        assert content(own_folder) == before, told
