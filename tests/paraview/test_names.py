"""Every name of ParaView's that the plugin's code uses is there in each version it supports.

The code is read, not run, and compared with lists of names (see `stored_names`). What a variable
holds follows from the call that it was assigned from, or else from its name: a view is called
`view` everywhere, and a colour bar `bar`. Where neither says it, some proxy must have the property.
"""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest
from tests.paraview.stored_names import stored_names

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "paraview_plugin" / "losslandscape_paraview"
NAMES = stored_names()

SHOWN = (
    "representations.GeometryRepresentation",
    "representations.UniformGridRepresentation",
)
WRITTEN = ("representations.TextSourceRepresentation",)
AXES, TABLE, VIEW = "annotations.GridAxes3DActor", "lookup_tables.PVLookupTable", "views.RenderView"
BAR = "representations.ScalarBarWidgetRepresentation"
# variables and attributes by their names, and functions of the plugin by what they return
HOLDS = {
    "AxesGrid": [AXES],
    "ClipType": ["implicit_functions.Plane"],
    "GlyphType": ["sources.SphereSource", "sources.LineSource", "sources.GlyphSource2D"],
    "Transform": ["extended_sources.Transform3"],
    "_draw_entry": WRITTEN,
    "_write": WRITTEN,
    "axes": [AXES],
    "bar": [BAR],
    "layout": ["misc.ViewLayout"],
    "legend": [VIEW],
    "opacity": ["piecewise_functions.PiecewiseFunction"],
    "quantity": [TABLE],
    "shown": SHOWN,
    "table": [TABLE],
    "view": [VIEW],
    "write_at": WRITTEN,
    "written": WRITTEN,
}
OPTIONS = {"SaveScreenshot": "misc.SaveScreenshot"}  # functions that take a proxy's properties
# not functions or properties: of Python, of VTK, and of ParaView's modules
OTHERS = {
    *("Element", "ElementTree", "ParseError", "WeakSet"),
    *("CallDataType", "FeatureEdgesOff", "ManifoldEdgesOff", "NonManifoldEdgesOff"),
    *("ActiveConnection", "HasDefinition", "SMProxy", "SMProxyManager"),
}
# the plugin's own readers, filters and properties
OWN = set(re.findall(r'(?:name|label)="(\w+)"', (PLUGIN / "proxies.py").read_text("utf-8")))
OWN |= {
    label.replace(" ", "")
    for label in re.findall(r'label="([\w ]+)"', (PLUGIN / "proxies.py").read_text("utf-8"))
}
PROPERTY = re.compile(r"[A-Z]\w*[a-z]\w*")


def test_lists_are_of_the_versions_that_the_plugin_names():
    assert sorted(NAMES) == sorted(compatibility().TRIED)
    for names in NAMES.values():
        assert len(names["functions"]) > 500
        assert len(names["proxies"]) > 400


def compatibility():
    """The module, without the package that needs ParaView around it."""
    folder = str(PLUGIN.parent)
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("losslandscape_paraview.compatibility")
    finally:
        sys.path.remove(folder)


class Uses(ast.NodeVisitor):
    """What a module uses of `paraview.simple`: functions, and properties as (owner, name).

    The owner of a property is a function that makes a proxy, a list of `group.type`, or None.
    """

    def __init__(self, tree):
        self.functions, self.properties, self._made = set(), set(), {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._remember(node.targets[0], node.value)
        self.visit(tree)

    def _remember(self, target, value):
        """A name that holds what one function of paraview.simple made, wherever it is assigned."""
        if isinstance(target, ast.Name):
            made = function_of(value) if isinstance(value, ast.Call) else None
            known = self._made.setdefault(target.id, made)
            self._made[target.id] = made if known == made else None

    def visit_Call(self, node):
        name = function_of(node)
        if name and name[0].isupper():
            self.functions.add(name)
            self.properties |= {(name, word.arg) for word in node.keywords if word.arg}
        called = getattr(node.func, "id", None)
        if called in ("setattr", "getattr") and isinstance(node.args[1], ast.JoinedStr):
            parts = node.args[1].values
            pattern = "".join(p.value if isinstance(p, ast.Constant) else r"\w+" for p in parts)
            self.properties.add((self._owner(node.args[0]), pattern))
        self.generic_visit(node)

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id == "simple":
            self.functions.add(node.attr)
        elif PROPERTY.fullmatch(node.attr) and node.attr not in OTHERS:
            self.properties.add((self._owner(node.value), node.attr))
        self.generic_visit(node)

    def _owner(self, node):
        if isinstance(node, ast.Call):
            node = node.func
        name = getattr(node, "attr", None) or getattr(node, "id", None)
        if name in HOLDS:
            return tuple(HOLDS[name])
        return self._made.get(name) if isinstance(node, ast.Name) else None


def function_of(call):
    """The name of the function of paraview.simple that is called, or None."""
    called = call.func
    if isinstance(called, ast.Attribute) and getattr(called.value, "id", None) == "simple":
        return called.attr
    if isinstance(called, ast.Call) and getattr(called.func, "id", None) == "function":
        return called.args[0].value  # compatibility.function("...")
    return None


def uses_of(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = Uses(tree)
    # methods of VTK's and ParaView's classes begin with a capital too: they are called
    methods = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    imported = {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    found.properties = {
        (owner, name) for owner, name in found.properties if name not in methods | imported
    }
    return found


MODULES = {
    path: uses
    for path in sorted(PLUGIN.rglob("*.py"))
    if path.name != "compatibility.py" and ((uses := uses_of(path)).functions or uses.properties)
}


def missing_names(uses, names, older):
    """The names that a version lacks: functions, and `owner.property`."""
    missing = []
    everywhere = {name for properties in names["proxies"].values() for name in properties}
    label_of = {old: new for new, old in older.items() if old in names["labels"]}
    functions = set(names["functions"]) | set(label_of.values())
    for name in sorted(uses.functions):
        if not name.startswith("TTK") and name not in functions | OWN:
            missing.append(name)
    for owner, name in sorted(uses.properties, key=str):
        if name in ("registrationName", "Input") or (owner is None and name in OWN):
            continue
        if isinstance(owner, str):
            made = {new: old for old, new in label_of.items()}.get(owner, owner)
            proxy = OPTIONS.get(owner) or names["labels"].get(made)
            if proxy is None:  # makes no proxy, or one of the plugin's own or TTK's
                continue
            known = names["proxies"][proxy]
        elif owner:
            known = [name for proxy in owner for name in names["proxies"][proxy]]
        else:
            known = everywhere
        if not any(re.fullmatch(name, other) for other in known):
            missing.append(f"{owner}.{name}")
    return missing


@pytest.mark.parametrize("version", NAMES)
@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PLUGIN)))
def test_all_names_are_there(path, version):
    older = compatibility().OLDER_FUNCTIONS
    assert missing_names(MODULES[path], NAMES[version], older) == []


def test_the_code_is_read():
    """Names that the figures cannot do without are found, each with its owner."""
    functions = set().union(*(uses.functions for uses in MODULES.values()))
    assert {"SurfaceNormals", "WarpByScalar", "Tube", "CreateView"} <= functions
    properties = set().union(*(uses.properties for uses in MODULES.values()))
    assert {
        ("WarpByScalar", "ScaleFactor"),
        ("SurfaceNormals", "FeatureAngle"),
        ((BAR,), "AutomaticLabelFormat"),
        ((AXES,), r"\w+LabelFontSize"),
        ((VIEW,), "CameraParallelScale"),
        (("extended_sources.Transform3",), "Translate"),
        ("SaveScreenshot", "FontScaling"),
    } <= properties


@pytest.mark.parametrize(
    ("code", "missing", "versions"),
    [
        ("simple.GenerateSurfaceNormals(Input=x)", "GenerateSurfaceNormals", ["6.1.1"]),
        ("simple.SurfaceNormals(Input=x)", None, []),
        ("simple.Tube(Radios=1)", "Tube.Radios", NAMES),
        ("t = simple.Tube()\nt.Radios = 1", "Tube.Radios", NAMES),
        ("t = simple.Tube()\nt.Radius = 1", None, []),
        ("bar.LabelFromat = 1", f"('{BAR}',).LabelFromat", NAMES),
        ("setattr(axes, f'{x}LableColor', 1)", f"('{AXES}',).\\w+LableColor", NAMES),
        ("shown.Position = p", f"{SHOWN}.Position", ["5.13.2", "6.1.1"]),
        ("x.NoProxyHasThis = 1", "None.NoProxyHasThis", NAMES),
    ],
)
def test_a_name_that_is_not_there_is_found(tmp_path, code, missing, versions):
    path = tmp_path / "module.py"
    path.write_text(code, encoding="utf-8")
    older = compatibility().OLDER_FUNCTIONS
    found = {
        version: lacks
        for version, names in NAMES.items()
        if (lacks := missing_names(uses_of(path), names, older))
    }
    assert found == {version: [missing] for version in versions}


def test_every_renamed_filter_is_known_by_both_names():
    for new, old in compatibility().RENAMED_FILTERS.items():
        versions = [
            (new in names["types"]["filters"], old in names["types"]["filters"])
            for names in NAMES.values()
        ]
        assert all(any(known) for known in versions), (new, old)
        assert versions[-1] == (True, False)
        assert versions[0] == (False, True)
