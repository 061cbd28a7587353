"""Shares of a trajectory in a plane against plain arithmetic on its checkpoints."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import (
    Grid,
    Landscape,
    Objective,
    Subspace,
    Trajectory,
    TrajectoryRecorder,
    evaluate,
)
from losslandscape.analysis.path_shares import path_shares, random_plane_length, random_plane_share
from losslandscape.errors import LossLandscapeError

PARAMETERS, CHECKPOINTS = 12, 9


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A linear model, its checkpoints as an array and as a trajectory."""
    torch.manual_seed(0)
    model = nn.Linear(PARAMETERS, 1, bias=False).double()
    points = np.cumsum(np.random.default_rng(0).standard_normal((CHECKPOINTS, PARAMETERS)), axis=0)
    folder = tmp_path_factory.mktemp("run") / "trajectory"
    with TrajectoryRecorder(model, folder) as recorder:
        for step, point in enumerate(points):
            model.weight.data.copy_(torch.from_numpy(point)[None])
            recorder.record(step)
    return model, points, Trajectory.open(folder)


def given_plane(model, points):
    directions = np.random.default_rng(1).standard_normal((2, PARAMETERS))
    tensors = [{"weight": torch.from_numpy(d)[None]} for d in directions]
    return Subspace({"weight": torch.from_numpy(points[-1])[None]}, tensors), directions


def empty(plane, trajectories=(), subspace=None):
    grid = Grid.square(3)
    about = {"subspace": subspace or {"kind": "given"}}
    return Landscape(
        grid, {"loss": np.ones(grid.shape)}, np.ones(grid.shape, np.int8), plane.gram_matrix,
        about, trajectories=list(trajectories),
    )  # fmt: skip


def expected(points, directions, center):
    basis = np.linalg.qr(directions.T)[0]
    moved = points - (points.mean(axis=0) if center == "mean" else points[-1])
    steps = np.diff(points, axis=0)
    variance = ((moved @ basis) ** 2).sum() / (moved**2).sum()
    length = np.linalg.norm(steps @ basis, axis=1).sum() / np.linalg.norm(steps, axis=1).sum()
    return variance, length


def test_share_of_checkpoints_in_oblique_directions(run):
    model, points, trajectory = run
    plane, directions = given_plane(model, points)
    (share,) = path_shares(empty(plane), plane, {"run": trajectory})
    variance, length = expected(points, directions, "mean")
    assert share.variance == pytest.approx(variance, rel=1e-9)
    assert share.length == pytest.approx(length, rel=1e-9)
    assert (share.center, share.fitted, share.random_plane) == ("mean", False, 2 / PARAMETERS)
    assert "a random plane would hold 17%" in share.sentence()


@pytest.mark.filterwarnings("ignore:.* lie outside the grid", "ignore:.* are frozen")
def test_parameters_that_moved_and_are_frozen_by_now_count(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1)).double()
    points = []
    with TrajectoryRecorder(model, tmp_path / "trajectory") as recorder:
        for step in range(4):
            points.append(torch.cat([p.detach().flatten() for p in model.parameters()]).numpy())
            recorder.record(step)
            if step < 3:
                for parameter in model.parameters():
                    parameter.data += torch.randn_like(parameter)
    model[0].requires_grad_(False)
    plane = Subspace.random(model)  # of the second layer's weight
    data = torch.randn(5, 2).double(), torch.randn(5, 1).double()
    trajectory = Trajectory.open(tmp_path / "trajectory")
    landscape = evaluate(
        Objective(model, "mse", data), plane, Grid.square(3), trajectory=trajectory, quiet=True
    )
    directions = np.zeros((2, 7))
    directions[:, 4:6] = [direction[:2] for direction in plane.directions]
    points = np.array(points)
    (of_file,) = path_shares(landscape)
    assert of_file.variance == pytest.approx(expected(points, directions, "origin")[0])
    (share,) = path_shares(landscape, plane, {"run": trajectory})[:1]
    found = share.variance, share.length
    assert found == pytest.approx(expected(points, directions, "mean"), rel=1e-9)


@pytest.mark.parametrize("center", ["origin", "mean"])
def test_share_in_the_plane_of_its_principal_components(run, center):
    model, points, trajectory = run
    plane = Subspace.pca(trajectory, center=center)
    data = torch.eye(PARAMETERS).double(), torch.zeros(PARAMETERS, 1).double()
    landscape = evaluate(
        Objective(model, "mse", data), plane, plane.default_grid(5), trajectory=trajectory,
        quiet=True,
    )  # fmt: skip
    label = landscape.trajectories[0].label
    (share,) = path_shares(landscape, plane, {label: trajectory})
    assert share.fitted
    assert share.center == center
    directions = np.stack([d.double().numpy() for d in plane.directions])
    variance, length = expected(points, directions, center)
    assert share.variance == pytest.approx(variance, rel=1e-9)
    assert share.length == pytest.approx(length, rel=1e-9)
    if center == "origin":  # the recipe has shares about the last checkpoint
        assert variance == pytest.approx(sum(plane.recipe["explained_variance"]), rel=1e-9)
    # this is a random walk: as much as one shows, and not more
    assert share.judgment() == "no more than random walks show"
    (of_file,) = path_shares(landscape)
    assert of_file.length is None
    assert of_file.variance == pytest.approx(expected(points, directions, "origin")[0], rel=1e-6)
    unknown = "is not known without the number of parameters"
    assert (unknown in of_file.judgment()) is (center == "mean")
    assert of_file.fitted is (center == "origin")


def test_a_straight_path_is_more_than_chance(run, tmp_path):
    model, points, _ = run
    with TrajectoryRecorder(model, tmp_path / "trajectory") as recorder:
        for step in range(CHECKPOINTS):
            model.weight.data.copy_(torch.from_numpy(points[0] + step * points[1])[None])
            model.weight.data += 0.01 * torch.randn(1, PARAMETERS)
            recorder.record(step)
    trajectory = Trajectory.open(tmp_path / "trajectory")
    plane = Subspace.pca(trajectory)
    landscape = empty(plane, subspace={"kind": "pca", "center": "origin"})
    (share,) = path_shares(landscape, plane, {"run": trajectory})
    assert share.variance > 0.99
    assert share.judgment().startswith("more than random walks show, by ")
    assert "--path" not in share.judgment()


def test_nothing_is_said_of_a_trajectory_that_ends_off_the_plane(run):
    model, points, trajectory = run
    plane, _ = given_plane(model, points[:-1])
    data = torch.eye(PARAMETERS).double(), torch.zeros(PARAMETERS, 1).double()
    landscape = evaluate(
        Objective(model, "mse", data), plane, Grid.square(3), trajectory=trajectory, quiet=True
    )
    assert path_shares(landscape) == []


def test_checkpoints_need_the_plane(run):
    with pytest.raises(LossLandscapeError, match="needs the plane"):
        path_shares(empty(given_plane(*run[:2])[0]), None, {"run": run[2]})


def test_random_planes_hold_what_is_expected():
    generator = np.random.default_rng(0)
    planes = np.linalg.qr(generator.standard_normal((4000, 20, 2)))[0]
    shares = (planes[:, 0] ** 2).sum(axis=1)  # of the first unit vector
    mean, (low, high) = random_plane_share(20, 2)
    assert shares.mean() == pytest.approx(mean, abs=0.005)
    assert ((shares >= low) & (shares <= high)).mean() == pytest.approx(0.95, abs=0.015)
    assert np.sqrt(shares).mean() == pytest.approx(random_plane_length(20, 2), abs=0.01)
    assert random_plane_share(2, 2) == (1.0, (1.0, 1.0))
    assert random_plane_length(1, 2) == 1.0
