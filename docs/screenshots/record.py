"""A recorded session of ParaView's window: the pictures of ``docs/window_tour.md``.

``python -m docs.screenshots.record`` (``make screenshots``) trains a small network, measures its
landscape, and goes through the tour on a screen of its own, with settings of its own that are
thrown away: commands are typed, keys pressed and the mouse moved as a person would, and after each
step the whole screen is written. A step fails when ParaView ends, writes an error, or does not come
to rest. Places are those of ParaView 5.11 of Debian in a window of 1280 x 800 pixels.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from docs.screenshots.desktop import Desktop, WindowError, missing_programs
from losslandscape import Landscape
from losslandscape.errors import LossLandscapeError
from losslandscape.paraview_programs import clean_environment, find_paraview

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "images" / "window"
DATA = ROOT / "state_files" / "data"
COMMAND = (sys.executable, "-m", "losslandscape")
# figure -> the landscapes of the study that it is drawn of
FIGURES = {
    "surface": ("vgg11_random",),
    "contours": ("vgg11_random",),
    "trajectory": ("vgg11_pca",),
    "topology": ("vgg11_three",),
    "flatness": ("vgg11_random",),
    "compare": ("resnet50_random", "vgg11_random"),
}
LARGEST = 150_000  # bytes of a picture
COLOURED = 0.03  # share of the views' pixels that a figure colours at least


class Session:
    """The desktop and the files of a recording."""

    def __init__(self, desktop: Desktop, folder: Path):
        self.desktop, self.folder = desktop, folder
        self.landscape = folder / "small.nc"

    def run(self, *arguments: str) -> None:
        """A command of losslandscape, in the session's folder."""
        subprocess.run(
            [*COMMAND, *arguments], cwd=self.folder, env=self.desktop.environment, check=True
        )

    def measure(self) -> None:
        """A small network's landscape, for what the window does to a file."""
        if self.landscape.exists():
            return
        self.run("train", "--model", "small_resnet", "--data", "digits", "--epochs", "4",
                 "--learning-rate", "0.005", "--output", "training", "--quiet")  # fmt: skip
        self.run("surface", "--model", "small_resnet", "--weights", "training", "--data", "digits",
                 "--samples", "300", "--grid", "31", "--batch-norm", "reestimated", "--quiet",
                 "--title", "Small residual network", "--output", self.landscape.name)  # fmt: skip

    def end(self) -> None:
        """Close the window; what it had to say must hold no error."""
        said = self.desktop.end()
        lines = [line for line in said.splitlines() if "ERR" in line or "Error" in line]
        if lines:
            raise WindowError("ParaView wrote errors:\n" + said)


def figures(session: Session) -> None:
    """Each figure, by the command."""
    for figure, names in FIGURES.items():
        files = [str(DATA / name / "landscape.nc") for name in names]
        command = [*COMMAND, "paraview", *files, "--figure", figure]
        session.desktop.start(figure, command, session.folder)
        session.desktop.wait(COLOURED)
        session.desktop.picture(f"figure_{figure}")
        session.end()


STEPS: dict[str, Callable[[Session], None]] = {
    "figures": figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", action="append", choices=STEPS, help="may be repeated")
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    parser.add_argument("--folder", type=Path, help="keep the session's files there")
    arguments = parser.parse_args()
    if missing := missing_programs():
        raise SystemExit(f"missing: {' '.join(missing)} (apt install {' '.join(missing)})")
    try:
        find_paraview()
    except LossLandscapeError as error:
        raise SystemExit(str(error)) from error
    folder = Path(tempfile.mkdtemp(prefix="losslandscape-tour-"))
    kept = arguments.folder or folder
    kept.mkdir(parents=True, exist_ok=True)
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or STEPS:
        own = folder / name
        own.mkdir()
        desktop = Desktop(own, arguments.pictures)
        try:
            print(name, flush=True)
            STEPS[name](Session(desktop, kept))
        except WindowError as error:
            raise SystemExit(f"{name}: {error}\nits files are in {own}") from error
        finally:
            desktop.close()
    large = [path for path in arguments.pictures.glob("*.png") if path.stat().st_size > LARGEST]
    if large:
        raise SystemExit(f"larger than {LARGEST} bytes: {', '.join(map(str, large))}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
