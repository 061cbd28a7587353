"""What ParaView's window shows after the launcher has started it."""

from ..compatibility import restore_getargspec
from ..errors import LandscapeError
from ..quick_import import import_simple, indexed_documentation

STATE = "state"


def open_in_window(files=(), figure=None, trust=False):
    """Load the plugin and open files in the window. Errors go to the output messages.

    Args:
        files: absolute paths of landscapes, or of one state file.
        figure: a name in `registry.FIGURES` for a figure of all of them; `state` for a state
            file; None to open each as a source and draw nothing.
        trust: of a state; see `state_guard.checked_state`.
    """
    restore_getargspec()
    simple = import_simple()
    from ..plugin import load_plugin

    try:
        with indexed_documentation():
            load_plugin()
        if not files:
            return
        if figure is None:
            _open_sources(simple, files)
        elif figure == STATE:
            from ..export.states import open_state

            _drop(simple, _empty_layouts(simple))
            open_state(files[0], trust)
        else:
            _draw(simple, files, figure)
    except LandscapeError as error:
        from paraview import print_error

        print_error(f"losslandscape: {error}")


def _open_sources(simple, files):
    from ..figures.figure import short_name
    from ..sources.landscape_sources import open_landscape

    opened = [open_landscape(path, short_name(path)) for path in files]
    simple.SetActiveSource(opened[0].surface)


def _draw(simple, files, figure):
    from ..figures.registry import FIGURES, figure_of

    if figure not in FIGURES:
        raise LandscapeError(f"no figure '{figure}'; there are {', '.join(FIGURES)}")
    empty = _empty_layouts(simple)
    drawn = figure_of(figure, len(files))(*files)
    _drop(simple, empty)
    simple.SetActiveView(drawn.views[0])
    # what was made last is the title's text: the panel of properties is for the landscape
    simple.SetActiveSource(drawn.landscapes[0].surface)
    simple.RenderAllViews()  # a view that is not the active one stays empty otherwise


def _empty_layouts(simple):
    """The layouts whose views show nothing: at a start, the one ParaView's window begins with."""
    return [
        layout
        for layout in simple.GetLayouts().values()
        if not any(len(view.Representations) for view in simple.GetViewsInLayout(layout))
    ]


def _drop(simple, layouts):
    for layout in layouts:
        for view in simple.GetViewsInLayout(layout):
            simple.Delete(view)
        simple.RemoveLayout(layout)
