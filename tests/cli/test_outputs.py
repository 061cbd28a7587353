"""Verbs refuse an output that another process writes, and keep files that appear meanwhile."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate, refine
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.files.output_lock import OutputLock

VERBS = {
    "surface --model mlp --output new.nc": "new.nc",
    "refine two.nc --bounds 0 1 0 1 --output new.nc": "new.nc",
    "import loss.npy --bounds 0,1,0,1 --output new.nc": "new.nc",
    "trajectory two.nc run": "two.nc",
    "topology two.nc": "two_topology/",
    "verify two.nc": "two_verification/",
    "flatness two.nc": "two_flatness/",
    "trust two.nc": "two_trust/",
    "curvature two.nc": "two_curvature/",
    "convexity two.nc --output new.nc": "new.nc",
    "sharpness two.nc run --learning-rate 0.1": "two_sharpness/",
    "compare two.nc two.nc": "comparison/",
    "export two.nc": "two/",
    "render two.nc --output new.png": "new.png",
    "render two.nc --output new.png --state new.pvsm": "new.pvsm",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = Grid.square(5)
    loss = np.random.default_rng(0).random(grid.shape)
    Landscape(grid, {"loss": loss}, np.ones(grid.shape, np.int8), np.eye(2)).save("two.nc")
    np.save("loss.npy", loss)
    return tmp_path


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", VERBS)
def test_a_second_writer_is_refused_before_any_work(place, capsys, words):
    output = VERBS[words]
    if output.endswith("/"):
        (place / output).mkdir()
    with OutputLock(output.rstrip("/"), inside=output.endswith("/")):
        before = content(place)
        assert main(words.split()) == 1
        after = content(place)
    assert f"process {os.getpid()} on" in capsys.readouterr().err
    assert after == before


@pytest.mark.parametrize("words", [words for words in VERBS if "new" not in words])
def test_failed_work_leaves_no_folder(place, monkeypatch, capsys, words):
    def fail(*_, **__):
        raise LossLandscapeError("the work failed")

    monkeypatch.setattr(Landscape, "open", fail)
    assert main(words.split()) == 1
    assert sorted(path.name for path in place.iterdir()) == ["loss.npy", "two.nc"]


@pytest.fixture
def problem():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    data = torch.randn(20, 3), torch.arange(20) % 2
    return Objective(model, "cross_entropy", data), Subspace.random(model), Grid.square(3)


def appearing(problem, path):
    """The problem, and while its first point is measured a file appears at a path."""

    def write(*_):
        path.write_text("precious")

    problem[0].model.register_forward_hook(write)
    return problem


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_appears_during_a_run(problem, tmp_path, overwrite):
    path = tmp_path / "x.nc"
    expected = evaluate(*problem, quiet=True)
    problem = appearing(problem, path)
    if overwrite:
        evaluate(*problem, path=path, overwrite=True, quiet=True)
        kept = path
    else:
        with pytest.raises(OutputExistsError, match=r"appeared there .* is in .*x\.1\.nc"):
            evaluate(*problem, path=path, quiet=True)
        assert path.read_text() == "precious"
        kept = tmp_path / "x.1.nc"
    np.testing.assert_array_equal(Landscape.open(kept).values("loss"), expected.values("loss"))
    assert {file.name for file in tmp_path.iterdir()} == {"x.nc", kept.name}


def test_a_landscape_is_not_refined_over_itself(problem, tmp_path):
    path = tmp_path / "x.nc"
    landscape = evaluate(*problem, path=path, quiet=True)
    before = path.read_bytes()
    with pytest.raises(LossLandscapeError, match="is an input of the same command"):
        refine(landscape, *problem[:2], [(0, 1), (0, 1)], path=path, overwrite=True, quiet=True)
    assert path.read_bytes() == before
