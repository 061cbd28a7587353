"""The site's pages of readers and filters say what ParaView says of them."""

import importlib.util
import sys

import pytest

# ParaView's own, on every proxy that is written in Python.
RELOAD = "ReloadPythonModule"


@pytest.fixture(scope="module")
def told(repository):
    """The proxies as the site's builder reads them, without ParaView, by name."""
    path = repository / "docs" / "_extensions" / "paraview_proxies.py"
    spec = importlib.util.spec_from_file_location("paraview_proxies", path)
    module = sys.modules["paraview_proxies"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {proxy.name: proxy for proxy in module.read_proxies()}


def test_pages_say_what_paraview_says(told, in_paraview):
    known, _done = in_paraview("proxies.py")
    assert known.keys() == told.keys()
    for name, facts in known.items():
        proxy = told[name]
        assert (proxy.label, proxy.text) == (facts["label"], facts["text"])
        # an only output may be left without a name of its own
        assert proxy.outputs == facts["outputs"] or (
            not proxy.outputs and len(facts["outputs"]) == 1
        )
        of_paraview = facts["properties"]
        # the panel hides a file's name, which the dialogue asks for
        shown = {key for key, value in of_paraview.items() if value["shown"] or key == "FileName"}
        assert {entry.python_name for entry in proxy.properties} == shown - {RELOAD}
        for entry in proxy.properties:
            there = of_paraview[entry.python_name]
            assert (entry.name, entry.label) == (there["name"], there["label"])
            assert not there["text"] or entry.text == there["text"]
            if entry.default not in ("", "by the data") and there["default"] is not None:
                assert same(entry.default, there["default"]), entry
    assert "Persistence" in {entry.name for entry in told["LossMorseSmaleComplex"].properties}


def same(default, value):
    """Whether a default is what ParaView has, which may be a number or a word."""
    try:
        return float(default) == float(value)
    except ValueError:
        return {"off": "0", "on": "1"}.get(default, default) == value


def test_reading_them_leaves_no_stand_in_behind(told):
    assert "losslandscape_paraview.proxies" not in sys.modules
    assert "paraview" not in sys.modules


def test_the_plugin_manager_shows_this_version(in_paraview):
    import losslandscape

    plugins, _done = in_paraview("plugin_version.py")
    if not any(plugins.values()):
        pytest.skip("this ParaView tells no plugin's version, not that of its own either")
    assert plugins["LossLandscape"] == losslandscape.__version__
