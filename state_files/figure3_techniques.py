"""Figure 3: one surface, two techniques."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import compare
from losslandscape_paraview.figure_script import run


def build(data):
    """VGG-11 on random directions: color and height beside contours and height."""
    return compare(
        data / "vgg11_random",
        data / "vgg11_random",
        techniques=("surface", "contours"),
        titles=("VGG-11, color + height", "VGG-11, contours + height"),
        log=True,  # as figure 1 draws it; a little less than two decades
    )


if __name__ == "__main__":
    run(build, __file__)
