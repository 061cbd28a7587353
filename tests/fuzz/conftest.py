"""`tests.fuzz` is a program too (`python -m tests.fuzz.run`), and found by that name here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
collect_ignore = ["in_paraview.py"]
