"""Pictures for print, glTF and web pages: written by ParaView, opened again by other programs."""

import base64
import json
import re
import shutil
import struct
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from skimage.io import imread

from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.paraview import process as paraview_process

STATE_FILES = Path(__file__).resolve().parents[3] / "state_files"
SPITEFUL = 'A </script><script>document.title="taken"</script> & <b>title</b> $5 vs $6 | x'
pytestmark = pytest.mark.usefixtures("jobs_in_one_paraview")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.fixture(scope="module")
def plane(tmp_path_factory, write_landscape):
    """A bowl of 5 x 7 points without holes, with two trajectories."""
    y, x = np.mgrid[-1:1:5j, -1:1:7j]
    path = tmp_path_factory.mktemp("plane") / "plane.nc"
    return write_landscape(path, loss=0.1 + x**2 + 2 * y**2)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, plane, jobs_in_one_paraview):
    """The trajectory figure of the plane as `.glb`, `.gltf` and `.html`, titled to do harm."""
    folder = tmp_path_factory.mktemp("exported")
    for ending in ("glb", "gltf", "html"):
        paraview_process.render(
            [plane], "trajectory", folder / f"x.{ending}", options={"title": SPITEFUL}
        )
    return folder


def png_chunks(path):
    data, offset, chunks = path.read_bytes(), 8, {}
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        chunks[data[offset + 4 : offset + 8]] = data[offset + 8 : offset + 8 + length]
        offset += 12 + length
    return chunks


@pytest.mark.slow
def test_a_column_at_300_dpi(tmp_path, plane):
    column, plain = tmp_path / "column.png", tmp_path / "plain.png"
    assert main(["render", str(plane), "--output", str(column), "--size", "85x73mm"]) == 0
    assert main(["render", str(plane), "--output", str(plain), "--size", "1004x862"]) == 0
    assert imread(column).shape == imread(plain).shape == (862, 1004, 3)
    assert struct.unpack(">IIB", png_chunks(column)[b"pHYs"]) == (11811, 11811, 1)
    # the title, dark letters in the first rows, is as much larger as points ask for: 7 of 4.8
    heights = []
    for path in (column, plain):
        dark = imread(path)[:120].max(axis=2) < 100
        heights.append(np.ptp(np.flatnonzero(dark.any(axis=1))) + 1)
    assert heights[0] / heights[1] == pytest.approx(7 / 4.82, rel=0.15)


@pytest.mark.slow
def test_transparent_is_the_same_picture_without_ground(tmp_path, plane):
    clear, white = tmp_path / "clear.png", tmp_path / "white.png"
    for path, options in ((clear, ["--transparent"]), (white, [])):
        size = ["--size", "700x600"]
        assert main(["render", str(plane), "--output", str(path), *size, *options]) == 0
    given, expected = imread(clear).astype(float), imread(white).astype(float)
    assert given.shape[2] == 4
    alpha = given[..., 3:] / 255
    assert (alpha[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
    surface = np.ptp(expected[:450, :, :3], axis=2) > 100  # above the colour bar
    assert surface.sum() > 20_000
    assert (alpha[:450][surface] == 1).mean() > 0.98
    laid_on_white = alpha * given[..., :3] + 255 * (1 - alpha)
    # letters and smoothed edges differ a little
    assert np.abs(laid_on_white - expected).mean() < 1.0


@pytest.mark.slow
def test_a_state_becomes_a_picture_of_the_wanted_size(tmp_path):
    state, picture = STATE_FILES / "figure2_trajectories.pvsm", tmp_path / "x.png"
    assert main(["render", str(state), "--output", str(picture), "--size", "1000x500"]) == 0
    assert imread(picture).shape == (500, 1000, 3)


def test_a_state_becomes_gltf(tmp_path):
    state, geometry = STATE_FILES / "figure2_trajectories.pvsm", tmp_path / "x.glb"
    assert main(["render", str(state), "--output", str(geometry)]) == 0
    names = [node["name"] for node in read_glb(geometry)[0]["nodes"]]
    assert sum(name.startswith("surface (") for name in names) == 2
    assert sum(name.startswith("trajectory (") for name in names) == 2


@pytest.mark.slow
def test_critical_points_are_in_the_gltf_of_a_state(tmp_path):
    geometry = tmp_path / "x.glb"
    paraview_process.render_state(STATE_FILES / "figure4_critical_points.pvsm", geometry)
    document, binary = read_glb(geometry)
    mesh = next(m for m in document["meshes"] if m["name"].startswith("critical points ("))
    colours = np.unique(array_of(document, binary, mesh, "COLOR_0"), axis=0)
    # significant minima and saddles: two kinds, two colours
    assert len(colours) == 2


def read_glb(path):
    data = path.read_bytes()
    magic, version, total = struct.unpack_from("<4sII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    document = json.loads(data[20 : 20 + length])
    size, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert kind == b"BIN\0"
    binary = data[28 + length :]
    assert len(binary) == size == document["buffers"][0]["byteLength"]
    return document, binary


def array_of(document, binary, mesh, attribute):
    primitive = mesh["primitives"][0]
    number = primitive["indices"] if attribute == "indices" else primitive["attributes"][attribute]
    accessor = document["accessors"][number]
    view = document["bufferViews"][accessor["bufferView"]]
    kind = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[accessor["componentType"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    values = np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"])
    return values.reshape(-1, width)


@pytest.mark.parametrize("ending", ["glb", "gltf"])
def test_vtk_reads_the_gltf_again(exported, ending):
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOGeometry import vtkGLTFReader

    reader = vtkGLTFReader()
    reader.SetFileName(str(exported / f"x.{ending}"))
    reader.Update()
    pieces, iterator = [], reader.GetOutput().NewIterator()
    while not iterator.IsDoneWithTraversal():
        pieces.append(iterator.GetCurrentDataObject())
        iterator.GoToNextItem()
    document = read_glb(exported / "x.glb")[0]
    assert len(pieces) == len(document["meshes"])
    names = {mesh["name"].split(" (")[0].split(":")[0] for mesh in document["meshes"]}
    assert names == {"surface", "trajectory", "markers", "own losses", "places"}
    surface = next(piece for piece in pieces if piece.GetNumberOfPoints() == 35)
    assert surface.GetNumberOfCells() == 2 * 4 * 6
    # z is up in ParaView and y in glTF: x, z, -y of the plane from -1.5 to 1
    low_x, high_x, low_y, high_y, low_z, high_z = surface.GetBounds()
    assert (low_x, high_x, low_z, high_z) == pytest.approx((-1.5, 1, -1, 1.5), abs=1e-5)
    # heights of 0.8 half widths: the style's
    assert high_y - low_y == pytest.approx(0.8 * 1.25, rel=1e-4)
    colours = vtk_to_numpy(surface.GetPointData().GetArray("COLOR_0"))[:, :3].astype(float)
    light = colours / 65535 if colours.max() > 1 else colours
    screen = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    heights = vtk_to_numpy(surface.GetPoints().GetData())[:, 1]
    # Viridis begins and ends with these (van der Walt & Smith 2015)
    assert 255 * screen[heights.argmin()] == pytest.approx([68, 1, 84], abs=1.5)
    assert 255 * screen[heights.argmax()] == pytest.approx([253, 231, 37], abs=1.5)


def test_edges_are_shapes_turned_inside_out(exported):
    document, binary = read_glb(exported / "x.glb")
    for mesh in document["meshes"]:
        points = array_of(document, binary, mesh, "POSITION").astype(float)
        normals = array_of(document, binary, mesh, "NORMAL")
        corners = points[array_of(document, binary, mesh, "indices").reshape(-1, 3)]
        faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        at = array_of(document, binary, mesh, "indices").reshape(-1, 3)[:, 0]
        # whichever way a shape is turned, its triangles and its normals agree
        agree = (faces * normals[at]).sum(axis=1) >= -1e-9
        assert agree.mean() > 0.95, mesh["name"]
        material = document["materials"][mesh["primitives"][0]["material"]]
        edge = re.search("[:,] edge", mesh["name"]) is not None
        assert material["doubleSided"] is not edge
        in_one_color = edge or mesh["name"].startswith("own losses: stems")
        assert ("extensions" in material) is in_one_color


@pytest.fixture(scope="module")
def wells(tmp_path_factory, write_landscape):
    """Two wells at (+-0.5, 0) below a saddle and steep slopes, and their flat region."""
    y = np.linspace(-1, 1, 5)[:, None]
    path = tmp_path_factory.mktemp("wells") / "wells.nc"
    x = np.linspace(-1.25, 1.25, 7)
    loss = 0.1 + 2 * (x**2 - 0.7) ** 2 + 3 * y**2 + 0.02 * x
    write_landscape(path, loss=loss, provenance={"format": "losslandscape", "title": "Wells"})
    assert main(["flatness", str(path)]) == 0
    return path


def minima(picture):
    """How many pixels above the legend have the colour of minima, which no surface has."""
    pixels = imread(picture)
    red, _green, blue = np.moveaxis(pixels[: int(0.8 * len(pixels)), :, :3], -1, 0)
    return int(((blue > 200) & (red < 130)).sum())


def test_topology_is_drawn_by_the_command(tmp_path, wells):
    pictures = {}
    for name, options in {"all": [], "few": ["--persistence", "5"]}.items():
        picture, state = tmp_path / f"{name}.png", tmp_path / f"{name}.pvsm"
        given = ["--figure", "topology", "--size", "1000x500", *options, "--state", str(state)]
        assert main(["render", str(wells), "--output", str(picture), *given]) == 0
        pictures[name] = minima(picture)
        root = ElementTree.parse(state).getroot()
        thresholds = root.findall(".//Proxy[@type='LossMorseSmaleComplex']/Property"
                                  "[@name='Persistence']/Element")  # fmt: skip
        assert [float(e.get("value")) for e in thresholds] == [5.0 if options else 0.0]
    assert pictures["all"] > 1.5 * pictures["few"] > 0  # one of the two is gone


@pytest.mark.slow
def test_a_judged_topology_is_drawn_by_the_command_with_its_own_flags(tmp_path, wells):
    # nothing is known of noise: both minima count; above 5, one
    pictures = {}
    for name, options in {"both": [], "one": ["--persistence", "5"]}.items():
        folder, picture = tmp_path / name, tmp_path / f"{name}.png"
        assert main(["topology", str(wells), "--output", str(folder), *options]) == 0
        given = ["--figure", "topology", "--topology", str(folder), "--size", "1000x500"]
        assert main(["render", str(wells), "--output", str(picture), *given]) == 0
        pictures[name] = minima(picture)
    assert pictures["both"] > 1.2 * pictures["one"] > 0  # one of the two is small


@pytest.mark.slow
def test_flatness_is_drawn_by_the_command_of_one_and_of_two(tmp_path, wells):
    plain, one, two = (tmp_path / f"{name}.png" for name in ("plain", "one", "two"))
    size = ["--size", "1000x800"]
    assert main(["render", str(wells), "--output", str(plain), *size]) == 0
    flat = ["--figure", "flatness", *size]
    assert main(["render", str(wells), "--output", str(one), *flat]) == 0
    titles = ["--titles", "One", "Other"]
    assert main(["render", str(wells), str(wells), "--output", str(two), *flat, *titles]) == 0
    for picture in (one, two):
        assert (imread(picture)[..., :3] != 255).any(axis=2).mean() > 0.1
    assert not np.array_equal(imread(plain), imread(one))


def test_what_flatness_lacks_is_said(tmp_path, capsys, plane):
    picture = tmp_path / "x.png"
    assert main(["render", str(plane), "--figure", "flatness", "--output", str(picture)]) == 1
    assert "`losslandscape flatness FILE.nc --output FOLDER` writes them" in capsys.readouterr().err
    assert not picture.exists()


JUDGED = ("--figure", "topology", "--topology", "x")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{nc}", "--figure", "compare", "--output", "x.png"], "compare takes 2 landscapes, not 1"),
        (["{nc}"] * 3 + ["--output", "x.png"], "3 are given; give 1 or 2"),
        (["{nc}", "--output", "x.jpg"], "the name must end in one of .png, .pdf, .svg, .html"),
        (["{state}", "--output", "x.pdf"], "PDF and SVG are made of landscape files"),
        (
            ["{nc}", "--output", "x.glb", "--dpi", "300"],
            "--dpi 300: only goes with --output FILE.png",
        ),
        (["{nc}", "--output", "x.png", "--size", "20x20mm"], "too narrow for legible text"),
        (
            ["{nc}", "--output", "x.png", "--size", "1.5x2"],
            "--size 1.5x2: must be width x height",
        ),
        (["{nc}", "--output", "x.png", "--dpi", "0"], "--dpi 0: must be a number from 10 to 2400"),
        (["{nc}", "--output", "gone/x.png"], "the folder gone does not exist"),
        (["{state}", "--output", "x.png", "--log"], "--log: cannot go with"),
        (["{state}", "{nc}", "--output", "x.png"], "2 are given; give one"),
        (
            ["{nc}", "--output", "x.png", "--topology", "x"],
            "--topology x: only goes with --figure topology",
        ),
        (
            ["{nc}", "--output", "x.png", *JUDGED, "--persistence", "1"],
            "cannot go with --topology x",
        ),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, monkeypatch, capsys, plane, arguments, words):
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "x.pvsm"
    state.write_text("<ParaView/>", encoding="utf-8")
    given = [argument.format(nc=plane, state=state) for argument in arguments]
    try:
        status = main(["render", *given])
    except SystemExit as stopped:  # what the words alone show
        status = stopped.code
    assert status in (1, 2)
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.pvsm"]


def test_a_volume_has_no_surface_and_leaves_no_file(tmp_path, write_landscape):
    cube = write_landscape(tmp_path / "cube.nc", dimensions=3)
    with pytest.raises(LossLandscapeError, match="draw isosurfaces"):
        paraview_process.render([cube], "volume", tmp_path / "x.glb")
    assert [path.name for path in tmp_path.iterdir()] == ["cube.nc"]


def test_a_title_stays_text_and_the_policy_names_the_scripts(exported):
    page = (exported / "x.html").read_text(encoding="utf-8")
    assert SPITEFUL not in page
    assert page.count("</script>") == page.count("<script") == 4
    data = re.search(r'id="figure-data">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(data)["panels"][0]["title"] == SPITEFUL
    embedded = re.search(r'id="figure-gltf">(.*?)</script>', page, re.DOTALL)[1]
    assert base64.b64decode(embedded) == (exported / "x.glb").read_bytes()
    assert "default-src 'none'" in page
    assert "unsafe" not in re.search(r'Security-Policy" content="([^"]*)"', page)[1]
    assert len(page) < 2_500_000


@pytest.fixture(scope="module")
def browser():
    """A Chromium that draws WebGL on the processor."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium (Debian, Ubuntu: `apt install chromium`)")
    api = pytest.importorskip("playwright.sync_api", reason="there is no playwright (pip install)")
    swiftshader = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *swiftshader]
        )
        yield chromium
        chromium.close()


class Shown:
    """A page in a browser: its pixels, what it asked for, and what it complained of."""

    SIZE = 700, 600

    def __init__(self, browser, path, wait=True):
        self.page = browser.new_page(viewport=dict(zip(("width", "height"), self.SIZE)))
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        if wait:
            self.page.wait_for_selector("html[data-loaded]", state="attached", timeout=60_000)
            self.settle()

    def settle(self):
        """Two frames later what was asked for is drawn."""
        self.page.evaluate(
            "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )

    def pixels(self):
        data = self.page.screenshot(clip={"x": 0, "y": 40, "width": 700, "height": 400})
        return imread(BytesIO(data)).astype(int)[..., :3]

    def do(self, action):
        """Pixels before and after, and how many of them changed."""
        before = self.pixels()
        action()
        self.settle()
        return int((np.abs(self.pixels() - before).max(axis=2) > 16).sum())

    def drag(self):
        mouse = self.page.mouse
        mouse.move(350, 250)
        mouse.down()
        mouse.move(430, 270, steps=4)
        mouse.up()

    def touch(self):
        session = self.page.context.new_cdp_session(self.page)
        for kind, x in (("Start", 350), ("Move", 390), ("Move", 430), ("End", None)):
            points = [] if x is None else [{"x": x, "y": 250}]
            session.send(
                "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points}
            )


def is_drawn(pixels):
    """Whether there is a shaded, coloured surface: thousands of saturated colours, not a few."""
    coloured = pixels[np.ptp(pixels, axis=2) > 40]
    return len(coloured) > 10_000 and len(np.unique(coloured, axis=0)) > 1000


def test_the_page_draws_turns_and_fetches_nothing(browser, exported):
    page = exported / "x.html"
    print(f"page of {page.stat().st_size} bytes")
    shown = Shown(browser, page)
    assert is_drawn(shown.pixels())
    text = shown.page.inner_text("body")
    assert SPITEFUL in text
    assert {"\u03b1", "\u03b2"} <= set(text.split("\n"))
    assert "cross-entropy loss" in text
    for action in (shown.drag, shown.touch, lambda: shown.page.keyboard.press("ArrowLeft")):
        assert shown.do(action) > 5000
    assert shown.do(lambda: shown.page.keyboard.press("+")) > 5000
    assert shown.do(lambda: None) == 0
    first = Shown(browser, page).pixels()
    shown.page.keyboard.press("0")
    shown.page.evaluate("document.activeElement.blur()")  # a ring shows where the keys go
    shown.settle()
    assert (np.abs(shown.pixels() - first).max(axis=2) > 16).sum() < 50
    assert shown.page.title() == SPITEFUL
    assert shown.requests == [page.as_uri()]
    assert shown.complaints == []


def test_a_blank_page_is_not_taken_for_a_figure(browser, exported, tmp_path):
    """What the test above asks for is not there where the viewer does not run."""
    page = (exported / "x.html").read_text(encoding="utf-8")
    blank = tmp_path / "blank.html"
    blank.write_text(
        page.replace('"use strict";\n(() =>', '"use strict";\n(_ =>', 1), encoding="utf-8"
    )
    shown = Shown(browser, blank, wait=False)
    assert not is_drawn(shown.pixels())
    assert shown.do(shown.drag) == 0
    assert any("Content Security Policy" in words for words in shown.complaints)


def test_the_policy_stops_requests(browser, exported, tmp_path):
    """A picture from elsewhere, put into the page, is refused: the browser says so."""
    page = (exported / "x.html").read_text(encoding="utf-8")
    leaking = tmp_path / "leaking.html"
    picture = '<img src="http://127.0.0.1:9/x.png">'
    leaking.write_text(page.replace("<noscript>", f"{picture}<noscript>"), encoding="utf-8")
    shown = Shown(browser, leaking)
    assert any("Content Security Policy" in words for words in shown.complaints)
