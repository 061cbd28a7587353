"""Each cause of a failed pass has its own sentence, and a way out."""

import pytest
import torch
from torch import nn

from losslandscape import Objective
from losslandscape.errors import LossLandscapeError
from losslandscape.point.forward_pass import ForwardPass


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 2)

    def forward(self, features, mask):
        return self.net(features * mask)


def message(model, data, loss="cross_entropy", **options):
    objective = Objective(model, loss, data, **options)
    batch = next(iter(objective.sets.values())).first(4)
    with pytest.raises(LossLandscapeError) as caught:
        ForwardPass(objective, model).plain(batch)
    assert "cannot take the data" not in str(caught.value)
    assert caught.value.__cause__ is not None
    return str(caught.value)


LABELS = torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        (nn.Linear(3, 2), (torch.ones(4, 5), LABELS), ["do not fit Linear", "(4, 5)", "training"]),
        (
            nn.Linear(3, 2).bfloat16(),
            (torch.ones(4, 3), LABELS),
            ["the data are float32 and Linear is bfloat16", "precision='float32'"],
        ),
        (
            nn.Conv2d(3, 2, 1),
            (torch.ones(4, 3, 2, 2, dtype=torch.uint8), LABELS[:, None, None].expand(4, 2, 2)),
            ["the inputs are uint8 and Conv2d is float32", "images.float() / 255"],
        ),
        (Two(), (torch.ones(4, 3), LABELS), ["does not have the arguments of Two", "mask", "dict"]),
        (
            Two(),
            {"features": torch.ones(4, 3), "other": torch.ones(4), "labels": LABELS},
            ["arguments of Two", "features, other, labels"],
        ),
        (nn.Embedding(3, 2), (torch.full((4,), 7), LABELS), ["beyond an embedding's rows"]),
    ],
)
def test_causes_in_the_model(model, data, words):
    text = message(model, data)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("element 0 of tensors does not require grad"), "requires_grad_(True)"),
        (
            RuntimeError("Expected all tensors to be on the same device, cuda and cpu"),
            "two devices",
        ),
        (IndexError("Target 255 is out of bounds."), "ignore_index=255"),
        (ValueError("You have to specify either decoder_input_ids"), "loss='own'"),
        (ValueError("Expected more than 1 value per channel when training"), "eval mode"),
        (RuntimeError("The size of tensor a (4) must match the size of tensor b"), "together"),
        (KeyError("mine"), "the loss "),
    ],
)
def test_causes_by_their_words(error, words):
    def failing(model, batch):
        raise error

    text = message(nn.Linear(3, 2), (torch.ones(4, 3), LABELS), failing)
    assert words in text
    assert str(error) in text
    assert "(4, 3)" in text


def test_an_unknown_error_says_whose_it_is():
    class Broken(nn.Linear):
        def forward(self, inputs):
            raise ValueError("mine")

    text = message(Broken(3, 2), (torch.ones(4, 3), LABELS))
    assert text.startswith("Broken failed with a batch of (4, 3), (4,): ValueError: mine")

    def of_outputs(first, second):
        raise ValueError("mine")

    text = message(nn.Linear(3, 2), (torch.ones(4, 3), LABELS), of_outputs)
    assert "of_outputs failed" in text
    assert "called with (model, batch)" in text
