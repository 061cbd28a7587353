"""The Morse-Smale filter gives what `losslandscape.topology` gives; the figures draw it."""

import json

import numpy as np
import pytest

from losslandscape import topology

ORIGIN, SPACING = (-1.0, 0.5, 0.0), (0.25, 0.5, 1.0)


def fields():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[-1:1:11j, -1:1:13j]
    waves = np.sin(5 * x) * np.cos(4 * y) + 0.3 * x
    holes = waves.copy()
    holes[2:4, 5] = np.nan
    return {
        "waves": (waves, 0.0),
        "simplified": (waves + 0.2 * rng.normal(size=waves.shape), 0.5),
        "holes": (holes, 0.0),
        "line": (np.sin(np.linspace(0, 12, 40)), 0.0),
    }


BAD = {
    "volume": (np.arange(27.0).reshape(3, 3, 3), 0.0, "use TTK's Morse-Smale complex"),
    "constant": (np.ones((4, 4)), 0.0, "a constant field has no critical points"),
    "nothing": (np.full((4, 4), np.nan), 0.0, "NaN"),
    "negative": (np.arange(16.0).reshape(4, 4), -1.0, "0 or more"),
    "absent": (np.arange(16.0).reshape(4, 4), 0.0, "no point array 'hessian'"),
}


def two_wells():
    """Wells of loss 0.01 and 0.1 with a pass of about 1 between, at the writer's 7 x 5 points."""
    log_loss = np.full((5, 7), 0.5) + 0.01 * np.arange(35).reshape(5, 7)
    log_loss[2] = [0.4, -2.0, -0.5, 0.0, -0.4, -1.0, 0.6]
    return 10.0**log_loss


@pytest.fixture(scope="module")
def ran(tmp_path_factory, in_paraview, write_landscape, repository):
    folder = tmp_path_factory.mktemp("topology")
    filters = []
    for name, (field, persistence) in fields().items():
        filters.append({"name": name, "persistence": persistence})
        np.save(folder / name, field)
    for name, (field, persistence, _words) in BAD.items():
        filters.append({"name": name, "persistence": persistence})
        np.save(folder / name, field)
    filters[-1]["array"] = "hessian"
    for one in filters:
        one["grid"] = str(folder / f"{one['name']}.npy")
    wells = str(write_landscape(folder / "wells.nc", loss=two_wells()))
    volume = str(write_landscape(folder / "volume.nc", 3))
    random = str(repository / "state_files" / "data" / "vgg11_pca")
    live = {"persistence": 0.1, "log": True, "size": [1000, 500]}
    figures = [
        {"inputs": [wells], "options": live, "then": 1.5, "picture": str(folder / "live.png")},
        {"inputs": [wells], "options": {"colour": "basins", "diagram": False, "models": True}},
        {"inputs": [volume], "options": {}},
        {"inputs": [wells], "options": {"persistence": -1.0}},
        {"inputs": [wells], "options": {"folder": random}},
        {"inputs": [wells], "options": {"colour": "rainbow"}},
        {"function": "flatness", "inputs": [random, random], "options": {}},
    ]
    figures = [{"function": "topology", **figure} for figure in figures]
    job = folder / "job.json"
    job.write_text(json.dumps({"filters": filters, "figures": figures}), encoding="utf-8")
    answer, _done = in_paraview("topology.py", folder / "arrays.npz", job)
    with np.load(folder / "arrays.npz") as arrays:
        return answer, dict(arrays), folder


@pytest.mark.parametrize("name", list(fields()))
def test_ports_hold_the_package_s_arrays(ran, name):
    _answer, arrays, _folder = ran
    field, persistence = fields()[name]
    expected = topology.morse_smale_complex(field, ORIGIN, SPACING, persistence=persistence)

    def given(port, array):
        return arrays[f"{name}/{port}/{array}"]

    for key, values in expected.critical_points.items():
        array = "points" if key == "points" else f"point/{key}"
        np.testing.assert_array_equal(given(0, array), values)
    for key, values in expected.segmentation.items():
        np.testing.assert_array_equal(given(3, f"point/{key}"), values.ravel())
    if field.ndim == 2:
        lines = expected.separatrices
        np.testing.assert_array_equal(given(1, "points"), lines["points"])
        np.testing.assert_array_equal(given(1, "lines").reshape(-1, 2), lines["lines"])
        np.testing.assert_array_equal(given(1, "cell/SourceId"), lines["SourceId"])
        np.testing.assert_array_equal(given(1, "point/CellDimension"), lines["CellDimension"])
    pairs = topology.persistence_pairs(field)
    for key in ("Birth", "Persistence", "PairType", "IsFinite"):
        np.testing.assert_array_equal(given(4, f"cell/{key}")[:-1], pairs[key])
    np.testing.assert_array_equal(given(4, "cell/PairIdentifier")[-1], -1)
    kept = (pairs["Persistence"] > persistence) | (pairs["IsFinite"] == 0)
    np.testing.assert_array_equal(given(4, "cell/AboveThreshold")[:-1], kept)
    deaths = given(4, "points")[1:-2:2, 1]
    np.testing.assert_allclose(deaths, pairs["Birth"] + pairs["Persistence"], rtol=1e-12)


def test_ports_are_those_of_ttk(ran):
    ports = ran[0]["filters"]["waves"]["ports"]
    assert [kind for kind, _points in ports] == [
        *["vtkPolyData"] * 3,
        "vtkImageData",
        "vtkPolyData",
    ]
    assert ports[2][1] == 0


@pytest.mark.parametrize("name", list(BAD))
def test_a_field_that_cannot_be_used_is_named(ran, name):
    facts = ran[0]["filters"][name]
    assert BAD[name][2] in facts["message"]
    assert [points for _kind, points in facts["ports"]][:3] == [0, 0, 0]


def test_figure_draws_critical_points_separatrices_and_diagram(ran):
    answer, _arrays, folder = ran
    facts = answer["figures"][0]
    assert {"surface", "critical points", "separatrices", "pairs", "diagram", "key"} <= set(
        facts["layers"]
    )
    assert (folder / "live.png").stat().st_size > 10_000
    counted = {name.split(" (")[0]: count for name, count in facts["points"].items()}
    values = np.log10(two_wells())
    found = topology.morse_smale_complex(values, persistence=0.1).critical_points
    assert counted["critical points, arrays"] == len(found["points"])
    assert counted["pairs, chosen"] == 2


def test_one_threshold_moves_surface_and_diagram(ran):
    then = {name.split(" (")[0]: count for name, count in ran[0]["figures"][0]["then"].items()}
    assert then["pairs, chosen"] == 1
    assert then["critical points, arrays"] == 1


def test_basins_and_models_are_layers(ran):
    layers = set(ran[0]["figures"][1]["layers"])
    assert {"basins", "models", "critical points"} <= layers
    assert "surface" not in layers
    assert "pairs" not in layers


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (2, "needs two directions, not 3"),
        (3, "persistence -1: the threshold must not be negative"),
        (4, "there is no critical_points.vtp, separatrices.vtp, persistence_diagram.vtp"),
        (5, "no colour 'rainbow'; there are loss, basins"),
        (6, "`losslandscape flatness FILE.nc --output FOLDER` writes them"),
    ],
)
def test_what_does_not_fit_is_told(ran, index, words):
    assert words in ran[0]["figures"][index]["error"]


def test_ttk_is_used_where_it_is_loaded(ran):
    answer, _arrays, folder = ran
    if not answer["ttk"]:
        pytest.skip("TTK is not part of this ParaView (that of paraview.org has it)")
    # the figure above went through TTK's filters, and found what the package finds
    counted = {n.split(" (")[0]: c for n, c in answer["figures"][0]["points"].items()}
    assert counted["critical points, arrays"] == len(
        topology.morse_smale_complex(np.log10(two_wells()), persistence=0.1).critical_points[
            "points"
        ]
    )
    assert folder.is_dir()
