"""Run by Python before anything else when this folder is on PYTHONPATH.

ParaView 5.11 imports `inspect.getargspec`, which Python 3.11 removed, before it reads any plugin;
only code that runs when Python starts comes before that. This file is for those who load the plugin
by hand. The launcher does not need it (its script calls `compatibility`), and its `--install`
writes a file of its own.
"""

import inspect

if not hasattr(inspect, "getargspec"):
    inspect.getargspec = inspect.getfullargspec  # type: ignore[assignment]
