"""Prints what this ParaView calls its functions, its proxies and their properties: plugin.

A property has a name in XML and one for Python, which ParaView makes of its label; scripts may use
either.
"""

import json
import sys

# Groups of which all proxies are listed with their properties, and single proxies of others.
WHOLE = ("extended_sources", "filters", "sources")
SINGLE = (
    ("annotations", "GridAxes3DActor"),
    ("implicit_functions", "Plane"),
    ("lookup_tables", "PVLookupTable"),
    ("misc", "SaveScreenshot"),
    ("misc", "ViewLayout"),
    ("piecewise_functions", "PiecewiseFunction"),
    ("representations", "GeometryRepresentation"),
    ("representations", "ScalarBarWidgetRepresentation"),
    ("representations", "TextSourceRepresentation"),
    ("representations", "UniformGridRepresentation"),
    ("transforms", "Transform"),
    ("views", "RenderView"),
)


def main(plugin):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.compatibility import restore_getargspec, version, written

    restore_getargspec()
    from paraview import servermanager, simple

    if servermanager.ActiveConnection is None:
        simple.Connect()
    definitions = servermanager.ProxyManager().SMProxyManager.GetProxyDefinitionManager()
    types, proxies, labels = {}, {}, {}
    for item in servermanager.ProxyDefinitionIterator(definitions.NewIterator()):
        group, name = item["group"], item["key"]
        if name.startswith("Loss"):  # the plugin's own, loaded before in this process
            continue
        types.setdefault(group, []).append(name)
        if group in WHOLE or (group, name) in SINGLE:
            label = item["xml"].GetAttributeOrDefault("label", name) or name
            labels.setdefault(servermanager._make_name_valid(label), f"{group}.{name}")
            proxies[f"{group}.{name}"] = properties(servermanager, group, name)
    functions = sorted(name for name in dir(simple) if not name.startswith(("__", "Loss")))
    names = {
        "functions": functions,
        "labels": labels,
        "proxies": proxies,
        "types": {group: sorted(found) for group, found in types.items()},
    }
    print(json.dumps({"version": written(version()), "names": names}, sort_keys=True))


def properties(servermanager, group, name):
    prototype = servermanager.ProxyManager().SMProxyManager.GetPrototypeProxy(group, name)
    found, iterator = set(), prototype.NewPropertyIterator()
    iterator.Begin()
    while not iterator.IsAtEnd():
        found.add(iterator.GetKey())
        found.add(servermanager._make_name_valid(iterator.GetPropertyLabel()))
        iterator.Next()
    return sorted(name for name in found if name)


if __name__ == "__main__":
    main(*sys.argv[1:])
