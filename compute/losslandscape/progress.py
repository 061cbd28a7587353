"""How far a long computation is: a bar on a terminal, a line now and then in a log file."""

import os
import sys
import time
from typing import Any, Optional

_BAR_INTERVAL = 0.1  # seconds between two drawings of the bar
_LINE_INTERVAL = 5.0  # seconds between two lines where there is no terminal
# another interval, for a program that shows the lines to people
INTERVAL_VARIABLE = "LOSSLANDSCAPE_PROGRESS_SECONDS"


class Progress:
    """Shows steps done, rate and time left on standard error.

    On a terminal that is a bar; elsewhere (a batch job's log, a notebook) a plain line at most
    every five seconds (``LOSSLANDSCAPE_PROGRESS_SECONDS``) and one at the end; nothing at all when
    `quiet`. `advance` costs less than a microsecond unless something is drawn, so it may stand in
    an inner loop.

    Parameters
    ----------
    total
        Number of steps of the whole work.
    description
        What is being done, for people.
    done
        Steps finished before (a resumed run); they do not count in the rate.
    quiet
        Show nothing.

    Examples
    --------
    >>> with Progress(3, "adding", quiet=True) as progress:
    ...     for _ in range(3):
    ...         progress.advance()
    >>> progress.done
    3
    """

    def __init__(self, total: int, description: str, *, done: int = 0, quiet: bool = False) -> None:
        self.total = total
        self.description = description
        self.done = done
        self.note = ""  # a few words shown behind the rate, such as the present loss
        self._quiet = quiet
        self._done_before = done
        self._bar: Any = None
        self._bar_task: Any = None
        self._start = self._next_drawing = time.monotonic()
        try:
            self._interval = float(os.environ[INTERVAL_VARIABLE])
        except (KeyError, ValueError):
            self._interval = _LINE_INTERVAL

    def __enter__(self) -> "Progress":
        self._start = time.monotonic()
        if not self._quiet and sys.stderr.isatty():
            self._interval = _BAR_INTERVAL
            self._open_bar()
        self._next_drawing = self._start + self._interval
        return self

    def __exit__(self, *_: object) -> None:
        if self._quiet:
            return
        self._draw()
        if self._bar is not None:
            self._bar.stop()

    def advance(self, steps: int = 1) -> None:
        """Count `steps` more as done."""
        self.done += steps
        if not self._quiet and time.monotonic() >= self._next_drawing:
            self._draw()
            self._next_drawing = time.monotonic() + self._interval

    @property
    def rate(self) -> float:
        """Steps a second since the start; 0 before the first step."""
        elapsed = time.monotonic() - self._start
        return (self.done - self._done_before) / elapsed if elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> Optional[float]:
        """Expected time to the end at the present rate, None before the first step."""
        rate = self.rate
        return (self.total - self.done) / rate if rate > 0 else None

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            console=Console(stderr=True),
            auto_refresh=False,  # drawn by advance(): no second thread competes with the work
        )
        self._bar_task = self._bar.add_task(
            self.description, total=self.total, completed=self.done, status=""
        )
        self._bar.start()

    def _draw(self) -> None:
        left = self.seconds_left
        words = [f"{_significant(self.rate)}/s"]
        if self.done < self.total and left is not None:
            words.append(f"{duration(left)} left")
        elif self.done >= self.total:
            words.append(f"took {duration(time.monotonic() - self._start)}")
        if self.note:
            words.append(self.note)
        status = ", ".join(words)
        if self._bar is not None:
            self._bar.update(self._bar_task, completed=self.done, status=status)
            self._bar.refresh()
        else:
            print(
                f"{self.description}: {self.done}/{self.total}, {status}",
                file=sys.stderr,
                flush=True,
            )


def duration(seconds: float) -> str:
    """A time span as people say it.

    >>> duration(8.4), duration(95), duration(7300)
    ('8 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _significant(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.2g}"
