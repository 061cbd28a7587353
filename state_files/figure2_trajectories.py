"""Figure 2: gradient descent on the surfaces of ResNet-50 and VGG-11."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import compare
from losslandscape_paraview.figure_script import run


def build(data):
    """The planes of each trajectory's two principal components, with the trajectory on them."""
    return compare(
        data / "resnet50_pca",
        data / "vgg11_pca",
        techniques="trajectory",
        titles=("ResNet-50", "VGG-11"),
        steps="epoch",  # four checkpoints an epoch
    )


if __name__ == "__main__":
    run(build, __file__)
