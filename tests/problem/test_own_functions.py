"""Loss functions as they are written for training: the value is the function's own, or refused."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.problem.own_functions import OwnFunction


class Pair(NamedTuple):
    scores: torch.Tensor
    features: torch.Tensor


@dataclass
class Data:
    logits: torch.Tensor
    features: torch.Tensor


class Outputs(nn.Module):
    """Returns its scores alone or beside its features."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.kind = nn.Linear(6, 3), kind

    def forward(self, x):
        out = self.net(x)
        return self.kind(out, 2 * out) if self.kind is not None else out


KINDS = {
    "alone": (None, None),
    "tuple": (lambda a, b: (a, b), 0),
    "dict": (lambda a, b: {"out": a, "aux": b}, "out"),
    "namedtuple": (Pair, "scores"),
    "dataclass": (Data, lambda outputs: outputs.logits),
}


def data(n=40):
    torch.manual_seed(1)
    return torch.randn(n, 6), torch.randint(0, 3, (n,))


def measured(model, loss, samples, **options):
    objective = ll.Objective(model.eval(), loss, samples, batch_size=7, **options)
    plane = ll.Subspace.random(model, dimensions=1, seed=0)
    return ll.evaluate(objective, plane, ll.Grid.line(3, half_width=0.1), quiet=True)


def own(model, x, y, loss=functional.cross_entropy):
    return loss(model.net(x), y).item()


def by_position(a, b):
    return functional.cross_entropy(a, b, reduction="none")


def by_name(outputs, targets):
    return functional.cross_entropy(outputs, targets, reduction="none")


def a_mean(a, b):
    return functional.cross_entropy(a, b)


class Focal(nn.Module):
    def forward(self, outputs, targets):
        losses = functional.cross_entropy(outputs, targets, reduction="none")
        return ((1 - (-losses).exp()) ** 2 * losses).mean()


@pytest.mark.parametrize(
    ("loss", "known_by", "single"),
    [(by_position, "trial", False), (by_name, "names", False), (a_mean, "trial", True)],
)
def test_functions_of_outputs_and_targets(loss, known_by, single):
    model, (x, y) = Outputs(None), data()
    found = measured(model, loss, (x, y))
    assert found.values("loss")[1] == pytest.approx(own(model, x, y), rel=1e-5)
    assert found.values("loss_standard_error")[1] > 0
    call = found.provenance["objective"]["loss_call"]
    assert call["arguments"] == "(outputs, targets)"
    assert call["known_by"] == known_by
    assert call.get("by_sample", False) == single
    per_sample = functional.cross_entropy(model.net(x), y, reduction="none").tolist()
    assert found.samples["loss_samples"][1].tolist() == pytest.approx(per_sample, rel=1e-4)


def test_a_module_that_returns_a_mean():
    model, (x, y) = Outputs(None), data()
    found = measured(model, Focal(), (x, y))
    assert found.values("loss")[1] == pytest.approx(own(model, x, y, Focal()), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_of_any_kind(kind):
    made, output = KINDS[kind]
    model, (x, y) = Outputs(made), data()
    expected = own(model, x, y)
    found = measured(model, "cross_entropy", (x, y), output=output)
    assert found.values("loss")[1] == pytest.approx(expected, rel=1e-5)
    chosen = measured(model, a_mean, (x, y), output=output)
    assert chosen.values("loss")[1] == pytest.approx(expected, rel=1e-5)

    def of_all(outputs, targets):
        scores = outputs if made is None else next(iter(_values(outputs)))
        return functional.cross_entropy(scores, targets)

    whole = measured(model, of_all, (x, y))
    assert whole.values("loss")[1] == pytest.approx(expected, rel=1e-5)


def _values(outputs):
    if isinstance(outputs, dict):
        return outputs.values()
    return vars(outputs).values() if isinstance(outputs, Data) else outputs


def test_outputs_that_are_not_there_are_named():
    model, samples = Outputs(KINDS["dict"][0]), data()
    with pytest.raises(LossLandscapeError, match=r"output 'logits': .*'out' of shape .*'aux'"):
        measured(model, "cross_entropy", samples, output="logits")
    with pytest.raises(LossLandscapeError, match=r'output="out"'):
        measured(model, "cross_entropy", samples)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda a, b: functional.cross_entropy(a, b, weight=torch.tensor([1.0, 9, 0.1])), "weighs"),
        (lambda a, b: functional.cross_entropy(a, b, reduction="sum"), "sum, which grows"),
        (lambda a, b: torch.cdist(a, a).mean(), "compares them"),
    ],
)
def test_a_number_per_batch_that_is_no_mean_over_samples_is_refused(loss, words):
    with pytest.raises(LossLandscapeError, match=r"one number per batch.*single samples") as caught:
        measured(Outputs(None), loss, data())
    assert words in str(caught.value)


def test_what_is_no_mean_in_a_later_batch_only_is_refused():
    """The first samples weigh the same, so that the trial sees nothing."""
    x, y = data()
    y[:8] = 0
    weight = torch.tensor([1.0, 9.0, 0.1])
    with pytest.raises(LossLandscapeError, match="weighs its samples"):
        measured(Outputs(None), lambda a, b: functional.cross_entropy(a, b, weight=weight), (x, y))


def test_a_mean_that_leaves_samples_out_is_refused():
    x, y = data()
    y[10:12] = -100
    with pytest.raises(LossLandscapeError, match=r"single samples is nan.*weighs its samples"):
        measured(Outputs(None), a_mean, (x, y))
    y[7:14] = -100  # a whole batch
    with pytest.raises(LossLandscapeError, match=r"sample 7 and 6 more have the loss NaN"):
        measured(Outputs(None), a_mean, (x, y))


def test_functions_of_model_and_batch_that_return_a_mean():
    model, (x, y) = Outputs(None), data()

    def penalized(model, batch):
        norm = sum(p.square().sum() for p in model.parameters())
        return functional.cross_entropy(model(batch[0]), batch[1]) + 0.1 * norm

    with pytest.warns(UserWarning, match=r"penalized returns one number .* 40 calls at each point"):
        found = measured(model, penalized, (x, y))
    assert found.values("loss")[1] == pytest.approx(penalized(model, (x, y)).item(), rel=1e-5)
    assert found.provenance["objective"]["loss_call"]["by_sample"]


def test_a_loss_that_looks_whether_gradients_are_on():
    """Without a word it would be another loss."""
    model, (x, y) = Outputs(None), data()

    def smooth(model, batch):
        inputs = batch[0].clone().requires_grad_(True)
        outputs = model(inputs)
        losses = functional.cross_entropy(outputs, batch[1], reduction="none")
        if outputs.requires_grad:
            slopes = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)[0]
            losses = losses + slopes.square().sum(1)
        return losses

    found = measured(model, smooth, (x, y))
    assert found.values("loss")[1] == pytest.approx(smooth(model, (x, y)).mean().item(), rel=1e-5)


def test_trying_leaves_the_model_and_the_generators_as_they_were():
    model = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), nn.Dropout())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    samples = data()
    generator = torch.get_rng_state()
    ll.Objective(model, by_position, samples)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(module.training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_names_decide():
    assert [way.arguments for way in OwnFunction(by_name).ways()] == ["outputs", "logits"]
    assert len(OwnFunction(by_position).ways()) == 3
    for function in (lambda model, targets: 0, lambda a, batch: 0, lambda net, y: 0):
        assert [way.arguments for way in OwnFunction(function).ways()] == ["model"]
    assert OwnFunction(Focal()).ways()[0].arguments == "outputs"
    assert len(OwnFunction(lambda *arguments: 0).ways()) == 3


def y_first(y_true, y_pred):
    return (y_true - y_pred).abs().squeeze(1)


class TargetFirst(nn.Module):
    def forward(self, target, input):
        return (target - input).square().squeeze(1)


@pytest.mark.parametrize(
    "loss",
    [
        y_first,
        TargetFirst(),
        lambda labels, logits: 0,
        lambda y, p: 0,
        lambda a, preds: 0,
        lambda true_classes, model_scores: 0,
    ],
)
def test_targets_before_outputs_are_refused(loss):
    """Called as (outputs, targets), a loss that is not symmetric would have another value."""
    with pytest.raises(LossLandscapeError, match="reads as targets before outputs"):
        ll.Objective(Outputs(None), loss, data())
    with pytest.raises(LossLandscapeError, match="reads as targets before outputs"):
        ll.Objective(Outputs(None), loss, data(), output=0)


def test_a_metric_of_targets_before_outputs_is_refused():
    with pytest.raises(LossLandscapeError, match="reads as targets before outputs"):
        ll.Objective(Outputs(None), "cross_entropy", data(), metrics={"off": y_first})


@pytest.mark.parametrize(
    "loss",
    [
        lambda y, t: 0,
        lambda y_hat, y: 0,
        lambda y_pred, y_true: 0,
        lambda model_output, batch_targets: 0,
        lambda label_scores, labels: 0,
        lambda x, y: 0,
        lambda m, b: 0,
        lambda net, y: 0,
        lambda batch, batch_labels: 0,
        lambda *arguments: 0,
    ],
)
def test_other_names_are_not_refused(loss):
    assert OwnFunction(loss).ways()


def test_sorted_samples_in_batches_of_one_do_not_hide_that_they_weigh_differently():
    x, y = data()
    order = y.argsort()
    weight = torch.tensor([1.0, 9.0, 0.1])
    with pytest.raises(LossLandscapeError, match="weighs its samples"):
        ll.Objective(
            Outputs(None),
            lambda a, b: functional.cross_entropy(a, b, weight=weight),
            (x[order], y[order]),
            batch_size=1,
        )
