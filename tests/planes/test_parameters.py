"""Layouts, memory that parameters share, and the hash of their values."""

import copy
import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape.errors import LossLandscapeError
from losslandscape.planes import parameters
from losslandscape.planes.parameters import (
    ParameterLayout,
    blocks,
    check_tensors,
    inner_products,
    sha256,
    sharing,
    span,
    trainable_parameters,
)

SHAPES = {"kernel": (2, 3, 4, 5), "scalar": (), "matrix": (2, 3), "volume": (2, 3, 2, 2, 2)}


def test_segments_lie_one_behind_the_other():
    layout = ParameterLayout(SHAPES)
    assert [(s.start, s.stop) for s in layout.segments] == [
        (0, 120), (120, 121), (121, 127), (127, 175),
    ]  # fmt: skip
    assert layout.size == 175
    assert layout.dtype == torch.float32


def test_convolution_kernels_lie_channels_last_and_nothing_else():
    flat = torch.arange(175.0)
    views = ParameterLayout(SHAPES).views(flat)
    assert {name: tuple(view.shape) for name, view in views.items()} == SHAPES
    order = flat[:120].view(2, 4, 5, 3)
    assert torch.equal(views["kernel"], order.permute(0, 3, 1, 2))
    assert torch.equal(views["matrix"], flat[121:127].view(2, 3))
    assert torch.equal(views["volume"], flat[127:].view(2, 2, 2, 2, 3).permute(0, 4, 1, 2, 3))
    row_major = ParameterLayout(SHAPES, channels_last=False).views(flat)
    assert torch.equal(row_major["kernel"], flat[:120].view(2, 3, 4, 5))


def test_a_layout_changes_its_type_and_its_order_alone():
    layout = ParameterLayout(SHAPES)
    wide = layout.changed(torch.float64)
    assert wide.dtype == torch.float64
    assert wide == layout  # the same places
    rows = layout.changed(channels_last=False)
    assert rows.dtype == torch.float32
    assert rows == ParameterLayout(SHAPES, channels_last=False) != layout
    assert rows.changed(torch.float64) == rows
    assert rows.changed(channels_last=True) == layout
    assert layout != ParameterLayout({**SHAPES, "more": (1,)})
    assert layout != SHAPES


def test_empty_buffers_have_the_layouts_type_or_the_given_one():
    layout = ParameterLayout({"a": (3,)}, torch.float64)
    assert layout.empty().dtype == torch.float64
    assert layout.empty(torch.float32).dtype == torch.float32
    assert layout.empty().shape == (3,)


def test_flattening_copies_and_names_what_does_not_fit():
    layout = ParameterLayout({"a": (2,), "b": (1, 2)})
    given = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3.0, 4.0]]), "c": torch.ones(1)}
    flat = layout.flatten(given)
    given["a"].zero_()
    assert flat.tolist() == [1, 2, 3, 4]
    with pytest.raises(LossLandscapeError, match=r"somewhere: 'b' \(1, 2\) is missing"):
        layout.flatten({"a": given["a"]}, "somewhere")
    with pytest.raises(LossLandscapeError, match=r"'b' .*\(2, 1\).*\(1, 2\)"):
        layout.flatten({**given, "b": torch.ones(2, 1)})


def test_a_lazy_module_and_mixed_types_are_refused():
    with pytest.raises(LossLandscapeError, match=r"'weight' has no shape yet"):
        ParameterLayout.of(nn.LazyLinear(2))
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double())
    with pytest.raises(LossLandscapeError, match=r"torch\.float32, torch\.float64.*float\(\)"):
        ParameterLayout.of(mixed)
    mixed[0].requires_grad_(False)
    assert ParameterLayout.of(mixed).dtype == torch.float64


class Sharing(nn.Module):
    """An encoder and a decoder whose weights may lie in the same memory."""

    def __init__(self, decoder, encoder_moves=True, decoder_moves=True):
        super().__init__()
        self.encoder = nn.Parameter(torch.arange(12.0).view(3, 4), requires_grad=encoder_moves)
        self.decoder = nn.Parameter(decoder(self.encoder.data), requires_grad=decoder_moves)


@pytest.mark.parametrize(
    "view",
    [lambda w: w.T, lambda w: w[1:], lambda w: w[:, 1:3], lambda w: w.view(-1)[11:]],
    ids=["transposed", "rows", "columns", "last element"],
)
@pytest.mark.parametrize("moves", [(True, True), (True, False), (False, True)])
def test_parameters_that_share_a_part_of_their_memory_are_refused(view, moves):
    with pytest.raises(LossLandscapeError, match=r"'encoder'.*\(3, 4\).*'decoder'"):
        check_tensors(Sharing(view, *moves))


def test_frozen_parameters_may_share_any_part():
    check_tensors(Sharing(lambda w: w.T, False, False))


def test_parts_side_by_side_of_one_memory_are_not_shared():
    whole = torch.zeros(4, 4)
    model = nn.Module()
    model.left = nn.Parameter(whole[:, :2])  # interleaved, with no element in common
    model.right = nn.Parameter(whole[:, 2:])
    check_tensors(model)
    model = nn.Module()
    model.first = nn.Parameter(whole[:2])
    model.second = nn.Parameter(whole[2:])  # begins where the first ends
    check_tensors(model)


def test_a_buffer_over_a_parameters_memory_is_refused():
    model = nn.Linear(3, 2)
    model.register_buffer("copy", model.weight.data[0])
    with pytest.raises(LossLandscapeError, match=r"'(weight|copy)'.*'(weight|copy)'"):
        check_tensors(model)
    model.requires_grad_(False)
    check_tensors(model)


def test_of_three_the_two_that_share_are_named():
    whole = torch.zeros(12)
    model = nn.Module()
    model.long = nn.Parameter(whole.as_strided((6,), (2,)))  # every other element
    model.apart = nn.Parameter(whole[1:2])  # between two of them
    model.within = nn.Parameter(whole[8:9])
    with pytest.raises(LossLandscapeError, match=r"'long'.*'within'"):
        check_tensors(model)


def test_tied_parameters_move_once_if_either_moves():
    model = Sharing(lambda w: w.view(3, 4), encoder_moves=False)
    assert list(trainable_parameters(model)) == ["decoder"]
    check_tensors(model)
    both = Sharing(lambda w: w.view(3, 4))
    assert list(trainable_parameters(both)) == ["encoder"]
    assert [id(p) for p in sharing(both, ["encoder"])["encoder"]] == [
        id(both.encoder), id(both.decoder),
    ]  # fmt: skip
    assert [len(p) for p in sharing(nn.Linear(2, 1), ["weight", "bias"]).values()] == [1, 1]


def test_parameters_without_elements_are_not_tied():
    model = nn.Module()
    model.a, model.b = nn.Parameter(torch.zeros(0)), nn.Parameter(torch.zeros(0))
    assert list(trainable_parameters(model)) == ["a", "b"]
    check_tensors(model)


def test_the_span_of_a_tensor_goes_to_the_end_of_its_last_element():
    tensor = torch.zeros(4, 6)
    start = tensor.data_ptr()
    assert span(tensor) == (start, start + 24 * 4)
    assert span(tensor[1:3, 2:4]) == (start + 8 * 4, start + 16 * 4)


def test_inner_products_are_summed_in_float64_over_blocks(monkeypatch, rng):
    monkeypatch.setattr(parameters, "_BLOCK", 7)
    left, right = rng.normal(size=(2, 30)), rng.normal(size=(3, 30))
    found = inner_products(list(map(torch.tensor, left)), list(map(torch.tensor, right)))
    np.testing.assert_allclose(found, left @ right.T, rtol=1e-13)
    assert inner_products([], []).shape == (0, 0)
    large = torch.tensor([1e20, 1.0, 1.0], dtype=torch.float32)
    one = torch.tensor([0.0, 1.0, 1e-9], dtype=torch.float32)
    assert inner_products([large], [one])[0, 0] == pytest.approx(1 + 1e-9, rel=1e-12)


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 21])
def test_blocks_cover_every_element_once(monkeypatch, size):
    monkeypatch.setattr(parameters, "_BLOCK", 7)
    parts = [range(size)[part] for part in blocks(size)]
    assert [i for part in parts for i in part] == list(range(size))
    assert all(len(part) <= 7 for part in parts)
    assert all(part.stop <= size for part in blocks(size))


@pytest.mark.parametrize("at_once", [1, 5, 12, 1 << 18])
def test_the_hash_is_of_shape_type_and_row_major_values(monkeypatch, at_once):
    monkeypatch.setattr(parameters, "_HASHED_AT_ONCE", at_once)
    tensor = torch.arange(24.0).view(4, 2, 3)
    scalar = torch.tensor(2.0, dtype=torch.float64)
    expected = hashlib.sha256()
    for one in (tensor, scalar):
        expected.update(f"{(tuple(one.shape), str(one.dtype))}".encode())
        expected.update(one.numpy().tobytes())
    assert sha256([tensor, scalar]) == expected.hexdigest()
    other_order = tensor.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert sha256([other_order, scalar]) == expected.hexdigest()


def test_the_hash_tells_values_shapes_and_types_apart():
    tensor = torch.arange(6.0)
    others = [tensor.view(2, 3), tensor.double(), copy.copy(tensor).add(1), tensor[:5]]
    assert len({sha256([one]) for one in (tensor, *others)}) == 5


def test_large_tensors_are_hashed_some_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(parameters, "_HASHED_AT_ONCE", 10)
    parts = list(parameters._rows(torch.zeros(7, 4)))
    assert [len(part) for part in parts] == [2, 2, 2, 1]
    assert [len(part) for part in parameters._rows(torch.zeros(2, 20))] == [1, 1]
    [whole] = parameters._rows(torch.zeros(5, 2))
    assert len(whole) == 5
