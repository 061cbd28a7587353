"""Figure 5: the flat regions of ResNet-50 and VGG-11, with their areas."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import flatness
from losslandscape_paraview.figure_script import run


def build(data):
    """Where the loss is at most 0.1 above its minimum, on filter-normalised random planes."""
    return flatness(
        data / "resnet50_random",
        data / "vgg11_random",
        titles=("ResNet-50", "VGG-11"),
    )


if __name__ == "__main__":
    run(build, __file__)
