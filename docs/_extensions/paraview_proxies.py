"""The proxies of the ParaView plugin, read from its decorators without ParaView.

The plugin describes its proxies with the decorators of ``paraview.util.vtkAlgorithm``. Here a
substitute of that module records their arguments; VTK is that of the Python environment.
``tests/plugin/test_proxies.py`` tests that ParaView sees the same proxies.
"""

import importlib
import re
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

from losslandscape_paraview import compatibility

_HIDDEN = "never"
# The default of a property that ParaView sets from the input.
BY_DATA = "by the data"
# Texts for decorators that take no documentation.
_UNSAID = {"FileName": "The file.", "dataarrayselection": "Which arrays are read."}


@dataclass
class Property:
    """A property: XML name, label in the panel, default as text, and documentation."""

    name: str
    label: str
    default: str = ""
    text: str = ""

    @property
    def python_name(self):
        """The name in ``paraview.simple``: the label without characters not allowed in names."""
        return re.sub(r"\W", "", self.label)


@dataclass
class Proxy:
    """A reader, source or filter as shown in ParaView.

    Attributes:
        name: the proxy's name, which is also its function in ``paraview.simple``.
        label: the proxy's label.
        kind: "reader", "source", "filter" or "writer".
        menu: its place in the menus, or "".
        extensions: extensions of the files that it reads, such as "nc llnc", or "".
        text: its documentation.
        properties: the properties that the Properties panel can show, list of `Property`.
        outputs: names of its output ports.
        algorithm: the class that does the work, "module.Class".
    """

    name: str
    label: str
    kind: str
    menu: str = ""
    extensions: str = ""
    text: str = ""
    properties: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    algorithm: str = ""


def read_proxies():
    """Every proxy of the plugin, in the order of its ``__all__``; list of `Proxy`."""
    with _stand_in() as told:
        module = importlib.import_module("losslandscape_paraview.proxies")
        return [_proxy(getattr(module, name), told) for name in module.__all__]


@contextmanager
def _stand_in():
    """Replace what the plugin asks of ParaView; yields the calls of each decorated object."""
    told = {}
    package = ModuleType("paraview")
    util = ModuleType("paraview.util")
    algorithm = ModuleType("paraview.util.vtkAlgorithm")
    for family in ("smproxy", "smproperty", "smdomain", "smhint"):
        setattr(algorithm, family, _Decorators(family, told))
    modules = ModuleType("paraview.modules")
    manager = ModuleType("paraview.modules.vtkRemotingServerManager")
    oldest = compatibility.as_numbers(compatibility.TRIED[0])
    manager.vtkSMProxyManager = SimpleNamespace(
        GetVersionMajor=lambda: oldest[0],
        GetVersionMinor=lambda: oldest[1],
        GetVersionPatch=lambda: oldest[2],
    )
    made = (package, util, algorithm, modules, manager)
    stand_ins = {module.__name__: module for module in made}
    replaced = ("losslandscape_paraview.proxies", *stand_ins)
    before = {name: sys.modules.pop(name) for name in replaced if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield told
    finally:
        # only these: other modules imported in the meantime (NumPy, VTK) must not be loaded twice
        for name in replaced:
            sys.modules.pop(name, None)
        sys.modules.update(before)


class _Decorators:
    """Any decorator of one family; it records each call and leaves the object unchanged."""

    def __init__(self, family, told):
        self._family, self._told = family, told

    def __getattr__(self, kind):
        def decorator(*positional, **named):
            def decorate(target):
                # decorators run from the innermost to the outermost; in XML the outermost is first
                self._told.setdefault(target, []).insert(0, (self._family, kind, positional, named))
                return target

            return decorate

        return decorator


def _proxy(algorithm, told):
    calls = told[algorithm]
    kind, named = next((kind, named) for family, kind, _, named in calls if family == "smproxy")
    name = named.get("name", algorithm.__name__)
    proxy = Proxy(
        name, named.get("label", name), kind, extensions=_words(named.get("extensions", ""))
    )
    bases = [base for base in algorithm.__mro__[1:] if base.__module__.startswith("losslandscape")]
    if bases:
        proxy.algorithm = f"{bases[0].__module__}.{bases[0].__qualname__}"
    for family, kind, positional, named in calls:
        if kind == "xml":
            for element in _elements(positional[0]):
                _take(proxy, element)
        elif family == "smproperty":
            _add(proxy, _decorated(kind, named, named.get("name", kind.capitalize())))
    for base in algorithm.__mro__:
        for method in filter(callable, vars(base).values()):
            for family, kind, positional, named in told.get(method, ()):
                if family != "smproperty":
                    continue
                if kind == "xml":
                    for element in _elements(positional[0]):
                        _take(proxy, element)
                else:
                    fallback = re.sub("^Set", "", method.__name__)
                    _add(proxy, _decorated(kind, named, fallback))
    return proxy


def _decorated(kind, named, fallback):
    """The property described by a decorator such as ``smproperty.intvector(name=...)``."""
    name = named.get("name", fallback)
    if named.get("panel_visibility") == _HIDDEN and name != "FileName":
        return None
    text = _UNSAID.get(kind if kind == "dataarrayselection" else name, "")
    return Property(
        name, named.get("label") or _label(name), _words(named.get("default_values", "")), text
    )


def _take(proxy, element):
    """Add one element of a proxy's XML to the proxy."""
    if element.tag == "Documentation":
        proxy.text = _words(element.text or "")
    elif element.tag == "OutputPort" and element.get("name"):  # hints speak of ports by number
        proxy.outputs.append(element.get("name"))
    elif element.tag == "ShowInMenu":
        proxy.menu = element.get("category", "")
    elif element.tag.endswith("Property") and _is_shown(element):
        documentation = element.find("Documentation")
        name = element.get("name")
        _add(
            proxy,
            Property(
                name,
                element.get("label") or _label(name),
                _default(element),
                _words((documentation.text if documentation is not None else "") or ""),
            ),
        )


def _is_shown(element):
    return element.get("panel_visibility") != _HIDDEN and element.get("information_only") != "1"


def _default(element):
    """The default; as text if the panel shows text for numbers."""
    if any(domain.get("default_mode") for domain in element):
        return BY_DATA
    default = element.get("default_values", "")
    for entry in element.iter("Entry"):
        if entry.get("value") == default:
            return entry.get("text")
    if element.find("BooleanDomain") is not None:
        return {"0": "off", "1": "on"}.get(default, default)
    return default


def _add(proxy, found):
    if found is not None and found.name not in [known.name for known in proxy.properties]:
        proxy.properties.append(found)


def _elements(text):
    return list(ElementTree.fromstring(f"<all>{text}</all>"))


def _label(name):
    """ParaView's default label for a name: a space before each capital that starts a word."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)


def _words(value):
    """Text on one line; the members of a list are joined."""
    if isinstance(value, (list, tuple)):
        value = " ".join(str(member) for member in value)
    return " ".join(str(value).split())
