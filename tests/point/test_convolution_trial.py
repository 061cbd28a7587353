"""The trial of convolutions: which are seen, and that the fastest way of each is chosen."""

import pytest
import torch
from torch import nn

from losslandscape.point import convolution_trial
from losslandscape.point.convolution_trial import Formats, fastest_formats, seen_convolutions
from losslandscape.problem.configuration import PRODUCTS, ROW_MAJOR

WIDE, NARROW, PIXEL = "0", "2", "4"


@pytest.fixture
def model():
    """Two convolutions on larger maps, and one to a pixel."""
    layers = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 4)
    return nn.Sequential(*layers)


@pytest.fixture
def seen(model):
    with seen_convolutions(model) as found:
        model(torch.zeros(2, 1, 8, 8))
    return found


def test_convolutions_are_seen_with_the_shapes_of_a_sample(model, seen):
    assert {name: (one.shape, one.calls) for name, one in seen.items()} == {
        WIDE: ((1, 8, 8), 1), NARROW: ((4, 6, 6), 1), PIXEL: ((4, 4, 4), 1),
    }  # fmt: skip
    assert seen[NARROW].layer is model[2]
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_calls_of_one_shape_are_counted_and_of_several_left_out():
    layer, other = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
    with seen_convolutions(nn.ModuleDict({"same": layer, "several": other})) as found:
        for size in (4, 4, 4):
            layer(torch.zeros(1, 2, size, size))
        for size in (4, 5, 4):
            other(torch.zeros(1, 2, size, size))
    assert {name: one.calls for name, one in found.items()} == {"same": 3}


def test_convolutions_of_an_own_class_are_not_seen():
    class Own(nn.Conv2d):
        pass

    with seen_convolutions(nn.Sequential(Own(1, 1, 1), nn.Conv1d(1, 1, 1))) as found:
        pass
    assert found == {}


def timed(monkeypatch, seconds):
    """``seconds(channels_last, shape of a sample, way)`` are the times of calls."""

    def times(one, samples, allowed):
        assert samples == 16
        return {last: seconds(last, one.shape) for last in allowed}

    monkeypatch.setattr(convolution_trial, "_times", times)


@pytest.mark.parametrize(
    ("row_major", "expected"),
    [
        (3.0, Formats(True, {PIXEL: PRODUCTS})),  # in sum 6 against 9
        (2.05, Formats(True, {PIXEL: PRODUCTS})),  # 6.15 is not worth it
        (1.8, Formats(False, {PIXEL: PRODUCTS})),
    ],
)
def test_the_format_of_the_smaller_sum_is_chosen(monkeypatch, seen, row_major, expected):
    def seconds(last, shape):
        found = {"": 2.5 if last else row_major}
        if shape == (4, 4, 4):
            found = {"": 9.0, PRODUCTS: 1.0 if last else row_major}
        return found

    timed(monkeypatch, seconds)
    assert fastest_formats(seen, 16) == expected


@pytest.mark.parametrize(("reordered", "chosen"), [(1.0, True), (1.89, True), (1.91, False)])
def test_a_single_convolution_is_row_major_where_it_is_worth_it(
    monkeypatch, seen, reordered, chosen
):
    def seconds(last, shape):
        if shape == (4, 6, 6):
            return {"": 2.0, ROW_MAJOR: reordered} if last else {"": 9.0}
        return {"": 1.0}

    timed(monkeypatch, seconds)
    assert fastest_formats(seen, 16).convolutions == ({NARROW: ROW_MAJOR} if chosen else {})


@pytest.mark.parametrize("allowed", [True, False])
def test_a_format_that_is_not_allowed_is_not_chosen(monkeypatch, seen, allowed):
    timed(monkeypatch, lambda last, shape: {"": 9.0 if last == allowed else 1.0})
    assert fastest_formats(seen, 16, {allowed}).channels_last is allowed


def test_each_kind_of_convolution_is_timed_once_and_counts_as_often_as_it_is_called(monkeypatch):
    blocks = [nn.Conv2d(2, 2, 3, padding=1) for _ in range(3)]
    model = nn.Sequential(*blocks)
    with seen_convolutions(model) as seen:
        model(torch.zeros(1, 2, 4, 4))
    calls = []

    def seconds(last, shape):
        calls.append(last)
        return {"": 1.0}

    timed(monkeypatch, seconds)
    fastest_formats(seen, 16)
    assert sorted(calls) == [False, True]


def test_the_ways_that_are_timed_are_those_that_apply(model, seen):
    with torch.no_grad():
        found = {
            name: {
                last: set(times)
                for last, times in convolution_trial._times(one, 4, {True, False}).items()
            }
            for name, one in seen.items()
        }
    assert found == {
        WIDE: {True: {"", ROW_MAJOR}, False: {""}},
        NARROW: {True: {"", ROW_MAJOR}, False: {""}},
        PIXEL: {True: {"", ROW_MAJOR, PRODUCTS}, False: {"", PRODUCTS}},
    }


def test_a_trial_leaves_generators_and_parameters_alone(model, seen):
    before = torch.get_rng_state(), [p.clone() for p in model.parameters()]
    fastest_formats(seen, 4)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(map(torch.equal, model.parameters(), before[1]))
