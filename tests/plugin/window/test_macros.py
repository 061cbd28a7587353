"""Macros are written whole, leave the user's files alone, and name figures that exist."""

import importlib.util
import sys
import types

import pytest


@pytest.fixture
def macros(repository):
    """As an installer loads it: from its file alone."""
    path = repository / "paraview_plugin" / "losslandscape_paraview" / "window" / "macros.py"
    spec = importlib.util.spec_from_file_location("macros", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_macro_is_written_and_removed(macros, tmp_path):
    folder = tmp_path / "new" / "Macros"
    written = macros.install_macros(folder)
    assert sorted(p.stem for p in folder.iterdir()) == sorted(macros.MACROS)
    assert sorted(written) == sorted(folder.iterdir())
    for path in written:
        compile(path.read_text(encoding="utf-8"), path.name, "exec")
        _module, function, arguments = macros.MACROS[path.stem]
        assert f"    {function}({arguments})\n" in path.read_text(encoding="utf-8")
    assert macros.install_macros(folder) == written
    assert macros.remove_macros(folder) == written
    assert not list(folder.iterdir())


def test_a_macro_of_a_package_that_is_gone_says_so(macros, tmp_path, monkeypatch):
    monkeypatch.setattr(macros, "_FOLDER", str(tmp_path / "gone"))
    macros.install_macros(tmp_path)
    said = []
    paraview = types.ModuleType("paraview")
    paraview.print_error = said.append
    monkeypatch.setitem(sys.modules, "paraview", paraview)
    monkeypatch.delitem(sys.modules, "losslandscape_paraview", raising=False)
    exec((tmp_path / "Loss curve.py").read_text(encoding="utf-8"), {})
    assert said == [
        f"Loss curve: losslandscape is no longer in {tmp_path / 'gone'}; install it again"
    ]


def test_the_users_own_macro_of_the_same_name_stays(macros, tmp_path):
    own = tmp_path / "Loss surface.py"
    own.write_text("print('mine')\n", encoding="utf-8")
    assert own not in macros.install_macros(tmp_path)
    assert own not in macros.remove_macros(tmp_path)
    assert own.read_text(encoding="utf-8") == "print('mine')\n"
