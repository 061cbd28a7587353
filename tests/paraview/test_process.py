"""The screen that ParaView draws on: the one given, or a virtual one if that does not answer."""

import os
import shutil
import socket
import sys

import pytest

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview import process

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X servers of Linux")


@pytest.fixture
def server():
    """A local socket where an X server would listen; gives its DISPLAY."""
    for number in range(200, 260):
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(f"\0/tmp/.X11-unix/X{number}")
        except OSError:
            listening.close()
            continue
        listening.listen()
        yield f":{number}"
        listening.close()
        return
    pytest.skip("no free display")


def test_a_display_that_answers_is_used(server, monkeypatch):
    assert process.answers(server)
    assert process.answers(f"{server}.0")
    assert process.answers(f"unix{server}")
    monkeypatch.setenv("DISPLAY", server)
    with process.screen() as display:
        assert display == server


@pytest.mark.parametrize("display", [":54321", "localhost:54321.0", ":999999999999"])
def test_a_stale_display(display):
    assert not process.answers(display)


def test_what_is_no_display_is_left_to_paraview():
    assert process.answers("something else")


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="apt install xvfb")
def test_a_stale_display_gives_way_to_a_virtual_one(monkeypatch, capsys):
    monkeypatch.setenv("DISPLAY", ":54321")
    with process.screen() as display:
        assert display != ":54321"
        assert process.answers(display)
    assert (
        "DISPLAY is :54321, where no X server answers: using a virtual" in capsys.readouterr().err
    )


def test_a_stale_display_without_a_virtual_one_is_named(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":54321")
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(LossLandscapeError, match="DISPLAY is :54321, where no X server answers"):
        process.screen().__enter__()
