"""Figure 8: loss surfaces of networks with and without shortcuts, and of two batch sizes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import panels
from losslandscape_paraview.figure_script import run

NETWORKS = {
    "resnet8": "ResNet-8",
    "resnet20": "ResNet-20",
    "vgg9_sgd_batch50": "VGG-9, batches of 50",
    "resnet8_noshort": "ResNet-8, no shortcuts",
    "resnet20_noshort": "ResNet-20, no shortcuts",
    "vgg9_sgd_batch250": "VGG-9, batches of 250",
}


def build(data):
    """Filter-normalized random planes, all on one scale."""
    return panels(
        *(data / f"li_{name}" for name in NETWORKS),
        titles=tuple(NETWORKS.values()),
        common=True,
        log=True,
    )


if __name__ == "__main__":
    run(build, __file__)
