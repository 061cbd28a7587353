"""Reads damaged landscape files through the plugin: plugin, file, folder, first, last.

Prints the number of each before it is read and its outcome after, so that a ParaView that breaks
down has said on which.
"""

import sys
import time
from pathlib import Path

SECONDS = 5.0


def main(plugin, original, folder, first, last):
    sys.path[:0] = [plugin, str(Path(__file__).resolve().parent)]
    from mutations import mutated

    from losslandscape_paraview.quick_import import import_simple

    import_simple()
    from vtkmodules.vtkCommonCore import vtkOutputWindow

    from losslandscape_paraview.sources.reader import LandscapeReader

    content, file = Path(original).read_bytes(), Path(folder, "damaged.nc")
    vtkOutputWindow.SetInstance(None)
    expected = everything(LandscapeReader, original)
    assert expected is not None
    for number in range(int(first), int(last)):
        file.write_bytes(mutated(content, number))
        print(number, end=" ", flush=True)
        started = time.monotonic()
        try:
            found = everything(LandscapeReader, file)
        except Exception as error:
            print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
            continue
        seconds = time.monotonic() - started
        if seconds > SECONDS:
            print(f"took {seconds:.1f} s", flush=True)
        elif found is None:
            print("refused", flush=True)
        else:
            print("unchanged" if found == expected else "taken for good, but changed", flush=True)


def everything(reader_type, file):
    """All that the reader's three outputs hold, to the bit; None where they are empty."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    reader = reader_type()
    reader.SetFileName(str(file))
    reader.Update()
    if reader.GetOutputDataObject(0).GetNumberOfPoints() == 0:
        return None
    found = []
    for port in range(3):
        data = reader.GetOutputDataObject(port)
        found.append(data.GetBounds())
        if port == 0:
            found.append((data.GetDimensions(), data.GetOrigin(), data.GetSpacing()))
        elif data.GetPoints():
            found.append(vtk_to_numpy(data.GetPoints().GetData()).tobytes())
        for attributes in (data.GetPointData(), data.GetFieldData()):
            for index in range(attributes.GetNumberOfArrays()):
                array = attributes.GetAbstractArray(index)
                found.append(array.GetName())
                if array.GetClassName() == "vtkStringArray":
                    found += [array.GetValue(i) for i in range(array.GetNumberOfValues())]
                else:
                    found.append(vtk_to_numpy(array).tobytes())
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
