"""The program ``losslandscape``, also as ``python -m losslandscape``.

Nothing is imported before :func:`main`, so that Ctrl-C is one line from the first moment on.
"""

import sys


def main() -> int:
    """Run the command line of this process, and return its exit status."""
    try:
        from losslandscape.cli import main as run

        return run()
    except KeyboardInterrupt as error:  # while the command line is imported, begins or ends
        import signal

        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):  # one more would end the interpreter with a traceback
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        number = getattr(error, "signal", None)  # None: before the command line handled any
        words = "interrupted; nothing was begun" if number is None else f"ended by {number.name}"
        sys.stderr.write(f"\nlosslandscape: {words}\n")
        return 128 + (number or signal.SIGINT)
    finally:
        # Python ends itself by SIGINT, whatever the exit status, once an interruption came out of
        # an exec of text, as dataclasses and named tuples do it. The next exec clears that.
        exec("")


if __name__ == "__main__":
    sys.exit(main())
