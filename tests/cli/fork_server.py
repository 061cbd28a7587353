"""Runs `losslandscape` in forks of itself: a JSON object a line in, an exit status a line out.

See `command_process`, which starts it. The fork is as a process of `python -m losslandscape`: its
current folder comes first in the path of modules, its streams are files, its standard input empty.
"""

import json
import os
import signal
import sys

_SECONDS = 600


def main():
    import torch  # noqa: F401

    import losslandscape

    for name in losslandscape.__all__:  # it imports them when they are asked for
        getattr(losslandscape, name)
    sys.path.pop(0)  # the folder of this file
    assert len(os.listdir("/proc/self/task")) == 1, "a fork would inherit locks of threads"
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(wanted)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(wanted):
    """Run one command line and end this process with its exit status."""
    signal.alarm(_SECONDS)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    for number, name in enumerate((os.devnull, "1", "2")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        file = os.open(os.path.join(wanted["said"], name), flags)
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["losslandscape", *wanted["arguments"]]
    sys.path.insert(0, wanted["folder"])
    from losslandscape.__main__ import main as run

    code = 70
    try:
        code = run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    main()
