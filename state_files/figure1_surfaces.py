"""Figure 1: the loss surfaces of ResNet-50 and VGG-11, color and height, on one scale."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import compare
from losslandscape_paraview.figure_script import run


def build(data):
    """Filter-normalised random directions, ResNet-50 beside VGG-11."""
    return compare(
        data / "resnet50_random",
        data / "vgg11_random",
        titles=("ResNet-50", "VGG-11"),
    )


if __name__ == "__main__":
    run(build, __file__)
