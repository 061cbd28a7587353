"""Opens files the reader must refuse: plugin, files. Prints what each output then holds."""

import json
import sys


def main(plugin, *files):
    sys.path.insert(0, plugin)
    from losslandscape_paraview import load_plugin, open_landscape
    from losslandscape_paraview.errors import LandscapeFileError

    load_plugin()
    from paraview import servermanager, simple

    found = {}
    for file in files:
        reader = simple.LossLandscapeReader(FileName=file)
        ports = [servermanager.Fetch(reader, idx=port) for port in range(3)]
        try:
            open_landscape(file)
            message = None
        except LandscapeFileError as error:
            message = str(error)
        found[file] = {
            "points": [data.GetNumberOfPoints() for data in ports],
            "arrays": [data.GetPointData().GetNumberOfArrays() for data in ports],
            "can_read": reader.GetClientSideObject().CanReadFile(file),
            "message": message,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
