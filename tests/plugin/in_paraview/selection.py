"""Draws the macros' figures of the selection and moves their sliders: plugin, folder of files."""

import json
import sys
from pathlib import Path


def range_of(proxy, name):
    domain = proxy.SMProxy.GetProperty(name).GetDomain("range")
    return [domain.GetMinimum(0), domain.GetMaximum(0)]


def main(plugin, folder):
    sys.path.insert(0, plugin)
    import numpy as np

    from losslandscape_paraview import load_plugin
    from losslandscape_paraview.layers.shown import COLOUR_BAR, find_layers
    from losslandscape_paraview.session import end_session, new_session
    from losslandscape_paraview.sources.landscape_sources import fetch, point_array
    from losslandscape_paraview.style import colour_maps
    from losslandscape_paraview.window import selection

    load_plugin()
    from paraview import servermanager, simple
    from vtkmodules.util.numpy_support import vtk_to_numpy

    folder, found = Path(folder), {"drawn": {}, "levels": {}, "legends": {}, "cut": {}}

    def named(start):
        sources = simple.GetSources().items()
        return next(s for (name, _id), s in sources if name.split(" (")[0] == start)

    def of_kind(kind):
        return [s for s in simple.GetSources().values() if s.SMProxy.GetXMLName() == kind]

    def array(source, name):
        return vtk_to_numpy(fetch(source).GetPointData().GetArray(name))

    figures = [
        *(("whole", name) for name in ("surface", "contours", "trajectory")),
        *(("whole", name) for name in ("topology", "flat_region")),
        ("deep", "contours"),
    ]
    for file, name in figures:
        new_session()
        reader = simple.OpenDataFile(str(folder / f"{file}.nc"))
        # the macros find the reader behind a filter, too
        simple.SetActiveSource(simple.Contour(Input=reader))
        figure = selection.draw(name)
        found["drawn"][f"{file} {name}"] = figure is not None
        figure.save_thumbnail(folder / f"alone {file} {name}.png")
        if name == "contours":
            contours, height = of_kind("LossContours")[0], of_kind("LossDisplayHeight")[0]
            legend = find_layers()[COLOUR_BAR][0]
            found["legends"][file] = [[str(legend.Title), list(legend.CustomLabels)]]
            found["levels"][file] = []
            for count in (4, 20):
                contours.Contours = count
                found["levels"][file].append(np.unique(array(contours, "loss").round(9)).tolist())
                found["legends"][file].append([str(legend.Title), list(legend.CustomLabels)])
            height.Ceiling = 50
            found["levels"][file].append(np.unique(array(contours, "loss").round(9)).tolist())
            found["legends"][file].append([str(legend.Title), list(legend.CustomLabels)])
            cut = fetch(height).GetFieldData().GetArray("height_ceiling").GetValue(0)
            found["cut"][file] = cut
    found["readers"] = len(of_kind("LossLandscapeReader"))

    # some of them in one session, as a person draws them
    figures = [("whole", "surface"), ("whole", "trajectory"), ("deep", "contours")]
    new_session()
    readers = {name: simple.OpenDataFile(str(folder / f"{name}.nc")) for name in ("whole", "deep")}
    together = []
    for file, name in figures:
        simple.SetActiveSource(readers[file])
        together.append(selection.draw(name))
    found["together"] = {}
    for (file, name), figure in zip(figures, together):
        found["together"][f"{file} {name}"] = figure is not None
        if figure is not None:
            figure.save_thumbnail(folder / f"together {file} {name}.png")
    found["readers_together"] = len(of_kind("LossLandscapeReader"))

    new_session()
    simple.OpenDataFile(str(folder / "whole.nc"))
    selection.draw("curve")
    other = simple.OpenDataFile(str(folder / "half.nc"))
    simple.SetActiveSource(other)
    found["compare"] = len(selection.draw("compare").panels)
    simple.SetActiveSource(None)
    selection.draw("surface")

    new_session()
    path = folder / "changing.nc"
    path.write_bytes((folder / "whole.nc").read_bytes())
    reader = simple.OpenDataFile(str(path))
    height = simple.LossDisplayHeight(Input=reader, ScalarField=["POINTS", "loss"])
    height.Ceiling = 40
    found["ceiling"] = {
        "height": array(height, "height").tolist(),
        "loss": array(height, "loss").tolist(),
        "ceiling": fetch(height).GetFieldData().GetArray("height_ceiling").GetValue(0),
    }
    flat = simple.LossFlatRegion(Input=reader, ScalarField=["POINTS", "loss"])
    complex_ = simple.LossMorseSmaleComplex(Input=reader, ScalarField=["POINTS", "loss"])
    found["flat"] = {}
    for scale, words in (("linear", "Linear"), ("log", "Logarithmic")):
        for threshold in (0.05, 0.2, 0.6, 3.0):
            flat.Scale, flat.Threshold = words, threshold
            data = fetch(flat)
            found["flat"][f"{scale} {threshold}"] = {
                "area": data.GetFieldData().GetArray("area").GetValue(0),
                "lower_bound": data.GetFieldData().GetArray("lower_bound").GetValue(0),
                "greatest": float(point_array(data, "loss").max()),
            }

    def ranges():
        for proxy in (flat, complex_):
            proxy.UpdatePipeline()
            proxy.SMProxy.UpdatePropertyInformation()
        return {
            "Threshold": range_of(flat, "Threshold"),
            "Persistence": range_of(complex_, "Persistence"),
        }

    found["ranges"] = ranges()
    path.write_bytes((folder / "again.nc").read_bytes())
    simple.ReloadFiles(reader)
    found["reloaded"] = array(reader, "loss").tolist()
    found["ranges_reloaded"] = ranges()

    new_session()
    reader = simple.OpenDataFile(str(folder / "half.nc"))
    simple.SetActiveSource(reader)
    figure = selection.draw("surface")
    plane = fetch(named("plane, triangles"))
    status = point_array(plane, "status")
    found["half"] = {
        "triangles": plane.GetNumberOfCells(),
        "status_0": int(np.count_nonzero(status != 1)),
        "axes": [str(one.Text) for one in of_kind("TextSource")],
    }
    figure.save_thumbnail(folder / "half_figure.png")
    # the plain view of File > Open, with the colour map of the presets
    new_session()
    colour_maps.import_presets()
    reader = simple.OpenDataFile(str(folder / "half.nc"))
    view = simple.CreateView("RenderView")
    view.ViewSize, view.OrientationAxesVisibility = [300, 300], 0
    view.UseColorPaletteForBackground, view.Background = 0, [1.0, 1.0, 1.0]
    shown = simple.Show(reader, view)
    simple.ColorBy(shown, ("POINTS", "loss"))
    shown.SetScalarBarVisibility(view, False)
    table = simple.GetColorTransferFunction("loss")
    names = [colour_maps.LOSS, colour_maps.STEPS, colour_maps.KINDS]
    found["presets"] = [table.ApplyPreset(name, True) for name in names]
    found["kinds"] = list(table.IndexedColors)
    of_version = ("Viridis (matplotlib)", "Viridis")  # up to ParaView 5.13, and in 6.1
    known = servermanager.vtkSMTransferFunctionPresets.GetInstance()
    table.ApplyPreset(next(name for name in of_version if known.HasPreset(name)), True)
    theirs = np.reshape(table.RGBPoints, (-1, 4))[:, 1:]
    table.InterpretValuesAsCategories = 0
    table.ApplyPreset(colour_maps.LOSS, True)
    ours = np.reshape(table.RGBPoints, (-1, 4))[:, 1:]
    found["viridis"] = float(np.abs(ours - theirs).max())
    simple.ResetCamera(view)
    simple.SaveScreenshot(str(folder / "half_plain.png"), view)
    from vtkmodules.vtkIOImage import vtkPNGReader

    png = vtkPNGReader()
    png.SetFileName(str(folder / "half_plain.png"))
    png.Update()
    pixels = png.GetOutput()
    found["half"]["white"] = [
        all(pixels.GetScalarComponentAsDouble(150, y, 0, c) == 255 for c in range(3))
        for y in (190, 110)
    ]
    end_session()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
