"""The camera that fills a panel: words keep their size, and the box is as large as they allow."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

DEFAULT = (-0.62, -1.0, 1.3)
SIZE, ABOVE, BELOW = (500.0, 460.0), 38.0, 31.0


@pytest.fixture(scope="module")
def plugin(repository):
    """The modules that need no ParaView, from this repository."""
    pytest.importorskip("vtkmodules")
    sys.path.insert(0, str(repository / "paraview_plugin"))
    try:
        from losslandscape_paraview.figures import box, fit
        from losslandscape_paraview.style.scale import DisplayScale
    except ImportError as error:  # the figures' package imports ParaView
        pytest.skip(str(error))
    finally:
        sys.path.pop(0)
    return SimpleNamespace(fit=fit, box=box, scale=DisplayScale)


def fitted(plugin, direction, provenance=None, bounds=(-1, 1, -1, 1, 0, 0), log=True):
    scale = plugin.scale("loss", log, None, None, 0.01, 5.0)
    box = plugin.box.Box(bounds, scale, True, 2)
    fitted = plugin.fit.fit_planes(
        [box], scale, [provenance or {}], direction, 1000, SIZE, ABOVE, BELOW
    )
    (box,), (found,), pixel = fitted.boxes, fitted.words, fitted.pixels
    right, up = plugin.fit.screen_axes(direction, plugin.fit.view_up(direction))
    middle = (np.array(box.bounds[::2]) + np.array(box.bounds[1::2])) / 2 + fitted.shift

    def place(point):
        away = np.asarray(point, float) - middle
        return np.array([SIZE[0] / 2 + away @ right / pixel, SIZE[1] / 2 + away @ up / pixel])

    return box, found, place


PCA = {"subspace": {"explained_variance": [0.795, 0.0312]}}
VIEWS = [DEFAULT, (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (0.5, 0.9, 1.0), (-1.0, 0.4, 0.7)]


@pytest.mark.parametrize("direction", VIEWS)
@pytest.mark.parametrize("provenance", [{}, PCA])
def test_box_and_words_are_inside_and_touch_the_room(plugin, direction, provenance):
    box, found, place = fitted(plugin, direction, provenance)
    ends = np.reshape(box.bounds, (3, 2))
    spots = [place([ends[0, i], ends[1, j], ends[2, k]]) for i in (0, 1) for j in (0, 1)
             for k in (0, 1)]  # fmt: skip
    for one in found:
        spots += [place(one.place) + one.shift, place(one.place) + one.shift + one.size]
    low, high = np.min(spots, axis=0), np.max(spots, axis=0)
    margin = plugin.fit.MARGIN
    assert (low >= [margin - 0.01, BELOW + margin - 0.01]).all()
    assert (high <= [SIZE[0] - margin + 0.01, SIZE[1] - ABOVE - margin + 0.01]).all()
    room = np.array(SIZE) - [2 * margin, ABOVE + BELOW + 2 * margin]
    assert ((high - low) / room).max() > 0.999  # no larger box would fit


def test_no_tick_is_left_out_and_shares_are_in_the_titles(plugin):
    _box, found, _place = fitted(plugin, DEFAULT, PCA)
    texts = [one.text for one in found]
    assert [t for t in texts if t in ("-1", "-0.5", "0", "0.5", "1")].count("0") == 2
    assert "$\\alpha$ (80% var.)" in texts
    assert "$\\beta$ (3.1% var.)" in texts


@pytest.mark.parametrize("log", [True, False])
def test_the_loss_axis_has_the_true_loss_at_its_height(plugin, log):
    box, found, _place = fitted(plugin, DEFAULT, log=log)
    values = [one for one in found if one.what.startswith("loss ")]
    assert len(values) >= 3
    for one in values:
        height = np.log10(float(one.text)) if log else float(one.text)
        assert one.place[2] == pytest.approx(box.factor * height, rel=1e-9)


STEEP = (-0.40, -0.70, 1.55)
LOSSES = [
    (0.0316, 5.17, True),
    (0.0071, 3.2, True),
    (1.7, 4.4, True),
    (0.9, 9.9, True),
    (2.3, 2.3001, True),
    (0.047, 1.75e10, True),
    (1e-12, 1e9, True),
    (2.3, 2.4, False),
    (0.1, 3.2, False),
    (-1.0, 4500.0, False),
]


@pytest.mark.parametrize("direction", [DEFAULT, STEEP])
@pytest.mark.parametrize(("low", "high", "log"), LOSSES)
@pytest.mark.parametrize("letters", [1.0, 1.46])  # 1.46: 7 pt in a column of 85 mm
def test_the_loss_axis_has_three_numbers_apart_from_all_others(
    plugin, low, high, log, direction, letters
):
    scale = plugin.scale("loss", log, None, None, low, high)
    box = plugin.box.Box((-1, 1, -1, 1, 0, 0), scale, True, 2)
    fitted = plugin.fit.fit_planes(
        [box], scale, [{}], direction, 1000 * letters, SIZE, letters * ABOVE, letters * BELOW
    )
    (found,) = fitted.words
    values = [one for one in found if one.what.startswith("loss ")]
    assert len(values) >= 3
    assert [float(one.text) for one in values] == pytest.approx(fitted.loss_ticks, rel=1e-3)
    assert min(one.letters for one in values) >= 5.0 / 7.0 * 20 * letters
    # their heights divide the edge about evenly: no number stands alone
    heights = np.array([float(scale.heights(tick)) for tick in fitted.loss_ticks])
    assert np.diff(heights).max() <= 0.6 * (scale.top - scale.bottom)
    right, up = plugin.fit.screen_axes(direction, plugin.fit.view_up(direction))
    middles = [
        (
            one.place @ right / fitted.pixels + one.shift[0] + one.size[0] / 2,
            one.place @ up / fitted.pixels + one.shift[1] + one.size[1] / 2,
        )
        for one in found
    ]
    for number, one in enumerate(found):
        if not one.what.startswith("loss "):
            continue
        for other, (x, y) in zip(found, middles):
            if other is not one:
                beside = abs(x - middles[number][0]) >= (one.size[0] + other.size[0]) / 2
                apart = abs(y - middles[number][1])
                assert beside or apart >= 0.8 * (one.letters + other.letters) / 2


def test_units_are_equal_up_to_a_ratio_and_otherwise_said(plugin):
    scale = plugin.scale("loss", True, None, None, 0.01, 5.0)
    near, far = ((-3, 3, -2, 2, 0, 0), (-3, 3, -1, 1, 0, 0))
    for common in (True, False):
        box = plugin.box.Box(near, scale, common, 2)
        assert box.equal_units
        assert box.scale[0] == box.scale[1]
    assert not plugin.box.Box(far, scale, True, 2).equal_units
    assert plugin.box.Box(far, scale, True, 2, equal=True).scale[0] == 1.0
    x, y = np.diff(np.reshape(plugin.box.Box(near, scale, True, 2, False).bounds, (3, 2)))[:2, 0]
    assert x == pytest.approx(y)
