"""Labels of training runs stand before the surface that rises behind their later letters."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("vtkmodules")
from losslandscape_paraview.layers import free_places
from losslandscape_paraview.layers.free_places import nearest
from losslandscape_paraview.style import theme

RIGHT, UP, TOWARDS = np.eye(3)  # a reader who looks down the third axis


def test_the_surface_behind_any_letter_counts():
    x = np.linspace(0, 10, 21)
    rising = np.stack([x, np.zeros(21), 2 * x], axis=1)
    label = (1.0, 5.0, -0.5, 0.5)  # left, right, below, above; a letter is 1 high
    assert nearest(rising, label, RIGHT, UP, TOWARDS) == 2 * 5.5  # a vertex just beside the end


def test_the_surface_elsewhere_does_not():
    place = np.array([[20.0, 0.0, 9.0], [2.0, 7.0, 9.0], [2.0, 0.0, 1.0]])
    assert nearest(place, (1.0, 5.0, -0.5, 0.5), RIGHT, UP, TOWARDS) == 1.0
    assert nearest(np.empty((0, 3)), (1.0, 5.0, -0.5, 0.5), RIGHT, UP, TOWARDS) == -np.inf


@pytest.mark.parametrize(
    ("box", "height", "colour", "shadow"),
    [
        ((2.0, 5.0, 4.0, 5.0), 0.0, theme.WHITE, True),  # on a dark surface
        ((2.0, 5.0, 4.0, 5.0), 1.0, theme.INK, False),  # on a light one
        ((-1.0, 2.0, 4.0, 5.0), 0.0, theme.INK, True),  # half beside a dark one
        ((20.0, 23.0, 4.0, 5.0), 0.0, theme.INK, False),
    ],
)
def test_letters_half_beside_the_surface_are_dark(monkeypatch, box, height, colour, shadow):
    x, y = np.meshgrid(np.linspace(0, 10, 21), np.linspace(0, 10, 21))
    surface = np.stack([x.ravel(), y.ravel()], axis=1)
    monkeypatch.setattr(free_places, "surface_on_screen", lambda panel: surface)
    monkeypatch.setattr(free_places, "fetch", lambda source: source)
    monkeypatch.setattr(free_places, "point_array", lambda _data, _name: np.full(441, height))
    tables = SimpleNamespace(quantity_colours=[[0, 0.1, 0.0, 0.2], [1, 1.0, 0.9, 0.1]])
    panel = SimpleNamespace(
        heights=None,
        scale=SimpleNamespace(bottom=0.0, top=1.0),
        figure=SimpleNamespace(tables=tables),
    )
    assert free_places.letter_colour(panel, box) == (colour, shadow)
