"""Each check of a picture fails where it should, with a command that mends it, and only there."""

import shlex

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.analysis.picture_checks import picture_checks
from losslandscape.analysis.remedies import surface_again
from losslandscape.cli import _available_verbs, _parser
from losslandscape.landscape.overlays import ProjectedTrajectory

GRID = Grid.square(21)
COMMAND = (
    "losslandscape surface --model mlp --weights run --grid 21 --half-width 1 --overwrite "
    "--title 'a -1 b' --output a.nc"
)
BOWL = (GRID.points() ** 2).sum(axis=1).reshape(GRID.shape)
X, Y = (GRID.points()[:, i].reshape(GRID.shape) for i in range(2))


def landscape(loss=4 * BOWL, status=None, *, objective=None, plane=None, fields=(), **more):
    provenance = {
        "command": COMMAND,
        "subspace": {"kind": "random", "normalization": "filter", **(plane or {})},
        "objective": {
            "batch_norm": "none", "deviation": {"largest_absolute": 1e-6}, **(objective or {}),
        },
        **more.pop("provenance", {}),
    }  # fmt: skip
    if status is None:
        status = np.where(np.isfinite(loss), 1, 3).astype(np.int8)
    return Landscape(GRID, {"loss": loss, **dict(fields)}, status, np.eye(2), provenance, **more)


def samples(loss, noise, count=64):
    """Per-sample losses with these means and a standard deviation of `noise`, by antithetic."""
    draws = np.random.default_rng(0).standard_normal((*loss.shape, count // 2)) * noise
    values = loss[..., None] + np.concatenate([draws, -draws], axis=-1)
    return {"loss_samples": values.astype(np.float32)}


def run(first, last):
    return ProjectedTrajectory(
        "run", np.arange(2.0), np.zeros((2, 2)), np.ones(2), np.array([first, last]), np.zeros(2)
    )


def without(loss, where):
    loss = loss.copy()
    loss[where] = np.nan
    return loss


INTERPOLATED = np.ones(GRID.shape, np.int8)
INTERPOLATED[10, 12] = 2
LOW_BETWEEN = (4 * BOWL).copy() + 1
LOW_BETWEEN[10, 12] = 0.5
UNFINISHED = np.ones(GRID.shape, np.int8)
UNFINISHED[0, 0] = 0

# name of the check that must fail, the landscape, and words of the finding and of the remedy
WRONG = {
    "unfinished": (
        "complete", landscape(without(4 * BOWL, (0, 0)), UNFINISHED), "1 of 441", "a.nc",
    ),
    "not finite": (
        "complete", landscape(np.where(X > 0.9, np.inf, 4 * BOWL)), "not finite at 21",
        "--bounds=-0.5,0.5,-0.5,0.5",
    ),
    "wide": (
        "window not too wide", landscape(400 * BOWL), "steps over the basin", "--grid",
    ),
    "narrow": (
        "window not too narrow", landscape(0.04 * BOWL), "fills 100%", "--bounds=-3.5",
    ),
    "cut": (
        "basin within the window", landscape(4 * (X - 1) ** 2 + 4 * Y**2), "goes on at alpha = 1",
        "--bounds=-1,2,-1,1",
    ),
    "edge": (
        "lowest point inside", landscape(4 * (X + 1) ** 2 + 4 * Y**2), "on the edge",
        "--bounds=-2,1,-1,1",
    ),
    "elsewhere": (
        "lowest point at the model", landscape(4 * (X - 0.5) ** 2 + 4 * Y**2),
        "(0.5, 0) lies 1 below the model", "losslandscape verify",
    ),
    "elsewhere by far": (
        "lowest point at the model",
        landscape(4 * (X - 0.5) ** 2 + 4 * Y**2, samples=samples(4 * (X - 0.5) ** 2, 0.1)),
        "95.4% interval", "losslandscape verify",
    ),
    "scale": (
        "directions normalized", landscape(plane={"normalization": "none"}), "not normalized",
        "--normalization filter",
    ),
    "statistics": (
        "running statistics fit the weights",
        landscape(0.01 * 10 ** (4 * BOWL), objective={"batch_norm": "fixed"}), "8.0 decades",
        "--batch-norm reestimated",
    ),
    "untrained by the command": (
        "network trained", landscape(provenance={"weights": "none were given"}), "none were given",
        "--weights FILE",
    ),
    "untrained by the path": (
        "network trained", landscape(trajectories=[run(1.0, 2.0)]), "did not lower",
        "smaller learning rate",
    ),
    "untrained by the surface": (
        "network trained", landscape(1 + X + Y), "48% of the evaluated", "--weights FILE",
    ),
    "between": (
        "lowest points measured", landscape(LOW_BETWEEN, INTERPOLATED), "is interpolated",
        "losslandscape refine FILE.nc --bounds=0,0.4,-0.2,0.2",
    ),
    "noise": (
        "features above the noise", landscape(samples=samples(4 * BOWL, 1000.0)), "is noise",
        "--samples",
    ),
    "rounding": (
        "losses above the rounding", landscape(objective={"deviation": {"largest_absolute": 5.0}}),
        "off by up to 5", "--precision float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_odd_is_found_and_mended(case):
    name, wrong, words, remedy = WRONG[case]
    (check,) = [check for check in picture_checks(wrong) if check.name == name]
    assert check.passed is False
    assert words in check.finding
    assert remedy in check.remedy


@pytest.mark.parametrize("case", WRONG)
def test_remedies_are_commands_that_parse(case):
    for check in picture_checks(WRONG[case][1]):
        if check.remedy and check.remedy.startswith("losslandscape"):
            words = shlex.split(check.remedy.partition(" (")[0])[1:]
            _parser(_available_verbs()).parse_args(words)


def test_nothing_is_wrong_with_a_bowl():
    bowl = landscape(samples=samples(4 * BOWL, 0.01), trajectories=[run(2.0, 0.1)])
    found = picture_checks(bowl)
    assert [check.name for check in found if check.passed is not True] == []
    assert len({check.name for check in found}) == len(found) == 12


def test_what_the_samples_do_not_tell_apart_is_not_elsewhere():
    loss = 4 * BOWL
    loss[10, 12] = -0.001
    found = {c.name: c for c in picture_checks(landscape(loss, samples=samples(loss, 1.0)))}
    check = found["lowest point at the model"]
    assert check.passed
    assert "do not tell apart" in check.finding


def test_what_the_file_does_not_say_is_not_known():
    bare = Landscape(GRID, {"loss": 4 * BOWL}, np.ones(GRID.shape, np.int8), np.eye(2))
    unknown = {check.name for check in picture_checks(bare) if check.passed is None}
    assert unknown == {
        "lowest point at the model", "directions normalized", "running statistics fit the weights",
        "features above the noise", "losses above the rounding",
    }  # fmt: skip


def test_a_window_in_epsilon_of_another_unit():
    large = landscape(1e4 * BOWL)
    found = {check.name: check.passed for check in picture_checks(large, 1000.0)}
    assert found["window not too wide"]
    assert found["window not too narrow"]
    assert not {c.name: c.passed for c in picture_checks(large)}["window not too wide"]


def test_python_is_told_in_python():
    about = {"subspace": {"kind": "random", "normalization": "none"}}
    wide = Landscape(GRID, {"loss": 400 * BOWL}, np.ones(GRID.shape, np.int8), np.eye(2), about)
    remedies = {check.name: check.remedy for check in picture_checks(wide)}
    assert remedies["window not too wide"].startswith("evaluate on Grid.rectangle([")
    assert 'normalization="filter"' in remedies["directions normalized"]


def test_options_are_replaced_with_their_values():
    again = surface_again(landscape(), {"--bounds": "-2,2,-2,2", "--grid": "31x31"}, "new")
    assert shlex.split(again) == [
        "losslandscape", "surface", "--model", "mlp", "--weights", "run", "--title", "a -1 b",
        "--bounds=-2,2,-2,2", "--grid", "31x31", "--output", "a_new.nc",
    ]  # fmt: skip
    refined = landscape(provenance={"command": "losslandscape refine a.nc --bounds 0 1 0 1"})
    assert surface_again(refined, {}, "new") is None
