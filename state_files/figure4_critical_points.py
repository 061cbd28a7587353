"""Figure 4: critical points on the plane through three VGG-11, and which of them count."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import topology
from losslandscape_paraview.figure_script import run


def build(data):
    """Critical points by kind, separatrices, the three models, and the persistence diagram."""
    folder = data / "vgg11_three"
    return topology(folder, folder=folder, models=True, title="VGG-11 from three seeds")


if __name__ == "__main__":
    run(build, __file__)
