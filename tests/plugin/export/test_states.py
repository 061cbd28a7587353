"""Every state file and every figure script gives its thumbnail again, from another folder.

Pictures are compared by structural similarity (Wang et al. 2004), not bit by bit: another machine's
OpenGL may round a pixel differently. A white ground would hide a lost layer in the average, so the
similarity is taken inside the box of what is drawn, and again within each layer's own pixels, those
that change when the layer is hidden. The same measure must reject a picture that lacks any one
layer.
"""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread
from skimage.metrics import structural_similarity

STATE_FILES = Path(__file__).resolve().parents[3] / "state_files"
STATES = sorted(path.name for path in STATE_FILES.glob("*.pvsm"))
SCRIPTS = [f"{Path(name).stem}.py" for name in STATES]

# Drawn again by default; the others with -m slow: more layers, and charts.
DRAWN_BY_DEFAULT = ("figure5_flatness",)


def number(name):
    return int(re.match(r"figure(\d+)", name)[1])


def is_slow(name):
    return Path(name).stem not in DRAWN_BY_DEFAULT


def each(names):
    """Files of figures as parameters; those that are not drawn by default are slow."""
    return [pytest.param(name, marks=pytest.mark.slow if is_slow(name) else ()) for name in names]


# Their layers are hidden one by one; those of the others are among them.
WITH_ALL_LAYERS = [name for name in STATES if number(name) not in (1, 3)]
IN_THE_BOX, IN_A_LAYER = 0.95, 0.90
NEEDED_LAYERS = {"surface", "axes", "colour bar"}
# of charts without a landscape
CHARTS = ("figure9_", "figure10_")
NEEDED_IN_CHARTS = {"chart axes"}
WITHOUT_POINTS = {"TextSource"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory, repository):
    """What a figure needs, in a folder that no path in it can have foreseen."""
    copy = tmp_path_factory.mktemp("another folder") / "a copy"
    for name in ("paraview_plugin", "state_files"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / name, copy / name, ignore=ignored)
    return copy


class _Drawn(dict):
    """Facts of figures by file name; those drawn by default, or the others, at first use."""

    def __init__(self, draw):
        super().__init__()
        self._draw = draw

    def __missing__(self, name):
        names = [one for one in STATES + SCRIPTS if is_slow(one) == is_slow(name)]
        self.update(self._draw(names))
        return self[name]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, copied, in_paraview):
    """Facts of every figure by file name, and the folder of its pictures."""
    output = tmp_path_factory.mktemp("pictures")

    def draw(names):
        files = [copied / "state_files" / name for name in names]
        return in_paraview(
            "render_states.py", output, *files, "hide", *WITH_ALL_LAYERS,
            plugin=copied / "paraview_plugin",
        )[0]  # fmt: skip

    return _Drawn(draw), output


def picture(path):
    """A picture's colours: float array (height, width, 3), 0 to 255."""
    return imread(path)[..., :3].astype(float)


def similarity(given, expected):
    """Structural similarity at each pixel, the mean of the colours; (height, width)."""
    _mean, values = structural_similarity(
        given, expected, channel_axis=2, data_range=255.0, full=True
    )
    return values.mean(axis=2)


def box(expected):
    """The rows and columns of all that is not background, as an index."""
    drawn = np.abs(expected - 255.0).max(axis=2) > 2.0
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def accepts(given, expected, layers):
    """Whether a picture is the thumbnail: in the box, and in each layer's pixels."""
    if given.shape != expected.shape:
        return False
    values = similarity(given, expected)
    return values[box(expected)].mean() >= IN_THE_BOX and all(
        values[pixels].mean() >= IN_A_LAYER for pixels in layers.values()
    )


@pytest.mark.parametrize("name", each(STATES))
def test_figure_is_its_thumbnail_and_no_layer_can_be_missing(rendered, name):
    facts, output = rendered
    thumbnail = picture(STATE_FILES / f"{Path(name).stem}.png")
    names = facts[name]["layers"]  # which draws it
    given = picture(output / name / "all.png")
    assert given.shape == thumbnail.shape
    assert set(names) >= (NEEDED_IN_CHARTS if name.startswith(CHARTS) else NEEDED_LAYERS)
    without = {
        layer: picture(output / name / f"{layer}.png")
        for layer in (names if name in WITH_ALL_LAYERS else ())
    }
    layers = {layer: np.abs(given - hidden).max(axis=2) > 8.0 for layer, hidden in without.items()}
    for layer, pixels in layers.items():
        assert pixels.sum() >= 50, f"layer {layer} cannot be seen"
    assert accepts(given, thumbnail, layers)
    assert accepts(picture(output / f"{Path(name).stem}.py" / "all.png"), thumbnail, layers)
    for layer, hidden in without.items():
        assert not accepts(hidden, thumbnail, layers), f"{layer} was hidden, and nobody noticed"


@pytest.mark.parametrize("name", each(STATES))
def test_state_and_script_show_the_same_layers(rendered, name):
    facts = rendered[0]
    script = facts[f"{Path(name).stem}.py"]
    assert sorted(facts[name]["layers"]) == sorted(script["layers"])
    assert facts[name]["sources"].keys() == script["sources"].keys()


@pytest.mark.parametrize("name", each(STATES))
def test_state_and_script_have_the_same_colours_and_colour_bars(rendered, name):
    """Mirrored labels of a bar would be a picture of the same structure."""
    state, script = rendered[0][name], rendered[0][f"{Path(name).stem}.py"]
    assert_same(script["bars"], state["bars"])
    assert_same(script["tables"], state["tables"])


def assert_same(given, expected, place="figure"):
    """Structure, words and counts are equal; so are numbers, within a relative 1e-12.

    The state's numbers may be those of another processor, whose powers and logarithms differ from
    this one's in their last bits.
    """
    if isinstance(expected, dict):
        assert given.keys() == expected.keys(), place
        for key, value in expected.items():
            assert_same(given[key], value, f"{place}[{key!r}]")
    elif isinstance(expected, list):
        assert len(given) == len(expected), place
        for index, value in enumerate(expected):
            assert_same(given[index], value, f"{place}[{index}]")
    elif isinstance(expected, float):
        assert isinstance(given, float), place
        assert given == pytest.approx(expected, rel=1e-12, abs=0.0), place
    else:
        assert (type(given), given) == (type(expected), expected), place


def _mirrored_labels(figure):
    figure["bars"][0]["labels"].reverse()


def _shifted_table(figure):
    points = figure["tables"]["surface"]["points"]
    points[::4] = [value * (1 + 1e-9) for value in points[::4]]


def _colours_of_the_next_points(figure):
    points = figure["tables"]["surface"]["points"]
    points[1::4] = points[5::4] + points[1:2]


def _one_point_less(figure):
    del figure["tables"]["surface"]["points"][-4:]


def _other_words(figure):
    figure["bars"][0]["title"] += " "


def _linear_instead_of_log(figure):
    figure["tables"]["surface"]["log"] = 0


def _another_layer(figure):
    figure["tables"]["contours"] = figure["tables"].pop("surface")


def _a_count_as_text(figure):
    figure["tables"]["surface"]["log"] = "1"


@pytest.mark.parametrize(
    "change",
    [
        _mirrored_labels,
        _shifted_table,
        _colours_of_the_next_points,
        _one_point_less,
        _other_words,
        _linear_instead_of_log,
        _another_layer,
        _a_count_as_text,
    ],
)
def test_figures_that_differ_are_not_taken_for_the_same(change):
    places = [0.03, 0.25, 1.0, 4.5e9]
    table = {"points": [x for n, v in enumerate(places) for x in (v, 0.1 * n, 0.5, 0.2)], "log": 1}
    figure = {
        "bars": [{"title": "loss", "labels": [0.1, 1.0, 10.0], "table": table}],
        "tables": {"surface": {"array": "loss", **table}},
    }
    other = json.loads(json.dumps(figure))
    points = other["tables"]["surface"]["points"]
    points[::4] = np.nextafter(points[::4], np.inf).tolist()
    assert points != table["points"]
    assert_same(other, figure)
    change(other)
    with pytest.raises(AssertionError):
        assert_same(other, figure)


@pytest.mark.parametrize("name", each(STATES))
def test_colour_bars_are_of_the_tables_that_colour_the_figure(rendered, name):
    facts = rendered[0][name]
    for bar in facts["bars"]:
        points = np.reshape(bar["table"]["points"], (-1, 4))
        users = [
            source
            for source, used in facts["tables"].items()
            if {**used, "array": None} == {**bar["table"], "array": None}
        ]
        assert users, f"nothing is coloured as the bar '{bar['title']}' says"
        assert (np.diff(points[:, 0]) > 0).all()
        labels = np.array(bar["labels"])
        assert len(labels) >= 2
        assert (np.diff(labels) > 0).all()
        slack = 1e-9 * (points[-1, 0] - points[0, 0])
        assert points[0, 0] - slack <= labels[0]
        assert labels[-1] <= points[-1, 0] + slack
        # the ends of the bar are those of what is drawn
        array = facts["tables"][users[0]]["array"]
        read = [s for s in facts["sources"].values() if s["files"] and array in s["arrays"]]
        grids = [source for source in read if source["kind"] == "XMLImageDataReader"]
        ranges_read = [source["arrays"][array] for source in grids or read]
        lows, highs = zip(*ranges_read)
        # of all of it, or in a sheet of one panel
        wanted = [[min(lows), max(highs)], *ranges_read]
        given = [points[0, 0], points[-1, 0]]
        assert any(given == pytest.approx(ends, rel=1e-12) for ends in wanted)


@pytest.mark.parametrize("name", each(STATES + SCRIPTS))
def test_every_pipeline_object_has_points_in_the_expected_range(rendered, copied, name):
    sources = rendered[0][name]["sources"]
    read = {}
    for source in sources.values():
        for file in source["files"]:
            for array, limits in ranges(copied / "state_files" / file).items():
                assert source["arrays"][array] == pytest.approx(limits, rel=1e-12)
                low, high = read.get(array, limits)
                read[array] = [min(low, limits[0]), max(high, limits[1])]
    assert read
    assert "loss" in read or name.startswith(CHARTS)
    for title, source in sources.items():
        if source["kind"] in WITHOUT_POINTS:
            continue
        assert source["points"] > 0, title
        for array in ("loss", "step"):
            if array in source["arrays"] and array in read:
                low, high = source["arrays"][array]
                # single precision along the way, and 0 at samples beside the surface
                slack = 1e-5 * max(1.0, abs(read[array][1]))
                assert read[array][0] - slack <= low or low == 0.0, (title, array)
                assert high <= read[array][1] + slack, (title, array)


def ranges(path):
    """Least and greatest first component of every point array of a VTK file, without ParaView."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOXML import vtkXMLImageDataReader, vtkXMLPolyDataReader

    reader = vtkXMLImageDataReader() if path.suffix == ".vti" else vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    point_data = reader.GetOutput().GetPointData()
    arrays = [point_data.GetArray(index) for index in range(point_data.GetNumberOfArrays())]
    found = {}
    for array in arrays:
        if array is not None:
            values = vtk_to_numpy(array).astype(float).reshape(array.GetNumberOfTuples(), -1)[:, 0]
            if np.isfinite(values).all():
                found[array.GetName()] = [values.min(), values.max()]
    return found


@pytest.mark.parametrize("name", STATES)
def test_state_names_its_data_relative_to_itself_and_needs_no_plugin(name):
    root = ElementTree.parse(STATE_FILES / name).getroot()
    files = [
        element.get("value")
        for prop in root.iter("Property")
        if prop.get("name") == "FileName"
        for element in prop.findall("Element")
    ]
    assert files
    for file in files:
        assert not Path(file).is_absolute()
        assert ".." not in Path(file).parts
        assert (STATE_FILES / file).is_file()
    values = [element.get("value", "") for element in root.iter("Element")]
    # "/" alone is the root of an assembly of blocks
    assert not [value for value in values if value.startswith("/") and value != "/"]
    assert not [p for p in root.iter("Proxy") if "LossLandscape" in p.get("type", "")]


@pytest.mark.parametrize("number", [5, pytest.param(2, marks=pytest.mark.slow)])
def test_paraview_finds_the_data_where_it_is_told_to_search(in_paraview, number):
    """Some of them have the same name, in different folders."""
    answers, _done = in_paraview("saved_states.py", STATE_FILES, "search", f"figure{number}_*.pvsm")
    assert len(answers) == 1
    for name, answer in answers.items():
        assert answer["ours"], name
        assert answer["searched"] == answer["ours"], name
        assert all(points > 0 for _files, points in answer["ours"].values()), name


def test_what_keeps_a_state_from_being_whole_is_named(tmp_path, in_paraview):
    missing = tmp_path / "missing.pvsm"
    missing.write_text(
        '<ParaView><ServerManagerState><Proxy group="sources" type="XMLImageDataReader" id="1">'
        '<Property name="FileName" id="1.FileName"><Element index="0" value="data/gone.vti"/>'
        "</Property></Proxy></ServerManagerState></ParaView>",
        encoding="utf-8",
    )
    plugin = tmp_path / "plugin.pvsm"
    plugin.write_text(
        '<ParaView><ServerManagerState><Proxy group="filters" type="ttkMorseSmaleComplex" id="1"/>'
        "</ServerManagerState></ParaView>",
        encoding="utf-8",
    )
    broken = tmp_path / "broken.pvsm"
    broken.write_text("<ParaView>", encoding="utf-8")
    absent = tmp_path / "absent.pvsm"
    program = tmp_path / "program.pvsm"
    program.write_text(
        '<ParaView><ServerManagerState><Proxy group="filters" type="ProgrammableFilter" id="1"/>'
        "</ServerManagerState></ParaView>",
        encoding="utf-8",
    )
    entities = tmp_path / "entities.pvsm"
    entities.write_text('<!DOCTYPE x [<!ENTITY a "b">]><ParaView>&a;</ParaView>', encoding="utf-8")
    files = [missing, plugin, broken, absent, program, entities]
    messages, _done = in_paraview("refuse_states.py", *files)
    assert "missing.pvsm: its data are missing: data/gone.vti" in messages[str(missing)]
    assert " knows no ttkMorseSmaleComplex; a plugin is missing" in messages[str(plugin)]
    assert "broken.pvsm: not a ParaView state file" in messages[str(broken)]
    assert "absent.pvsm: No such file" in messages[str(absent)]
    assert "has ProgrammableFilter (filters), which may hold code" in messages[str(program)]
    assert "it declares entities" in messages[str(entities)]
