"""Record a session in ParaView's window: the pictures of ``docs/window_tour.md``.

``python -m docs.screenshots.record`` (``make screenshots``) trains a small network, measures its
landscape, and goes through the tour on a virtual screen with temporary settings. It types commands,
presses keys and moves the mouse as a user would, and saves the whole screen after each step. A step
fails if ParaView ends, prints an error, or keeps changing its window. Places are those of Debian's
ParaView 5.11 in a window of 1280 x 800 pixels.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from docs.screenshots.contact_sheet import contact_sheet
from docs.screenshots.desktop import ASIDE, Desktop, WindowError, missing_programs

from losslandscape import Landscape
from losslandscape.errors import LossLandscapeError
from losslandscape.paraview.programs import find_paraview

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "images" / "window"
DATA = ROOT / "state_files" / "data"
COMMAND = (sys.executable, "-m", "losslandscape")
# figure -> the landscapes of the study that it shows
FIGURES = {
    "surface": ("vgg11_random",),
    "contours": ("vgg11_random",),
    "trajectory": ("vgg11_pca",),
    "topology": ("vgg11_three",),
    "flatness": ("vgg11_random",),
    "compare": ("resnet50_random", "vgg11_random"),
}
# places in the window, in pixels from its upper left corner
APPLY = (48, 437)
MACROS, MACROS_PLACE = (1151, 82), (745, 122)  # handle of the buttons' toolbar: from, to
MORE = (1271, 118)  # at the end of the toolbar: shows the buttons that do not fit
BUTTONS = {
    "Loss compare": (793, 118),
    "Loss contours": (900, 118),
    "Loss curve": (997, 118),
    "Loss flat region": (1098, 118),
    "Loss isosurfaces": (802, 143),
    "Loss surface": (912, 143),
    "Loss topology": (1014, 143),
    "Loss trajectory": (1124, 143),
    "Loss volume": (789, 168),
    "Refine What Is Seen": (916, 168),
}  # when all are shown; the first four always fit
# buttons -> the landscapes that are open when they are pressed
PRESSED = {
    ("Loss surface", "Loss contours", "Loss trajectory", "Loss topology", "Loss flat region"): (
        DATA / "vgg11_pca" / "landscape.nc",
    ),
    ("Loss compare",): tuple(DATA / name / "landscape.nc" for name in FIGURES["compare"]),
    ("Loss curve",): (Path("1.nc"),),
    ("Loss isosurfaces", "Loss volume"): (Path("3.nc"),),
}
MIDDLE, ZOOM = (789, 482), 12  # middle of the view, and steps of the mouse wheel
LAYOUT = (300, 146, 1280, 770)  # of the screen: left, top, right, bottom
HEIGHT_FILTER = (180, 240)  # in the pipeline browser
CEILING = (138, 591), (115, 591)  # its slider, from 100% to about half
FILTERS = (271, 311)  # Loss Landscape in the menu Filters
BROWSER_END = (146, 365), (146, 318)  # lower edge of the pipeline browser, moved up
PANEL_SIDE = (295, 470), (365, 470)  # right edge of the properties panel, moved to the right
WORDS = (slice(735, 762), slice(600, 1100))  # rows and columns of the progress in the view
APPLY_ABOVE = (48, 390)  # Apply, after the pipeline browser was made smaller
CANCEL, GO_ON = (138, 600), (138, 629)  # buttons of Refine Here
POSITION, LENGTH = ((119, 711), (180, 711)), ((119, 738), (180, 738))  # fields of its box
WHITE = 0.2  # smallest share of background pixels in the views when a figure is shown
COLORED = 0.004  # smallest share of colored pixels in the views when a figure is shown


class Session:
    """The desktop and the files of a recording."""

    def __init__(self, desktop: Desktop, folder: Path):
        self.desktop, self.folder = desktop, folder
        self.landscape = folder / "small.nc"

    def run(self, *arguments: str) -> None:
        """Run a command of losslandscape in the session's folder."""
        subprocess.run(
            [*COMMAND, *arguments], cwd=self.folder, env=self.desktop.environment, check=True
        )

    def surface(self, output: str, grid: int = 31) -> list[str]:
        """The arguments of the command that measures the landscape of the small network."""
        return ["surface", "--model", "small_resnet", "--weights", "training", "--data", "digits",
                "--samples", "300", "--grid", str(grid), "--batch-norm", "reestimated", "--quiet",
                "--title", "Small residual network", "--output", output]  # fmt: skip

    def train(self) -> None:
        if not (self.folder / "training").exists():
            self.run("train", "--model", "small_resnet", "--data", "digits", "--epochs", "4",
                     "--learning-rate", "0.005", "--output", "training", "--quiet")  # fmt: skip

    def measure(self) -> None:
        """Measure the landscape of a small network, unless the file exists."""
        self.train()
        if not self.landscape.exists():
            self.run(*self.surface(self.landscape.name))

    def measure_until(self, path: Path, share: float) -> None:
        """Interrupt the measurement, as Ctrl-C does, when a share of the points is measured."""
        self.train()
        path.unlink(missing_ok=True)
        run = subprocess.Popen(
            [*COMMAND, *self.surface(path.name)], cwd=self.folder, env=self.desktop.environment
        )
        while run.poll() is None:
            time.sleep(0.5)
            if path.exists() and (Landscape.open(path).status == 1).mean() > share:
                run.send_signal(signal.SIGINT)
                run.wait()
                return
        raise WindowError(f"{path.name}: ended before it could be interrupted")

    def end(self) -> None:
        """Close the window.

        Raises:
            WindowError: ParaView's output contains an error.
        """
        said = self.desktop.end()
        lines = [line for line in said.splitlines() if "ERR" in line or "Error" in line]
        if lines:
            raise WindowError("ParaView printed errors:\n" + said)


def figures(session: Session) -> None:
    """Each figure, opened with the command."""
    for figure, names in FIGURES.items():
        files = [str(DATA / name / "landscape.nc") for name in names]
        command = [*COMMAND, "paraview", *files, "--figure", figure]
        session.desktop.start(figure, command, session.folder)
        session.desktop.wait(calm=3, white=WHITE)
        session.desktop.picture(f"figure_{figure}")
        session.end()


def opened(session: Session) -> None:
    """The installed plugin: a landscape opened in the dialog, buttons, the menu, a slider."""
    desktop, landscape = session.desktop, session.folder / "opened.nc"
    session.measure()
    shutil.copy(session.landscape, landscape)
    session.run("paraview", "--install")
    try:
        open_file(desktop, "opened", [str(find_paraview())], landscape)
        desktop.drag(MACROS, MACROS_PLACE)
        desktop.click(MORE)
        desktop.wait(calm=1)
        desktop.picture("buttons")
        desktop.keys("Escape")
        desktop.keys("alt+l")
        desktop.click(FILTERS)
        desktop.wait(calm=1)
        desktop.picture("filters_menu")
        desktop.keys("Escape", "Escape", "Escape")
        desktop.click(BUTTONS["Loss contours"])
        desktop.point(ASIDE)
        desktop.wait(COLORED)
        desktop.picture("button_contours")
        desktop.click(HEIGHT_FILTER)
        desktop.point(ASIDE)
        desktop.wait(COLORED)
        desktop.picture("slider_before")
        desktop.drag(*CEILING)
        desktop.click(APPLY)
        desktop.point(ASIDE)
        desktop.wait(COLORED)
        desktop.picture("slider_after")
        desktop.click(BUTTONS["Loss flat region"])
        desktop.point(ASIDE)
        desktop.wait(COLORED)
        desktop.picture("button_flat_region")
        session.end()
    finally:
        session.run("paraview", "--uninstall")


def pressed(session: Session) -> None:
    """Each button that draws a figure, on one page."""
    desktop, drawn = session.desktop, {}
    perceptron(session)
    for dimensions, grid in ((1, 51), (3, 13)):
        if not (session.folder / f"{dimensions}.nc").exists():
            session.run("surface", "--model", "mlp", "--weights", "perceptron", "--data", "digits8",
                        "--samples", "300", "--dimensions", str(dimensions), "--grid", str(grid),
                        "--title", "Perceptron", "--output", f"{dimensions}.nc",
                        "--quiet")  # fmt: skip
    session.run("paraview", "--install")
    try:
        for number, (buttons, paths) in enumerate(PRESSED.items()):
            if paths[0].is_absolute():
                desktop.start(f"pressed{number}", [str(find_paraview())], session.folder)
                desktop.wait(calm=6)
                desktop.keys("Escape")  # closes the welcome dialog of a first start
                for path in paths:
                    open_dialog(desktop, path)
            else:  # ParaView's default view of a line is an error, that of a cube an outline
                command = [*COMMAND, "paraview", str(session.folder / paths[0])]
                desktop.start(f"pressed{number}", command, session.folder)
                desktop.wait(calm=3, white=WHITE)
            desktop.drag(MACROS, MACROS_PLACE)
            for name in buttons:
                desktop.click(MORE)
                desktop.wait(calm=1)
                desktop.click(BUTTONS[name])
                desktop.point(ASIDE)
                desktop.wait(calm=3, white=WHITE)  # curves and isosurfaces have little color
                drawn[name] = desktop.image().crop(LAYOUT)
            session.end()
    finally:
        session.run("paraview", "--uninstall")
    desktop.picture("buttons_pressed", contact_sheet(drawn))


def seen(session: Session) -> None:
    """The button Refine What Is Seen, on part of the default view."""
    desktop, landscape = session.desktop, session.folder / "seen.llnc"
    for path in (landscape, *session.folder.glob("seen_refined*")):
        path.unlink(missing_ok=True)
    coarse(session, landscape)
    session.run("paraview", "--install")
    try:
        desktop.start("seen", [str(find_paraview())], session.folder)
        desktop.wait(calm=6)
        desktop.keys("Escape")  # closes the welcome dialog of a first start
        open_dialog(desktop, landscape)
        desktop.drag(MACROS, MACROS_PLACE)
        desktop.click(MIDDLE, times=ZOOM, button=4)
        desktop.wait(COLORED)
        desktop.click(MORE)
        desktop.wait(calm=1)
        desktop.click(BUTTONS["Refine What Is Seen"])
        desktop.point(ASIDE)
        wait_for_points(landscape.with_name("seen_refined.nc"), share=0.3)
        time.sleep(1)
        desktop.picture("refine_seen")
        session.end()
    finally:
        session.run("paraview", "--uninstall")


def coarse(session: Session, landscape: Path) -> None:
    """Measure a coarse landscape, to be refined."""
    perceptron(session)
    session.run("surface", "--model", "mlp", "--weights", "perceptron", "--data", "digits8",
                "--grid", "31", "--quiet", "--title", "Perceptron",
                "--output", landscape.name)  # fmt: skip


def perceptron(session: Session) -> None:
    """Train a network whose landscape takes seconds to measure."""
    if not (session.folder / "perceptron").exists():
        session.run("train", "--model", "mlp", "--data", "digits8", "--epochs", "20",
                    "--output", "perceptron", "--quiet")  # fmt: skip


def reloaded(session: Session) -> None:
    """A landscape that is still being measured, before and after File > Reload Files."""
    desktop, landscape = session.desktop, session.folder / "growing.nc"
    session.measure_until(landscape, share=0.5)
    command = [*COMMAND, "paraview", str(landscape), "--figure", "surface"]
    desktop.start("reloaded", command, session.folder)
    desktop.wait(COLORED)
    desktop.picture("reload_before")
    session.run(*session.surface(landscape.name))  # continues the measurement
    desktop.keys("F5")
    desktop.wait(COLORED)
    desktop.picture("reload_after")
    session.end()


def refined(session: Session) -> None:
    """Refine Here: its settings, while running, canceled, continued, and its result."""
    desktop, landscape = session.desktop, session.folder / "coarse.llnc"
    output = landscape.with_name("coarse_refined.nc")
    for path in (landscape, output, output.with_name(f"{output.name}.journal")):
        path.unlink(missing_ok=True)
    coarse(session, landscape)
    open_file(desktop, "refined", [*COMMAND, "paraview"], landscape)
    desktop.drag(*BROWSER_END)
    desktop.drag(*PANEL_SIDE)
    desktop.keys("ctrl+space")
    desktop.wait(calm=1)
    desktop.type("Refine Here")
    desktop.wait(calm=1)
    desktop.keys("Return")
    desktop.wait()
    for fields, value in ((POSITION, "-0.3"), (LENGTH, "0.6")):
        for field in fields:
            desktop.click(field, times=2)
            desktop.keys("ctrl+a")
            desktop.type(value)
            desktop.keys("Tab")
    desktop.point(ASIDE)
    desktop.wait()
    desktop.picture("refine_settings")
    desktop.click(APPLY_ABOVE)
    desktop.point(ASIDE)
    wait_for_points(output, share=0.3)
    time.sleep(1)  # until the window shows them
    desktop.picture("refine_running")
    desktop.click(CANCEL)
    desktop.wait(COLORED)
    if not output.with_name(f"{output.name}.journal").exists():
        raise WindowError("Refine Here: ended before it was canceled")
    desktop.click(GO_ON)
    desktop.point(ASIDE)
    wait_for_points(output, share=1.0)
    # the progress text is shown until the child process ends
    while (np.asarray(desktop.image())[WORDS].min(axis=-1) > 200).any():
        time.sleep(1)
    desktop.wait(COLORED)
    desktop.picture("refine_result")
    session.end()


def open_file(desktop: Desktop, name: str, command: list[str], path: Path) -> None:
    """Start ParaView without a file, and open one in the dialog, with pictures."""
    desktop.start(name, command, path.parent)
    desktop.wait(calm=6)
    desktop.keys("Escape")  # closes the welcome dialog of a first start
    desktop.wait()
    open_dialog(desktop, path, f"{name}_dialog")
    desktop.picture(name)


def open_dialog(desktop: Desktop, path: Path, picture: str | None = None) -> None:
    """Open a file in ParaView's dialog: Ctrl+O, the path, Enter, Apply."""
    desktop.keys("ctrl+o")
    desktop.wait(calm=1)
    desktop.type(str(path))
    desktop.wait(calm=1)
    if picture:
        desktop.picture(picture)
    desktop.keys("Return")
    desktop.wait()
    desktop.click(APPLY)
    desktop.point(ASIDE)
    desktop.wait(COLORED)


def wait_for_points(path: Path, share: float, limit: float = 300.0) -> None:
    """Wait until a share of a landscape's points is evaluated and in the file.

    Raises:
        WindowError: it takes more than `limit` seconds.
    """
    begin = time.perf_counter()
    while not path.exists() or (Landscape.open(path).status == 1).mean() < share:
        time.sleep(2)
        if time.perf_counter() - begin > limit:
            raise WindowError(f"{path.name}: too few points after {limit:g} s")


STEPS: dict[str, Callable[[Session], None]] = {
    "figures": figures,
    "opened": opened,
    "pressed": pressed,
    "reloaded": reloaded,
    "refined": refined,
    "seen": seen,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--only", action="append", choices=STEPS, help="record only this step; may be repeated"
    )
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    parser.add_argument("--folder", type=Path, help="folder for the session's files")
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
            raise SystemExit(f"{name}: {error}\nThe files of this step are in {own}") from error
        finally:
            desktop.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
