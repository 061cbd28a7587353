"""The filter Refine Here: a box of a landscape, evaluated on a finer grid by the compute package.

Loading a state file starts nothing, and the Python and the trust that a state holds are ignored: a
state of unknown origin must not choose what runs. You set them again.
"""

import atexit
import os
import time
import weakref
from pathlib import Path
from typing import Any

from vtkmodules.util.vtkAlgorithm import VTKPythonAlgorithmBase
from vtkmodules.vtkCommonCore import vtkOutputWindow
from vtkmodules.vtkCommonDataModel import vtkDataObject, vtkImageData
from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline

from ..errors import LandscapeError
from ..sources.reader import LandscapeReader
from .refine_process import PYTHON_VARIABLE, RefineProcess, default_python
from .refine_view import RunView
from .selection import input_of

_running: weakref.WeakSet = weakref.WeakSet()


@atexit.register
def _end_all():
    for process in list(_running):
        process.cancel()
    for process in list(_running):
        process.wait()


class RefineFilter(VTKPythonAlgorithmBase):
    """Runs `losslandscape refine` when its settings change; its output is the file so far.

    In ParaView's window it returns at once, and a timer of the view follows the run. In a script it
    waits, and `SetAbortExecute(1)` cancels.
    """

    def __init__(self):
        super().__init__(
            nInputPorts=1, nOutputPorts=1, inputType="vtkImageData", outputType="vtkImageData"
        )
        self._position, self._length = [0.0] * 3, [1.0] * 3
        self._factor, self._output = 4, ""
        self._python, self._trust = "", False
        self._held = _loading_state()
        self._process: Any = None
        self._begun: Any = None  # the settings of the last run
        self._shown = LandscapeReader()
        self._chosen = ""  # an output name that was not given
        self._view = RunView()
        self._stamp: Any = None  # when the file that was shown last was written
        self._goes_on = False  # begin again when the cancelled child has ended

    def SetPosition(self, x, y, z):
        self._set("_position", [x, y, z])

    def SetLength(self, x, y, z):
        self._set("_length", [x, y, z])

    def SetFactor(self, factor):
        self._set("_factor", factor)

    def SetOutputFile(self, path):
        self._set("_output", "" if path in (None, "None") else path)

    def SetPython(self, path):
        if not _loading_state():
            self._set("_python", "" if path in (None, "None") else path)

    def SetTrustFile(self, trust):
        if not _loading_state():
            self._set("_trust", bool(trust))

    def Cancel(self):
        """Cancel the run. The same run continues from its finished points when started again."""
        if self._process is not None:
            self._process.cancel()

    def GoOn(self):
        """Start a cancelled or failed run again, at once or as soon as it has ended."""
        if self._process is not None:
            self._goes_on = self._process.cancelled
            return
        self._goes_on = False
        self._held, self._begun = False, None
        self._update()

    def _set(self, name, value):
        if getattr(self, name) != value:
            setattr(self, name, value)
            self._held = self._held and _loading_state()
            self.Modified()

    def RequestInformation(self, request, in_info, out_info):
        info = out_info.GetInformationObject(0)
        extent, origin, spacing = (0, -1, 0, -1, 0, -1), (0, 0, 0), (1, 1, 1)
        if self._has_result():
            self._shown.UpdateInformation()
            there = self._shown.GetOutputInformation(0)
            extent = there.Get(vtkStreamingDemandDrivenPipeline.WHOLE_EXTENT())
            origin, spacing = there.Get(vtkDataObject.ORIGIN()), there.Get(vtkDataObject.SPACING())
        info.Set(vtkStreamingDemandDrivenPipeline.WHOLE_EXTENT(), extent, 6)
        info.Set(vtkDataObject.ORIGIN(), origin, 3)
        info.Set(vtkDataObject.SPACING(), spacing, 3)
        return 1

    def RequestUpdateExtent(self, request, in_info, out_info):
        # the input's own extent: the output's lies on another grid
        key = vtkStreamingDemandDrivenPipeline
        info = in_info[0].GetInformationObject(0)
        info.Set(key.UPDATE_EXTENT(), info.Get(key.WHOLE_EXTENT()), 6)
        return 1

    def RequestData(self, request, in_info, out_info):
        try:
            self._begin(vtkImageData.GetData(in_info[0]))
        except LandscapeError as error:
            _say(error)
            return 0
        if self._process is not None and not self._view.is_ticking:
            self._wait()
        output = vtkImageData.GetData(out_info, 0)
        if self._has_result():
            self._shown.Update()
            output.ShallowCopy(self._shown.GetOutputDataObject(0))
        return 1

    def _has_result(self):
        path = self._output or self._chosen
        if not path or not os.path.isfile(path):
            return False
        self._shown.SetFileName(path)
        self._shown.Reload()  # it may have been written again
        return True

    def _begin(self, image):
        """Start a run if the settings differ from those of the last one."""
        place = (self._position, self._length, self._factor, self._output)
        settings = (*place, self._trust, self._python)
        if self._held or self._process is not None or settings == self._begun:
            return
        self._begun = settings
        proxy = self._proxy()
        landscape = _file_of(proxy)
        python = self._python or default_python()
        if not python:
            raise LandscapeError(
                "the Python that has the package losslandscape is not known: start ParaView by "
                "'losslandscape paraview', give 'losslandscape paraview --install' once, set "
                f"{PYTHON_VARIABLE}, or give the property Python"
            )
        dimensions = max(1, sum(count > 1 for count in image.GetDimensions()))
        bounds = []
        for low, length in list(zip(self._position, self._length))[:dimensions]:
            bounds += sorted((low, low + length))
        output = self._output
        if not output:
            output = self._chosen = self._chosen_name(landscape, bounds)
        self._process = RefineProcess(python, landscape, output, bounds, self._factor, self._trust)
        _running.add(self._process)
        self._stamp = None
        self._view.begin(self._tick)

    def _chosen_name(self, landscape, bounds):
        """The output of this box's unfinished run, else an unused name beside the landscape."""
        path = Path(landscape)
        wanted = (landscape, bounds, self._factor)
        if getattr(self, "_chosen_for", None) == wanted:
            return self._chosen
        self._chosen_for = wanted
        number = 1
        while True:
            name = path.with_name(f"{path.stem}_refined{number if number > 1 else ''}.nc")
            if not name.exists() and not Path(f"{name}.journal").exists():
                return str(name)
            number += 1

    def _wait(self):
        self.SetAbortExecute(0)
        self.SetProgressText("refining")
        while not self._process.finished():
            self.UpdateProgress(self._process.progress()[1])
            if self.GetAbortExecute():
                self._process.cancel()
            time.sleep(0.1)
        self._end()

    def _end(self):
        """Report how the run ended, and forget it."""
        process, self._process = self._process, None
        _running.discard(process)
        if process.succeeded or process.cancelled:
            print(f"Refine Here: {process.message()}")
        else:
            _say(process.message())

    def _tick(self, *_):
        if self._process is None:
            return
        finished = self._process.finished()
        words = f"refining: {self._process.progress()[0]}"
        if self._process.cancelled:
            words = "ending; what is finished is kept"
        if finished:
            self._view.end()
            self._end()
        self._view.show_words(None if finished else words)
        if finished and self._goes_on:
            self.GoOn()
            return
        path = self._output or self._chosen
        stamp = os.stat(path).st_mtime_ns if os.path.isfile(path) else None
        if finished or stamp != self._stamp:
            self._stamp = stamp
            self._update()
        else:
            self._view.draw_words()

    def _update(self):
        """Make ParaView read the file again."""
        self.Modified()
        proxy = self._proxy()
        proxy.SMProxy.MarkModified(proxy.SMProxy)
        proxy.UpdatePipeline()
        self._view.draw(proxy, running=self._process is not None)

    def _proxy(self):
        from paraview import simple

        for proxy in simple.GetSources().values():
            if proxy.SMProxy.GetClientSideObject() is self:
                return proxy
        raise LandscapeError("it works where ParaView computes itself, not with a server")


def _file_of(proxy):
    """The landscape file that a proxy's data come from."""
    while proxy is not None:
        path = getattr(proxy, "FileName", None)
        if path:
            path = path if isinstance(path, str) else path[0]
            if not path.endswith((".nc", ".llnc")):
                raise LandscapeError(f"{path}: is no landscape file (.nc), which names its model")
            return path
        proxy = input_of(proxy)
    raise LandscapeError("the input does not come from a landscape file (.nc)")


def _loading_state():
    """Whether ParaView is reading a state file; True if this is unknown."""
    from paraview import servermanager

    if servermanager.ActiveConnection is None:
        return True
    manager = servermanager.ProxyManager().SMProxyManager
    return bool(manager.GetInLoadXMLState()) if hasattr(manager, "GetInLoadXMLState") else True


def _say(words):
    vtkOutputWindow.GetInstance().DisplayErrorText(f"Refine Here: {words}\n")
