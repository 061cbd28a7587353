import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.pixel_convolutions import MOST_PRODUCTS, PixelConvolutions, taps_of

pairs = st.tuples


@settings(max_examples=150, deadline=None)
@given(
    size=pairs(st.integers(1, 4), st.integers(1, 4)),
    kernel=pairs(st.integers(1, 4), st.integers(1, 4)),
    stride=pairs(st.integers(1, 3), st.integers(1, 3)),
    padding=pairs(st.integers(0, 2), st.integers(0, 2)),
    dilation=pairs(st.integers(1, 2), st.integers(1, 2)),
    bias=st.booleans(),
    channels_last=st.booleans(),
    names=st.sampled_from([None, ["0"]]),
)
def test_any_convolution_is_the_one_of_pytorch(
    size, kernel, stride, padding, dilation, bias, channels_last, names
):
    assume(all(n + 2 * p > d * (k - 1) for n, k, p, d in zip(size, kernel, padding, dilation)))
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, kernel, stride, padding, dilation, bias=bias).double()
    inputs = torch.randn(2, 3, *size, dtype=torch.float64)
    if channels_last:
        layer = layer.to(memory_format=torch.channels_last)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    expected = layer(inputs)
    gradient = torch.autograd.grad(expected.square().sum(), layer.weight)[0]
    model = nn.Sequential(layer)
    replaced = PixelConvolutions(model, names)
    replaced.use()
    found = model(inputs)
    assert found.shape == expected.shape
    pixels = expected.shape[2:].numel()
    assert not replaced.taken or pixels == 1 or (names and pixels <= MOST_PRODUCTS)
    assert found.is_contiguous(memory_format=torch.channels_last) or not channels_last
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), layer.weight)[0], gradient)
    replaced.undo()
    assert "forward" not in vars(layer)


@pytest.mark.parametrize(
    ("layer", "size", "taps"),
    [
        (nn.Conv2d(3, 4, 1), 1, 1),
        (nn.Conv2d(3, 4, 3, padding=1), 1, 1),
        (nn.Conv2d(3, 4, 3, stride=2, padding=1), 2, 4),
        (nn.Conv2d(3, 4, 3, padding=1), 2, None),
        (nn.Conv2d(3, 4, 3), 3, None),
    ],
)
def test_which_are_replaced(layer, size, taps):
    found = taps_of(layer, torch.zeros(1, 3, size, size), 1, 4)
    assert (found and len(found[0][0])) == taps


@pytest.mark.parametrize(
    ("kernel", "taps"), [((4, 1), 4), ((1, 4), 4), ((5, 1), None), ((1, 5), None), ((2, 2), 4)]
)
def test_taps_of_unequal_axes_are_counted_together(kernel, taps):
    layer = nn.Conv2d(3, 4, kernel)
    found = taps_of(layer, torch.zeros(1, 3, *kernel), 1, 4)
    assert (found and len(found[0][0])) == taps


def test_layers_that_do_more_than_convolve_are_left_alone():
    class Own(nn.Conv2d):
        def forward(self, input):
            return 2 * super().forward(input)

    layers = nn.Sequential(
        Own(4, 4, 1),
        nn.Conv2d(4, 4, 1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(4, 4, 3, padding="same"),
    )
    assert PixelConvolutions(layers).layers == []


def test_an_evaluator_uses_and_removes_them():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 5, 3, padding=1), nn.Flatten()
    )
    data = torch.randn(9, 3, 2, 2), torch.randint(0, 5, (9,))
    plane = Subspace.random(model)
    with Evaluator(Objective(model, "cross_entropy", data), plane) as evaluator:
        assert "forward" in vars(model[0])
        found = evaluator.measure((0.4, -0.3))["train"]["loss"]
    assert "forward" not in vars(model[0])
    with torch.no_grad():
        moved = torch.func.functional_call(model, plane.parameters_at((0.4, -0.3)), (data[0],))
    expected = nn.functional.cross_entropy(moved, data[1], reduction="none")
    torch.testing.assert_close(torch.from_numpy(found), expected)
