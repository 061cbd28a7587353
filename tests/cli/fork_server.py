"""Runs `losslandscape` in forks of itself: a JSON object a line in, a number a line out.

See `command_process`, which starts it. `{"arguments": ...}` starts one, and its process is the
answer; `{"wait": process}` and `{"poll": process}` ask for its exit status, which is null while it
runs. The fork is as a process of `python -m losslandscape`: its current folder comes first in the
path of modules, its streams are files, its standard input empty, and it leads a group.
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
    if os.path.isdir("/proc/self/task"):  # Linux
        assert len(os.listdir("/proc/self/task")) == 1, "a fork would inherit locks of threads"
    for line in sys.stdin:
        wanted = json.loads(line)
        if "arguments" in wanted:
            answer = os.fork()
            if answer == 0:
                _become(wanted)
        else:
            ((asked, process),) = wanted.items()
            ended, status = os.waitpid(process, os.WNOHANG if asked == "poll" else 0)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        print(json.dumps(answer), flush=True)


def _become(wanted):
    """Run one command line and end this process with its exit status."""
    os.setsid()
    signal.alarm(_SECONDS)
    # where the tests run in the background, a shell has it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
