"""The plugin cuts planes where `losslandscape.views` does, whose rule its own tests check."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from losslandscape.views import robust_ceiling as of_views

SIDE = np.linspace(-1, 1, 21)
VALUES = st.sampled_from([0.5, 1.0, 1.5, 2.0, 1e3, 1e6, np.nan, np.inf, -1.0])


@pytest.fixture(scope="module")
def plugins_rule(repository):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "paraview_plugin"))
        from losslandscape_paraview.style.robust_ceiling import robust_ceiling
    yield robust_ceiling
    for name in [name for name in sys.modules if name.startswith("losslandscape_paraview")]:
        del sys.modules[name]


@given(data=st.data())
def test_the_plugin_has_the_same_rule(plugins_rule, data):
    plane = 0.1 + np.add.outer(3 * SIDE**2, SIDE**2)
    rows = data.draw(st.integers(0, 19))
    columns = data.draw(st.integers(0, 19))
    block = data.draw(arrays(float, (2, data.draw(st.integers(1, 4))), elements=VALUES))
    part = plane[rows : rows + 2, columns : columns + block.shape[1]]
    part[:] = block[:, : part.shape[1]]
    for scale in ("linear", "log"):
        assert plugins_rule(plane, scale == "log") == of_views.robust_ceiling(plane, scale)


def test_walls_and_noise_are_judged_alike(plugins_rule):
    wall = np.tile(SIDE**2, (21, 1))
    corner = 1 + np.add.outer(SIDE**2, SIDE**2)
    corner[:3, :4] = 1e6
    wall[:, 10] = 50.0
    noise = 1 + 1e-14 * np.arange(441.0).reshape(21, 21)
    noise[0, :4] = 1 + 1e-11
    for plane, cut in ((wall, False), (noise, False), (corner, True)):
        found = plugins_rule(plane, False)
        assert found == of_views.robust_ceiling(plane, "linear")
        assert (found is not None) == cut
