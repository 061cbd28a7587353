"""docs/refusals.md has every message of refusal that is in the code."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "docs" / "_extensions" / "refusals.py"


@pytest.fixture(scope="module")
def refusals():
    spec = importlib.util.spec_from_file_location("refusals_of_docs", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_page_is_that_of_the_code(refusals):
    if refusals.PAGE.read_text(encoding="utf-8") != refusals.page():
        pytest.fail("docs/refusals.md is not that of the code; run: make refusals")


def test_every_folder_of_the_package_is_a_stage(refusals):
    folders = {path.parent.name for path in refusals.PACKAGE.glob("*/__init__.py")}
    assert folders == set(refusals.STAGES) - {""}


def test_a_known_message_is_there_with_its_places(refusals):
    page = refusals.page()
    assert "- *name*: there are no samples\n" in page
    assert "### `problem/samples.py`" in page
    assert "- a grid has 1, 2 or 3 axes, each with a pair of bounds;" in page


def texts(refusals, code):
    tree = ast.parse(code)
    functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    return [
        refusals._Message(function, functions).text(node.exc.args[0])
        for function, node in refusals._raises(tree)
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise E(f'{path}: no {kind!r} of {len(a)}')", "*path*: no *kind* of *number of a*"),
        ("raise E(f'{type(x).__name__}' + ' is *odd*')", r"*type of x* is \*odd\*"),
        ("raise E('a' + (' b' if c else ''))", "a [b]"),
        ("raise E(f\"{'one' if c else 'many'} more\")", "[one / many] more"),
        ("raise E(f\"of {', '.join(map(str, names))}\")", "of *names*"),
        ("def f():\n    words = f'is {x}'\n    raise E(f'it {words}')", "it is *x*"),
        ("def why(): return 'too late'\nraise E(f'it is {why()}')", "it is too late"),
    ],
)  # fmt: skip
def test_placeholders_are_words(refusals, code, expected):
    assert texts(refusals, code) == [expected]
