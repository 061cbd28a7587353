"""Derivatives agree with the measured surface, whichever way they are computed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import losslandscape as ll
from losslandscape.point.checked_derivatives import (
    AUTOMATIC,
    OF_GRADIENTS,
    OF_LOSSES,
    checked_derivatives,
)
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss


class Checkpointed(nn.Module):
    def __init__(self, reentrant, first=False):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)
        self.reentrant, self.first = reentrant, first

    def forward(self, inputs):
        def run(layer, values):
            return checkpoint(layer, values, use_reentrant=self.reentrant)

        if self.first:
            return self.b(torch.tanh(run(self.a, inputs)))
        return run(self.b, torch.tanh(run(nn.Identity(), self.a(inputs))))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, "gelu", batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(4, 3)

    def forward(self, inputs):
        tokens = inputs[:, None] * torch.linspace(0.5, 2, 3)[:, None].to(inputs)
        return self.head(self.body(tokens).mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.LSTM(2, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, inputs):
        return self.head(self.layer(inputs.view(-1, 2, 2))[0][:, -1])


class Rounded(nn.Module):
    """A straight-through estimator."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, inputs):
        hidden = self.a(inputs)
        return self.b(hidden + (torch.round(hidden) - hidden).detach())


class PartlyDetached(Rounded):
    def forward(self, inputs):
        hidden = torch.tanh(self.a(inputs))
        return self.b(hidden) + 0.3 * self.b(hidden).detach()


class Once(torch.autograd.Function):
    """A square whose derivative forgets that it depends on its input."""

    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values**2

    @staticmethod
    def backward(ctx, gradient):
        (values,) = ctx.saved_tensors
        return gradient * 2 * values.detach()


class Forgetful(Rounded):
    def forward(self, inputs):
        return self.b(Once.apply(self.a(inputs)))


class OwnStatistics(Rounded):
    def __init__(self):
        super().__init__()
        self.register_buffer("running_scale", torch.ones(4))

    def forward(self, inputs):
        hidden = self.a(inputs)
        if self.training:
            with torch.no_grad():
                self.running_scale = 0.9 * self.running_scale + 0.1 * hidden.std(0)
        return self.b(torch.tanh(hidden / self.running_scale))


class Scaled(Rounded):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.rand(4))

    def forward(self, inputs):
        return self.b(torch.tanh(self.a(inputs)) * self.scale**2)


def sequence(activation):
    return nn.Sequential(nn.Linear(4, 6), activation, nn.Linear(6, 3))


def spectral():
    norm = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 3))


def instance():
    norm = nn.InstanceNorm1d(3, affine=True, track_running_stats=True)
    layers = nn.Conv1d(1, 3, 1), norm, nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)
    return nn.Sequential(nn.Unflatten(1, (1, 4)), *layers)


def made(make, seed=0):
    torch.manual_seed(seed)
    model = make().double()
    if any(isinstance(module, nn.InstanceNorm1d) for module in model.modules()):
        model.train()(torch.randn(16, 4, dtype=torch.float64))
    return model.eval()


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(24, 4, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, 3, (24,), generator=generator)


def differences(objective, plane, place, step):
    """Gradient and Hessian by differences of measured losses."""
    with Evaluator(objective, plane) as evaluator:

        def loss(*shifts):
            return mean_loss(evaluator.measure(np.array(place) + step * np.sum(shifts, axis=0)))

        axes = np.eye(len(place))
        gradient = [(loss(e) - loss(-e)) / (2 * step) for e in axes]
        hessian = [
            [
                (loss(e, f) - loss(e, -f) - loss(-e, f) + loss(-e, -f)) / (4 * step**2)
                for f in axes
            ]
            for e in axes
        ]  # fmt: skip
    return np.array(gradient), np.array(hessian)


METHODS = {
    "tanh": (lambda: sequence(nn.Tanh()), AUTOMATIC),
    "hardswish": (lambda: sequence(nn.Hardswish()), AUTOMATIC),
    "hardsigmoid": (lambda: sequence(nn.Hardsigmoid()), OF_GRADIENTS),
    "attention": (Attention, AUTOMATIC),
    "recurrent": (Recurrent, AUTOMATIC),
    "checkpointed": (lambda: Checkpointed(False), AUTOMATIC),
    "re-entrant": (lambda: Checkpointed(True), OF_GRADIENTS),
    "re-entrant on data": (lambda: Checkpointed(True, first=True), OF_LOSSES),
    "forgetful": (Forgetful, OF_GRADIENTS),
    "partly detached": (PartlyDetached, OF_LOSSES),
}


@pytest.mark.parametrize("name", METHODS)
def test_any_model_has_the_derivatives_of_its_surface(name, data):
    make, method = METHODS[name]
    model = made(make)
    objective = ll.Objective(model, "cross_entropy", data)
    plane = ll.Subspace.random(model, seed=1)
    _check(objective, plane, method)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("make", "method"),
    [
        (spectral, OF_GRADIENTS), (OwnStatistics, OF_LOSSES), (instance, AUTOMATIC),
        (Scaled, AUTOMATIC),
    ],
)  # fmt: skip
def test_between_models_buffers_are_differentiated_too(make, method, data):
    plane = ll.Subspace.between(*(made(make, seed) for seed in range(3)))
    objective = ll.Objective(made(make), "cross_entropy", data, batch_norm="reestimated")
    _check(objective, plane, method)


def test_one_batch_at_a_time_gives_the_same(data):
    plane = ll.Subspace.between(*(made(spectral, seed) for seed in range(2)))
    objective = ll.Objective(made(spectral), "cross_entropy", data)
    found = []
    for size in (None, 5):
        with checked_derivatives(objective, plane, [[0.2]], [0.1], batch_size=size) as (loss, _):
            found.append((*loss.value_and_gradient([0.3]), loss.expansion([0.3]).hessian))
            samples = loss.sample_gradients([0.3])
        assert samples.mean(0) == pytest.approx(found[-1][1])
    assert np.ravel(found[0][2]) == pytest.approx(np.ravel(found[1][2]))
    assert found[0][0] == pytest.approx(found[1][0])


def _check(objective, plane, method):
    place, spacing = (0.21, -0.13), (0.1, 0.2)
    with checked_derivatives(objective, plane, [(0, 0), place], spacing) as (loss, found):
        here = loss.expansion(place)
        gradient = loss.gradient(place)
        samples = loss.sample_gradients(place)
        norm = loss.full_gradient_norm(place)
        values = loss.sample_losses(place)
    assert found.name == method, found.reasons
    assert found.disagreement < 0.01  # of few nodes
    expected, hessian = differences(objective, plane, place, 1e-4)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(here.gradient, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(here.hessian, hessian, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(samples.mean(0), expected, rtol=1e-5, atol=1e-7)
    assert values.mean() == pytest.approx(here.value)
    assert np.isnan(norm) == (method == OF_LOSSES)


def penalized(model):
    parameters = list(model.parameters())

    def loss(called, batch):
        penalty = 0.1 * sum((parameter**2).sum() for parameter in parameters)
        losses = functional.cross_entropy(called(batch[0]), batch[1], reduction="none")
        return losses + penalty.to(losses)

    return loss


def test_a_penalty_on_parameters_that_the_loss_holds_is_in_the_derivatives(data):
    model = made(lambda: sequence(nn.Tanh()))
    _check(
        ll.Objective(model, penalized(model), data), ll.Subspace.random(model, seed=1), OF_LOSSES
    )


def test_gradients_of_parameters_that_the_loss_holds_stay_the_users(data):
    model = made(lambda: sequence(nn.Tanh()))
    model[0].weight.grad = torch.full_like(model[0].weight, 7.0)
    objective = ll.Objective(model, penalized(model), data)
    with checked_derivatives(objective, ll.Subspace.random(model), [(0.5, 0.5)], (0.1, 0.1)) as (
        _,
        method,
    ):
        assert method.name == OF_LOSSES
    assert (model[0].weight.grad == 7).all()
    assert model[2].weight.grad is None


def test_a_staircase_has_no_derivatives_and_that_is_said_with_its_size(data):
    model = made(Rounded)
    with (
        pytest.raises(ll.LossLandscapeError, match=r"Rounded: .*add up to a rise of .*, measured"),
        checked_derivatives(
            ll.Objective(model, "cross_entropy", data),
            ll.Subspace.random(model),
            [(0, 0)],
            (0.1, 0.1),
        ),
    ):
        pass


def test_a_detached_loss_is_differenced(data):
    model = made(lambda: sequence(nn.Tanh()))

    def detached(called, batch):
        return functional.cross_entropy(called(batch[0]), batch[1], reduction="none").detach()

    _check(ll.Objective(model, detached, data), ll.Subspace.random(model, seed=1), OF_LOSSES)


def test_kinks_are_no_disagreement(data):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)
    )
    model = model.double().eval()
    plane = ll.Subspace.random(model)
    objective = ll.Objective(model, "cross_entropy", data)
    places = [(0, 0), (0.5, 0.5), (-0.5, -0.5)]
    with checked_derivatives(objective, plane, places, (1.0, 1.0)) as (_, method):
        assert method.name == AUTOMATIC, method.reasons


def zigzag(outputs, targets):
    return ((outputs + targets) % 2 - 1).abs().flatten()


def test_a_hundred_kinks_in_a_spacing_are_no_disagreement():
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    inputs = torch.full((3, 1), 230.0, dtype=torch.float64)
    targets = torch.tensor([[0.1], [0.5], [0.33]], dtype=torch.float64)
    objective = ll.Objective(model, zigzag, (inputs, targets))
    line = ll.Subspace.random(model, dimensions=1)
    with checked_derivatives(objective, line, [(0.0,)], [0.5]) as (_, method):
        assert method.name == AUTOMATIC, method.reasons


def test_where_no_loss_is_finite_nothing_is_compared(data):
    model = made(lambda: sequence(nn.Tanh()))
    plane = ll.Subspace.random(model)  # which refuses parameters that are not finite
    with torch.no_grad():
        model[2].bias[0] = torch.nan
    plane.origin.copy_(plane.layout.flatten(dict(model.named_parameters())))
    objective = ll.Objective(model, "cross_entropy", data)
    with checked_derivatives(objective, plane, [(0.5, 0.5)], (0.1, 0.1)) as (_, method):
        assert method.name == AUTOMATIC
        assert np.isnan(method.disagreement)


@pytest.mark.parametrize("name", ["tanh", "hardsigmoid", "attention", "forgetful"])
def test_second_derivatives_are_compared_in_float64_where_float32_is_measured(name, data):
    make, method = METHODS[name]
    model = made(make).float()
    objective = ll.Objective(model, "cross_entropy", (data[0].float(), data[1]))
    plane = ll.Subspace.random(model, seed=1)
    with checked_derivatives(objective, plane, [(0.5, 0.5)], (0.1, 0.1)) as (loss, found):
        assert found.name == method, found.reasons
        assert loss.dtype == torch.float32


def test_coarse_types_are_compared_coarsely(data):
    model = made(Attention).float()
    inputs, labels = data[0].float(), data[1]
    for precision in ("float32", "bfloat16"):
        objective = ll.Objective(model, "cross_entropy", (inputs, labels), precision=precision)
        with checked_derivatives(
            objective, ll.Subspace.random(model), [(0.5, 0.5)], (0.1, 0.1), "float64"
        ) as (loss, method):
            assert method.name == AUTOMATIC, method.reasons
            assert loss.dtype == torch.float64


def test_critical_points_and_sharpness_say_how_they_were_differentiated(data):
    model = made(lambda: sequence(nn.Hardsigmoid()))
    objective = ll.Objective(model, "cross_entropy", data)
    plane = ll.Subspace.random(model, seed=1)
    landscape = ll.evaluate(objective, plane, ll.Grid.square(5), quiet=True)
    found = ll.verify(landscape, ll.find_critical_points(landscape), objective, plane)
    assert found.about["derivatives"]["method"] == OF_GRADIENTS
    assert "hardsigmoid" in found.summary()[2]
    sharp = ll.epsilon_sharpness(objective, plane, (0.0, 0.0), epsilon=0.01)
    assert sharp.derivatives == OF_GRADIENTS
    smooth = copy.deepcopy(model)
    smooth[1] = nn.Sigmoid().eval()
    objective = ll.Objective(smooth, "cross_entropy", data)
    assert ll.epsilon_sharpness(objective, plane, (0.0, 0.0)).derivatives == AUTOMATIC


@pytest.mark.parametrize(
    ("make_loss", "dtype"), [("detached", "float64"), ("penalized", "float32")]
)
def test_a_float32_model_is_differenced_in_float64_where_a_copy_has_its_loss(
    make_loss, dtype, data
):
    model = made(lambda: sequence(nn.Tanh())).float()

    def detached(called, batch):
        return functional.cross_entropy(called(batch[0]), batch[1], reduction="none").detach()

    loss = detached if make_loss == "detached" else penalized(model)
    objective = ll.Objective(model, loss, (data[0].float(), data[1]))
    plane = ll.Subspace.random(model, seed=1)
    with checked_derivatives(objective, plane, [(0.5, 0.5)], (0.1, 0.1), "float64") as (found, how):
        assert how.name == OF_LOSSES
        assert found.dtype == getattr(torch, dtype)
        gradient = found.gradient((0.2, 0.1))
    expected, _ = differences(objective, plane, (0.2, 0.1), 0.02)
    np.testing.assert_allclose(gradient, expected, rtol=0.02, atol=1e-4)
    assert any("copy of the model" in reason for reason in how.reasons) == (dtype == "float32")
