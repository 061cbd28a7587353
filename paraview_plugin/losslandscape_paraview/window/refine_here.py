"""The filter Refine Here: a box of a landscape, evaluated on a finer grid by the compute package.

Nothing is started while a state file is loaded, and the program and the trust that a state holds do
not count: a state of unknown origin must not choose what runs. A person gives them again.
"""

import atexit
import os
import time
import weakref
from pathlib import Path

from vtkmodules.util.vtkAlgorithm import VTKPythonAlgorithmBase
from vtkmodules.vtkCommonCore import vtkOutputWindow
from vtkmodules.vtkCommonDataModel import vtkDataObject, vtkImageData
from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline

from ..compatibility import restore_getargspec
from ..errors import LandscapeError
from ..sources.reader import LandscapeReader
from .refine_process import PYTHON_VARIABLE, RefineProcess, default_python
from .selection import input_of

restore_getargspec()

from paraview.util.vtkAlgorithm import smhint, smproperty, smproxy  # noqa: E402

_TICK_MILLISECONDS = 500
_running = weakref.WeakSet()


@atexit.register
def _end_all():
    for process in list(_running):
        process.cancel()
    for process in list(_running):
        process.wait()


class RefineFilter(VTKPythonAlgorithmBase):
    """Starts the compute package when its settings changed, and gives what the file holds so far.

    In ParaView's window it returns at once and looks after the child by the view's timer; in a
    script it waits, and `SetAbortExecute(1)` cancels.
    """

    def __init__(self):
        super().__init__(
            nInputPorts=1, nOutputPorts=1, inputType="vtkImageData", outputType="vtkImageData"
        )
        self._position, self._length = [0.0] * 3, [1.0] * 3
        self._factor, self._output = 4, ""
        self._python, self._trust = "", False
        self._held = _loading_state()
        self._process = None
        self._begun = None  # the settings of the last run
        self._shown = LandscapeReader()
        self._chosen = ""  # an output name that was not given
        self._view = self._timer = self._label = None
        self._goes_on = False  # begin again when the cancelled child has ended
        self._coloured = False  # the loss was shown in place of ParaView's outline

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
        """End the child; what is finished goes on when the same run is begun again."""
        if self._process is not None:
            self._process.cancel()

    def GoOn(self):
        """Begin the same run again, after it was cancelled or failed; at once or as it ends."""
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
        if self._process is not None and self._timer is None:
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
        """Start a run where the settings ask for another one."""
        settings = (self._position, self._length, self._factor, self._output, self._trust)
        settings = (*settings, self._python)
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
        self._view = _window_view()
        if self._view is not None:
            self._start_timer(self._view.GetInteractor())

    def _chosen_name(self, landscape, bounds):
        """The unfinished run's of this box, else one beside the landscape that is free."""
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
        """The child has ended: forget it and say how."""
        process, self._process = self._process, None
        _running.discard(process)
        if process.succeeded or process.cancelled:
            print(f"Refine Here: {process.message()}")
        else:
            _say(process.message())

    def _start_timer(self, interactor):
        observer = interactor.AddObserver("TimerEvent", self._tick)
        self._timer = (interactor, observer, interactor.CreateRepeatingTimer(_TICK_MILLISECONDS))
        self._stamp = None

    def _tick(self, *_):
        if self._process is None:
            return
        finished = self._process.finished()
        words = f"refining: {self._process.progress()[0]}"
        if self._process.cancelled:
            words = "ending; what is finished is kept"
        if finished:
            interactor, observer, timer = self._timer
            interactor.DestroyTimer(timer)
            interactor.RemoveObserver(observer)
            self._timer = None
            self._end()
        self._show_words(None if finished else words)
        if finished and self._goes_on:
            self.GoOn()
            return
        path = self._output or self._chosen
        stamp = os.stat(path).st_mtime_ns if os.path.isfile(path) else None
        if finished or stamp != self._stamp:
            self._stamp = stamp
            self._update()
        else:
            self._view.SMProxy.StillRender()

    def _show_words(self, words):
        """How far it is, in the view; None takes the words away."""
        from paraview import simple

        active = simple.GetActiveSource()
        if words is None:
            if self._label is not None:
                simple.Delete(self._label)
            self._label = None
        elif self._label is None:
            self._label = simple.Text(registrationName="progress of Refine Here", Text=words)
            shown = simple.Show(self._label, self._view)
            shown.WindowLocation = "Lower Center"
        else:
            self._label.Text = words
        simple.SetActiveSource(active)

    def _update(self):
        """Have ParaView ask again for what the file holds."""
        from paraview import simple

        self.Modified()
        proxy = self._proxy()
        proxy.SMProxy.MarkModified(proxy.SMProxy)
        proxy.UpdatePipeline()
        if self._view is not None:
            self._colour(proxy)
            simple.Render(self._view)

    def _colour(self, proxy):
        """Show the loss where ParaView, which saw an empty grid at Apply, chose an outline.

        The colours' range is that of the first points, grows with those that follow, and is fitted
        to the whole grid at the end; a person's choice of something else to show stays.
        """
        from paraview import simple

        shown = simple.GetRepresentation(proxy, self._view)
        losses = proxy.GetPointDataInformation().GetArray("loss")
        if shown is None or losses is None or not losses.GetRange()[0] <= losses.GetRange()[1]:
            return  # no point is there yet
        first = not self._coloured and shown.Representation == "Outline"
        self._coloured = True
        if first:
            extent = proxy.GetDataInformation().GetExtent()
            plane = extent[4] == extent[5] and extent[2] < extent[3]
            shown.Representation = "Slice" if plane else "Surface"  # ParaView's choice for a plane
            simple.ColorBy(shown, ("POINTS", "loss"))
            shown.SetScalarBarVisibility(self._view, True)
        if shown.ColorArrayName[1] == "loss":
            grows = not first and self._process is not None
            shown.RescaleTransferFunctionToDataRange(grows, True)

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
    """Whether ParaView is reading a state file; also where it cannot be told."""
    from paraview import servermanager

    if servermanager.ActiveConnection is None:
        return True
    manager = servermanager.ProxyManager().SMProxyManager
    return bool(manager.GetInLoadXMLState()) if hasattr(manager, "GetInLoadXMLState") else True


def _window_view():
    """A view of ParaView's window, whose timers run by themselves; None in a script."""
    from paraview import simple

    for view in [simple.GetActiveView(), *simple.GetRenderViews()]:
        interactor = view.GetInteractor() if hasattr(view, "GetInteractor") else None
        if interactor is not None and interactor.GetClassName().startswith("QVTK"):
            return view
    return None


def _say(words):
    vtkOutputWindow.GetInstance().DisplayErrorText(f"Refine Here: {words}\n")


@smproxy.filter(name="LossLandscapeRefineHere", label="Refine Here")
@smhint.xml('<ShowInMenu category="Loss Landscape"/>')
@smproperty.xml(
    """
    <Documentation short_help="Evaluate a box of a landscape on a finer grid.">
      Evaluates the same model, data and loss on a finer grid over a box of the plane, with the
      compute package in a process of its own, and shows the new file while it is computed. The
      file stays.
    </Documentation>
    <IntVectorProperty name="Factor" command="SetFactor" number_of_elements="1" default_values="4">
      <IntRangeDomain name="range" min="1" max="16"/>
      <Documentation>New intervals of the grid for an old one.</Documentation>
    </IntVectorProperty>
    <StringVectorProperty name="OutputFile" label="Output File" command="SetOutputFile"
        number_of_elements="1">
      <FileListDomain name="files"/>
      <Documentation>
        The new landscape file (.nc); beside the landscape where none is given. A file that is there
        is never replaced.
      </Documentation>
      <Hints>
        <FileChooser extensions="nc" file_description="Loss landscape"/>
        <AcceptAnyFile/>
      </Hints>
    </StringVectorProperty>
    <StringVectorProperty name="Python" command="SetPython" number_of_elements="1"
        panel_visibility="advanced">
      <Documentation>
        The Python that has the package losslandscape; where none is given, that of 'losslandscape
        paraview', at its start or its --install. One that a state file holds does not count.
      </Documentation>
    </StringVectorProperty>
    <IntVectorProperty name="TrustFile" label="Trust the file's model code" command="SetTrustFile"
        number_of_elements="1" default_values="0">
      <BooleanDomain name="bool"/>
      <Documentation>
        A landscape of your own model names the functions that build it. Tick this to let ParaView
        have them run: only for files of your own or of people you trust. A tick that a state file
        holds does not count.
      </Documentation>
    </IntVectorProperty>
    <Property name="Cancel" command="Cancel" panel_widget="command_button">
      <Documentation>End the evaluation; what is finished is kept.</Documentation>
    </Property>
    <Property name="GoOn" label="Go On" command="GoOn" panel_widget="command_button">
      <Documentation>Go on with an evaluation that was cancelled.</Documentation>
    </Property>
    <InputProperty name="Input" port_index="0" command="SetInputConnection">
      <ProxyGroupDomain name="groups">
        <Group name="sources"/>
        <Group name="filters"/>
      </ProxyGroupDomain>
      <DataTypeDomain name="input_type"><DataType value="vtkImageData"/></DataTypeDomain>
      <Documentation>A landscape's surface, as the reader gives it.</Documentation>
    </InputProperty>
    <IntVectorProperty name="UseReferenceBounds" number_of_elements="1" default_values="0"
        panel_visibility="never"><BooleanDomain name="bool"/></IntVectorProperty>
    <DoubleVectorProperty name="ReferenceBounds" number_of_elements="6"
        default_values="0 1 0 1 0 1" panel_visibility="never"/>
    <DoubleVectorProperty name="Position" label="Box Position" command="SetPosition"
        number_of_elements="3" default_values="0 0 0">
      <BoundsDomain name="range" mode="normal" default_mode="min">
        <RequiredProperties><Property name="Input" function="Input"/></RequiredProperties>
      </BoundsDomain>
      <Documentation>The box's corner with the least coordinates, alpha first.</Documentation>
    </DoubleVectorProperty>
    <DoubleVectorProperty name="Length" label="Box Length" command="SetLength"
        number_of_elements="3" default_values="1 1 1">
      <BoundsDomain name="range" mode="component_magnitude" default_mode="max">
        <RequiredProperties><Property name="Input" function="Input"/></RequiredProperties>
      </BoundsDomain>
      <Documentation>The box's sides along alpha, beta and gamma.</Documentation>
    </DoubleVectorProperty>
    <PropertyGroup label="Box" panel_widget="InteractiveBox">
      <Property function="Position" name="Position"/>
      <Property function="Scale" name="Length"/>
      <Property function="Input" name="Input"/>
      <Property function="UseReferenceBounds" name="UseReferenceBounds"/>
      <Property function="ReferenceBounds" name="ReferenceBounds"/>
    </PropertyGroup>
    """
)
class LossLandscapeRefineHere(RefineFilter):
    """`RefineFilter` with ParaView's properties."""
