"""The plugin in the user's settings: in with a backup, out again exactly. No ParaView is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview import settings
from losslandscape.paraview.programs import Installation, plugin_path

PROGRAM = Path("/opt/ParaView 5/bin/paraview")
PLUGIN = Path("/home/me/a lándscape/LossLandscape.py")
# as ParaView writes it
INI = (
    b"[General]\nCustomFilters=<CustomFilterDefinitions/>\\n\n\n[MainWindow]\n"
    b'Layout="@ByteArray(\\0\\xff\\x1)"\n\n[PluginsList]\n'
    b'Local%3A\\opt\\ParaView%205\\bin\\paraview="<?xml version=\\"1.0\\" ?>\\n<Plugins>\\n  '
    b'<Plugin name=\\"Other\\" filename=\\"/x/Other.so\\" auto_load=\\"1\\" />\\n</Plugins>\\n"\n\n'
    b"[pqMultiBlockInspectorWidget]\nShowHints=true\n"
)
JSON = json.dumps({"settings": {"GeneralSettings": {"AutoApply": 1}}}, indent=3).encode()


@pytest.fixture
def about(tmp_path):
    return Installation("5.11.0", "3.11.2", False, False, str(tmp_path / "home/site-packages"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "config" / "ParaView"


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


def install(folder, about, **options):
    return settings.install(folder, [PROGRAM], about, PLUGIN, **options)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("present", ["none", "both", "ini", "ini without a list"])
def test_out_again_to_the_byte(tmp_path, folder, about, present, newline):
    (tmp_path / "config").mkdir()
    if present != "none":
        folder.mkdir()
        ini = INI if present != "ini without a list" else INI[: INI.index(b"[PluginsList]")]
        (folder / "ParaView5.11.0.ini").write_bytes(ini.replace(b"\n", newline))
    if present == "both":
        (folder / "ParaView-UserSettings.json").write_bytes(JSON)
    before = contents(tmp_path)
    assert len(install(folder, about)) == 4
    assert settings.is_installed(folder, "5.11.0", PLUGIN)
    installed = contents(tmp_path)
    assert install(folder, about) == []
    assert contents(tmp_path) == installed
    settings.uninstall(folder)
    assert contents(tmp_path) == before
    assert settings.uninstall(folder) == []


def test_only_our_entry_is_added(folder, about):
    folder.mkdir(parents=True)
    (folder / "ParaView5.11.0.ini").write_bytes(INI)
    (folder / "ParaView-UserSettings.json").write_bytes(JSON)
    install(folder, about)
    entry = (
        b'  <Plugin name=\\"LossLandscape\\" filename=\\"/home/me/a l\\xe1ndscape/LossLandscape.py'
        b'\\" auto_load=\\"1\\" />\\n'
    )
    end = b"</Plugins>\\n"
    assert (folder / "ParaView5.11.0.ini").read_bytes() == INI.replace(end, entry + end)
    found = json.loads((folder / "ParaView-UserSettings.json").read_bytes())["settings"]
    assert found["GeneralSettings"] == {"AutoApply": 1}
    for group in ("RepresentedArrayListSettings", "IOSettings"):
        assert found[group] == {"ReaderDetails": ["*.nc", "Loss landscape", "LossLandscapeReader"]}


def test_what_the_user_changed_since_stays(folder, about):
    folder.mkdir(parents=True)
    (folder / "ParaView5.11.0.ini").write_bytes(INI)
    (folder / "ParaView-UserSettings.json").write_bytes(JSON)
    install(folder, about)
    ini = folder / "ParaView5.11.0.ini"
    ini.write_bytes(ini.read_bytes().replace(b"ShowHints=true", b"ShowHints=false"))
    other = folder / "ParaView-UserSettings.json"
    changed = json.loads(other.read_bytes())
    changed["settings"]["GeneralSettings"]["AutoApply"] = 0
    changed["settings"]["IOSettings"]["ReaderDetails"][:0] = ["*.csv", "Table", "CSVReader"]
    other.write_text(json.dumps(changed), encoding="utf-8")
    settings.uninstall(folder)
    assert ini.read_bytes() == INI.replace(b"ShowHints=true", b"ShowHints=false")
    assert json.loads(other.read_bytes()) == {
        "settings": {
            "GeneralSettings": {"AutoApply": 0},
            "IOSettings": {"ReaderDetails": ["*.csv", "Table", "CSVReader"]},
        }
    }
    assert not (folder / "losslandscape").exists()


def test_a_reader_of_the_users_own_choice_stays(folder, about):
    folder.mkdir(parents=True)
    chosen = {"ReaderDetails": ["*.nc", "netCDF", "NetCDFReader"]}
    both = {"settings": {"RepresentedArrayListSettings": chosen, "IOSettings": chosen}}
    path = folder / "ParaView-UserSettings.json"
    path.write_text(json.dumps(both), encoding="utf-8")
    install(folder, about)
    assert json.loads(path.read_bytes()) == both


def test_asking_for_the_reader_leaves_the_other_file(folder, about):
    install(folder, about, take_nc=False)
    assert not (folder / "ParaView-UserSettings.json").exists()
    assert settings.is_installed(folder, "5.11.0", PLUGIN)


def test_a_plugin_that_moved_is_entered_anew(folder, about):
    folder.mkdir(parents=True)
    (folder / "ParaView5.11.0.ini").write_bytes(INI)
    settings.install(folder, [PROGRAM], about, Path("/old/LossLandscape.py"))
    assert not settings.is_installed(folder, "5.11.0", PLUGIN)
    install(folder, about)
    assert settings.is_installed(folder, "5.11.0", PLUGIN)
    assert b"/old/" not in (folder / "ParaView5.11.0.ini").read_bytes()
    settings.uninstall(folder)
    assert (folder / "ParaView5.11.0.ini").read_bytes() == INI


def test_a_damaged_file_stops_it_before_anything_is_written(tmp_path, folder, about):
    folder.mkdir(parents=True)
    (folder / "ParaView5.11.0.ini").write_bytes(INI)
    (folder / "ParaView-UserSettings.json").write_bytes(b"{ half")
    before = contents(tmp_path)
    with pytest.raises(LossLandscapeError, match="not valid JSON"):
        install(folder, about)
    assert contents(tmp_path) == before


def test_a_plugin_that_a_session_left_is_forgotten_and_the_users_is_not(folder, about):
    folder.mkdir(parents=True)
    ini, other = folder / "ParaView5.11.0.ini", folder / "ParaView5.12.0.ini"
    ini.write_bytes(INI)
    install(folder, about)
    other.write_bytes(INI)
    listed = settings.files_with_plugin(folder)
    assert listed == {ini}
    installed = ini.read_bytes()
    other.write_bytes(installed.replace(b'py\\" auto_load=\\"1', b'py\\" auto_load=\\"0'))
    assert other.read_bytes() not in (INI, installed)
    settings.forget_plugin(folder, kept=listed)
    assert ini.read_bytes() == installed
    assert other.read_bytes() == INI


@pytest.fixture
def named_python(monkeypatch):
    """What the plugin takes for the Python that has this package."""
    monkeypatch.syspath_prepend(str(plugin_path().parent))
    from losslandscape_paraview.window import refine_process

    monkeypatch.delenv(refine_process.PYTHON_VARIABLE, raising=False)
    return refine_process.default_python


def test_the_plugin_learns_which_python_has_this_package(
    folder, about, named_python, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert settings.settings_folder() == folder
    assert named_python() == ""
    install(folder, about)
    assert named_python() == sys.executable
    monkeypatch.setattr(sys, "executable", "/another é/python")  # installed again from there
    assert str(folder / "losslandscape" / "python.txt") in install(folder, about)
    assert named_python() == "/another é/python"
    monkeypatch.setenv("LOSSLANDSCAPE_PYTHON", "/the/launcher's")
    assert named_python() == "/the/launcher's"
    monkeypatch.delenv("LOSSLANDSCAPE_PYTHON")
    settings.uninstall(folder)
    assert named_python() == ""


def test_asking_later_takes_the_reader_out(folder, about):
    install(folder, about)
    install(folder, about, take_nc=False)
    assert not (folder / "ParaView-UserSettings.json").exists()
    assert settings.is_installed(folder, "5.11.0", PLUGIN)


def test_the_mend_touches_paraview_alone(tmp_path):
    """Run as `site` runs it, in this Python, which is no ParaView."""
    (tmp_path / "x.pth").write_text(settings._MEND, encoding="ascii")
    code = f"import site, sys; site.addsitedir({str(tmp_path)!r}); print('inspect' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_buttons_come_and_go_and_those_of_the_user_stay(tmp_path):
    plugin = plugin_path()
    written = settings.add_macros(tmp_path, plugin)
    assert len(written) >= 6
    own = tmp_path / "Macros" / "mine.py"
    own.write_text("print(1)")
    assert settings.take_macros_out(tmp_path, plugin) == written
    assert list((tmp_path / "Macros").iterdir()) == [own]
    own.unlink()
    settings.add_macros(tmp_path, plugin)
    settings.take_macros_out(tmp_path, plugin)
    assert list(tmp_path.iterdir()) == []
