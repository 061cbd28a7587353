"""``python -m losslandscape`` is the command ``losslandscape``."""

import sys

from losslandscape.cli import main

if __name__ == "__main__":
    sys.exit(main())
