"""Runs scripts one after another in this process, each in an empty session: plugin.

A start of ParaView takes seconds, a new session half of one. Each line of standard input is a JSON
object: `script`, its `arguments`, and the files that take its `stdout` and `stderr`. Each line of
standard output is the exit code that the script would have had.
"""

import ctypes
import json
import os
import runpy
import sys
import traceback


def run(script, arguments):
    """The exit code of a script."""
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main(plugin):
    sys.path.insert(0, plugin)
    from losslandscape_paraview import session

    # pvpython has objects of its own in the place of Python's streams
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    end_session = session.end_session
    session.end_session = lambda: None  # the scripts', which end with their process
    path, streams = list(sys.path), (sys.stdout, sys.stderr)
    for line in requests:
        wanted = json.loads(line)
        for number, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(wanted[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
            os.close(file)
        session.new_session()
        sys.path[:] = path
        code = run(wanted["script"], wanted["arguments"])
        for stream in streams:
            stream.flush()
        ctypes.CDLL(None).fflush(None)
        answers.write(f"{code}\n")
        answers.flush()
    end_session()


if __name__ == "__main__":
    main(*sys.argv[1:])
