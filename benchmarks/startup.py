"""Time from the command to the figure on the screen, compared with ParaView's own start.

``python -m benchmarks.startup`` alternately starts ``paraview surface.vti`` (with automatic Apply)
and ``losslandscape paraview landscape.nc`` on a virtual screen, each with temporary settings, and
reads the memory of the screen. A start ends when the area of the views shows its final picture. The
first start of a figure also makes matplotlib build its list of fonts, for the Greek letters; it is
reported separately, because it happens once per user. Needs Xvfb and ParaView.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from benchmarks import results
from losslandscape.paraview.programs import clean_environment, find_paraview

DATA = Path(__file__).parents[1] / "state_files" / "data"
SCREEN = (1152, 762)  # pixels; ParaView's default window size
VIEWS = (slice(190, 600), slice(320, 1120))  # rows and columns that views cover in any layout
CALM = 3.0  # seconds without a change after which the picture is final
COLORED = 0.05  # smallest share of colored pixels in a picture of the views
SAME = 0.002  # share of pixels that may differ from the final picture (a highlighted frame)
LIMIT = 60.0  # seconds
MOST_EXTRA = 3.0  # seconds, the requirement for the launcher


class Screen:
    """An Xvfb screen whose memory is read directly, without asking the server.

    Parameters
    ----------
    folder
        An empty folder for its memory file.
    size
        Width and height in pixels.
    """

    def __init__(self, folder: Path, size: tuple[int, int] = SCREEN):
        self._columns, self._rows = size
        reading, writing = os.pipe()
        depth = f"{self._columns}x{self._rows}x24"
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", depth, "-fbdir", str(folder)]
        self._server = subprocess.Popen(
            [*command, "-nolisten", "tcp", "-noreset"],
            pass_fds=(writing,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self.display = f":{pipe.readline().strip()}"
        # The file is an XWD dump: a header of big-endian words, colors, then rows of pixels.
        with open(folder / "Xvfb_screen0", "rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header = struct.unpack(">25I", self._memory[:100])
        self._start = header[0] + 12 * header[19]
        self._row = header[12]

    def pixels(self) -> np.ndarray:
        """A copy of the screen, shape (rows, columns, 3), uint8 (blue, green, red)."""
        pixels = np.frombuffer(self._memory, np.uint8, self._rows * self._row, self._start)
        return pixels.reshape(self._rows, self._row // 4, 4)[:, : self._columns, :3].copy()

    def views(self) -> np.ndarray:
        """The part of `pixels` that views cover."""
        return self.pixels()[VIEWS]

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()


@contextmanager
def screen() -> Iterator[Screen]:
    with tempfile.TemporaryDirectory() as folder:
        opened = Screen(Path(folder))
        try:
            yield opened
        finally:
            opened.close()


def colored(picture: np.ndarray) -> float:
    """The share of pixels that are not gray.

    >>> colored(np.array([[[0, 0, 0], [90, 90, 90], [255, 255, 255], [0, 90, 200]]], np.uint8))
    0.25
    """
    return float((np.ptp(picture, axis=-1) > 60).mean())


def arrival(times: Sequence[float], pictures: Sequence[np.ndarray]) -> float:
    """The time from which every picture equals the last one, except for a share `SAME` of pixels.

    >>> empty, drawn = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4, 3), np.uint8)
    >>> arrival([0.0, 1.0, 2.0, 3.0], [empty, drawn, empty, drawn])
    3.0
    >>> arrival([0.0, 1.0, 2.0], [empty, drawn, drawn])
    1.0
    """
    last = len(pictures) - 1
    for index in range(last, -1, -1):
        if (pictures[index] != pictures[-1]).any(axis=-1).mean() > SAME:
            break
        last = index
    return times[last]


def seconds_to_picture(
    command: Sequence[str], environment: dict[str, str], limit: float = LIMIT
) -> float:
    """Start a command on a new screen, and measure the seconds until its final picture.

    Raises
    ------
    RuntimeError
        If there was no picture within `limit` seconds, or the command ended before.
    """
    with screen() as shown:
        environment = {**environment, "DISPLAY": shown.display}
        times, pictures = [0.0], [shown.views()]
        start = time.perf_counter()
        started = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while True:
                time.sleep(0.01)
                now, picture = time.perf_counter() - start, shown.views()
                if not np.array_equal(picture, pictures[-1]):
                    times.append(now)
                    pictures.append(picture)
                if now - times[-1] > CALM and colored(pictures[-1]) > COLORED:
                    return arrival(times, pictures)
                if now > limit or started.poll() is not None:
                    raise RuntimeError(f"no picture after {now:.0f} s: {' '.join(command)}")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, 9)
            started.wait()


def fresh_settings(folder: Path) -> dict[str, str]:
    """An environment with new ParaView settings: no welcome dialog, automatic Apply."""
    settings = folder / "ParaView"
    settings.mkdir()
    (settings / "ParaView-UserSettings.json").write_text(
        json.dumps({"settings": {"GeneralSettings": {"AutoApply": 1}}})
    )
    (folder / "ParaView.ini").write_text("[General]\nGeneralSettings.ShowWelcomeDialog=false\n")
    return {"XDG_CONFIG_HOME": str(folder), "HOME": str(folder), "QT_QPA_PLATFORM": "xcb"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--data", type=Path, default=DATA / "vgg11_pca")
    parser.add_argument("--figure", action="append", help="figure to start; may be repeated")
    arguments = parser.parse_args()
    plain = [str(find_paraview()), str(arguments.data / "surface.vti")]
    ours = [sys.executable, "-m", "losslandscape", "paraview", str(arguments.data / "landscape.nc")]
    rows = []
    for figure in arguments.figure or ["surface", "contours", "trajectory"]:
        pairs = []
        with tempfile.TemporaryDirectory() as fonts:
            for turn in range(arguments.pairs + 1):
                pair = []
                for command, environment in (
                    (plain, clean_environment()),
                    ([*ours, "--figure", figure], dict(os.environ)),
                ):
                    with tempfile.TemporaryDirectory() as folder:
                        fresh = {**environment, **fresh_settings(Path(folder))}
                        pair.append(seconds_to_picture(command, {**fresh, "MPLCONFIGDIR": fonts}))
                print(figure, turn or "the first", *(f"{s:.2f}" for s in pair), flush=True)
                pairs.append(pair)
        first = pairs[0][1] - pairs[0][0]
        own, launched = np.array(pairs[1:]).T
        extra = launched - own
        rows.append(
            [
                figure,
                arguments.pairs,
                *(
                    f"{np.median(x):.2f} ({x.min():.2f} .. {x.max():.2f})"
                    for x in (own, launched, extra)
                ),
                "yes" if np.median(extra) <= MOST_EXTRA else "no",
                f"{first:.2f}",
            ]
        )
        print(*rows[-1], sep="  ", flush=True)
    results.write(
        "startup",
        "Time from the command to the figure on the screen",
        ["figure", "pairs", "ParaView, plain .vti, s", "launcher, .nc, s", "difference, s",
         f"at most {MOST_EXTRA:g} s", "first start, difference, s"],
        rows,
        ["Medians of alternating starts, with minimum and maximum, under Xvfb. A start ends when "
         "the views show their final picture."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
