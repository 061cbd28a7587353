"""What is printed before, during and after long work, on a clock that the test moves."""

import io

import pytest

from losslandscape import progress as module
from losslandscape.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


def said(capsys):
    return capsys.readouterr().err.splitlines()


def test_the_work_is_said_first_and_the_time_after_a_second_of_it(clock, capsys):
    with Progress(101, "surface", work="101 points", unit="points") as progress:
        assert said(capsys) == ["surface: 101 points"]
        clock.now += 2.0  # the first step pays for what comes once
        progress.advance()
        assert said(capsys) == []
        for _ in range(4):
            clock.now += 0.25
            progress.advance()
        line = (
            "surface: about 24 s for the remaining 96 points "
            "(estimated from the first 5, 250 ms each)"
        )
        assert said(capsys) == [line]
        clock.now += 0.25
        progress.advance()
        assert said(capsys) == []  # once


def test_one_long_step_is_enough(clock, capsys):
    with Progress(10, "surface", unit="points") as progress:
        clock.now += 30.0
        progress.advance()
        assert said(capsys)[0].startswith("surface: about 4 min 30 s for the remaining 9 points")


def test_steps_of_an_earlier_run_do_not_count(clock, capsys):
    with Progress(100, "surface", done=40, work="100 points") as progress:
        assert said(capsys) == ["surface: 100 points (40 already done)"]
        for _ in range(3):
            clock.now += 1.0
            progress.advance()
        assert said(capsys)[0] == (
            "surface: about 58 s for the remaining 58 steps (estimated from the first 2, 1 s each)"
        )


def test_work_that_may_grow_says_how_far(clock, capsys):
    with Progress(11, "surface", at_most=101, unit="points") as progress:
        for _ in range(2):
            clock.now += 1.0
            progress.advance()
        assert (
            "about 9 s for the remaining 9 points, up to 1 min 39 s if all 101 are needed"
            in (said(capsys)[0])
        )


def test_what_came_before_the_first_step_and_what_is_no_step(clock, capsys):
    with Progress(5, "training") as progress:
        clock.now += 50.0
        progress.extra_seconds = 100.0
        progress.begin()
        for _ in range(2):
            clock.now += 1.0
            progress.advance()
    assert "about 1 min 43 s for the remaining 3 steps" in said(capsys)[1]


def test_lines_become_rare(clock, capsys):
    with Progress(100_000, "surface") as progress:
        for _ in range(100_000):
            clock.now += 1.0
            progress.advance()
    lines = said(capsys)
    assert 50 < len(lines) < 250  # of 28 hours
    assert lines[-1].startswith("surface: 100000/100000, ")
    assert sum("100000/100000" in line for line in lines) == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variables", "escapes"),
    [({"TERM": "dumb"}, False), ({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, True)],
)
def test_kinds_of_terminals(clock, monkeypatch, variables, escapes):
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(40, "surface", work="40 [points]", unit="points") as progress:
        for _ in range(40):
            clock.now += 0.5
            progress.advance()
    shown = terminal.getvalue()
    assert "40 [points]" in shown
    assert "about 18 s for the remaining 37 points" in shown
    assert "40/40" in shown
    assert ("\x1b[" in shown) == escapes
    if "NO_COLOR" in variables:
        assert "\x1b[3" not in shown
        assert "\x1b[1;3" not in shown


def test_quiet(clock, capsys):
    with Progress(2, "surface", quiet=True, work="2 points") as progress:
        clock.now += 60.0
        progress.advance(2)
    assert said(capsys) == []


def test_progress_writes_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr("losslandscape.progress._LINE_INTERVAL", 0.0)
    with Progress(4, "measuring", done=1) as progress:
        progress.note = "loss 0.5"
        for _ in range(3):
            progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("measuring: 2/4, ")
    assert "left, loss 0.5" in lines[0]
    assert lines[-1].startswith("measuring: 4/4, ")
    assert "took" in lines[-1]


def test_progress_says_little_and_can_be_silent(capsys):
    with Progress(100_000, "fast") as progress:
        for _ in range(100_000):
            progress.advance()
    assert len(capsys.readouterr().err.splitlines()) == 1
    with Progress(3, "quiet", quiet=True) as progress:
        progress.advance(3)
    assert capsys.readouterr().err == ""


def test_progress_draws_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress(2, "drawing") as progress:
        progress.advance(2)
    assert "2/2" in capsys.readouterr().err
