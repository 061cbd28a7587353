"""Documentation of all functions of paraview.simple, looked up in the index and by ParaView."""

import inspect
import json
import sys

sys.path.insert(0, sys.argv[1])
from losslandscape_paraview.compatibility import restore_getargspec

restore_getargspec()
from losslandscape_paraview.quick_import import import_simple  # noqa: E402

simple = import_simple()
from paraview import servermanager  # noqa: E402

assert inspect.getmodule(servermanager.ProxyNamespace.getDocumentation) is servermanager
quick = {name: value.__doc__ for name, value in vars(simple).items() if callable(value)}
again = {}
# in ParaView 6.1, the functions of `simple` are in modules of their own
session = getattr(simple, "session", simple)
for namespace in session._get_proxymodules_to_import(servermanager.ActiveConnection):
    for name in dir(namespace):
        again.setdefault(name, namespace.getDocumentation(name))
differ = [name for name, text in again.items() if name in quick and text not in (quick[name] or "")]
documented = sum(bool(text) for text in again.values())
print(
    json.dumps(
        {"differ": differ, "documented": documented, "checked": len(set(again) & set(quick))}
    )
)
