"""Figure 7: how far to trust the plane of figure 6, beside other random directions."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import trust
from losslandscape_paraview.figure_script import run


def build(data):
    """The loss along random directions, what the plane holds, and the verdict in sentences."""
    return trust(data / "small_random", title="a small network")


if __name__ == "__main__":
    run(build, __file__)
