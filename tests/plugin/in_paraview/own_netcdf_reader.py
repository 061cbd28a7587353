"""What ParaView's own netCDF reader shows of a file as it is opened: plugin, file."""

import json
import sys


def main(plugin, path):
    sys.path.insert(0, plugin)
    from paraview import simple

    from losslandscape_paraview.session import end_session

    reader = simple.NetCDFReader(FileName=[path])
    reader.UpdatePipeline()
    data = simple.servermanager.Fetch(reader)
    arrays = data.GetPointData()
    losses = arrays.GetArray("loss")
    answer = {
        "type": data.GetClassName(),
        "arrays": [arrays.GetArrayName(index) for index in range(arrays.GetNumberOfArrays())],
        "bounds": data.GetBounds(),
        "loss": losses and [losses.GetValue(i) for i in range(losses.GetNumberOfValues())],
    }
    end_session()
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
