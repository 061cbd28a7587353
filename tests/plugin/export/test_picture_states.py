"""Every picture carries its state: the plugin and ParaView's own LoadState open it again."""

import sys
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from skimage.io import imread


@pytest.fixture
def png_chunks(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "paraview_plugin"))
    from losslandscape_paraview.export import png_chunks

    yield png_chunks
    for name in [name for name in sys.modules if name.startswith("losslandscape_paraview")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def opened(tmp_path_factory, write_landscape, in_paraview):
    """What a picture shows as it was saved and as it was opened, and its folder."""
    folder = tmp_path_factory.mktemp("pictures")
    y, x = np.mgrid[-1:1:5j, -1:1:7j]
    write_landscape(folder / "plane.nc", loss=0.1 + x**2 + 2 * y**2)
    return in_paraview("picture_states.py", folder)[0], folder


def test_a_picture_opens_as_a_state(opened):
    answers, folder = opened
    saved = answers["saved"]
    assert {"surface", "trajectory", "axes", "colour bar"} <= set(saved["layers"])
    assert ("plain" in answers) == answers["can_open"]
    for way in ("ours", "plain"):
        assert answers.get(way, saved) == saved, way
    assert np.array_equal(imread(folder / "again.png"), imread(folder / "ours.png"))


def test_its_data_are_named_relative_to_the_picture(opened, png_chunks):
    text = png_chunks.state_in((opened[1] / "ours.png").read_bytes())
    values = [e.get("value", "") for e in ElementTree.fromstring(text).iter("Element")]
    assert "plane.nc" in values
    assert not [value for value in values if str(opened[1]) in value]


def test_a_picture_without_a_state_is_refused(opened):
    assert opened[0]["none"].endswith("none.png: this picture carries no ParaView state")


def test_a_state_is_replaced_and_the_pixels_stay(opened, png_chunks, tmp_path):
    data = (opened[1] / "ours.png").read_bytes()
    other = png_chunks.with_state(png_chunks.with_density(data, 300), b"<ParaView/>")
    assert png_chunks.state_in(other) == b"<ParaView/>"
    kinds = [kind for kind, _body in png_chunks.chunks(other)]
    assert kinds.count(b"zTXt") == kinds.count(b"pHYs") == 1
    assert kinds[0] == b"IHDR"
    (tmp_path / "x.png").write_bytes(other)
    assert np.array_equal(imread(tmp_path / "x.png"), imread(opened[1] / "ours.png"))


def test_programs_that_refuse_long_compressed_texts_open_the_picture(opened, png_chunks, tmp_path):
    """Pillow opens no picture with one that is longer than 1 MiB when unpacked."""
    data = (opened[1] / "ours.png").read_bytes()
    for length in (2**20, 2**20 + 1, 2_000_000):
        (tmp_path / "long.png").write_bytes(png_chunks.with_state(data, b"x" * length))
        assert imread(tmp_path / "long.png").shape[:2] == (400, 500)
        assert png_chunks.state_in((tmp_path / "long.png").read_bytes()) == b"x" * length


def test_a_state_that_is_damaged_or_too_large_is_refused(opened, png_chunks, monkeypatch):
    data = (opened[1] / "ours.png").read_bytes()
    with pytest.raises(ValueError, match="a PNG that is cut off"):
        png_chunks.state_in(data[: len(data) // 2].replace(b"ParaViewState", b"ParaViewstate"))
    with pytest.raises(ValueError, match="not a PNG"):
        png_chunks.state_in(b"<ParaView/>")
    monkeypatch.setattr(png_chunks, "_MOST_TEXT", 1000)
    with pytest.raises(ValueError, match="larger than 64 MiB"):
        png_chunks.state_in(png_chunks.with_state(data, b" " * 1001))
    assert png_chunks.state_in(png_chunks.with_state(data, b" " * 1000)) == b" " * 1000
    monkeypatch.setattr(zlib, "compress", lambda text, level: text)
    with pytest.raises(ValueError, match="damaged"):
        png_chunks.state_in(png_chunks.with_state(data, b"no zlib"))
