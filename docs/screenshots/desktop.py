"""A separate desktop: a virtual screen, a window manager, a keyboard, a mouse, and ParaView.

The user's files are not touched: ParaView's settings are in a folder given by the caller.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from benchmarks.startup import Screen, colored
from PIL import Image

SIZE = (1280, 800)
PROGRAMS = {"Xvfb": "xvfb", "openbox": "openbox", "xdotool": "xdotool"}
VIEWS = (slice(205, 650), slice(430, 1270))  # rows and columns that views cover in any layout
ASIDE = (1278, 798)  # place where the mouse pointer hides nothing
MENU = (slice(2, 20), slice(1000, 1270))  # rows and columns where the menu bar is empty
CALM = 2.0  # seconds without a change after which a step is over
LARGEST = 150_000  # largest size of a picture in bytes
COLOR_STEP = 5.0  # divides 255; reduces a PNG of a shaded surface to 70% of its size
BLINKING = 400  # pixels that may change without meaning: a text cursor, the memory display
# Main windows fill the screen, as a user's would; dialogs keep their own size.
_WINDOW_MANAGER = """<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <applications>
    <application type="normal"><decor>no</decor><maximized>yes</maximized></application>
    <application type="dialog"><decor>yes</decor></application>
  </applications>
</openbox_config>
"""


class WindowError(RuntimeError):
    """The window did not do what a step expected."""


def missing_programs() -> list[str]:
    """Debian's names of the packages whose programs are missing."""
    return [package for name, package in PROGRAMS.items() if shutil.which(name) is None]


class Desktop:
    """A screen of `SIZE` pixels with ParaView as its only program.

    Args:
        folder: an existing, empty folder for its own files.
        pictures: the folder for pictures.
    """

    def __init__(self, folder: Path, pictures: Path):
        self.folder, self.pictures = folder, pictures
        (folder / "screen").mkdir()
        (folder / "rc.xml").write_text(_WINDOW_MANAGER, encoding="ascii")
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self._screen = Screen(folder / "screen", SIZE)
        names = ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"},
            **{name: str(self.home) for name in names},
            "DISPLAY": self._screen.display,
            "QT_QPA_PLATFORM": "xcb",
        }
        self._manager = subprocess.Popen(
            ["openbox", "--config-file", str(folder / "rc.xml")],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._started: subprocess.Popen[bytes] | None = None
        self.point(ASIDE)
        self.log = folder / "none.log"

    def start(self, name: str, command: Sequence[str], folder: Path) -> None:
        """Start ParaView; its output goes to `NAME.log`."""
        self.log = self.folder / f"{name}.log"
        with self.log.open("wb") as log:
            self._started = subprocess.Popen(
                command, env=self.environment, cwd=folder, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def end(self) -> str:
        """Kill ParaView and its child processes, and return its output.

        Raises:
            WindowError: ParaView had already ended.
        """
        started, self._started = self._started, None
        if started is None:
            return ""
        code = started.poll()
        with suppress(ProcessLookupError):
            os.killpg(started.pid, 9)
        started.wait()
        said = self.log.read_text(errors="replace")
        if code is not None:
            raise WindowError(f"ParaView ended unexpectedly, exit code {code}:\n{said}")
        return said

    def close(self) -> None:
        try:
            self.end()
        finally:
            self._manager.terminate()
            self._manager.wait()
            self._screen.close()

    def keys(self, *names: str) -> None:
        """Press keys one after another, such as `ctrl+o`."""
        for name in names:
            self._xdotool("key", "--clearmodifiers", name)
            time.sleep(0.3)

    def type(self, text: str) -> None:
        self._xdotool("type", "--delay", "40", "--", text)
        time.sleep(0.3)

    def click(self, place: tuple[int, int], times: int = 1, button: int = 1) -> None:
        self._xdotool("mousemove", str(place[0]), str(place[1]))
        time.sleep(0.4)
        self._xdotool("click", "--repeat", str(times), "--delay", "80", str(button))
        time.sleep(0.3)

    def point(self, place: tuple[int, int]) -> None:
        """Move the mouse without a click."""
        self._xdotool("mousemove", str(place[0]), str(place[1]))
        time.sleep(0.4)

    def drag(self, begin: tuple[int, int], end: tuple[int, int]) -> None:
        self.point(begin)
        self._xdotool("mousedown", "1")
        for share in np.linspace(0.0, 1.0, 8):
            x, y = np.add(begin, share * np.subtract(end, begin)).astype(int)
            self._xdotool("mousemove", str(x), str(y))
            time.sleep(0.05)
        self._xdotool("mouseup", "1")
        time.sleep(0.3)

    def wait(
        self, least: float = 0.0, calm: float = CALM, limit: float = 300.0, white: float = 0.0
    ) -> None:
        """Wait until the screen no longer changes.

        Args:
            least: smallest share of colored pixels that the views must then have.
            calm: seconds without a change.
            limit: seconds after which to give up.
            white: smallest share of white pixels (a figure's background) in the views.

        Raises:
            WindowError: the limit was exceeded, or ParaView has ended.
        """
        begin = last = time.perf_counter()
        before = self._screen.pixels()
        while True:
            time.sleep(0.2)
            now, picture = time.perf_counter(), self._screen.pixels()
            if (picture != before).any(axis=-1).sum() > BLINKING:
                before, last = picture, now
            there = picture[MENU].min() > 200  # the window fills the screen
            views = picture[VIEWS]
            there &= colored(views) >= least and (views == 255).all(axis=-1).mean() >= white
            if there and now - last > calm:
                return
            if self._started is not None and self._started.poll() is not None:
                self.end()
            if now - begin > limit:
                self.picture("failed")
                raise WindowError(f"not ready after {limit:g} s; see failed.png")

    def image(self) -> Image.Image:
        """The whole screen."""
        return Image.fromarray(np.ascontiguousarray(self._screen.pixels()[..., ::-1]))

    def picture(self, name: str, image: Image.Image | None = None) -> Path:
        """Write an image, by default the whole screen, as `NAME.png`.

        Colors are rounded by an amount that is hardly visible.
        """
        path = self.pictures / f"{name}.png"
        steps = np.round(np.asarray(image or self.image()) / COLOR_STEP) * COLOR_STEP
        rounded = Image.fromarray(np.clip(steps, 0, 255).astype(np.uint8))
        rounded.save(path, optimize=True)
        if path.stat().st_size > LARGEST:
            rounded.quantize(256).save(path, optimize=True)
        return path

    def _xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.environment, check=True)
