"""``--array`` of the verbs that analyze a landscape."""

import json

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.cli import main

GRID = Grid.square(11)


@pytest.fixture
def files(tmp_path):
    x, y = GRID.points().T
    fields = {"loss": 1 + x**2 + y**2, "test_loss": 2 + (x - 0.4) ** 2 + y**2, "top 5": x + y}
    for name in ("a.nc", "b.nc"):
        Landscape(
            GRID, {key: values.reshape(GRID.shape) for key, values in fields.items()},
            np.ones(GRID.shape, np.int8), np.eye(2),
        ).save(tmp_path / name)  # fmt: skip
    return tmp_path


def test_topology_of_another_variable(files, capsys):
    assert main(["topology", str(files / "a.nc"), "--array", "test_loss"]) == 0
    printed = capsys.readouterr().out
    assert "a.nc: of the mean 'test_loss', 1 of 1 minima is" in printed
    report = json.loads((files / "a_topology_test_loss" / "topology.json").read_text())
    assert report["array"] == "test_loss"
    (minimum,) = (p for p in report["critical_points"] if p["kind"] == "minimum")
    assert minimum["position"] == pytest.approx([0.4, 0.0])
    assert main(["topology", str(files / "a.nc"), "--array", "top 5"]) == 0
    assert (files / "a_topology_top 5" / "topology.json").exists()
    assert not (files / "a_topology").exists()


@pytest.mark.parametrize("name", ["Brier score", "top-5", "β", "sin", "f(x)*2"])
def test_a_variable_of_any_name_is_analyzed_and_exported(files, capsys, name):
    path = files / "n.nc"
    x, y = GRID.points().T
    fields = {"loss": 1 + x**2 + y**2, name: 2 + (x - 0.4) ** 2 + y**2}
    Landscape(
        GRID, {key: values.reshape(GRID.shape) for key, values in fields.items()},
        np.ones(GRID.shape, np.int8), np.eye(2),
    ).save(path)  # fmt: skip
    for words in (["topology"], ["topology", "--array", name], ["flatness", "--array", name],
                  ["export"], ["info"]):  # fmt: skip
        assert main([words[0], str(path), *words[1:]]) == 0, words
    printed = capsys.readouterr().out
    assert f"of the mean '{name}'" in printed
    assert f"around the minimum of '{name}' at (0.4, 0)" in printed
    assert "n.nc: exported to" in printed


def test_flatness_and_comparison_of_another_variable(files, capsys):
    assert main(["flatness", str(files / "a.nc"), "--array", "test_loss"]) == 0
    assert "around the minimum of 'test_loss' at (0.4, 0)" in capsys.readouterr().out
    report = json.loads((files / "a_flatness_test_loss" / "flatness.json").read_text())
    assert (report["array"], report["minimum_loss"]) == ("test_loss", pytest.approx(2.0))
    output = ["--output", str(files / "both")]
    pair = [str(files / "a.nc"), str(files / "b.nc")]
    assert main(["compare", *pair, "--array", "test_loss", *output]) == 0
    report = json.loads((files / "both" / "comparison.json").read_text())
    assert [row["minimum_loss"] for row in report["landscapes"]] == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["topology", "--array", "f1"], "there is no variable 'f1' (found: loss, test_loss"),
    ],
)
def test_what_another_variable_cannot_be(files, capsys, words, message):
    verb, *options = words
    assert main([verb, str(files / "a.nc"), *options]) == 1
    assert message in capsys.readouterr().err


def test_a_log_scale_of_losses_that_have_no_logarithm_is_refused(files, capsys):
    assert main(["topology", str(files / "a.nc"), "--array", "top 5", "--scale", "log"]) == 1
    x, y = GRID.points().T
    count = int((x + y <= 0).sum())
    assert f"{count} of 121 points have a loss of 0 or less (the lowest: -2)" in (
        capsys.readouterr().err
    )
