"""In ParaView's window: apply, cancel, go on, quit. Steps follow by a Qt-independent VTK timer."""

import os
import traceback
from pathlib import Path

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
filter_ = made.SMProxy.GetClientSideObject()
interactor = view.GetInteractor()


def evaluated():
    data = filter_.GetOutputDataObject(0)
    array = data.GetPointData().GetArray("status")
    return int((vtk_to_numpy(array) == 1).sum()) if array else 0


def show():
    shown = simple.Show(made, view)
    shown.Representation = "Surface"
    simple.ColorBy(shown, ("POINTS", "loss"))
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
            show()
            simple.SaveScreenshot(str(folder / "running.png"), view, ImageResolution=[700, 500])
            made.SMProxy.InvokeCommand("Cancel")
            state["step"] = "cancelling"
        elif state["step"] == "cancelling" and filter_._process is None:
            if not (folder / "window.nc.journal").exists():
                finish("no journal after cancelling")
            say("cancelled with some points")
            made.SMProxy.InvokeCommand("GoOn")
            state["step"] = "again" if filter_._process is not None else finish("not begun again")
        elif state["step"] == "again" and filter_._process is None:
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
