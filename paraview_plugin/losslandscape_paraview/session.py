"""ParaView's session: start an empty one in a script, end the last, detect the window."""

from .compatibility import restore_getargspec
from .quick_import import import_simple, indexed_documentation


def new_session():
    """Drop everything that is loaded, for the next figure of the same process."""
    restore_getargspec()
    simple = import_simple()
    _let_go_of_all()
    with indexed_documentation():  # ParaView makes all its functions again for a new session
        simple.ResetSession()


def _let_go_of_all():
    """Make a script's variables forget the objects of the session that ends.

    What goes later, in the next session, takes OpenGL buffers with it that ParaView deletes by
    number, in the context of the new views: theirs. Their next picture ends in a segmentation
    fault: in 6.1 after a color bar, in 5.11 after a scene whose state was saved.
    """
    from paraview import servermanager

    for known in list(servermanager._pyproxies.values()):
        proxy = known()
        if proxy is not None and proxy.SMProxy is not None:
            proxy.__del__()  # of ParaView's dictionary of all proxies
            proxy.SMProxy = None


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
