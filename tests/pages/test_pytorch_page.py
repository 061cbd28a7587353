"""The code of docs/pytorch.md, run from the top."""

import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.filterwarnings("ignore:.*")  # Lightning's and Transformers' own
def test_the_pages_code_and_its_pictures(tmp_path, monkeypatch):
    for library in ("matplotlib", "xarray", "lightning", "transformers", "accelerate"):
        pytest.importorskip(library, reason=f"pip install {library}")
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names = {}
    page = (DOCS / "pytorch.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
        if "lightning.Trainer" in block or "Trainer(" in block:
            assert np.isfinite(names["landscape"].values("loss")).all()
            assert names["landscape"].trajectories[0].step[0] == 0
    assert names["lowest"].dims == ("alpha",)
    for name in ("contour", "surface", "curve"):
        shown = DOCS / f"images/pytorch_{name}.png"
        assert f"images/{shown.name}" in page
        assert shown.stat().st_size < 150_000
        with Image.open(shown) as kept, Image.open(f"{name}.png") as made:
            assert kept.size == made.size
    matplotlib.pyplot.close("all")
