"""ParaView 5.11's own Python code on Python 3.11 and later."""

import inspect


def restore_getargspec():
    """Give ``inspect`` back the ``getargspec`` that ParaView 5.11 imports.

    Python 3.11 removed it, so there `paraview.detail.pythonalgorithm`, and with it every Python
    plugin, fails to load. Call this before that module is first imported; later ParaView
    versions do not need it and are not changed by it.
    """
    if not hasattr(inspect, "getargspec"):
        inspect.getargspec = inspect.getfullargspec  # type: ignore[assignment]
