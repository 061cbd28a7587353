"""A state file of unknown origin runs no code and reads only what lies beside it."""

import html
import sys
from pathlib import Path

import pytest
from tests.paraview.stored_names import stored_names

STATE_FILES = Path(__file__).resolve().parents[3] / "state_files"
# of the Topology ToolKit
TTK = {
    "filters/ttkMorseSmaleComplex",
    "filters/ttkPersistenceDiagram",
    "filters/ttkTopologicalSimplificationByPersistence",
}


@pytest.fixture
def guard(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "paraview_plugin"))
    from losslandscape_paraview.export import state_guard

    yield state_guard
    for name in [name for name in sys.modules if name.startswith("losslandscape_paraview")]:
        del sys.modules[name]


def state(tmp_path, inside, name="x.pvsm"):
    path = tmp_path / name
    text = f"<ParaView><ServerManagerState>{inside}</ServerManagerState></ParaView>"
    path.write_text(text, encoding="utf-8")
    return path


def test_code_in_a_state_runs_only_where_it_is_trusted(tmp_path, in_paraview):
    found, done = in_paraview("state_guard.py", tmp_path, alone=True)
    lists = found.pop("lists")
    assert set(found) == {"plain", "query", "custom", "annotation", "spaced"}
    assert "refused" not in found.pop("plain")
    spaced = found.pop("spaced")
    assert "it has XML namespaces" in spaced["refused"]
    assert "it has XML namespaces" in spaced["refused, trusted"]
    assert (spaced["ran untrusted"], spaced["window"]) == (False, False)
    for name, words in (
        ("query", "has SelectionQuerySource (sources), which may hold code"),
        ("custom", "defines objects of its own"),
        ("annotation", "has PythonAnnotation (filters), which may hold code"),
    ):
        assert words in found[name]["refused"]
        assert "--trust-file" in found[name]["refused"]
        assert (found[name]["ran untrusted"], found[name]["window"]) == (False, False)
        assert found[name]["ran trusted"], (
            f"{name} ran nothing with trust either: a test of nothing"
        )
        assert words in done.stderr + done.stdout, "the window says nothing"
    of_versions = {
        f"{group}/{kind}"
        for names in stored_names().values()
        for group, kinds in names["types"].items()
        for kind in kinds
    }
    assert set(lists["missing"]) <= of_versions | TTK
    assert lists["python"] == []
    assert lists["files"] == []


@pytest.mark.parametrize("path", sorted(STATE_FILES.glob("*.pvsm")), ids=lambda path: path.name)
def test_the_projects_states_need_no_trust(guard, path):
    root = guard.checked_state(path)
    assert guard.named_files(root)


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("misc", "ExecutableRunner"),
        ("misc", "PluginLoader"),
        ("animation", "PythonAnimationCue"),
        ("views", "PythonView"),
        ("filters", "AnnotateAttributeData"),
        ("sources", "TimeToTextConvertorSource"),
        ("writers", "XMLPolyDataWriter"),
        ("invented", "TextSource"),
        ("filters", "LossLandscapeRefineHere"),
    ],
)
def test_what_is_not_listed_is_refused_by_name(guard, tmp_path, group, kind):
    inside = f'<Proxy group="{group}" type="{kind}" id="1"/>'
    with pytest.raises(guard.LandscapeFileError) as caught:
        guard.checked_state(state(tmp_path, inside))
    assert f"x.pvsm: has {kind} ({group}), which may hold code" in str(caught.value)
    guard.checked_state(state(tmp_path, inside), trust=True)


@pytest.mark.parametrize(
    "inside",
    [
        '<Proxy type="TextSource" id="1"/>',
        '<Proxy id="1"/>',
        '<Proxy group="sources" type="TextSource" id="1" compound_name="x"/>',
        "<CustomProxyDefinitions><x/></CustomProxyDefinitions>",
        '<Settings><SettingsProxy group="settings" type="RemoteSettings"/></Settings>',
        '<SettingsProxy group="settings" type="IOSettings"><Property name="ReaderDetails">'
        '<Element index="0" value="*.vti"/></Property></SettingsProxy>',
        '<Proxy group="transforms" type="GeoTransform" id="1"><Property name="SourceProjection">'
        '<Element index="0" value="+init=/etc/passwd"/></Property></Proxy>',
    ],
)
def test_other_ways_to_an_object_are_refused(guard, tmp_path, inside):
    with pytest.raises(guard.LandscapeFileError, match="it was not loaded"):
        guard.checked_state(state(tmp_path, inside))


def reading(name, prop="FileName"):
    return (
        f'<Proxy group="sources" type="XMLImageDataReader" id="1"><Property name="{prop}">'
        f'<Element index="0" value="{name}"/></Property></Proxy>'
    )


def test_data_lie_in_the_folder_of_the_state(guard, tmp_path):
    folder = tmp_path / "received"
    (folder / "data").mkdir(parents=True)
    for name in ("data/x.vti", "data/../x.vti", str(folder / "x.vti")):
        guard.checked_state(state(folder, reading(name)))
    (folder / "link").symlink_to("/etc")
    outside = ["/etc/passwd", "../x.vti", "data/../../x.vti", "//host/share/x.vti", "link/passwd"]
    outside += ["\\\\host\\share\\x.vti", str(tmp_path / "received_too" / "x.vti")]
    for name in outside:
        path = state(folder, reading(name, "FileNames"))
        with pytest.raises(guard.LandscapeFileError, match="names data outside of its folder"):
            guard.checked_state(path)
        guard.checked_state(path, trust=True)
        with pytest.raises(guard.LandscapeFileError, match="names data outside of its folder"):
            guard.checked_state(state(folder, reading(name, "XTitleFontFile")))


@pytest.mark.parametrize(
    "format_",
    [
        "%-#6.3g",
        "%6.2f",
        "",
        "loss %g nats",
        "{:.3g}",
        "100%% %g",
        "{:<#6.1e}",
        "{}",
        "{:.2f} {{nats}}",
    ],
)
def test_formats_of_numbers_are_taken(guard, tmp_path, format_):
    guard.checked_state(state(tmp_path, labelled(format_)))


@pytest.mark.parametrize(
    "format_",
    [
        "%s",
        "%n",
        "%g%n",
        "%*g",
        "%1000g",
        "%",
        "%lf%g",
        "{",
        "{:s}",
        "{:1000g}",
        "{:.1000g}",
        "{1:g}",
        "{:{}g}",
        "{:g}{:g}",
        "{:g}}",
    ],
)
def test_formats_that_reach_other_memory_are_refused(guard, tmp_path, format_):
    with pytest.raises(guard.LandscapeFileError, match="no format of a number"):
        guard.checked_state(state(tmp_path, labelled(format_)))


def labelled(format_):
    format_ = html.escape(format_)
    return (
        '<Proxy group="representations" type="ScalarBarWidgetRepresentation" id="1">'
        f'<Property name="LabelFormat"><Element index="0" value="{format_}"/></Property></Proxy>'
    )
