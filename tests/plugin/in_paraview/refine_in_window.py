"""In ParaView's window: apply, cancel, go on, twice, quit; by a VTK timer, independent of Qt."""

import os
import traceback
from pathlib import Path

import numpy as np
from paraview import simple
from vtkmodules.util.numpy_support import vtk_to_numpy

folder = Path(os.environ["LOSSLANDSCAPE_TEST_FOLDER"])
report = (folder / "report.txt").open("w")
state = {"step": "running", "ticks": 0}


def say(words):
    report.write(words + "\n")
    report.flush()


view = simple.GetActiveViewOrCreate("RenderView")
reader = simple.LossLandscapeReader(FileName=str(folder / "coarse.nc"))
made = simple.RefineHere(
    Input=reader, BoxPosition=[-0.2, -0.2, 0], BoxLength=[0.8, 0.8, 1], Factor=4,
    OutputFile=str(folder / "window.nc"), Trustthefilesmodelcode=1,
)  # fmt: skip
made.UpdatePipeline()
say(f"applied, {made.GetDataInformation().GetNumberOfPoints()} points")
simple.Show(made, view)
filter_ = made.SMProxy.GetClientSideObject()
interactor = view.GetInteractor()


def evaluated():
    data = filter_.GetOutputDataObject(0)
    array = data.GetPointData().GetArray("status")
    return int((vtk_to_numpy(array) == 1).sum()) if array else 0


def colours():
    """How it is shown, and whether the colours' range is that of the losses."""
    shown = simple.GetRepresentation(made, view)
    table = simple.GetColorTransferFunction("loss").RGBPoints
    losses = made.GetPointDataInformation().GetArray("loss").GetRange()
    fits = np.allclose([table[0], table[-4]], losses, rtol=1e-6)
    kind = str(shown.Representation).strip("'")
    return f"{kind} of {shown.ColorArrayName[1] or 'no array'}, range fits: {fits}"


def show():
    # the color of what has no value, which is another by default from ParaView 6 on
    simple.GetColorTransferFunction("loss").NanColor = [1.0, 1.0, 0.0]
    view.ResetActiveCameraToNegativeZ()
    simple.ResetCamera(view)
    simple.Render(view)


def finish(words):
    say(words)
    report.close()
    os._exit(0)


def step(*_):
    state["ticks"] += 1
    try:
        if state["step"] == "running" and evaluated() >= 8:
            say(f"event loop ran {state['ticks']} times meanwhile")
            say(f"running: {colours()}")
            # first of all: on a busy machine the run would end while the picture is drawn
            made.SMProxy.InvokeCommand("Cancel")
            show()
            simple.SaveScreenshot(str(folder / "running.png"), view, ImageResolution=[700, 500])
            state["step"] = "cancelling"
        elif state["step"] == "cancelling" and filter_._process is None:
            if not (folder / "window.nc.journal").exists():
                finish("no journal after cancelling")
            say("cancelled with some points")
            made.SMProxy.InvokeCommand("GoOn")
            state["points"] = evaluated()
            state["step"] = "again" if filter_._process is not None else finish("not begun again")
        elif state["step"] == "again" and evaluated() > state["points"]:
            made.SMProxy.InvokeCommand("Cancel")
            (folder / "slow").unlink()  # the rest at once
            made.SMProxy.InvokeCommand("GoOn")  # while it is ending
            simple.GetRepresentation(made, view).Representation = "Wireframe"
            state["step"] = "once more"
        elif state["step"] == "once more" and filter_._process is None:
            say(f"a person's own: {colours()}")
            simple.GetRepresentation(made, view).Representation = "Slice"
            data = filter_.GetOutputDataObject(0)
            if evaluated() != data.GetNumberOfPoints():
                finish(f"{evaluated()} of {data.GetNumberOfPoints()} points shown")
            show()
            simple.SaveScreenshot(str(folder / "result.png"), view, ImageResolution=[700, 500])
            finish("done")
    except Exception:
        finish(traceback.format_exc())


interactor.AddObserver("TimerEvent", step)
interactor.CreateRepeatingTimer(300)
