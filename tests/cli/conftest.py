"""Signals as a terminal leaves them: a run in the background ignores some, as nohup does."""

import signal

import pytest


@pytest.fixture(autouse=True)
def _signals_of_a_terminal():
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for name, handler in before.items():
        signal.signal(name, handler)
