"""Import `paraview.simple` in a third of the time; only start-up code and new sessions need this.

`paraview.simple` gives each of its about 500 functions the documentation of its proxy, anew for
each session, and ParaView 5.11 looks each up by going through the definitions of all proxies: half
a second on a fast machine. With an index, made once a group, the same texts are there at once.
"""

from contextlib import contextmanager
from typing import Any


@contextmanager
def indexed_documentation():
    """Inside the `with` block, proxies' documentation comes from an index; the texts are the same.

    Proxies defined meanwhile are found too: a missing name rebuilds the index. If this ParaView has
    no such look-up to replace, nothing is done.
    """
    from paraview import servermanager

    namespaces: Any = getattr(servermanager, "ProxyNamespace", None)
    original = getattr(namespaces, "getDocumentation", None)
    needed = ("_getPyName", "_findProxy")
    if original is None or not all(hasattr(namespaces, name) for name in needed):
        yield
        return
    indices: dict[int, dict[str, str]] = {}

    def get_documentation(namespace, name):
        index = indices.get(id(namespace), {})
        if name not in index:
            index = indices[id(namespace)] = _documentation(servermanager, namespace)
        return index[name] if name in index else original(namespace, name)

    namespaces.getDocumentation = get_documentation
    try:
        yield
    finally:
        namespaces.getDocumentation = original


def import_simple():
    """`paraview.simple`, imported with `indexed_documentation`."""
    with indexed_documentation():
        from paraview import simple
    return simple


def _documentation(servermanager, namespace):
    """Documentation by name, of the first proxy of that name, as `getDocumentation` finds it."""
    found = {}
    definitions = namespace.session.GetProxyDefinitionManager()
    for group in namespace.xmlGroups:
        for item in servermanager.ProxyDefinitionIterator(
            definitions.NewSingleGroupIterator(group, definitions.ALL_DEFINITIONS)
        ):
            xml = item["xml"]
            own = xml.GetAttribute("name")
            name = (
                namespace._getPyName(xml=xml)
                if own
                else namespace._getPyName(proxyname=item["key"])
            )
            if name not in found:
                text = xml.FindNestedElementByName("Documentation")
                found[name] = (text.GetCharacterData() if text else None) or ""
    return found
