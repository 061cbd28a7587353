"""States and files that this project did not write: drawn, or one message, and no traceback."""

import json
import struct

import numpy as np
import pytest
from skimage.io import imread

from losslandscape.landscape.landscape import Landscape
from losslandscape.planes.grid import Grid

WRONG = {
    "list": [1, 2],
    "names": {"direction_names": 5},
    "title": {"title": 3},
    "quantities": {"quantities": {"loss": []}},
    "objective": {"objective": "x"},
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, write_landscape, in_paraview):
    folder = tmp_path_factory.mktemp("odd")
    x, y = np.meshgrid(np.linspace(-1.5, 1.0, 7), np.linspace(-1.5, 1.0, 5))
    write_landscape(folder / "x.nc", loss=10.0 ** (x**2 + y**2))
    grid = Grid.square(3, 1.0)
    landscape = Landscape(
        grid, {"loss": np.arange(9.0).reshape(3, 3)}, np.ones((3, 3), np.int8), np.eye(2)
    )
    landscape.export(folder, ["vti"])
    text = (folder / "surface.vti").read_text(encoding="utf-8")
    start = text.index(">", text.index('Name="provenance"')) + 1
    for name, value in WRONG.items():
        # VTK's ASCII form of a text: the codes of its characters, and a 0
        codes = " ".join(str(code) for code in (*json.dumps(value).encode("ascii"), 0))
        declared = text[:start].replace('format="binary"', 'format="ascii"')
        head, tail = text[:start], text[text.index("</Array>", start) :]
        at = head.rindex("<Array")
        declared = head[:at] + head[at:].replace('format="binary"', 'format="ascii"')
        (folder / f"wrong_{name}.vti").write_text(f"{declared}{codes}{tail}", encoding="utf-8")
    answer, _done = in_paraview("odd_states.py", folder)
    return answer, folder


def test_a_view_of_lines_alone_is_left_out_of_what_holds_faces(ran):
    answer, folder = ran
    assert (answer["lines"], answer["lines as a page"]) == ("done", "done")
    data = (folder / "lines.glb").read_bytes()
    document = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    assert [mesh["name"] for mesh in document["meshes"]] == ["Sphere1"]
    assert answer["line"] == "nothing is shown in this figure"


def test_layouts_are_drawn_by_name(ran):
    answer, folder = ran
    assert "has 2 layouts: 'both', 'other'; say which to draw (--layout NAME)" in answer["layouts"]
    assert "has no layout 'third'; there are: 'both', 'other'" in answer["unknown layout"]
    assert answer["one layout"] == "done"
    assert imread(folder / "one.png").shape[:2] == (100, 100)
    assert not (folder / "layouts.png").exists()


def test_a_view_without_a_layout_is_drawn_and_nothing_is_not(ran):
    answer, folder = ran
    assert answer["no layout"] == "done"
    picture = imread(folder / "no_layout.png")
    assert picture.shape[:2] == (90, 120)
    assert picture.std() > 1, "nothing is seen"
    assert "has no layout with a view in it, so there is nothing to draw" in answer["no view"]


def test_a_saved_state_keeps_texts_that_look_like_paths(ran):
    answer, folder = ran
    assert f'value="{folder}"' in (folder / "again.pvsm").read_text(encoding="utf-8")
    assert "cannot be written: No such file or directory" in answer["no folder"]
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("name", WRONG)
def test_a_provenance_of_other_types_is_one_message(ran, name):
    assert f"wrong_{name}.vti: " in ran[0][f"wrong_{name}"]
    words = "no JSON object" if name == "list" else "which is not what docs/file_format.md says"
    assert words in ran[0][f"wrong_{name}"]


@pytest.mark.parametrize("ceiling", ["-5", "nan", "1e-09"])
def test_a_ceiling_that_leaves_nothing_is_refused(ran, ceiling):
    words = f"the ceiling {ceiling} must be a number above the least value, "
    assert ran[0][f"ceiling {ceiling}"].startswith(words)


def test_a_filter_takes_the_loss_before_its_input_has_run(ran):
    assert ran[0]["critical points"] > 0
