"""Figure 6: the curvature of a small network, on a plane and as a spectrum."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import curvature
from losslandscape_paraview.figure_script import run


def build(data):
    """The convexity map beside the surface; eigenvalues and density of the Hessian at the model."""
    return curvature(data / "small_random", title="a small network")


if __name__ == "__main__":
    run(build, __file__)
