"""Render every state file of this folder into a PNG.

Run it with ParaView's Python, from any folder:

    pvpython state_files/render_all.py [--output figures]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview.errors import LandscapeError
from losslandscape_paraview.export.states import load_state, render_layout
from losslandscape_paraview.session import end_session, new_session

HERE = Path(__file__).resolve().parent


def main():
    """Render them all; 1 where one could not be rendered."""
    parser = argparse.ArgumentParser(description="Render every figure from its state file.")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder for the PNGs")
    parser.add_argument("--width", type=int, default=2000, help="of the PNGs in pixels")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    failed = False
    for state in sorted(HERE.glob("*.pvsm")):
        new_session()
        try:
            layout = load_state(state)
            width, height = layout.GetSize()
            size = (arguments.width, round(arguments.width * height / width))
            print(render_layout(layout, arguments.output / f"{state.stem}.png", size), flush=True)
        except LandscapeError as error:
            failed = True
            print(error, file=sys.stderr, flush=True)
    end_session()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
