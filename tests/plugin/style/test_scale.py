"""Ranges, ticks, levels and labels of the colour bar: numbers alone, without ParaView."""

import sys

import numpy as np
import pytest

RANGES = [
    (98.0, 117.0, False),
    (3.0, 4.4, True),
    (2.302585, 2.302585 + 4e-6, False),
    (2.302585, 2.302585 + 4e-6, True),
    (0.03, 3.9, True),
    (0.0832, 5.18, True),
    (0.047, 1.75e10, True),
    (1e-30, 1e30, True),
    (1500.0, 12000.0, False),
    (-1.2, 3.0, False),
    (1e-12, 4e-12, False),
]


@pytest.fixture
def display_scale(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "paraview_plugin"))
    from losslandscape_paraview.style import scale

    yield scale
    for name in [name for name in sys.modules if name.startswith("losslandscape_paraview")]:
        del sys.modules[name]


def scale_of(module, low, high, log):
    return module.DisplayScale.of(np.array([low, high]), log=log)


@pytest.mark.parametrize(("low", "high", "log"), RANGES)
def test_ticks_lie_within_and_their_labels_are_true_and_differ(display_scale, low, high, log):
    from losslandscape_paraview.style.ticks import label_format

    ticks = scale_of(display_scale, low, high, log).ticks()
    assert 2 <= len(ticks) <= 9
    slack = 1e-9 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    labels = [label_format(ticks).format(tick) for tick in ticks]
    assert len(set(labels)) == len(labels)
    gaps = np.diff(ticks)
    for tick, label in zip(ticks, labels):
        assert abs(float(label) - tick) <= 0.01 * gaps.min()
        # a round value needs no long label
        assert len(label) <= 8


@pytest.mark.parametrize(("low", "high", "log"), RANGES)
def test_choices_for_a_short_axis_rise_within_the_range_and_one_has_three(
    display_scale, low, high, log
):
    scale = scale_of(display_scale, low, high, log)
    choices = scale.tick_choices()
    assert any(3 <= len(ticks) <= 5 for ticks in choices)
    slack = 1e-9 * (scale.top - scale.bottom)
    for ticks in choices:
        heights = scale.heights(ticks)
        assert len(ticks) >= 2
        assert (np.diff(heights) > 0).all()
        assert scale.bottom - slack <= heights[0] <= heights[-1] <= scale.top + slack


@pytest.mark.parametrize("count", [1, 4, 10, 30])
@pytest.mark.parametrize(("low", "high", "log"), RANGES)
def test_levels_are_at_most_so_many_even_and_what_their_labels_say(
    display_scale, low, high, log, count
):
    from losslandscape_paraview.style.ticks import label_format

    levels = scale_of(display_scale, low, high, log).levels(count)
    assert len(levels) <= count
    assert len(levels) >= (1 if count >= 4 else 0)
    assert ((levels > low) & (levels < high)).all()
    labels = [label_format(levels).format(level) for level in levels]
    assert [float(label) for label in labels] == pytest.approx(levels.tolist(), rel=1e-12)
    if len(levels) > 2:
        steps = np.diff(np.log10(levels) if log else levels)
        even = 0.2 if log else 1e-3
        np.testing.assert_allclose(steps, steps.mean(), rtol=even)


def test_levels_of_a_decade_are_the_preferred_numbers(display_scale):
    levels = scale_of(display_scale, 0.99, 10.01, True).levels(11)
    assert levels.tolist() == [1, 1.3, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 7.9, 10]


def test_infinite_values_are_within_a_scale_with_a_ceiling(display_scale):
    values = np.array([0.1, 1.0, np.inf, np.nan])
    of = display_scale.DisplayScale.of
    assert of(values, ceiling=50.0).upper == 50.0
    assert of(values, ceiling=0.5).upper == 0.5
    assert of(values).upper == 1.0
    assert of(values[:2], ceiling=50.0).upper == 1.0
    scale = of(values, log=True, ceiling=50.0)
    assert np.nanmax(scale.heights(values)) == scale.top


@pytest.mark.parametrize("value", [0.0, 2.302585, 1e20, -1e20])
def test_a_constant_is_in_the_middle_of_its_scale(display_scale, value):
    scale = scale_of(display_scale, value, value, False)
    assert scale.lower < value < scale.upper
    assert scale.upper - value == pytest.approx(value - scale.lower)
    assert len(scale.ticks()) >= 2
