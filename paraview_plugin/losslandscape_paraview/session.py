"""ParaView's session: start an empty one in a script, end the last, detect the window."""

from .compatibility import restore_getargspec
from .quick_import import import_simple, indexed_documentation


def new_session():
    """Drop everything that is loaded, for the next figure of the same process."""
    restore_getargspec()
    simple = import_simple()
    _let_go_of_color_bars(simple)
    with indexed_documentation():  # ParaView makes all its functions again for a new session
        simple.ResetSession()


def _let_go_of_color_bars(simple):
    """Make a script's variables forget the color bars of the session that ends.

    A color bar that goes later, in the next session, takes OpenGL buffers with it that ParaView 6.1
    deletes by number, in the context of the new views: theirs. Their next picture ends in a
    segmentation fault.
    """
    from paraview import servermanager

    if servermanager.ActiveConnection is None:
        return
    for view in simple.GetRenderViews():
        for shown in view.Representations:
            if shown.GetXMLName() == "ScalarBarWidgetRepresentation":
                shown.__del__()  # of ParaView's dictionary of all proxies
                shown.SMProxy = None


def end_session():
    """Close what is drawn while ParaView can still do it; call it before `sys.exit`.

    At the interpreter's exit, ParaView 5.11 releases its windows after their OpenGL contexts. Then
    the process ends with an X error and a wrong exit code.
    """
    restore_getargspec()
    from paraview import servermanager, simple

    if servermanager.ActiveConnection is not None:
        simple.Disconnect()


def is_in_window(view):
    """Whether a view is a part of ParaView's window: Qt owns its render window there."""
    return view.GetRenderWindow().IsA("vtkGenericOpenGLRenderWindow") == 1
