"""Landscaper's files: by its own code where it is installed, and by the same call of NumPy."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from losslandscape import Landscape
from losslandscape.errors import FileFormatError

# Its own measuring and saving. What it imports for plots and merge trees need not be installed:
# whatever is missing becomes an empty module, in a process of its own.
BY_ITSELF = """
import importlib.machinery, sys
from unittest.mock import MagicMock

PLOTS_AND_TREES = ("coloraide", "drawsvg", "gudhi", "matplotlib", "networkx", "nglpy", "topopy")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in PLOTS_AND_TREES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module
    def exec_module(self, module):
        pass

import torch
sys.meta_path.append(Missing())
from landscaper.landscape import LossLandscape

class Point(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.place = torch.nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))

model = Point()
directions = [[torch.tensor([[1.0, 0.0]], dtype=torch.float64)],
              [torch.tensor([[0.0, 1.0]], dtype=torch.float64)]]
landscape = LossLandscape.compute(
    model, None, directions,
    lambda moved, _: float(moved.place[0, 0] + 100 * moved.place[0, 1]),
    steps=int(sys.argv[2]), distance=0.5, dim=2, device="cpu",
)
landscape.save(sys.argv[1])
"""


@pytest.mark.skipif(importlib.util.find_spec("landscaper") is None, reason="no landscaper")
@pytest.mark.parametrize("steps", [5, 6])
def test_a_file_of_landscaper_itself(tmp_path, steps):
    path = tmp_path / "landscaper.npz"
    done = subprocess.run(
        [sys.executable, "-c", BY_ITSELF, str(path), str(steps)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    landscape = Landscape.imported(path)
    assert landscape.provenance["imported"]["format"] == "landscaper"
    assert landscape.grid.bounds == ((-0.5, 0.5), (-0.5, 0.5))
    with np.load(path) as file:
        np.testing.assert_array_equal(landscape.values("loss"), file["loss"].T)
    # the note's bounds are where it evaluated: its loss is x + 100 y at (3, 4) + 5 (alpha, beta)
    low, high = (2 * 0.5 * i / steps for i in (-(steps // 2), steps - 1 - steps // 2))
    note = landscape.provenance["imported"]["notes"][-1]
    assert f"from {low:g} to {high:g}" in note
    moved = Landscape.imported(path, bounds=[(low, high), (low, high)])
    alpha, beta = moved.grid.points().T
    wanted = (3 + 5 * alpha) + 100 * (4 + 5 * beta)
    inexact = np.arange(wanted.size) == wanted.argmax()  # it adds noise to the highest
    np.testing.assert_allclose(moved.values("loss").ravel()[~inexact], wanted[~inexact], rtol=1e-9)


def save(path, loss, ranges):
    np.savez(path, loss=loss, coordinates=ranges)
    return path


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_its_first_index_is_the_first_direction(tmp_path, rng, dimensions):
    loss = rng.random((4,) * dimensions)
    path = save(tmp_path / "x.npz", loss, [np.linspace(-0.01, 0.01, 4)] * dimensions)
    landscape = Landscape.imported(path)
    assert landscape.provenance["imported"]["format"] == "landscaper"
    np.testing.assert_array_equal(landscape.values("loss"), loss.T)
    assert landscape.grid.bounds == ((-0.01, 0.01),) * dimensions


def test_what_does_not_fit_is_refused(tmp_path, rng):
    axis = np.linspace(-1, 1, 4)
    path = save(tmp_path / "x.npz", rng.random((4, 5)), [axis, axis])
    with pytest.raises(
        FileFormatError, match=r"loss has shape \(4, 5\), but its coordinates \(2, 4\)"
    ):
        Landscape.imported(path)
    path = save(tmp_path / "y.npz", rng.random((4, 4)), [axis])
    with pytest.raises(FileFormatError, match="must have one row for each of the 2 axes"):
        Landscape.imported(path)
    np.savez(tmp_path / "z.npz", loss=np.zeros((2, 2)))
    with pytest.raises(FileFormatError, match=r"has the arrays loss and coordinates \(found: loss"):
        Landscape.imported(tmp_path / "z.npz", "landscaper")
    path = save(tmp_path / "w.npz", rng.random((2,) * 4), [axis[:2]] * 4)
    with pytest.raises(FileFormatError, match="has 4 axes; a landscape has 1, 2 or 3"):
        Landscape.imported(path)
