"""A ParaView that was not tried is said, and a stored list of names is that ParaView's own."""

import pytest
from tests.paraview.stored_names import stored_names


@pytest.fixture(scope="module")
def said(tmp_path_factory, write_landscape, in_paraview):
    path = write_landscape(tmp_path_factory.mktemp("compatibility") / "x.nc")
    answers, done = in_paraview("compatibility.py", path, alone=True)
    return answers, done.stdout + done.stderr


def test_a_version_that_was_not_tried_is_warned_of_once(said):
    answers, printed = said
    if ".".join(map(str, answers["version"])) in stored_names():
        assert answers["own"] == []
    assert answers["older"] == [
        "ParaView 5.10.1 is older than 5.11, the oldest that the plugin supports: figures may "
        "fail or differ"
    ]
    assert answers["newer"] == [
        "ParaView 6.2.0 is newer than 6.1.1, the newest that the plugin was tried with: compare "
        "its figures with those of an older ParaView"
    ]
    for text in answers["older"] + answers["newer"]:
        assert printed.count(f"losslandscape: {text}") == 1


def test_a_figure_that_a_version_cannot_draw_names_those_that_can(said):
    kind, text = said[0]["broken, newer"]
    assert kind == "LandscapeError"
    assert text.startswith("ParaView 6.2.0 cannot draw the figure 'contours' (")
    assert "Tube" in text
    assert "; ParaView 5.11.0, 5.13.2 and 6.1.1 can: set PVPYTHON" in text
    # in a version that was tried, it is an error of the plugin, and shown whole
    if said[0]["own"] == []:
        assert said[0]["broken, tried"][0] == "AttributeError"


def test_a_ttk_that_did_not_load_is_warned_of_and_the_topology_is_drawn(said):
    answers = said[0]
    assert answers["no ttk"] == []
    assert answers["topology"]["threshold"] == 0.0
    (text,) = answers["ttk"]
    assert text.startswith("/elsewhere/TopologyToolKit.so: ParaView ")
    assert "may be built for another version" in text


def test_the_stored_names_are_those_of_this_paraview(in_paraview):
    found, _done = in_paraview("names.py", alone=True)
    if found["version"] not in stored_names():
        pytest.skip(f"no names of ParaView {found['version']} are stored")
    stored = stored_names()[found["version"]]
    for kind in ("functions", "labels", "proxies", "types"):
        assert found["names"][kind] == stored[kind], kind
