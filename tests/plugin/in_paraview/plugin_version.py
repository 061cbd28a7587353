"""What ParaView's Plugin Manager shows of the plugin: plugin."""

import json
import sys


def main(plugin):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.plugin import load_plugin
    from losslandscape_paraview.session import end_session

    load_plugin()
    from paraview import servermanager

    manager = servermanager.vtkSMProxyManager.GetProxyManager().GetPluginManager()
    known = manager.GetLocalInformation()
    found = {
        known.GetPluginName(index): known.GetPluginVersion(index)
        for index in range(known.GetNumberOfPlugins())
        if known.GetPluginLoaded(index)
    }
    end_session()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
