"""Sharpness through training on quadratics with a known answer, and at the edge of stability."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Objective, Trajectory, TrajectoryRecorder, training_sharpness
from losslandscape.errors import LossLandscapeError

HESSIAN = np.array([4.0, 1.0, 0.25])
RATE = 0.3


def quadratic():
    model = nn.Linear(3, 1, bias=False).double()
    inputs = torch.diag(torch.from_numpy(np.sqrt(3 * HESSIAN / 2)))
    model.weight.data.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
    return model, Objective(model, "mse", (inputs, torch.zeros(3, 1).double()))


def descended(model, folder, steps, every=1, rate=RATE):
    with TrajectoryRecorder(model, folder) as recorder:
        for step in range(steps + 1):
            if step % every == 0:
                recorder.record(step, learning_rate=rate)
            weight = model.weight.data
            weight -= rate * torch.from_numpy(HESSIAN) * weight
    return Trajectory.open(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model, objective = quadratic()
    return objective, descended(model, tmp_path_factory.mktemp("run") / "trajectory", 4)


def weights(trajectory):
    return np.stack([trajectory.parameters(i)["weight"].numpy()[0] for i in range(len(trajectory))])


@pytest.mark.parametrize("direction", ["update", "gradient"])
@pytest.mark.parametrize("rate", [RATE, [RATE] * 5, "learning_rate"])
def test_on_a_quadratic_it_is_the_curvature_along_the_gradient(run, direction, rate):
    objective, trajectory = run
    found = training_sharpness(objective, trajectory, rate, direction=direction)
    gradients = HESSIAN * weights(trajectory)
    expected = (HESSIAN * gradients**2).sum(axis=1) / (gradients**2).sum(axis=1)
    known = slice(None) if direction == "gradient" else slice(-1)
    assert found.critical_sharpness[known] == pytest.approx(expected[known], rel=0.011)
    assert (found.critical_low[known] <= expected[known] * (1 + 1e-9)).all()
    assert (found.critical_high[known] >= expected[known] * (1 - 1e-9)).all()
    assert np.isnan(found.critical_sharpness[-1]) == (direction == "update")
    assert (found.passes <= 9).all()
    assert found.sharpness == pytest.approx(np.full(5, 4.0))
    assert found.stability_limit == pytest.approx(np.full(5, 2 / RATE))
    losses = (HESSIAN * weights(trajectory) ** 2).sum(axis=1) / 2
    assert found.loss == pytest.approx(losses)


def test_the_way_is_split_across_and_along_the_valley(run):
    objective, trajectory = run
    found = training_sharpness(objective, trajectory, RATE, top=2)
    steps = np.diff(weights(trajectory), axis=0)
    assert found.across[:-1] == pytest.approx(np.linalg.norm(steps[:, :2], axis=1), rel=1e-6)
    assert found.along[:-1] == pytest.approx(abs(steps[:, 2]), rel=1e-6)
    assert np.isnan(found.across[-1])
    assert found.eigenvalues.shape == (5, 2)


def test_steps_between_checkpoints_count(tmp_path):
    model, objective = quadratic()
    trajectory = descended(model, tmp_path / "trajectory", 4, every=2)
    found = training_sharpness(objective, trajectory, RATE, top=0)
    here, there = weights(trajectory)[:2]
    way = there - here
    # the loss is back at s_c = -2 g way / (way H way), and both steps have their rate
    critical = -2 * (HESSIAN * here) @ way / (way @ (HESSIAN * way))
    assert found.critical_sharpness[0] == pytest.approx(2 / (critical * 2 * RATE), rel=0.011)
    assert found.eigenvalues.shape == (3, 0)
    assert np.isnan(found.sharpness).all()


def test_momentum_moves_the_limit(run):
    found = training_sharpness(*run, RATE, top=0, momentum=0.9)
    assert found.stability_limit == pytest.approx(np.full(5, 3.8 / RATE))


def test_the_model_and_its_statistics_stay(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).double()
    objective = Objective(model, "mse", (torch.randn(8, 2).double(), torch.randn(8, 1).double()))
    with TrajectoryRecorder(model, tmp_path / "trajectory") as recorder:
        for step in range(2):
            for parameter in model.parameters():
                parameter.data += 0.01
            model[1].running_mean += 1.0
            recorder.record(step)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = training_sharpness(objective, Trajectory.open(tmp_path / "trajectory"), 0.1)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model.eval()  # at the last checkpoint, with its statistics
    inputs, targets = objective_data(objective)
    assert found.loss[-1] == pytest.approx(float(((model(inputs) - targets) ** 2).mean().detach()))


def objective_data(objective):
    torch.manual_seed(0)
    nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    return torch.randn(8, 2).double(), torch.randn(8, 1).double()


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ([0.1, 0.1], "2 values for 5 checkpoints"),
        ("lr", "no scalar called 'lr'"),
        (-1.0, "learning_rate"),
    ],
)
def test_learning_rates_that_do_not_fit_are_refused(run, rate, words):
    with pytest.raises(LossLandscapeError, match=words):
        training_sharpness(*run, rate)


def test_one_checkpoint_is_no_training(tmp_path):
    model, objective = quadratic()
    with pytest.raises(LossLandscapeError, match="two or more"):
        training_sharpness(objective, descended(model, tmp_path / "t", 0), RATE)


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    """Full-batch gradient descent on an MLP of 61 parameters, long enough to reach 2 / eta."""
    torch.manual_seed(0)
    inputs = torch.linspace(-1, 1, 24).double()[:, None]
    targets = torch.sin(6 * inputs)
    model = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 1))
    model.double()
    folder = tmp_path_factory.mktemp("edge") / "trajectory"
    with TrajectoryRecorder(model, folder) as recorder:
        for step in range(EDGE_STEPS + 1):
            if step in EDGE_RECORDED:
                recorder.record(step)
            loss = ((model(inputs) - targets) ** 2).mean()
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= EDGE_RATE * parameter.grad
    return Objective(model, "mse", (inputs, targets)), Trajectory.open(folder)


EDGE_STEPS, EDGE_RATE, EDGE_RECORDED = 1501, 0.3, (0, 1, 1200, 1201, 1500, 1501)


def test_gradient_descent_hovers_at_two_over_eta(edge):
    objective, trajectory = edge
    found = training_sharpness(objective, trajectory, EDGE_RATE)
    relative = found.sharpness / found.stability_limit
    assert relative[0] < 0.75  # it starts flatter, and sharpens
    late = trajectory.steps > EDGE_STEPS / 2
    assert relative[late] == pytest.approx(1.0, abs=0.15)
    assert np.median(relative[late]) == pytest.approx(1.0, abs=0.05)
    assert found.loss[-1] < 0.2 * found.loss[0]  # while the loss still falls
    assert (found.passes <= 9).all()
    # along the update itself: no sharper than the largest eigenvalue allows
    successive = np.diff(trajectory.steps, append=np.inf) == 1
    critical = found.critical_sharpness[successive]
    assert np.isfinite(critical).all()
    assert (critical <= 1.1 * found.sharpness[successive]).all()


def test_checkpoints_with_other_values_of_a_frozen_parameter_are_refused(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).double()
    data = torch.randn(8, 3).double(), torch.randn(8, 1).double()
    with TrajectoryRecorder(model, tmp_path / "trajectory") as recorder:
        for step in range(3):
            recorder.record(step)
            model[1].weight.data.mul_(0.9)
            model[0].bias.data.add_(0.1 * (step < 1))
    trajectory = Trajectory.open(tmp_path / "trajectory")
    model.load_state_dict({**trajectory.parameters(-1)})
    model[0].requires_grad_(False)
    objective = Objective(model, "mse", data)
    with pytest.raises(LossLandscapeError, match=r"'0.bias' is frozen .* other values at step 0"):
        training_sharpness(objective, trajectory, 0.1, top=0)
    with TrajectoryRecorder(model, tmp_path / "head") as recorder:  # frozen when it was recorded
        for step in range(3):
            recorder.record(step)
            model[1].weight.data.mul_(0.9)
    head = Trajectory.open(tmp_path / "head")
    found = training_sharpness(objective, head, 0.1, top=0)
    for i in range(3):
        model.load_state_dict(head.parameters(i))
        losses = nn.functional.mse_loss(model(data[0]), data[1])
        assert found.loss[i] == pytest.approx(losses.item())
