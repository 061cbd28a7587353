"""Figures for print: PDF and SVG, captions, and what changes the look."""

import re
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import pytest
from skimage.io import imread

from losslandscape.cli import main

pytestmark = pytest.mark.usefixtures("jobs_in_one_paraview")


@pytest.fixture(scope="module")
def plane(tmp_path_factory, write_landscape):
    y, x = np.mgrid[-1:1:5j, -1:1:7j]
    path = tmp_path_factory.mktemp("print") / "plane.nc"
    return write_landscape(path, loss=0.1 + x**2 + 2 * y**2)


def render(plane, output, *options):
    assert main(["render", *map(str, plane), "--output", str(output), *options]) == 0
    return output


LONG = "A title that is much too long for one line of a panel in a column"


def smallest_text(svg):
    """In points, the unit of the page."""
    # as "font: 12px ..." or, by newer versions of matplotlib, "font-size: 12px"
    sizes = re.findall(r"font(?:-size)?: (?:\w+ )*([\d.]+)px", svg.read_text("utf-8"))
    return min(float(size) for size in sizes)


def test_an_svg_has_its_words_as_text_over_one_picture(tmp_path, plane):
    svg = render(
        [plane, plane], tmp_path / "x.svg", "--size", "column", "--figure", "compare",
        "--techniques", "trajectory", "contours", "--titles", LONG, "short",
    )  # fmt: skip
    root = ElementTree.parse(svg).getroot()
    assert root.get("width") == f"{round(85 / 25.4 * 300) / 300 * 72:g}pt"
    texts = [
        "".join(one.itertext()).strip() for one in root.iter("{http://www.w3.org/2000/svg}text")
    ]
    assert LONG not in texts
    assert any(LONG.startswith(words) for words in texts if len(words) > 8)  # its first line
    for words in ("short", "loss", "step, white to red", "lowest", "-1", "0"):
        assert words in texts, (words, texts)
    assert any("\u03b1" in words for words in texts)
    assert smallest_text(svg) >= 5.0
    images = list(root.iter("{http://www.w3.org/2000/svg}image"))
    assert len(images) == 1  # the scene, and the colors of the bars in it


@pytest.mark.parametrize("figure", ["curve", "topology"])
def test_no_text_in_a_column_is_smaller_than_5_pt(tmp_path, write_landscape, plane, figure):
    path = plane if figure == "topology" else write_landscape(tmp_path / "line.nc", 1)
    size = ["--size", "column", "--no-caption", "--figure", figure, "--titles", LONG]
    assert smallest_text(render([path], tmp_path / "x.svg", *size)) >= 5.0


def test_a_pdf_is_a_pdf_with_its_fonts(tmp_path, plane):
    pdf = render([plane], tmp_path / "x.pdf", "--size", "column").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert b"/FontFile2" in pdf
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    pages = [zlib.decompressobj().decompress(one) for one in streams if one[:1] == b"x"]
    sizes = [float(size) for page in pages for size in re.findall(rb"/F\S+ ([\d.]+) Tf", page)]
    assert min(sizes) >= 5.0
    again = render([plane], tmp_path / "y.pdf", "--size", "column").read_bytes()
    assert again == pdf


def test_a_caption_is_beside_the_picture_unless_it_is_not_wanted(tmp_path, plane, capsys):
    render([plane], tmp_path / "x.png", "--size", "300x260")
    caption = (tmp_path / "x_caption.txt").read_text(encoding="utf-8")
    assert caption.startswith("a landscape. Measured: batch-norm statistics re-estimated.")
    assert "x_caption.txt" in capsys.readouterr().out
    render([plane], tmp_path / "y.png", "--size", "300x260", "--no-caption")
    assert not (tmp_path / "y_caption.txt").exists()
    again = ["render", str(plane), "--output", str(tmp_path / "z.png")]
    (tmp_path / "z_caption.txt").write_text("mine", encoding="utf-8")
    assert main(again) == 1
    assert (tmp_path / "z_caption.txt").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "z.png").exists()


@pytest.mark.slow
def test_what_changes_the_look_changes_the_picture(tmp_path, plane):
    looks = {
        "plain": [],
        "top": ["--view", "top"],
        "angles": ["--view", "120,30"],
        "magma": ["--color-map", "magma"],
        "untitled": ["--no-titles"],
    }
    pictures = {}
    for name, options in looks.items():
        path = tmp_path / f"{name}.png"
        given = ["--size", "420x360", "--no-caption", *options]
        pictures[name] = imread(render([plane], path, *given))[..., :3].astype(int)
    plain = pictures.pop("plain")
    for name, picture in pictures.items():
        assert (np.abs(picture - plain).max(axis=2) > 40).mean() > 0.005, name
    # no title: nothing dark in the first rows, where the title was
    assert (plain[:20].max(axis=2) < 100).any()
    assert not (pictures["untitled"][:8].max(axis=2) < 100).any()


@pytest.mark.slow
def test_two_trajectories_and_two_techniques_of_one_file(tmp_path, plane):
    size = ["--size", "600x336", "--no-caption"]
    two = render([plane, plane], tmp_path / "two.png", "--figure", "trajectory", *size)
    one = render(
        [plane], tmp_path / "one.png", "--figure", "compare", "--techniques", "surface", "contours",
        *size,
    )  # fmt: skip
    left, right = np.split(imread(two)[:240, :, :3].astype(int), 2, axis=1)
    assert np.abs(left - right).mean() < 3  # the same but for the letter in the titles
    left, right = np.split(imread(one)[:240, :, :3].astype(int), 2, axis=1)
    assert np.abs(left - right).mean() > 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--view", "up"], "--view up: must be top, side, or two angles"),
        (["--view", "10,95"], "--view 10,95: must be"),
        (["--text-size", "8"], "only goes with --size in mm, cm or in"),
        (["--steps", "epoch"], "only goes with --figure trajectory or compare"),
        (["--techniques", "surface", "contours"], "only goes with --figure compare"),
        (["--no-titles", "--titles", "A"], "cannot go with --titles A"),
        (["--size", "column", "--text-size", "14"], "too narrow for text of 14 pt"),
        (["--size", "column", "--figure", "trust"], "use at least 130 mm"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, plane, capsys, options, words):
    try:
        status = main(["render", str(plane), "--output", str(tmp_path / "x.png"), *options])
    except SystemExit as stopped:
        status = stopped.code
    assert status in (1, 2)
    assert words in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
