"""The colour maps are even in lightness and told apart by colour-blind people, by CAM02-UCS."""

import sys
from itertools import combinations

import numpy as np
import pytest

colorspacious = pytest.importorskip("colorspacious")
DEFICIENCIES = ["none", "deuteranomaly", "protanomaly", "tritanomaly"]


@pytest.fixture
def maps(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "paraview_plugin"))
    from losslandscape_paraview.style import colour_maps

    yield colour_maps
    for name in [name for name in sys.modules if name.startswith("losslandscape_paraview")]:
        del sys.modules[name]


def colours(maps, name, count=256):
    """A map as its users see it: interpolated in the space that the preset names."""
    points = np.array(maps.control_points(name))
    space = "CIELab" if maps._presets()[name]["ColorSpace"] == "Lab" else "sRGB1"
    nodes = colorspacious.cspace_convert(points[:, 1:], "sRGB1", space)
    places = np.linspace(0, 1, count)
    there = [np.interp(places, points[:, 0], nodes[:, axis]) for axis in range(3)]
    rgb = colorspacious.cspace_convert(np.stack(there, 1), space, "sRGB1")
    assert rgb.min() > -1e-3
    assert rgb.max() < 1 + 1e-3
    return np.clip(rgb, 0, 1)


def seen(rgb, deficiency):
    """Coordinates in CAM02-UCS; with a deficiency of full severity (Machado et al. 2009)."""
    if deficiency != "none":
        space = {"name": "sRGB1+CVD", "cvd_type": deficiency, "severity": 100}
        rgb = np.clip(colorspacious.cspace_convert(rgb, space, "sRGB1"), 0, 1)
    return colorspacious.cspace_convert(rgb, "sRGB1", "CAM02-UCS")


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("name", ["LOSS", "STEPS"])
def test_lightness_orders_the_values(maps, name, deficiency):
    lightness = seen(colours(maps, getattr(maps, name)), deficiency)[:, 0]
    changes = np.diff(lightness) * np.sign(lightness[-1] - lightness[0])
    assert (changes > 0).all()
    assert abs(lightness[-1] - lightness[0]) > 55


@pytest.mark.parametrize("name", ["LOSS", "STEPS"])
def test_lightness_is_close_to_linear_and_steps_are_even(maps, name):
    there = seen(colours(maps, getattr(maps, name)), "none")
    lightness, places = there[:, 0], np.linspace(0, 1, len(there))
    line = np.polyval(np.polyfit(places, lightness, 1), places)
    assert np.abs(lightness - line).max() < 2.5
    steps = np.linalg.norm(np.diff(there, axis=0), axis=1)
    assert steps.std() < 0.08 * steps.mean()


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_kinds_are_told_apart(maps, deficiency):
    kinds = maps.categories(maps.KINDS)
    assert list(kinds) == ["minimum", "saddle", "maximum"]
    there = seen(np.array(list(kinds.values())), deficiency)
    # 10 is a plain difference of two large areas in this space
    assert min(np.linalg.norm(a - b) for a, b in combinations(there, 2)) > 30


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_training_runs_are_told_apart(maps, deficiency):
    from losslandscape_paraview.style.theme import RUN_COLOURS

    there = seen(np.array(RUN_COLOURS), deficiency)
    first = seen(np.array(RUN_COLOURS[:4]), deficiency)
    assert min(np.linalg.norm(a - b) for a, b in combinations(there, 2)) > 10
    assert min(np.linalg.norm(a - b) for a, b in combinations(first, 2)) > 14


def test_matplotlib_has_the_same_colours_of_runs(maps):
    from losslandscape.views.plotting import RUN_COLORS
    from losslandscape_paraview.style.theme import RUN_COLOURS

    told = [[int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)] for text in RUN_COLORS]
    np.testing.assert_allclose(RUN_COLOURS, told, atol=5e-3)


def test_the_measures_notice_a_rainbow():
    red_to_blue = np.stack([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], axis=1).astype(float)
    places = np.linspace(0, 3, 256)
    rainbow = np.stack([np.interp(places, range(4), red_to_blue[:, i]) for i in range(3)], 1)
    there = seen(rainbow, "none")
    assert (np.diff(there[:, 0]) < 0).any()
    assert (np.diff(there[:, 0]) > 0).any()
    steps = np.linalg.norm(np.diff(there, axis=0), axis=1)
    assert steps.std() > 0.2 * steps.mean()
