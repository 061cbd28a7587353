"""The loss along a projected training trajectory."""

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.run.projected_trajectory import measure_trajectory


class SharedStatistics(nn.Module):
    """Two batch norms over the same statistics, which are registered under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
        self.second.running_mean = self.first.running_mean
        self.head = nn.Linear(4, 3)

    def forward(self, inputs):
        return self.head(self.second(self.first(inputs)))


def test_a_buffer_under_two_names_is_that_of_the_checkpoint(tmp_path):
    torch.manual_seed(0)
    model = SharedStatistics()
    inputs, targets = torch.randn(32, 4), torch.randint(0, 3, (32,))
    expected = []
    with ll.TrajectoryRecorder(model, tmp_path / "trajectory") as recorder:
        for step in range(3):
            model.train()
            model(inputs + 3 * step)
            recorder.record(step)
            with torch.no_grad():
                outputs = model.eval()(inputs)
            expected.append(float(nn.functional.cross_entropy(outputs, targets)))
    assert np.ptp(expected) > 0.01
    found = measure_trajectory(
        ll.Objective(model, "cross_entropy", (inputs, targets)),
        ll.Subspace.random(model),
        ll.Trajectory.open(tmp_path / "trajectory"),
        quiet=True,
    )
    np.testing.assert_allclose(found.checkpoint_loss, expected, rtol=1e-5)


# ---- several runs --------------------------------------------------------------------------------


@pytest.fixture
def problem():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    return model, (torch.randn(30, 4), torch.randint(0, 3, (30,)))


def record(folder, model, data, optimizer, steps):
    """A run from the model's start, and the loss of each checkpoint."""
    start = {name: value.clone() for name, value in model.state_dict().items()}
    losses = []
    with ll.TrajectoryRecorder(model, folder) as recorder:
        for step in range(steps):
            recorder.record(step)
            loss = nn.functional.cross_entropy(model(data[0]), data[1])
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.load_state_dict(start)
    return ll.Trajectory.open(folder), losses


@pytest.fixture
def runs(tmp_path, problem):
    model, data = problem
    sgd, first = record(tmp_path / "sgd", model, data, torch.optim.SGD(model.parameters(), 0.5), 9)
    adam, second = record(
        tmp_path / "adam" / "trajectory", model, data, torch.optim.Adam(model.parameters(), 0.1), 4
    )
    return {"sgd": sgd, "adam": adam}, {"sgd": first, "adam": second}


@pytest.mark.parametrize("given", ["list", "labels"])
def test_several_runs_have_their_own_losses(tmp_path, problem, runs, given):
    trajectories, losses = runs
    names = list(trajectories) if given == "list" else ["slow", "fast"]
    told = list(trajectories.values())
    told = told if given == "list" else dict(zip(names, told))
    plane = ll.Subspace.pca(told)
    objective = ll.Objective(problem[0], "cross_entropy", problem[1])
    path = tmp_path / "x.nc"
    ll.evaluate(objective, plane, plane.default_grid(5), trajectory=told, path=path, quiet=True)
    landscape = ll.Landscape.open(path)
    assert [one.label for one in landscape.trajectories] == names
    for one, expected, run in zip(landscape.trajectories, losses.values(), trajectories.values()):
        assert one.checkpoint_loss == pytest.approx(expected, rel=1e-5)
        assert one.step.tolist() == run.steps.tolist()
        projection = plane.project_trajectory(run)
        np.testing.assert_array_equal(one.coordinates, projection.coordinates)
        np.testing.assert_array_equal(one.distance_to_plane, projection.distance)
        for coordinates, loss in zip(one.coordinates, one.loss):
            model = problem[0]
            start = {name: value.clone() for name, value in model.state_dict().items()}
            model.load_state_dict(plane.parameters_at(coordinates))
            with torch.no_grad():
                there = nn.functional.cross_entropy(model(problem[1][0]), problem[1][1]).item()
            model.load_state_dict(start)
            assert loss == pytest.approx(there, rel=1e-5)


def test_one_of_several_is_what_it_is_alone(tmp_path, problem, runs):
    objective = ll.Objective(problem[0], "cross_entropy", problem[1])
    plane = ll.Subspace.random(problem[0], seed=0)
    grid = ll.Grid.square(3, half_width=9)
    both = ll.evaluate(objective, plane, grid, trajectory=runs[0], quiet=True)
    for one, run in zip(both.trajectories, runs[0].values()):
        (alone,) = ll.evaluate(objective, plane, grid, trajectory=run, quiet=True).trajectories
        np.testing.assert_array_equal(one.loss, alone.loss)
        np.testing.assert_array_equal(one.checkpoint_loss, alone.checkpoint_loss)


def test_several_runs_go_on_where_they_stopped(tmp_path, problem, runs, monkeypatch):
    from losslandscape.point.evaluator import Evaluator

    objective = ll.Objective(problem[0], "cross_entropy", problem[1])
    plane = ll.Subspace.pca(runs[0])
    grid, path = plane.default_grid(3), tmp_path / "x.nc"
    whole = ll.evaluate(objective, plane, grid, trajectory=runs[0], quiet=True)
    measure, measured = Evaluator.measure_parameters, []

    def stopping(self, *arguments):
        measured.append(0)
        if len(measured) == 11:  # the second checkpoint of the second run
            raise KeyboardInterrupt
        return measure(self, *arguments)

    monkeypatch.setattr(Evaluator, "measure_parameters", stopping)
    with pytest.raises(KeyboardInterrupt):
        ll.evaluate(objective, plane, grid, trajectory=runs[0], path=path, quiet=True)
    again = ll.evaluate(objective, plane, grid, trajectory=runs[0], path=path, quiet=True)
    assert len(measured) == 11 + 3  # one anew, and the two that were left
    for one, other in zip(whole.trajectories, again.trajectories):
        np.testing.assert_array_equal(one.checkpoint_loss, other.checkpoint_loss)
        np.testing.assert_array_equal(one.loss, other.loss)
    assert sorted(tmp_path.glob("x.nc*")) == [path]


def test_what_is_no_run_is_refused_before_the_first_point(tmp_path, problem, runs):
    objective = ll.Objective(problem[0], "cross_entropy", problem[1])
    plane = ll.Subspace.random(problem[0], seed=0)
    sgd = runs[0]["sgd"]
    for given, words in (
        ([sgd, sgd], "both runs have the label 'sgd'"),
        ([sgd, str(sgd.path)], r"open it with Trajectory\.open"),
        ([], "the list is empty"),
    ):
        with pytest.raises(LossLandscapeError, match=words):
            ll.evaluate(objective, plane, trajectory=given, path=tmp_path / "x.nc", quiet=True)
        assert not list(tmp_path.glob("x.nc*"))
    with pytest.raises(LossLandscapeError, match=r"open it with"):
        ll.evaluate(objective, plane, ll.Grid.square(3)).add_trajectory(str(sgd.path))
