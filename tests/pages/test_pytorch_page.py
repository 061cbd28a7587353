"""The code of docs/pytorch.md, run from the top."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_AFTER_TRAINER = """
import numpy as np
assert np.isfinite(landscape.values("loss")).all()
assert landscape.trajectories[0].step[0] == 0
"""


def test_the_pages_code_and_its_pictures(tmp_path):
    for library in ("matplotlib", "xarray", "lightning", "transformers", "accelerate"):
        pytest.importorskip(library, reason=f"pip install {library}")
    from PIL import Image

    page = (DOCS / "pytorch.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    trained = [block for block in blocks if "Trainer(" in block]
    assert len(trained) == 2  # Lightning's and Transformers'
    script = [block + (_AFTER_TRAINER if block in trained else "") for block in blocks]
    (tmp_path / "page.py").write_text("\n".join([*script, 'assert lowest.dims == ("alpha",)']))
    # a process of its own: those libraries change much of one in which thousands of tests ran
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "page.py"],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in ("contour", "surface", "curve"):
        shown = DOCS / f"images/pytorch_{name}.png"
        assert f"images/{shown.name}" in page
        assert shown.stat().st_size < 150_000
        with Image.open(shown) as kept, Image.open(tmp_path / f"{name}.png") as made:
            assert kept.size == made.size
