"""Fused attention gives the layer's own values, and is not taken where it would not."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.point import evaluator as evaluators
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.scaled_attention import ScaledAttention
from losslandscape.problem.configuration import Configuration


def attention(width=12, heads=3, **options):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(width, heads, **{"batch_first": True, **options}).double().eval()
    for bias in (layer.in_proj_bias, layer.out_proj.bias):
        if bias is not None:
            nn.init.normal_(bias)
    return layer


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 5, 12, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("heads", [1, 3, 12])
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_values_are_those_of_the_layer(tokens, heads, bias):
    layer = attention(heads=heads, bias=bias)
    expected, _ = layer(tokens, tokens, tokens, need_weights=False)
    shortcut = ScaledAttention(layer)
    shortcut.use()
    found, weights = layer(tokens, tokens, tokens, need_weights=False)
    assert shortcut.taken
    assert weights is None
    torch.testing.assert_close(found, expected)
    shortcut.undo()
    assert "forward" not in vars(layer)


@pytest.mark.parametrize(
    "call",
    [
        lambda layer, x: layer(x, x, x)[0],
        lambda layer, x: layer(x, x.clone(), x, need_weights=False)[0],
        lambda layer, x: layer(x, x, x.clone(), need_weights=False)[0],
        lambda layer, x: layer(x[0], x[0], x[0], need_weights=False)[0],
        lambda layer, x: layer(
            x, x, x, need_weights=False, attn_mask=torch.ones(5, 5).triu(1).bool()
        )[0],
        lambda layer, x: layer(
            x, x, x, need_weights=False, key_padding_mask=torch.arange(5).ge(3).expand(4, 5)
        )[0],
        lambda layer, x: layer.train()(x, x, x, need_weights=False)[0],
    ],
)
@torch.no_grad()
def test_other_calls_go_to_the_layer_itself(tokens, call):
    layer = attention()
    expected = call(layer, tokens)
    layer.eval()
    shortcut = ScaledAttention(layer)
    shortcut.use()
    assert torch.equal(call(layer, tokens), expected)
    assert not shortcut.taken


def test_calls_that_autograd_records_go_to_the_layer_itself(tokens):
    layer = attention()
    shortcut = ScaledAttention(layer)
    shortcut.use()
    layer(tokens, tokens, tokens, need_weights=False)[0].sum().backward()
    assert not shortcut.taken


@pytest.mark.parametrize(
    "options", [{"batch_first": False}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 7}]
)
def test_other_kinds_of_attention_are_left_alone(options):
    assert not ScaledAttention(attention(**options)).layers
    assert ScaledAttention(attention()).layers


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, tokens):
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))


def problem():
    torch.manual_seed(0)
    model = Classifier()
    data = torch.randn(20, 4, 6), torch.randint(0, 3, (20,))
    return model, Objective(model, "cross_entropy", data), Subspace.random(model, seed=0)


def losses(objective, plane, point, shortcuts):
    wanted = Configuration("contiguous", shortcuts, {})
    with Evaluator(objective, plane, 20, wanted) as evaluator:
        assert evaluator.configuration.shortcuts == shortcuts
        return evaluator.measure(point)["train"]["loss"]


def test_an_evaluators_losses_are_those_of_the_model():
    model, objective, plane = problem()
    plain = losses(objective, plane, (0.5, -0.5), ())
    np.testing.assert_allclose(
        losses(objective, plane, (0.5, -0.5), ("scaled_attention",)), plain, rtol=1e-5, atol=1e-6
    )
    assert "forward" not in vars(model.attention)


def test_losses_that_are_not_finite_are_those_of_the_model():
    _, objective, plane = problem()
    point = (1e30, 1e30)
    plain = losses(objective, plane, point, ())
    assert not np.isfinite(plain).all()
    found = losses(objective, plane, point, ("scaled_attention",))
    assert np.array_equal(found, plain, equal_nan=True)


@pytest.mark.parametrize("faster", [True, False])
def test_a_trial_keeps_it_only_where_it_is_faster(monkeypatch, faster):
    _, objective, plane = problem()
    for name in ("_WORTH_TRIALS", "_CERTAINLY_WORTH"):
        monkeypatch.setattr(evaluators, name, 0.0)

    def seconds(run, batch, warm):
        return 2.0 if (run.__self__.used(ScaledAttention) is None) == faster else 1.0

    monkeypatch.setattr("losslandscape.point.shortcuts.seconds_of_pass", seconds)
    monkeypatch.setattr("losslandscape.point.shortcuts._TURNS_SECONDS", 0.0)
    with Evaluator(objective, plane) as evaluator:
        assert (evaluator.shortcuts.used(ScaledAttention) is not None) is faster
