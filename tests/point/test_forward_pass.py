"""A pass gives the model's values, or the reason why there are none."""

import pytest
import torch
from torch import nn

from losslandscape import Objective
from losslandscape.errors import LossLandscapeError
from losslandscape.point.forward_pass import ForwardPass


class Product(nn.Module):
    """Keeps the type and the memory of what it multiplies."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 2), 0.3, dtype=dtype))
        self.seen = []

    def forward(self, inputs):
        outputs = inputs @ self.weight
        self.seen.append((outputs.dtype, inputs.data_ptr()))
        return outputs


def batch(dtype=torch.float32):
    return torch.ones(4, 3, dtype=dtype), torch.zeros(4, 2, dtype=dtype)


def forward_pass(model, loss="mse", **options):
    return ForwardPass(Objective(model, loss, batch(), **options), model)


def test_reduced_precision_ends_inside_the_plain_context_and_is_back_after_it():
    model = Product()
    forward = forward_pass(model, precision="bfloat16")

    def fail():
        with forward.in_plain_arithmetic():
            forward.plain(batch())
            raise KeyError("mine")

    forward.plain(batch())
    with pytest.raises(KeyError, match="mine"):
        fail()
    found = forward.plain(batch())["loss"]
    assert [dtype for dtype, _ in model.seen] == [torch.bfloat16, torch.float32, torch.bfloat16]
    assert found.tolist() == pytest.approx([0.81] * 4, rel=0.01)


@pytest.mark.parametrize("copies", [False, True])
def test_copies_are_given_if_asked_for(copies):
    model, given = Product(), batch()
    forward = forward_pass(model)
    assert forward.copies is False
    forward.copies = copies
    forward.plain(given)
    assert (model.seen[0][1] != given[0].data_ptr()) == copies


def test_what_is_called_instead_gives_the_values():
    forward = forward_pass(Product())
    found = forward.by(lambda inputs: inputs[:, :2] * 2, batch())["loss"]
    assert found.tolist() == [4.0] * 4


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), LossLandscapeError("mine")])
def test_used_up_memory_and_the_packages_own_errors_pass_unchanged(error):
    def fail(inputs):
        raise error

    with pytest.raises(type(error)) as caught:
        forward_pass(Product()).by(fail, batch())
    assert caught.value is error


def test_a_loss_that_differentiates_leaves_no_history():
    def slopes(model, batch):
        inputs = batch[0].clone().requires_grad_(True)
        return torch.autograd.grad(model(inputs).sum(), inputs, create_graph=True)[0].sum(1)

    found = forward_pass(Product(), slopes).plain(batch())["loss"]
    assert not found.requires_grad
    assert found.tolist() == pytest.approx([1.8] * 4)
