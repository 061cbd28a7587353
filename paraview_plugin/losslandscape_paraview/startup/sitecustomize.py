"""Run by Python before anything else when this folder is on PYTHONPATH, as the launcher puts it.

ParaView 5.11 imports `inspect.getargspec`, which Python 3.11 removed, before it reads any plugin;
only code that runs at Python's own start comes before that. (In a script, see `compatibility`.)
"""

import inspect

if not hasattr(inspect, "getargspec"):
    inspect.getargspec = inspect.getfullargspec
