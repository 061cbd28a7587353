"""What the command line refuses of a user's own model, and what it then says to do."""

import pytest

from losslandscape import Landscape, TrajectoryRecorder
from losslandscape.cli import main

_CODE = """
import torch

def build():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(3, 3)).eval()
    model[0].train({dropout})
    model[1].register_forward_hook(lambda module, inputs, outputs: outputs * {factor})
    return model

def load():
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    return inputs, torch.arange(30) % 3
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run a verb with code of the user's, which is another module each time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def run(*arguments, dropout=False, factor=1.0):
        name = f"refused_code_{len(made)}_{tmp_path.name}"
        made.append(name)
        (tmp_path / f"{name}.py").write_text(_CODE.format(dropout=dropout, factor=factor))
        own = ("--model", f"{name}:build", "--data", f"{name}:load")
        return main([*map(str, arguments), *own, "--quiet"])

    return run


def test_modes(command, tmp_path, capsys):
    surface = ("surface", "--grid", 3, "--output", tmp_path / "x.nc")
    assert command(*surface, dropout=True) == 1
    assert "'0' (Dropout) in train mode" in capsys.readouterr().err
    assert not list(tmp_path.glob("x.nc*"))
    assert command(*surface, "--modes", "own", dropout=True) == 0
    assert "random numbers are drawn (torch)" in capsys.readouterr().out
    assert command("flatness", tmp_path / "x.nc", "--sharpness", dropout=True) == 1
    assert "there are no derivatives to take of them" in capsys.readouterr().err
    assert command("verify", tmp_path / "x.nc", "--noise", "none", dropout=True) == 1
    assert "not the same each time" in capsys.readouterr().err


def test_other_code_than_the_files(command, tmp_path, capsys):
    from torch import nn

    path = tmp_path / "x.nc"
    assert command("surface", "--grid", 3, "--output", path) == 0
    before = path.read_bytes()
    model = nn.Sequential(nn.Dropout(), nn.Linear(3, 3))
    with TrajectoryRecorder(model, tmp_path / "way") as recorder:
        recorder.record(0)
    for verb in (
        ("trajectory", path, tmp_path / "way"),
        ("verify", path, "--noise", "none"),
        ("flatness", path, "--sharpness"),
    ):
        assert command(*verb, factor=1.1) == 1
        assert "was the code of the model or of the loss changed?" in capsys.readouterr().err
        assert path.read_bytes() == before
        assert command(*verb) == 0
        before = path.read_bytes()
    assert len(Landscape.open(path).trajectories) == 1
