"""Figure 10: minima of two spirals on the plane of their weights, and their basin volumes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import minima
from losslandscape_paraview.figure_script import run


def build(data):
    """Dots are minima, colored by test accuracy; the gray line is the training of the best."""
    folder = data / "huang_minima"
    return minima(
        folder / "minima.vtp",
        folder / "trajectory.vtp",
        colour="test_accuracy",
        labels="poison_factor",
        series=("naive_volume", "preconditioned_volume"),
        titles=("minima by test accuracy", "basin volume against test accuracy"),
        words={
            "test_accuracy": "test accuracy, %",
            "poison_factor": "poison factor",
            "naive_volume": "naive estimator",
            "preconditioned_volume": "preconditioned estimator",
            "series": "log10 of the volume, a lower bound",
            "trajectory": "training of the best minimum",
        },
    )


if __name__ == "__main__":
    run(build, __file__)
