"""Fields for the topology tests, and the slow reference for the fast code."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def slow():
    path = Path(__file__).with_name("slow_reference.py")
    spec = importlib.util.spec_from_file_location("topology_slow_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
