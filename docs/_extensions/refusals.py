"""Write ``docs/refusals.md``: every message with which the package refuses, read from its code.

``python docs/_extensions/refusals.py`` writes the page; `page()` returns its text.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "compute" / "losslandscape"
PLUGIN = ROOT / "paraview_plugin" / "losslandscape_paraview"
PAGE = ROOT / "docs" / "refusals.md"

# folder -> title, in the order of the work
STAGES = {
    "problem": "Model, loss and data",
    "planes": "Directions, planes and grids",
    "training": "Weights files and training trajectories",
    "point": "Measuring a point",
    "adaptive": "Adaptive evaluation",
    "run": "Running, resuming and refining",
    "landscape": "Errors and values of a landscape",
    "topology": "Topology",
    "analysis": "Critical points, flatness, sharpness, comparison",
    "formats": "Files, import and export",
    "views": "Matplotlib, notebooks and xarray",
    "paraview": "Starting ParaView",
    "integrations": "Callbacks for other libraries",
    "study": "The study's networks and data",
    "cli": "Command line",
    "files": "Outputs, locks and journals",
    "": "All stages",
}
PLUGIN_TITLE = "In ParaView"
_OWN = {"LossLandscapeError", "LandscapeError"}  # the errors of the two packages
_MOST = 60  # characters of a placeholder

_HEAD = """\
# When it is refused

After this page you can look up why the package refused something: each message, in its module.

The package refuses what would make a number wrong without a word.
Each message says what is wrong, where, and what to do.
Words in *italics* stand for your own values. Of words in brackets, one is printed, or none.
The command line prints the message and exits with 1. In Python it is a `LossLandscapeError`.

This page is generated from the code: `make refusals` writes it again.
"""


def page() -> str:
    """The text of the page."""
    parts = [_HEAD]
    for folder, title in STAGES.items():
        parts += _stage(title, PACKAGE / folder if folder else PACKAGE, bool(folder))
    parts += _stage(PLUGIN_TITLE, PLUGIN, True)
    return "\n".join(parts)


def _stage(title: str, folder: Path, deep: bool) -> list[str]:
    lines: list[str] = []
    errors = _error_names()
    for path in sorted(folder.rglob("*.py") if deep else folder.glob("*.py")):
        messages = list(dict.fromkeys(_messages(path, errors)))
        if messages:
            base = PACKAGE if path.is_relative_to(PACKAGE) else PLUGIN
            lines += [f"### `{path.relative_to(base).as_posix()}`", ""]
            lines += [*(f"- {message}" for message in messages), ""]
    return [f"## {title}", "", *lines] if lines else []


@functools.cache
def _error_names() -> frozenset[str]:
    """Names of the classes that a refusal can have: the packages' errors and those made of them."""
    bases: dict[str, list[str]] = {}
    for path in (*PACKAGE.rglob("*.py"), *PLUGIN.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
    found = set(_OWN)
    while more := {n for n, of in bases.items() if n not in found and found & set(of)}:
        found |= more
    return frozenset(found)


def _messages(path: Path, errors: frozenset[str]) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    for function, node in _raises(tree):
        call = node.exc
        if not isinstance(call, ast.Call) or not call.args:
            continue
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name in functions and (made := _made_by(functions[name], errors)):
            function, call, name = functions[name], made, made.func.id
        # `source.error(...)` of an importer puts the file's name in front
        of_source = isinstance(call.func, ast.Attribute) and call.func.attr == "error"
        if name not in errors and not of_source:
            continue
        text = _Message(function, functions).text(call.args[0])
        if re.search(r"[A-Za-z]{3}", re.sub(r"\*[^*]+\*", "", text)):
            yield (f"*file*: {text}" if of_source else text).strip()


def _made_by(function: ast.FunctionDef, errors: frozenset[str]) -> Any:
    """The call of an error that a function of the module returns; None if it returns none."""
    for node in ast.walk(function):
        call = node.value if isinstance(node, ast.Return) else None
        named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args
        if named and call.func.id in errors:
            return call
    return None


def _raises(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.Raise]]:
    """Each `raise` with the innermost function that it is in, in the order of the code."""

    def walk(node: ast.AST, function: ast.AST) -> Iterator[tuple[ast.AST, ast.Raise]]:
        for child in ast.iter_child_nodes(node):
            inside = child if isinstance(child, (ast.FunctionDef, ast.Lambda)) else function
            if isinstance(child, ast.Raise):
                yield function, child
            yield from walk(child, inside)

    yield from walk(tree, tree)


class _Message:
    """The words of an expression that makes a message."""

    def __init__(self, function: ast.AST, functions: dict[str, ast.FunctionDef], depth: int = 0):
        self._function, self._functions, self._depth = function, functions, depth

    def text(self, node: ast.AST) -> str:
        if isinstance(node, ast.Constant):
            return _plain(str(node.value))
        if isinstance(node, ast.JoinedStr):
            return "".join(self.text(part) for part in node.values)
        if isinstance(node, ast.FormattedValue):
            return self.text(node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.text(node.left) + self.text(node.right)
        if isinstance(node, ast.IfExp):
            return _either(self.text(node.body), self.text(node.orelse))
        if self._depth < 3:
            if isinstance(node, ast.Name):
                found = [self._deeper().text(value) for value in self._assigned(node.id)]
                if found:
                    return _either(*dict.fromkeys(found))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                function = self._functions.get(node.func.id)
                if function is not None and (words := self._returned(function)):
                    return words
        return f"*{_placeholder(node)}*"

    def _deeper(self) -> _Message:
        return _Message(self._function, self._functions, self._depth + 1)

    def _assigned(self, name: str) -> list[ast.AST]:
        """What is assigned to a name in the function, where it is text."""
        return [
            node.value
            for node in ast.walk(self._function)
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
            and _is_text(node.value)
        ]

    def _returned(self, function: ast.FunctionDef) -> str:
        """The text that a function of the module returns; empty if it returns none."""
        inner = _Message(function, self._functions, self._depth + 1)
        found = [
            inner.text(node.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and node.value is not None and _is_text(node.value)
        ]
        return _either(*dict.fromkeys(found)) if found else ""


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    return False


def _either(*texts: str) -> str:
    """One of several texts, in brackets; an empty one makes the others optional."""
    some = [text for text in texts if text.strip()]
    if len(texts) == 1 or not some:
        return "".join(some)
    joined = " / ".join(text.strip() for text in some)
    before = " " if some[0].startswith(" ") else ""
    after = " " if some[0].endswith(" ") else ""
    return f"{before}[{joined}]{after}"


def _placeholder(node: ast.AST) -> str:
    """A few words for a value that is only known when the message is printed."""
    if isinstance(node, ast.Name):
        return _words(node.id)
    if isinstance(node, ast.Attribute):
        if node.attr == "__name__":
            return _placeholder(node.value)
        return _words(node.attr)
    if isinstance(node, ast.Subscript):
        return _placeholder(node.value)
    if isinstance(node, ast.Call):
        return _placeholder_of_call(node)
    if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        return _placeholder(node.generators[0].iter)
    if isinstance(node, ast.Starred):
        return _placeholder(node.value)
    if isinstance(node, ast.BoolOp):  # `", ".join(names) or "nothing"`
        return _placeholder(node.values[0])
    if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare)):
        inner = [n for n in ast.walk(node) if isinstance(n, (ast.Name, ast.Attribute))]
        return _placeholder(inner[0]) if inner else "number"
    return "value"


def _placeholder_of_call(node: ast.Call) -> str:
    function = node.func
    name = function.id if isinstance(function, ast.Name) else ""
    arguments = [a for a in node.args if not isinstance(a, ast.Constant)]
    if name == "type" and arguments:
        return f"type of {_placeholder(arguments[0])}"
    if name == "len" and arguments:
        return f"number of {_placeholder(arguments[0])}"
    if name == "map" and len(arguments) > 1:
        return _placeholder(arguments[1])
    if name == "_where":
        return "file"
    if isinstance(function, ast.Attribute) and function.attr == "_where":
        return "file"
    if arguments:
        return _placeholder(arguments[0])
    if isinstance(function, ast.Attribute):
        return _placeholder(function.value)
    return _words(name)


def _words(name: str) -> str:
    return name.strip("_").replace("_", " ").lower()[:_MOST] or "value"


def _plain(text: str) -> str:
    """Text as Markdown shows it as it is."""
    text = re.sub(r"\s*\n\s*", " ", text)
    return re.sub(r"([\\`*_<>\[\]{}$|#])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
