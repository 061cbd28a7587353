"""Figures along one, two and three directions: every layer can be seen, and states open again."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from skimage.io import imread

from losslandscape import Landscape

LAYERS = {
    "curve": {"curve", "error band", "evaluated points", "title", "axes", "key"},
    "surface": {
        *("surface", "evaluated points", "places"),
        *("title", "axes", "colour bar", "key", "notes"),
    },
    "isosurfaces": {"isosurfaces", "origin", "minimum", "title", "axes", "colour bar", "key"},
    "volume": {"volume", "origin", "minimum", "title", "axes", "colour bar", "key"},
    "volume with holes": {"volume", "origin", "minimum", "title", "axes", "colour bar", "key"},
}


def bowl(*shape):
    """A loss whose logarithm is a paraboloid with its minimum beside the origin."""
    axes = [np.linspace(-1.5, 1.0, count) for count in shape]
    coordinates = np.meshgrid(*axes, indexing="ij")
    return 10.0 ** sum((x + 0.4) ** 2 for x in coordinates)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, write_landscape, in_paraview):
    """The answer for each figure, the folder of its pictures, and the volumes' losses."""
    folder = tmp_path_factory.mktemp("layers")
    rows = ("index", "step", "alpha", "beta", "gamma", "loss", "checkpoint_loss")
    without = [f"trajectory_{name}" for name in (*rows, "distance_to_plane")]
    losses = {"curve": bowl(7), "surface": bowl(5, 7), "volume": bowl(4, 5, 7)}
    losses["volume with holes"] = bowl(4, 5, 7)
    losses["volume with holes"][1:3, 1:3, 2:4] = np.nan
    files = {
        name: write_landscape(folder / f"{name}.nc", loss.ndim, loss=loss, leave_out=without)
        for name, loss in losses.items()
    }
    Landscape.open(files["volume"]).export(folder / "exported")
    builds = [
        ("curve", "curve", files["curve"], {}),
        ("surface", "surface", files["surface"], {"evaluated": True}),
        # states of exported files need no plugin
        ("isosurfaces", "isosurfaces", folder / "exported", {"log": True}),
        ("volume", "volume", files["volume"], {"log": True}),
        ("volume with holes", "volume", files["volume with holes"], {"log": True}),
    ]
    job = folder / "job.json"
    wanted = [
        # a volume is slow to draw in software, and without holes it has the same layers
        {"name": n, "figure": f, "inputs": [str(path)], "options": o, "hide": n != "volume"}
        for n, f, path, o in builds
    ]
    job.write_text(json.dumps(wanted), encoding="utf-8")
    answers, _done = in_paraview("layers.py", folder / "pictures", job)
    return answers, folder / "pictures", losses


def picture(path):
    return imread(path)[..., :3].astype(float)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_can_be_seen(drawn, name):
    answers, pictures, _losses = drawn
    assert set(answers[name]["layers"]) == LAYERS[name]
    whole = picture(pictures / name / "all.png")
    # a white ground to the edges, and neither empty nor dark
    frame = np.concatenate([whole[0], whole[:, 0], whole[:, -1]])
    assert (frame == 255.0).all()
    assert 100.0 < whole.mean() < 254.0
    for layer in LAYERS[name] if name != "volume" else ():
        without = picture(pictures / name / f"{layer}.png")
        changed = np.abs(whole - without).max(axis=2) > 8.0
        assert changed.sum() >= 20, f"layer {layer} cannot be seen"


@pytest.mark.parametrize("name", LAYERS)
def test_state_opens_again_in_the_same_picture(drawn, name):
    answers, pictures, _losses = drawn
    assert answers[name]["reopened"] == answers[name]["layers"]
    whole, again = (picture(pictures / name / f"{which}.png") for which in ("all", "reopened"))
    np.testing.assert_array_equal(again, whole)
    root = ElementTree.parse(pictures.parent / f"{name}.pvsm").getroot()
    values = [element.get("value", "") for element in root.iter("Element")]
    # "/" alone is the root of an assembly of blocks
    assert not [value for value in values if value.startswith("/") and value != "/"]
    plugin = [p.get("type") for p in root.iter("Proxy") if "LossLandscape" in p.get("type", "")]
    assert bool(plugin) == (name != "isosurfaces")


@pytest.mark.parametrize("name", ["volume", "volume with holes"])
def test_volume_holds_the_loss_and_blanks_its_holes(drawn, name):
    answers, pictures, losses = drawn
    facts, loss = answers[name]["volume"], losses[name].ravel()
    assert facts["class"] == "vtkImageData"
    assert facts["hidden"] == np.count_nonzero(np.isnan(loss))
    assert facts["loss"] == pytest.approx(loss[np.isfinite(loss)].tolist(), rel=1e-9)
    assert facts["difference"] < 1e-9
    if name != "volume":
        # the hole is at the bottom of the bowl, where the volume is the most opaque
        darkness = [255.0 - picture(pictures / n / "all.png").mean() for n in ("volume", name)]
        assert darkness[1] < 0.95 * darkness[0]
