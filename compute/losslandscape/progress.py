"""Progress of a long computation: a bar on a terminal, occasional lines in a log file."""

import contextlib
import os
import sys
import time
from typing import Any, Optional

_BAR_INTERVAL = 0.1  # seconds between two updates of the bar
_LINE_INTERVAL = 5.0  # initial seconds between two lines where there is no terminal
_LINE_SHARE, _LONGEST_INTERVAL = 0.1, 600.0  # later: a share of the elapsed time, capped (seconds)
_ESTIMATE_SECONDS = 1.0  # seconds of work before an estimate; shorter work needs none
_ESTIMATE_ONE = 20.0  # seconds after which a single step is enough for an estimate

# seconds between lines, set by a program that displays them, such as the plugin
INTERVAL_VARIABLE = "LOSSLANDSCAPE_PROGRESS_SECONDS"


class Progress:
    """Prints a plan, an estimate of the total time and then the progress, on standard error.

    The plan is printed at the start. The estimate follows after one second of work, with the
    measurement that it is based on; the first step is excluded, because it includes one-time
    costs. Then the steps done, the rate and the time left are shown: as a bar on a terminal, and
    elsewhere (a batch job's log, a notebook, a terminal that cannot move its cursor) as plain
    lines. Lines come every 5 seconds at first, every 10 minutes in the end, and once when the work
    is done. With ``quiet`` nothing is printed. ``advance`` costs about a microsecond when nothing
    is drawn, so you can call it in an inner loop.

    Parameters
    ----------
    total : int
        Total number of steps.
    description : str
        Short name of the work; every line begins with it.
    done : int
        Steps that an earlier, interrupted run finished; they do not count in the rate.
    quiet : bool
        Print nothing.
    work : str
        The plan, printed at the start.
    unit : str
        What a step is called, in the plural.
    at_most : int, optional
        Largest number of steps, where `total` grows during the work.
    extra_seconds : float
        Time of other work, in seconds, added to the estimate.

    Examples
    --------
    >>> with Progress(3, "adding", quiet=True) as progress:
    ...     for _ in range(3):
    ...         progress.advance()
    >>> progress.done
    3
    """

    def __init__(
        self,
        total: int,
        description: str,
        *,
        done: int = 0,
        quiet: bool = False,
        work: str = "",
        unit: str = "steps",
        at_most: Optional[int] = None,
        extra_seconds: float = 0.0,
    ) -> None:
        self.total = total
        self.description = description
        self.done = done
        self.note = ""  # a few words shown after the rate, such as the current loss
        self.extra_seconds = extra_seconds
        self._quiet = quiet
        self._work = work
        self._unit = unit
        self._at_most = at_most
        self._estimated = False
        self._drawn: Optional[int] = None  # steps shown in the last line
        self._done_before = done
        self._bar: Any = None
        self._bar_task: Any = None
        self._start = self._next_drawing = time.monotonic()
        self._given_interval: Optional[float] = None
        with contextlib.suppress(KeyError, ValueError):
            self._given_interval = float(os.environ[INTERVAL_VARIABLE])
        self._first: Optional[tuple[float, int]] = None  # time and steps after the first advance

    def __enter__(self) -> "Progress":
        self._start = time.monotonic()
        if not self._quiet:
            if self._work:
                before = f" ({self.done:,} already done)" if self.done else ""
                self._say(f"{self.description}: {self._work}{before}")
            if sys.stderr.isatty():
                self._open_bar()
        self._next_drawing = self._start + self._interval(self._start)
        return self

    def __exit__(self, *_: object) -> None:
        if self._quiet:
            return
        if self._bar is not None or self._drawn != self.done:
            self._draw()
        if self._bar is not None:
            self._bar.stop()

    def begin(self) -> None:
        """Restart the clock: the time until now was not spent on steps."""
        self._start = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        """Count `steps` more steps as done."""
        self.done += steps
        if self._quiet:
            return
        now = time.monotonic()
        if not self._estimated:
            self._try_estimate(now)
        if now >= self._next_drawing:
            self._draw()
            self._next_drawing = time.monotonic() + self._interval(now)

    def _try_estimate(self, now: float) -> None:
        """Print the estimate of the remaining time, once enough has been measured."""
        steps = self.done - self._done_before
        if now - self._start >= _ESTIMATE_ONE:
            each = (now - self._start) / steps
        elif self._first is None:  # the first steps include one-time costs
            self._first = now, steps
            return
        elif now - self._first[0] >= _ESTIMATE_SECONDS:
            each = (now - self._first[0]) / (steps - self._first[1])
        else:
            return
        self._estimated = True
        left = self.total - self.done
        if left <= 0:
            return
        time_left = duration(left * each + self.extra_seconds)
        words = f"about {time_left} for the remaining {left:,} {self._unit}"
        if self._at_most is not None and self._at_most > self.total:
            most = self._at_most - self.done
            words += f", up to {duration(most * each)} if all {self._at_most:,} are needed"
        basis = f"estimated from the first {steps:,}, {milliseconds(each)} each"
        self._say(f"{self.description}: {words} ({basis})")

    def _interval(self, now: float) -> float:
        if self._bar is not None:
            return _BAR_INTERVAL
        if self._given_interval is not None:
            return self._given_interval
        return min(max(_LINE_INTERVAL, _LINE_SHARE * (now - self._start)), _LONGEST_INTERVAL)

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        with contextlib.suppress(OSError, ValueError):  # a closed or full stream ends no work
            print(line, file=sys.stderr, flush=True)

    @property
    def rate(self) -> float:
        """Steps per second since the start; 0 before the first step."""
        elapsed = time.monotonic() - self._start
        return (self.done - self._done_before) / elapsed if elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> Optional[float]:
        """Expected remaining time at the current rate, in seconds; None before the first step."""
        rate = self.rate
        return (self.total - self.done) / rate if rate > 0 else None

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        if console.is_dumb_terminal:
            return
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
            auto_refresh=False,  # advance() draws: no second thread competes with the work
        )
        self._bar_task = self._bar.add_task(
            self.description, total=self.total, completed=self.done, status=""
        )
        self._bar.start()

    def _draw(self) -> None:
        self._drawn = self.done
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
            self._say(f"{self.description}: {self.done}/{self.total}, {status}")


def duration(seconds: float) -> str:
    """A time span in the two largest units.

    >>> duration(8.4), duration(95), duration(7300)
    ('8 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def milliseconds(seconds: float) -> str:
    """The time of one step, in milliseconds or seconds.

    >>> milliseconds(0.0123), milliseconds(2.5)
    ('12.3 ms', '2.5 s')
    """
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _significant(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.2g}"
