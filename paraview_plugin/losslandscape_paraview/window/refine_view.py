"""A run of Refine Here in ParaView's window: its timer, its progress in words, its colours."""

from typing import Any

_TICK_MILLISECONDS = 500


class RunView:
    """What the window shows of a run; in a script, where there is no window, nothing."""

    def __init__(self):
        self._view: Any = None
        self._timer: Any = None
        self._label: Any = None
        self._coloured = False  # the loss was shown in place of ParaView's outline

    @property
    def is_ticking(self):
        """Whether a timer of the window looks after a run."""
        return self._timer is not None

    def begin(self, tick):
        """Have the window call `tick` every half second, where there is a window."""
        self._view = _window_view()
        if self._view is not None:
            interactor = self._view.GetInteractor()
            observer = interactor.AddObserver("TimerEvent", tick)
            timer = interactor.CreateRepeatingTimer(_TICK_MILLISECONDS)
            self._timer = (interactor, observer, timer)

    def end(self):
        """Stop the timer."""
        interactor, observer, timer = self._timer
        interactor.DestroyTimer(timer)
        interactor.RemoveObserver(observer)
        self._timer = None

    def show_words(self, words):
        """Write the progress into the view; None removes it."""
        from paraview import simple

        active = simple.GetActiveSource()
        if words is None:
            if self._label is not None:
                simple.Delete(self._label)
            self._label = None
        elif self._label is None:
            self._label = simple.Text(registrationName="progress of Refine Here", Text=words)
            written = simple.Show(self._label, self._view)
            written.WindowLocation = "Lower Center"
        else:
            self._label.Text = words
        simple.SetActiveSource(active)

    def draw_words(self):
        """Draw the view as it is, with the words of now."""
        self._view.SMProxy.StillRender()

    def draw(self, proxy, running):
        """Draw what the filter gives now, where there is a window.

        Args:
            proxy: that of the filter.
            running: whether the run goes on.
        """
        from paraview import simple

        if self._view is not None:
            self._colour(simple, proxy, running)
            simple.Render(self._view)

    def _colour(self, simple, proxy, running):
        """Show the loss where ParaView, which saw an empty grid at Apply, chose an outline.

        The colours' range is that of the first points, grows with those that follow, and is fitted
        to the whole grid at the end. If the user shows another array, it stays.
        """
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
            grows = not first and running
            shown.RescaleTransferFunctionToDataRange(grows, True)


def _window_view():
    """A view of ParaView's window, whose timers run by themselves; None in a script."""
    from paraview import simple

    for view in [simple.GetActiveView(), *simple.GetRenderViews()]:
        interactor = view.GetInteractor() if hasattr(view, "GetInteractor") else None
        if interactor is not None and interactor.GetClassName().startswith("QVTK"):
            return view
    return None
