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


@pytest.mark.parametrize("own", [torch.float32, torch.float64])
def test_data_of_another_type_are_told_the_precision(own):
    names = {torch.float32: "float32", torch.float64: "float64"}
    other = torch.float64 if own == torch.float32 else torch.float32
    model = Product(own)
    with pytest.raises(LossLandscapeError) as caught:
        forward_pass(model).plain(batch(other))
    assert f"The data are {names[other]} and the model is {names[own]}" in str(caught.value)
    assert f"precision='{names[own]}' (--precision {names[own]})" in str(caught.value)


@pytest.mark.parametrize(
    ("types", "told"),
    [
        ([torch.float32, torch.float32], False),
        ([torch.int64, torch.int64], False),
        ([torch.float32, torch.float64], True),
        ([torch.int64, torch.float64], True),
    ],
)
def test_a_precision_is_told_where_some_data_are_of_another_floating_type(types, told):
    def wrong(inputs):
        raise RuntimeError("expected scalar type Long")

    data = tuple(part.to(dtype) for part, dtype in zip(batch(), types))
    with pytest.raises(LossLandscapeError, match="cannot take the data") as caught:
        forward_pass(Product()).by(wrong, data)
    assert ("precision='float32'" in str(caught.value)) == told


def test_other_errors_of_data_of_another_type_are_not_told_a_precision():
    def wrong(inputs):
        raise RuntimeError("no such layer")

    with pytest.raises(LossLandscapeError, match="no such layer") as caught:
        forward_pass(Product()).by(wrong, batch(torch.float64))
    assert "precision=" not in str(caught.value)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), LossLandscapeError("mine")])
def test_used_up_memory_and_the_packages_own_errors_pass_unchanged(error):
    def fail(inputs):
        raise error

    with pytest.raises(type(error)) as caught:
        forward_pass(Product()).by(fail, batch())
    assert caught.value is error


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda outputs, targets: outputs.nothing, "'outputs' and 'targets'"),
        (lambda outputs, y, scale=1: outputs.nothing, "'outputs' and 'y'"),
        (lambda model, batch: model.nothing, None),
        (lambda targets, batch: targets.nothing, None),
    ],
)
def test_a_function_of_outputs_and_targets_is_told_how_it_is_called(function, named):
    with pytest.raises(LossLandscapeError, match="nothing") as caught:
        forward_pass(Product(), function).plain(batch())
    assert ("write (model, batch)" in str(caught.value)) == (named is not None)
    assert (named or "") in str(caught.value)
