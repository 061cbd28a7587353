"""``losslandscape render``: what it asks ParaView for."""

import pytest

from losslandscape.cli import main
from losslandscape.paraview import process


@pytest.mark.parametrize(
    ("options", "size", "dpi"),
    [
        ([], None, 300),
        (["--size", "850x730"], (850, 730), 300),
        (["--size", "850x730", "--dpi", "96"], (850, 730), 96),
        (["--size", "85x73mm"], (1004, 862), 300),
        (["--size", "85x73mm", "--dpi", "600"], (2008, 1724), 600),
    ],
)
def test_size_and_density(tmp_path, monkeypatch, options, size, dpi):
    asked = {}

    def remember(landscapes, figure, output, **given):
        asked.update(given)
        return {}

    monkeypatch.setattr(process, "render", remember)
    (tmp_path / "x.nc").write_bytes(b"")
    picture = ["--figure", "surface", "--output", str(tmp_path / "x.png")]
    assert main(["render", str(tmp_path / "x.nc"), *picture, *options]) == 0
    assert (asked["size"], asked["dpi"]) == (size, dpi)
