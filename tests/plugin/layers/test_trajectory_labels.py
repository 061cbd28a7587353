"""Labels of training runs stand before the surface that rises behind their later letters."""

import numpy as np
import pytest

pytest.importorskip("vtkmodules")
from losslandscape_paraview.layers.free_places import nearest

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
