"""What ParaView itself knows of the plugin's proxies: plugin."""

import json
import sys


def main(plugin):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.plugin import load_plugin
    from losslandscape_paraview.session import end_session

    load_plugin()
    from paraview import simple

    from losslandscape_paraview import proxies

    answers = {}
    for name in proxies.__all__:
        proxy = getattr(simple, function_of(name))()
        manager = proxy.SMProxy
        ports = range(manager.GetNumberOfOutputPorts())
        answers[name] = {
            "label": manager.GetXMLLabel(),
            "text": words(manager.GetDocumentation()),
            "outputs": [manager.GetOutputPortName(port) for port in ports],
            "properties": {
                known: described(proxy.GetProperty(known)) for known in proxy.ListProperties()
            },
        }
    end_session()
    print(json.dumps(answers))


def function_of(name):
    """How Python calls a proxy: by its label, as a valid name."""
    from paraview import servermanager

    manager = servermanager.ProxyManager()
    found = [manager.GetPrototypeProxy(group, name) for group in ("sources", "filters")]
    label = next(proxy.GetXMLLabel() for proxy in found if proxy is not None)
    return servermanager._make_name_valid(label)


def described(found):
    """A property's names, what it is for, whether the panel shows it, and its one value, if so."""
    manager = found.SMProperty
    one = hasattr(found, "__len__") and len(found) == 1 and isinstance(found[0], (int, float, str))
    return {
        "name": manager.GetXMLName(),
        "label": manager.GetXMLLabel(),
        "text": words(manager.GetDocumentation()),
        "shown": manager.GetPanelVisibility() != "never" and not manager.GetInformationOnly(),
        "default": str(found[0]) if one else None,
    }


def words(documentation):
    """Documentation on one line; "" where there is none."""
    return " ".join((documentation.GetDescription() or "").split()) if documentation else ""


if __name__ == "__main__":
    main(*sys.argv[1:])
