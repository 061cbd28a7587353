"""Reads a landscape through a pvserver with the plugin, and draws it: plugin, folder, host, port.

The port "local" is no server: what comes back through both must be equal. The arrays go into
`local.npz` or `remote.npz` of the folder.
"""

import json
import sys
from pathlib import Path


def main(plugin, folder, host, port):
    sys.path.insert(0, plugin)
    import numpy as np

    from losslandscape_paraview.compatibility import restore_getargspec

    restore_getargspec()
    from paraview import servermanager, simple
    from vtkmodules.util.numpy_support import vtk_to_numpy

    folder = Path(folder)
    if port != "local":
        simple.Connect(host, int(port))
    from losslandscape_paraview import load_plugin
    from losslandscape_paraview.session import end_session
    from losslandscape_paraview.window import selection

    load_plugin()  # on the server too
    reader = simple.OpenDataFile(str(folder / "x.nc"))
    arrays = {}
    for number in range(3):
        data = servermanager.Fetch(reader, idx=number)
        for index in range(data.GetPointData().GetNumberOfArrays()):
            array = data.GetPointData().GetArray(index)
            if array is not None:
                arrays[f"{number}/{array.GetName()}"] = vtk_to_numpy(array)
    simple.SetActiveSource(reader)
    figure = selection.draw("trajectory")
    heights = servermanager.Fetch(figure.panels[0].heights)
    arrays["height"] = vtk_to_numpy(heights.GetPointData().GetArray("height"))
    kind = "local" if port == "local" else "remote"
    figure.save_thumbnail(folder / f"{kind}.png")
    np.savez(folder / f"{kind}.npz", **arrays)
    answer = {
        "remote": bool(servermanager.ActiveConnection.IsRemote()),
        "proxy": reader.SMProxy.GetXMLName(),
        "report": figure.report(),
    }
    end_session()
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
