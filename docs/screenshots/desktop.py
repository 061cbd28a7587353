"""A desktop of its own: a virtual screen, a window manager, a keyboard, a mouse, and ParaView.

Nothing of the user's is touched: ParaView's settings are in a folder of the caller's.
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
from benchmarks.startup import Screen, coloured
from PIL import Image

SIZE = (1280, 800)
PROGRAMS = {"Xvfb": "xvfb", "openbox": "openbox", "xdotool": "xdotool"}
VIEWS = (slice(205, 650), slice(430, 1270))  # rows and columns that views cover in any layout
ASIDE = (1278, 798)  # where the mouse hides nothing
MENU = (slice(2, 20), slice(1000, 1270))  # where the line of menus is empty
CALM = 2.0  # s without a change, after which a step is over
LARGEST = 150_000  # bytes of a picture
COLOUR_STEP = 5.0  # divides 255; a PNG of a shaded surface has 70% of the size then
BLINKING = 400  # pixels that change without meaning: a text cursor, the memory in use
# Every main window fills the screen, as a person's does; a dialog stays as large as it wants.
_WINDOW_MANAGER = """<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <applications>
    <application type="normal"><decor>no</decor><maximized>yes</maximized></application>
    <application type="dialog"><decor>yes</decor></application>
  </applications>
</openbox_config>
"""


class WindowError(RuntimeError):
    """The window did not do what the step asked for."""


def missing_programs() -> list[str]:
    """Debian's names of the packages whose programs are not there."""
    return [package for name, package in PROGRAMS.items() if shutil.which(name) is None]


class Desktop:
    """A screen of `SIZE` with ParaView as its one program.

    Args:
        folder: for files of its own; an empty folder that is there.
        pictures: where pictures are written.
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
        """Start ParaView; what it says goes to `NAME.log`."""
        self.log = self.folder / f"{name}.log"
        with self.log.open("wb") as log:
            self._started = subprocess.Popen(
                command, env=self.environment, cwd=folder, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def end(self) -> str:
        """Kill what was started, with its children. Returns what it had said.

        Raises:
            WindowError: it had ended before, by itself.
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
        """Wait until nothing changes on the screen any more.

        Args:
            least: the share of coloured pixels that the views have then.
            calm: seconds without a change.
            limit: seconds.
            white: the share of white pixels, a figure's ground, that the views have then.

        Raises:
            WindowError: the time was up, or ParaView has ended.
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
            there &= coloured(views) >= least and (views == 255).all(axis=-1).mean() >= white
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
        """Write an image, the whole screen where none is given, as `NAME.png`.

        Colours are rounded to what the eye tells apart.
        """
        path = self.pictures / f"{name}.png"
        steps = np.round(np.asarray(image or self.image()) / COLOUR_STEP) * COLOUR_STEP
        rounded = Image.fromarray(np.clip(steps, 0, 255).astype(np.uint8))
        rounded.save(path, optimize=True)
        if path.stat().st_size > LARGEST:
            rounded.quantize(256).save(path, optimize=True)
        return path

    def _xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.environment, check=True)
