"""Figure 9: decision boundaries of a good and of a bad minimum of two spirals."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import decision_boundaries
from losslandscape_paraview.figure_script import run


def build(data):
    """The minimum of highest and of lowest test accuracy, on training and on test points."""
    folder = data / "huang_boundaries"
    return decision_boundaries(
        *(
            (folder / f"{minimum}.vti", folder / f"{minimum}_{points}.vtp")
            for points in ("training", "test")
            for minimum in ("good", "bad")
        )
    )


if __name__ == "__main__":
    run(build, __file__)
