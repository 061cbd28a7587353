"""Figure 1, variant: what fixed batch-norm statistics do to the surface of ResNet-50."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import compare
from losslandscape_paraview.figure_script import run


def build(data):
    """The same plane through ResNet-50, statistics fixed beside statistics re-estimated."""
    return compare(
        data / "resnet50_random_fixed",
        data / "resnet50_random",
        titles=("ResNet-50", "ResNet-50"),
    )


if __name__ == "__main__":
    run(build, __file__)
