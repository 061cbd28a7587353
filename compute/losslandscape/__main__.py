"""The program ``losslandscape``, also as ``python -m losslandscape``.

Nothing is imported before :func:`main`, so that Ctrl-C is one line from the first moment on.
"""

import sys


def main() -> int:
    """Run the command line of this process, and return its exit status."""
    try:
        from losslandscape.cli import main as run

        return run()
    except KeyboardInterrupt:  # while the command line itself is imported
        sys.stderr.write("\nlosslandscape: interrupted; nothing was begun\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
