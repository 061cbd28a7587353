"""Recorded trajectories whose frozen parameters are stored once."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape as ll
from losslandscape.errors import LossLandscapeError


class Adapted(nn.Module):
    """A frozen layer, an adapter that trains, and a buffer."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(40, 30).requires_grad_(False)
        self.adapter = nn.Linear(30, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        return self.adapter(self.base(x))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Adapted()


def states_of(model, folder, count=5, change=lambda model, step: None, **options):
    """Record a run; every tensor of every checkpoint as it was then."""
    states = []
    with ll.TrajectoryRecorder(model, folder, **options) as recorder:
        for step in range(count):
            with torch.no_grad():
                model.adapter.weight += torch.randn_like(model.adapter.weight)
                model.calls += 1
            change(model, step)
            recorder.record(step)
            states.append({name: value.clone() for name, value in model.state_dict().items()})
    return states


def assert_is(trajectory, states):
    assert len(trajectory) == len(states)
    for i, state in enumerate(states):
        found = {**trajectory.parameters(i), **trajectory.buffers(i)}
        assert found.keys() == state.keys()
        for name in state:
            assert torch.equal(found[name], state[name]), (i, name)
    covered = {name: 0 for name in trajectory.shapes}
    for name, start, stop, values in trajectory.blocks(max_bytes=8 * len(states) * 7):
        expected = [state[name].double().reshape(-1)[start:stop].numpy() for state in states]
        np.testing.assert_array_equal(values, expected)
        covered[name] += stop - start
    assert covered == {name: math.prod(shape) for name, shape in trajectory.shapes.items()}


def test_what_is_frozen_is_stored_once(model, tmp_path):
    states = states_of(model, tmp_path)
    trajectory = ll.Trajectory.open(tmp_path)
    assert trajectory.frozen == {"base.weight", "base.bias"}
    assert_is(trajectory, states)
    trajectory.verify()
    base = (tmp_path / "frozen.safetensors").stat().st_size
    assert base > 4 * 40 * 30
    for file in tmp_path.glob("checkpoint_*"):
        assert file.stat().st_size < base / 4
    assert json.loads((tmp_path / "trajectory.json").read_text())["format_version"] == 2


def test_a_model_without_frozen_parameters_is_stored_as_ever(model, tmp_path):
    states = states_of(model.requires_grad_(True), tmp_path)
    assert json.loads((tmp_path / "trajectory.json").read_text())["format_version"] == 1
    assert not (tmp_path / "frozen.safetensors").exists()
    trajectory = ll.Trajectory.open(tmp_path)
    assert trajectory.frozen == frozenset()
    assert_is(trajectory, states)


@pytest.mark.parametrize("how", ["unfrozen", "written"])
def test_a_parameter_that_moves_later_is_stored_from_then_on(model, tmp_path, how):
    def change(model, step):
        if step == 2 and how == "unfrozen":
            model.base.requires_grad_(True)
        if step >= 3:
            with torch.no_grad():
                model.base.bias += 1

    states = states_of(model, tmp_path, change=change)
    trajectory = ll.Trajectory.open(tmp_path)
    assert trajectory.frozen == {"base.weight"}
    assert_is(trajectory, states)


def test_a_copy_of_averaged_weights_is_not_taken_for_frozen(model, tmp_path):
    model.requires_grad_(False)
    assert_is_all = states_of(model, tmp_path)
    assert_is(ll.Trajectory.open(tmp_path), assert_is_all)
    assert not (tmp_path / "frozen.safetensors").exists()


def test_resume_and_overwrite(model, tmp_path):
    states = states_of(model, tmp_path, 3)
    with ll.TrajectoryRecorder(model, tmp_path, resume=True) as recorder:
        with torch.no_grad():
            model.base.bias += 1
        recorder.record(7)
    states.append({name: value.clone() for name, value in model.state_dict().items()})
    assert_is(ll.Trajectory.open(tmp_path), states)
    again = states_of(model, tmp_path, 2, overwrite=True)
    assert_is(ll.Trajectory.open(tmp_path), again)
    whole = states_of(model.requires_grad_(True), tmp_path, 2, overwrite=True)
    assert_is(ll.Trajectory.open(tmp_path), whole)
    assert not (tmp_path / "frozen.safetensors").exists()


def test_resume_before_the_first_checkpoint(model, tmp_path):
    states_of(model, tmp_path, 3)
    with torch.no_grad():
        model.base.weight += 1
    with ll.TrajectoryRecorder(model, tmp_path, resume=True) as recorder:
        recorder.record(-1)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert_is(ll.Trajectory.open(tmp_path), [state])


def test_a_damaged_base_is_noticed(model, tmp_path):
    states_of(model, tmp_path)
    file = tmp_path / "frozen.safetensors"
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[-5] ^= 1
    file.write_bytes(bytes(changed))
    for read in (
        lambda: ll.Trajectory.open(tmp_path).parameters(2),
        lambda: ll.Trajectory.open(tmp_path).verify(),
        lambda: ll.Subspace.pca(ll.Trajectory.open(tmp_path)),
    ):
        with pytest.raises(LossLandscapeError, match="frozen parameters have changed"):
            read()
    file.write_bytes(whole[:-1])
    with pytest.raises(LossLandscapeError, match="frozen parameters are missing or damaged"):
        ll.Trajectory.open(tmp_path)
    file.write_bytes(whole)
    trajectory = ll.Trajectory.open(tmp_path)
    trajectory.parameters(0)
    file.write_bytes(bytes(changed))
    with pytest.raises(LossLandscapeError, match="frozen parameters have changed"):
        trajectory.parameters(0)
    file.unlink()
    with pytest.raises(LossLandscapeError):
        ll.Trajectory.open(tmp_path)


def test_the_base_is_part_of_the_identity(model, tmp_path):
    states_of(model, tmp_path / "a", 1)
    other = Adapted()
    other.adapter.load_state_dict(model.adapter.state_dict())
    other.calls = model.calls.clone()
    for folder, one in (("b", model), ("c", other)):
        with ll.TrajectoryRecorder(one, tmp_path / folder) as recorder:
            recorder.record(0)
    b, c = (ll.Trajectory.open(tmp_path / name) for name in "bc")
    assert b._checkpoints == c._checkpoints
    assert b.identity != c.identity


def test_losses_and_the_plane(model, tmp_path):
    """As of a model that is recorded as a whole; and only with the base of the training."""
    x, y = torch.randn(32, 40), torch.randint(0, 3, (32,))
    states = states_of(model, tmp_path)
    trajectory = ll.Trajectory.open(tmp_path)
    expected = []
    for state in states:
        model.load_state_dict(state)
        with torch.no_grad():
            expected.append(nn.functional.cross_entropy(model(x), y).item())
    objective = ll.Objective(model.eval(), "cross_entropy", (x, y))
    plane = ll.Subspace.pca(trajectory)
    assert [segment.name for segment in plane.layout.segments] == [
        "adapter.weight",
        "adapter.bias",
    ]
    found = ll.evaluate(objective, plane, plane.default_grid(3), trajectory=trajectory, quiet=True)
    assert found.trajectories[0].checkpoint_loss == pytest.approx(expected, rel=1e-5)
    # unfrozen again in another script: the same plane, the same losses
    thawed = Adapted().requires_grad_(True).eval()
    thawed.load_state_dict(states[0])
    objective = ll.Objective(thawed, "cross_entropy", (x, y))
    again = ll.evaluate(objective, plane, plane.default_grid(3), trajectory=trajectory, quiet=True)
    assert again.trajectories[0].checkpoint_loss == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        thawed.base.weight += 0.1
    with pytest.raises(LossLandscapeError, match=r"'base\.weight' was frozen in the training"):
        ll.evaluate(objective, plane, plane.default_grid(3), quiet=True)
