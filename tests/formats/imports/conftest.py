"""Imported files are parsed in forks here, as starting a process for each takes long."""

import os

import pytest
from tests.fuzz.forked_child import forked_children


@pytest.fixture(autouse=True, scope="module")  # longer, it would hold for other folders too
def forked():
    if not hasattr(os, "fork"):
        yield
        return
    with forked_children():
        yield
