"""Labeled models and checkpoints are measured with all that is their own."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape as ll


class Own(nn.Module):
    """Layers between which a user's buffer stands."""

    def __init__(self, name="scale", value=None):
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)
        self.name = name
        self.register_buffer(name, torch.ones(6) if value is None else value)

    def forward(self, inputs):
        hidden = torch.tanh(self.first(inputs))
        buffer = getattr(self, self.name)
        if self.name == "assignment":
            return self.last(hidden[:, buffer])
        if self.name == "steps":
            return self.last(hidden)
        return self.last(hidden * buffer)


class Tracked(Own):
    """Statistics of one's own."""

    def __init__(self):
        super().__init__("running_scale")

    def forward(self, inputs):
        hidden = self.first(inputs)
        if self.training:
            with torch.no_grad():
                self.running_scale = 0.9 * self.running_scale + 0.1 * hidden.std(0)
        return self.last(hidden / self.running_scale)


def spectral():
    norm = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(norm(nn.Linear(4, 6)), nn.Tanh(), nn.utils.spectral_norm(nn.Linear(6, 3)))


def instance():
    norm = nn.InstanceNorm1d(3, affine=True, track_running_stats=True)
    return nn.Sequential(
        nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 1), norm, nn.Flatten(), nn.Linear(12, 3)
    )


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(64, 4, generator=generator), torch.randint(0, 3, (64,), generator=generator)


def trained(make, data, seed):
    torch.manual_seed(seed)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(model(data[0]), data[1]).backward()
        optimizer.step()
    return model.eval()


def loss_of(model, data):
    with torch.no_grad():
        return float(functional.cross_entropy(model(data[0]), data[1]))


def between(models, data, **options):
    objective = ll.Objective(models[0], "cross_entropy", data, batch_norm="reestimated")
    plane = ll.Subspace.between(*models)
    grid = ll.Grid.line(3, 1.0) if len(models) == 2 else ll.Grid.square(3, 1.0)
    return ll.evaluate(objective, plane, grid, quiet=True, **options)


@pytest.mark.filterwarnings("ignore:the plane differs")
@pytest.mark.parametrize("make", [spectral, instance, Tracked], ids=["spectral", "instance", "own"])
def test_a_labeled_model_has_its_own_loss_and_the_plane_is_near_it(make, data, tmp_path):
    models = [trained(make, data, seed) for seed in (1, 2)]
    landscape = between(models, data, path=tmp_path / "x.nc")
    for model, point in zip(models, landscape.models):
        assert point.own_loss == pytest.approx(loss_of(model, data), rel=1e-5)
        assert point.loss == pytest.approx(point.own_loss, rel=0.1)
    assert landscape.values("loss")[[1, 2]] == pytest.approx([p.loss for p in landscape.models])
    kinds = {spectral: "recomputed", Tracked: "reestimated"}
    assert list(landscape.provenance.get("buffers", {})) == [
        k for m, k in kinds.items() if m is make
    ]
    assert ll.Landscape.open(tmp_path / "x.nc").models == landscape.models


def test_another_buffer_is_interpolated_and_stated(data):
    models = [Own(value=torch.linspace(i, i + 1.0, 6)).eval() for i in range(3)]
    landscape = between(models, data)
    for model, point in zip(models, landscape.models):
        assert point.own_loss == pytest.approx(loss_of(model, data), rel=1e-5)
        assert point.loss == pytest.approx(point.own_loss, rel=1e-4)
    assert landscape.provenance["buffers"] == {"interpolated": ["scale"]}
    middle = Own(value=(models[0].scale + models[1].scale) / 2).eval()
    with torch.no_grad():
        for mean, a, b in zip(middle.parameters(), models[0].parameters(), models[1].parameters()):
            mean.copy_((a + b) / 2)
    line = between(models[:2], data)
    objective = ll.Objective(models[0], "cross_entropy", data)
    half = ll.evaluate(
        objective,
        ll.Subspace.between(*models[:2]),
        ll.Grid.rectangle((3,), ((0.0, 1.0),)),
        quiet=True,
    )
    assert half.values("loss")[1] == pytest.approx(loss_of(middle, data), rel=1e-5)
    assert half.values("loss")[[0, 2]] == pytest.approx(line.values("loss")[[1, 2]])


def test_whole_numbers_that_change_the_loss_are_refused_and_counters_are_not(data):
    turned = torch.arange(5, -1, -1)
    models = [Own("assignment", value).eval() for value in (torch.arange(6), turned)]
    with pytest.raises(ll.LossLandscapeError, match="differ in 'assignment', buffers of whole"):
        between(models, data)
    counted = [Own("steps", torch.tensor(value)).eval() for value in (3, 8)]
    landscape = between(counted, data)
    assert "buffers" not in landscape.provenance
    assert landscape.models[1].own_loss == pytest.approx(loss_of(counted[1], data), rel=1e-5)


def test_where_the_plane_is_far_from_a_models_own_loss_that_is_said(data):
    models = [trained(instance, data, seed) for seed in (1, 2)]
    with torch.no_grad():
        models[1][2].running_mean += 3.0  # statistics that nothing re-estimates
    own = loss_of(models[1], data)
    with pytest.warns(UserWarning, match=rf"at model b \(.* on the plane, {own:.4g} by itself\)"):
        between(models, data)


def test_workers_give_the_same_bits(data):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    torch.set_num_threads(1)
    models = [Own(value=torch.linspace(i, i + 1.0, 6)).eval() for i in range(2)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        apart = between(models, data, executor=executor)
    assert apart.values("loss").tobytes() == between(models, data).values("loss").tobytes()


def record(model, folder, change, steps=4):
    with ll.TrajectoryRecorder(model, folder) as recorder:
        for step in range(steps):
            recorder.record(step)
            if step < steps - 1:
                with torch.no_grad():
                    change(model)
    return ll.Trajectory.open(folder)


def test_checkpoints_have_their_own_frozen_parameters(data, tmp_path):
    torch.manual_seed(0)
    model = Own().eval()
    expected, weights = [], []

    def change(model):
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)

    with ll.TrajectoryRecorder(model, tmp_path) as recorder:
        for step in range(4):
            recorder.record(step)
            expected.append(loss_of(model, data))
            weights.append({n: p.detach().clone() for n, p in model.named_parameters()})
            if step < 3:
                with torch.no_grad():
                    change(model)
    model.first.requires_grad_(False)
    plane = ll.Subspace.random(model, seed=0)
    objective = ll.Objective(model, "cross_entropy", data)
    landscape = ll.evaluate(
        objective, plane, ll.Grid.square(3), trajectory=ll.Trajectory.open(tmp_path), quiet=True
    )
    (found,) = landscape.trajectories
    np.testing.assert_allclose(found.checkpoint_loss, expected, rtol=1e-5)
    for i, there in enumerate(weights):
        on_plane = {**weights[-1], **plane.parameters_at(found.coordinates[i])}
        squared = sum(float((there[n] - on_plane[n]).square().sum()) for n in there)
        assert found.distance_to_plane[i] == pytest.approx(squared**0.5, rel=1e-4, abs=1e-6)
    assert loss_of(model, data) == pytest.approx(expected[-1])


def test_on_a_plane_of_a_trajectory_spectral_norm_is_that_of_each_point(data, tmp_path):
    torch.manual_seed(0)
    model = spectral()

    def change(model):
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter)
        model.train()(data[0])  # one step of power iteration
        model.eval()

    trajectory = record(model, tmp_path, change)
    plane = ll.Subspace.pca(trajectory)
    objective = ll.Objective(model, "cross_entropy", data)
    landscape = ll.evaluate(objective, plane, ll.Grid.square(3), trajectory=trajectory, quiet=True)
    assert list(landscape.provenance["buffers"]) == ["recomputed"]
    with torch.no_grad():
        far = plane.parameters_at((1.0, 1.0))
        for name, parameter in model.named_parameters():
            parameter.copy_(far[name])
        for _ in range(500):
            model.train()(data[0])
    assert landscape.values("loss")[2, 2] == pytest.approx(loss_of(model.eval(), data), rel=1e-4)


def test_other_buffers_that_changed_in_training_are_stated_as_the_origins(data, tmp_path):
    torch.manual_seed(0)
    model = Own().eval()

    def change(model):
        model.scale += 1
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)

    trajectory = record(model, tmp_path, change)
    objective = ll.Objective(model, "cross_entropy", data)
    landscape = ll.evaluate(
        objective, ll.Subspace.pca(trajectory), ll.Grid.square(3), trajectory=trajectory, quiet=True
    )
    assert landscape.provenance["buffers"] == {"fixed": ["scale"]}
    assert landscape.trajectories[0].checkpoint_loss[-1] == pytest.approx(loss_of(model, data))
