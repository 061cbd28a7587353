"""Build figures from their data anew: each one's state file and thumbnail, beside its script.

Run it with ParaView's Python, from any folder:

    pvpython state_files/build_states.py [name ...]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview.errors import LandscapeError
from losslandscape_paraview.export.picture_record import record_picture
from losslandscape_paraview.figure_script import build_script, scripts_in
from losslandscape_paraview.session import end_session

HERE = Path(__file__).resolve().parent


def main():
    """Build all figures, or those named on the command line; 1 where one could not be built."""
    parser = argparse.ArgumentParser(description="Build figures, their states and thumbnails.")
    parser.add_argument("names", nargs="*", help="figures (default: all)")
    parser.add_argument("--data", type=Path, default=HERE / "data", help="data folder")
    parser.add_argument("--output", type=Path, default=HERE, help="folder for states, thumbnails")
    arguments = parser.parse_args()
    scripts = [
        path for path in scripts_in(HERE) if not arguments.names or path.stem in arguments.names
    ]
    arguments.output.mkdir(parents=True, exist_ok=True)
    failed = set(arguments.names) - {path.stem for path in scripts}
    for name in sorted(failed):
        print(f"{name}: there is no such script in {HERE.name}/", file=sys.stderr)
    for script in scripts:
        try:
            figure = build_script(script, arguments.data)
            figure.save_state(arguments.output / f"{script.stem}.pvsm")
            print(figure.save_thumbnail(arguments.output / f"{script.stem}.png"), flush=True)
            if (arguments.output.resolve(), arguments.data.resolve()) == (HERE, HERE / "data"):
                record_picture(script)
        except LandscapeError as error:
            failed.add(script.stem)
            print(f"{script.stem}: {error}", file=sys.stderr, flush=True)
    end_session()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
