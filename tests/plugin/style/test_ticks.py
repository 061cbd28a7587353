"""Round values beside axes and colour bars: numbers alone, without ParaView."""

import sys

import numpy as np
import pytest


@pytest.fixture
def ticks_module(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "paraview_plugin"))
    from losslandscape_paraview.style import ticks

    yield ticks
    for name in [name for name in sys.modules if name.startswith("losslandscape_paraview")]:
        del sys.modules[name]


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-5.0, 17.0), (-4, 11.5), (0, 1e-7), (99, 101)])
def test_axes_have_three_ticks_beside_their_title(ticks_module, low, high):
    ticks = ticks_module.axis_ticks(low, high)
    assert 3 <= len(ticks) <= 6
    slack = 1e-9 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert min(abs(tick - (low + high) / 2) for tick in ticks) > 0.15 * (high - low)


@pytest.mark.parametrize("ends", [(0, 5), (0, 115), (0, 1438), (3, 4), (0, 0.75), (2, 9.5)])
def test_the_bar_of_steps_says_where_it_begins_and_ends(ticks_module, ends):
    ticks = ticks_module.step_ticks(*ends)
    assert [ticks[0], ticks[-1]] == pytest.approx(list(ends))
    assert 2 <= len(ticks) <= 7
    assert (np.diff(ticks) > 0).all()
