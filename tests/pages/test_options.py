"""docs/options.md has every range and every rule of the command line."""

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "docs" / "_extensions" / "options.py"


def test_the_page_is_that_of_the_code():
    spec = importlib.util.spec_from_file_location("options_of_docs", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        page = module.page()
    finally:
        del sys.modules[spec.name]
    if module.PAGE.read_text(encoding="utf-8") != page:
        pytest.fail("docs/options.md is not that of the code; run: make options")
    assert "| `--levels` | a whole number from 1 to 256 |" in page
    assert "| `--half-width` | not with --bounds | both set the window |" in page
