"""The labels of bars and axes are the numbers of their ticks, as they are drawn, in any version.

A view's SVG export holds the texts of its picture. ParaView 6.1 writes the formats of older
versions as they are, `%.3g`, into each label, and older ones do so with those of 6.1.
"""

import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest

STATE_FILES = Path(__file__).resolve().parents[3] / "state_files"
SAVED = Path(__file__).resolve().parent / "saved"
FILES = ["figure3_techniques.py"]
# Ticks that six digits do not tell apart; the bar's format is then ParaView's own.
NARROW = """
import losslandscape_paraview as llpv


def build(data):
    return llpv.surface(str(data.parent / "narrow.nc"), log=False)
"""
NARROW_ENDS = 2.3025850, 2.3025859
VERSIONS = sorted(path.name.split(".pvsm")[0] for path in SAVED.glob("*.pvsm.xz"))


@pytest.fixture(scope="module")
def read(tmp_path_factory, write_landscape, in_paraview):
    folder = tmp_path_factory.mktemp("labels") / "states"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(STATE_FILES, folder, ignore=ignored)
    write_landscape(folder / "narrow.nc", loss=np.linspace(*NARROW_ENDS, 35).reshape(5, 7))
    (folder / "narrow.py").write_text(NARROW, encoding="utf-8")
    files = [folder / name for name in [*FILES, "narrow.py"]]
    answers, _done = in_paraview("labels.py", tmp_path_factory.mktemp("svg"), *files, alone=True)
    return answers


@pytest.mark.parametrize("when", ["first", "again"])
@pytest.mark.parametrize("name", [*FILES, "narrow.py"])
def test_labels_are_the_ticks(read, name, when):
    views = read[name][when]
    assert_labels(views)
    assert sum(len(view["bars"]) for view in views) >= 1
    assert sum(len(view["ticks"]) for view in views) >= 6


def assert_labels(views):
    """Every bar's labels stand before its title, in order, and every axis' are somewhere."""
    for view in views:
        texts = view["texts"]
        assert not [text for text in texts if "%" in text or "{" in text], texts
        for bar in view["bars"]:
            ticks, end = bar["ticks"], texts.index(bar["title"])
            labels = [float(text) for text in texts[end - len(ticks) : end]]
            room = 0.01 * min(np.diff(ticks), default=1.0)
            np.testing.assert_allclose(labels, ticks, rtol=0, atol=room)
        numbers = {text for text in texts if text.replace(".", "").lstrip("-").isdigit()}
        drawn = np.array(sorted(map(float, numbers)))
        for tick in view["ticks"]:
            assert np.abs(drawn - tick).min() <= 1e-6 * max(1.0, abs(tick)), (tick, texts)


@pytest.mark.parametrize(
    "change",
    [
        lambda view: view["texts"].__setitem__(0, "%.3g"),
        lambda view: view["texts"].__setitem__(0, "{:.3g}"),
        lambda view: view["texts"].__setitem__(1, "0.02"),
        lambda view: view["texts"].reverse(),
        lambda view: view["ticks"].append(0.75),
    ],
)
def test_wrong_labels_are_found(change):
    view = {
        "texts": ["0.01", "0.03", "0.1", "loss", "-1", "0.5"],
        "bars": [{"title": "loss", "ticks": [0.01, 0.03, 0.1]}],
        "ticks": [-1.0, 0.5],
    }
    assert_labels([view])
    change(view)
    with pytest.raises((AssertionError, ValueError)):
        assert_labels([view])


@pytest.fixture(scope="module")
def opened(tmp_path_factory, write_landscape, in_paraview):
    """The state of one figure as each version saved it, opened by this one."""
    folder = tmp_path_factory.mktemp("saved")
    x, y = np.meshgrid(np.linspace(-1.5, 1, 7), np.linspace(-1.5, 1, 5))
    loss = 0.05 + x**2 + 1.5 * (y + 0.2) ** 2 + 0.3 * np.sin(4 * x) ** 2
    write_landscape(folder / "plane.nc", loss=loss)
    for version in VERSIONS:
        packed = SAVED / f"{version}.pvsm.xz"
        (folder / f"{version}.pvsm").write_bytes(lzma.decompress(packed.read_bytes()))
    answers, done = in_paraview("saved_states.py", folder, alone=True)
    return answers, done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_states_of_all_versions_open(opened, version):
    """By this plugin and ParaView's own LoadState; in 5.11, the plugin alone opens newer ones."""
    answers = opened[0][version]
    for answer in answers.values():
        layers = {"surface", "trajectory", "markers", "title", "axes", "colour bar"}
        assert set(answer["layers"]) == layers
        assert_labels(answer["views"])
        assert sum(len(view["bars"]) for view in answer["views"]) == 2


def test_old_states_are_opened_without_a_warning_of_formats(opened):
    answers, printed = opened
    assert sum("plain" in answer for answer in answers.values()) >= 1
    assert "printf" not in printed
