"""Run by Python before anything else when this folder is on PYTHONPATH.

ParaView 5.11 imports `inspect.getargspec`, which Python 3.11 removed, before it reads any plugin;
only code that runs at Python's own start comes before that. For who loads the plugin by hand: the
launcher needs it not (its script calls `compatibility`), and its `--install` has a way of its own.
"""

import inspect

if not hasattr(inspect, "getargspec"):
    inspect.getargspec = inspect.getfullargspec  # type: ignore[assignment]
