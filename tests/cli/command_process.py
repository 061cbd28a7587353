"""``losslandscape`` in a process of its own, in a folder of a test's.

Not in a fork of the test process: that has threads by then (of PyTorch, Dask, a progress bar), and
a fork inherits their locks as they are.
"""

import os
import subprocess
import sys
from pathlib import Path

import losslandscape

_PACKAGE = str(Path(losslandscape.__file__).resolve().parents[1])


def run(arguments, folder, **environment):
    """Run one command line in `folder`; what `subprocess.run` returns, with its texts."""
    return subprocess.run(
        [sys.executable, "-m", "losslandscape", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": _PACKAGE, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
