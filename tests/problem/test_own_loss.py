"""The value is the loss that the model itself returns for all samples as one batch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape as ll
from losslandscape.errors import LossLandscapeError

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
BERT = {**SMALL, "vocab_size": 20, "intermediate_size": 16, "max_position_embeddings": 16}


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=20, n_positions=16, n_embd=16, n_layer=1, n_head=2, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def t5():
    config = transformers.T5Config(
        vocab_size=20, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def bert(kind, **options):
    return getattr(transformers, kind)(transformers.BertConfig(**BERT, **options))


def tokens(n=12, length=9):
    torch.manual_seed(2)
    return torch.randint(1, 20, (n, length))


def ragged_labels(labels):
    labels = labels.clone()
    for row, counted in enumerate((2, 5, 9)):
        labels[row, counted:] = -100
    labels[7] = -100  # a sample that does not count at all
    return labels


CASES = {
    "causal": (gpt2, lambda ids: ragged_labels(ids), "next token"),
    "masked": (lambda: bert("BertForMaskedLM"), lambda ids: ragged_labels(ids), "each token"),
    "sequence to sequence": (t5, lambda ids: ragged_labels(ids[:, :7]), "each token"),
    "tokens": (
        lambda: bert("BertForTokenClassification", num_labels=4),
        lambda ids: ragged_labels(ids % 4),
        "each token",
    ),
    "sequences": (
        lambda: bert("BertForSequenceClassification", num_labels=4),
        lambda ids: ids[:, 0] % 4,
        "cross-entropy",
    ),
    "regression": (
        lambda: bert("BertForSequenceClassification", num_labels=1),
        lambda ids: ids[:, 0] / 7,
        "squared error",
    ),
    "several labels": (
        lambda: bert(
            "BertForSequenceClassification", num_labels=3,
            problem_type="multi_label_classification",
        ),
        lambda ids: (ids[:, :3] > 8).float(),
        "binary cross-entropy",
    ),
}  # fmt: skip


def measured(model, batch, loss="own", **options):
    objective = ll.Objective(model.eval(), loss, batch, **{"batch_size": 5, **options})
    plane = ll.Subspace.random(model, dimensions=1, seed=0)
    return ll.evaluate(objective, plane, ll.Grid.line(3, half_width=0.1), quiet=True)


@pytest.mark.parametrize("case", CASES)
def test_models_of_hugging_face(case):
    make, labels, formula = CASES[case]
    torch.manual_seed(0)
    model, ids = make().eval(), tokens()
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels(ids)}
    expected = model(**batch).loss.item()
    found = measured(model, batch)
    assert found.values("loss")[1] == pytest.approx(expected, rel=1e-5)
    assert found.values("loss_standard_error")[1] > 0
    assert formula in found.provenance["objective"]["loss_call"]["formula"]
    whole = measured(model, batch, batch_size=12)
    np.testing.assert_allclose(found.values("loss"), whole.values("loss"), rtol=1e-6)


def test_the_first_samples_may_have_no_label():
    torch.manual_seed(0)
    model, ids = gpt2().eval(), tokens()
    labels = ids.clone()
    labels[:6] = -100
    batch = {"input_ids": ids, "labels": labels}
    found = measured(model, batch)
    assert found.values("loss")[1] == pytest.approx(model(**batch).loss.item(), rel=1e-5)
    labels[:] = -100
    with pytest.raises(LossLandscapeError, match="all of their labels ignored"):
        measured(model, batch)


def test_a_model_that_makes_inputs_of_its_labels_is_told_of_its_own_loss():
    torch.manual_seed(0)
    ids = tokens()
    with pytest.raises(LossLandscapeError, match=r"needs inputs .*loss='own'"):
        measured(t5(), {"input_ids": ids, "labels": ids[:, :5].contiguous()}, "cross_entropy")


def test_the_derivatives_of_a_language_model_are_those_of_its_loss():
    from losslandscape.point.plane_derivatives import PlaneDerivatives

    torch.manual_seed(0)
    model, ids = gpt2().eval(), tokens()
    batch = {"input_ids": ids, "labels": ragged_labels(ids)}
    expected = model(**batch).loss
    gradients = torch.autograd.grad(expected, list(model.parameters()))
    plane = ll.Subspace.random(model, dimensions=1, seed=0)
    [direction] = plane.directions
    views = plane.layout.views(direction)
    slope = sum(
        float((gradient.double() * views[name].double()).sum())
        for (name, _), gradient in zip(model.named_parameters(), gradients)
        if name in views
    )
    objective = ll.Objective(model, "own", batch)
    with PlaneDerivatives(objective, plane, batch_size=5) as derivatives:
        value, gradient = derivatives.value_and_gradient((0.0,))
    assert value == pytest.approx(expected.item(), rel=1e-5)
    assert gradient[0] == pytest.approx(slope, rel=1e-3)


class Mine(nn.Module):
    """Returns a loss in one way or another."""

    def __init__(self, returned):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.returned = nn.Linear(6, 3), returned

    def forward(self, x, labels=None):
        return self.returned(self.net(x), labels)


def classes(n=20):
    torch.manual_seed(3)
    return {"x": torch.randn(n, 6), "labels": torch.randint(0, 3, (n,))}


def entropy(logits, labels):
    return functional.cross_entropy(logits, labels)


def hinge(logits, labels):
    return functional.multi_margin_loss(logits, labels)


@pytest.mark.parametrize(
    ("returned", "formula"),
    [
        (lambda a, b: (a, entropy(a, b)), "cross-entropy"),
        (lambda a, b: {"loss": entropy(a, b), "logits": a}, "cross-entropy"),
        (
            lambda a, b: {"loss": hinge(a, b), "logits": a},
            "one sample at a time, mean over samples",
        ),
        (lambda a, b: SimpleNamespace(loss=hinge(a, b)), "one sample at a time, mean over samples"),
        (lambda a, b: functional.cross_entropy(a, b, reduction="none"), "by sample"),
    ],
)
def test_models_of_your_own(returned, formula):
    model, batch = Mine(returned), classes()
    loss = hinge if "one" in formula else entropy
    expected = loss(model.net(batch["x"]), batch["labels"]).item()
    found = measured(model, batch)
    assert found.values("loss")[1] == pytest.approx(expected, rel=1e-5)
    assert found.provenance["objective"]["loss_call"]["formula"] == formula


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda a, b: a, "returned no loss"),
        (lambda a, b: {"logits": a}, "returned no loss"),
        (lambda a, b: {"loss": entropy(a, b) + torch.cdist(a, a).mean()}, "router"),
        (
            lambda a, b: {"loss": functional.cross_entropy(a, b, weight=torch.tensor([1.0, 9, 2]))},
            "of single samples it cannot be had",
        ),
    ],
)
def test_what_cannot_be_had_by_sample_is_refused(returned, words):
    with pytest.raises(LossLandscapeError, match="loss own: Mine") as caught:
        measured(Mine(returned), classes())
    assert words in str(caught.value)


def test_a_formula_that_stops_to_hold_is_noticed():
    """A loss that is another one for the later samples."""

    def changing(logits, labels):
        return {"loss": entropy(logits, labels) * (2 if len(labels) == 5 else 1), "logits": logits}

    with pytest.raises(LossLandscapeError, match=r"returns the loss .* its formula .* gives"):
        measured(Mine(changing), classes(), batch_size=5)


def test_metrics_and_outputs_are_not_for_it():
    with pytest.raises(LossLandscapeError, match="no metrics"):
        ll.Objective(Mine(lambda a, b: a), "own", classes(), output=0)


class Smoothed(nn.Module):
    """A causal language model whose loss has no known formula."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Embedding(11, 6), nn.Linear(6, 11))

    def forward(self, input_ids, labels=None):
        logits = self.net(input_ids)
        scores, following = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
        loss = functional.cross_entropy(scores, following, label_smoothing=0.1)
        return {"loss": loss, "logits": logits}


@pytest.mark.parametrize("batch_size", [None, 1, 5, 8])
def test_samples_of_equal_length_do_not_hide_that_the_mean_is_over_tokens(batch_size):
    """In the first samples all labels count, and in those after them only two of each."""
    torch.manual_seed(1)
    ids = torch.randint(0, 11, (32, 7))
    labels = ids.clone()
    labels[16:, :5] = -100
    model, batch = Smoothed(), {"input_ids": ids, "labels": labels}
    found = measured(model, batch, batch_size=batch_size)
    assert found.values("loss")[1] == pytest.approx(model(**batch)["loss"].item(), rel=1e-5)
    formula = found.provenance["objective"]["loss_call"]["formula"]
    assert formula == "one sample at a time, mean over next tokens"


def test_samples_of_one_class_do_not_hide_that_they_weigh_differently():
    batch = classes()
    order = batch["labels"].argsort()
    batch = {name: values[order] for name, values in batch.items()}
    weight = torch.tensor([1.0, 9.0, 2.0])

    def weighted(logits, labels):
        loss = functional.cross_entropy(logits, labels, weight=weight)
        return {"loss": loss, "logits": logits}

    with pytest.raises(LossLandscapeError, match="its formula"):
        ll.Objective(Mine(weighted), "own", batch, batch_size=1)
