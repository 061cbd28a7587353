"""How far a long computation is: a bar on a terminal, a line now and then in a log file."""

import contextlib
import os
import sys
import time
from typing import Any, Optional

_BAR_INTERVAL = 0.1  # seconds between two drawings of the bar
_LINE_INTERVAL = 5.0  # seconds between two lines where there is no terminal, at first
_LINE_SHARE, _LONGEST_INTERVAL = 0.1, 600.0  # then a share of the time gone, up to ten minutes
_ESTIMATE_SECONDS = 1.0  # an estimate rests on so much of the work; less needs none
_ESTIMATE_ONE = 20.0  # or on one step that took so long

# another interval between lines, for a program that shows them to people
INTERVAL_VARIABLE = "LOSSLANDSCAPE_PROGRESS_SECONDS"


class Progress:
    """Says on standard error what will be done and how long it takes, then how far it is.

    At the start what will be done; the time it will take as soon as a second of the work itself
    tells it (the first step apart, which pays for what comes once), with what it rests on. Then
    steps done, rate and time left: a bar on a terminal; elsewhere (a batch job's log, a notebook, a
    terminal that cannot move its cursor) plain lines, 5 seconds apart at first and 10 minutes at
    last, and one at the end; nothing at all when ``quiet``. ``advance`` costs about a microsecond
    unless something is drawn, so it may stand in an inner loop.

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
    work
        What the steps are, for people; said at the start.
    unit
        What a step is called, in the plural.
    at_most
        Steps that it may become, where `total` grows as the work goes on.
    extra_seconds
        Of work that is no step, added to what is found from the first steps.

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
        self.note = ""  # a few words shown behind the rate, such as the present loss
        self.extra_seconds = extra_seconds
        self._quiet = quiet
        self._work = work
        self._unit = unit
        self._at_most = at_most
        self._estimated = False
        self._drawn: Optional[int] = None  # steps that the last line said
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
                before = f" ({self.done:,} are done)" if self.done else ""
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
        """Count time from now on: what came before was no step."""
        self._start = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        """Count `steps` more as done."""
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
        """Say how long it will take, once enough is known."""
        steps = self.done - self._done_before
        if now - self._start >= _ESTIMATE_ONE:
            each = (now - self._start) / steps
        elif self._first is None:  # the first steps pay for what comes once
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
        words = (
            f"about {duration(left * each + self.extra_seconds)} for the {left:,} {self._unit} left"
        )
        if self._at_most is not None and self._at_most > self.total:
            most = self._at_most - self.done
            words += f", up to {duration(most * each)} if it takes all {self._at_most:,}"
        rest = f"from the first {steps:,} ({milliseconds(each)} each)"
        self._say(f"{self.description}: {words}; {rest}")

    def _interval(self, now: float) -> float:
        if self._bar is not None:
            return _BAR_INTERVAL
        if self._given_interval is not None:
            return self._given_interval
        return min(max(_LINE_INTERVAL, _LINE_SHARE * (now - self._start)), _LONGEST_INTERVAL)

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

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

        console = Console(stderr=True)
        if console.is_dumb_terminal:
            return
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
            auto_refresh=False,  # drawn by advance(): no second thread competes with the work
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


def milliseconds(seconds: float) -> str:
    """The time of a step.

    >>> milliseconds(0.0123), milliseconds(2.5)
    ('12.3 ms', '2.5 s')
    """
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _significant(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.2g}"
