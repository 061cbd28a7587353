"""The figures' pipelines: scales, holes, and what lies on the surface lies on it."""

import json

import numpy as np
import pytest

from losslandscape import Landscape

# The loss whose logarithm is a plane: what is drawn between grid points is then known exactly.
SLOPE_X, SLOPE_Y, HEIGHT_0 = 0.7, -0.4, 0.1
OFFSET = 0.25
ODD_NAME = "Brier score \u03b1 \u640d"  # the Calculator cannot take it, nor the font its end
RUNS = ["trajectory 0", "trajectory 1"]  # the labels of an exported file without labels


def plane_height(x, y):
    return SLOPE_X * np.asarray(x) + SLOPE_Y * np.asarray(y) + HEIGHT_0


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, write_landscape):
    """Landscape files by name, and the folder of the plane's exports."""
    from netCDF4 import Dataset

    folder = tmp_path_factory.mktemp("pipelines")
    x, y = np.meshgrid(np.linspace(-1.5, 1, 7), np.linspace(-1.5, 1, 5))
    plane = 10.0 ** plane_height(x, y)
    files = {
        "plane": write_landscape(folder / "plane.nc", loss=plane),
        "holes": write_landscape(folder / "holes.nc"),
        "line": write_landscape(folder / "line.nc", 1),
        "volume": write_landscape(folder / "volume.nc", 3),
    }
    across = 10.0 ** np.linspace(-1, 0, 7)
    files["exact line"] = write_landscape(folder / "exact_line.nc", 1, loss=across)
    corner = plane.copy()
    corner[-1, -1] = 1e6
    z = np.linspace(-1.5, 1, 4)[:, None, None]
    files["exact volume"] = write_landscape(
        folder / "exact_volume.nc", 3, loss=10.0 ** (plane_height(x, y)[None] + z)
    )
    files["adaptive"] = write_landscape(folder / "adaptive.nc", loss=plane)
    with Dataset(files["adaptive"], "r+") as file:
        interpolated = np.ones(plane.shape, bool)
        interpolated[::2, ::2] = False
        file["status"][:] = np.where(interpolated, 2, 1)
        file["status"][0, 0], file["status"][0, 2] = 0, 3
        file["loss"][0, 0], file["loss"][0, 2] = np.nan, np.inf
        error = file.createVariable("loss_interpolation_error", "f8", ("beta", "alpha"))
        error[:] = np.where(interpolated, 0.125, 0.0)
    outside = write_landscape(folder / "outside.nc", loss=plane)
    rows = ("index", "step", "alpha", "beta", "loss", "checkpoint_loss", "distance_to_plane")
    leave_out = [f"trajectory_{name}" for name in rows]
    plain = write_landscape(folder / "plain.nc", loss=plane, leave_out=leave_out)
    alone = [*leave_out, "model_alpha", "model_beta", "model_loss", "model_label"]
    files["corner"] = write_landscape(folder / "corner.nc", loss=corner, leave_out=alone)
    files.update(outside=outside, plain=plain)
    with Dataset(plain, "r+") as file:
        file.createVariable(ODD_NAME, "f8", ("beta", "alpha"))[:] = 1 + plane
    for name in ("plane", "outside"):
        with Dataset(files[name], "r+") as file:
            if name == "outside":
                file["trajectory_alpha"][1] = 7.0
            exact = 10.0 ** plane_height(file["trajectory_alpha"][:], file["trajectory_beta"][:])
            exact[2] *= 10.0**OFFSET
            file["trajectory_loss"][:] = exact
    Landscape.open(files["plane"]).export(folder / "exported")
    files["exported"] = folder / "exported"
    return {name: str(path) for name, path in files.items()}


BUILDS = {
    "plane": ("trajectory", ["plane"], {"log": True}),
    "exported": ("trajectory", ["exported"], {"log": True}),
    "outside": ("trajectory", ["outside"], {"log": True}),
    "ceiling": ("surface", ["holes"], {"log": True, "ceiling": 2.0, "floor": 0.1}),
    "corner": ("surface", ["corner"], {"log": False}),
    "uncut": ("surface", ["corner"], {"log": False, "ceiling": float("inf")}),
    "holes": ("surface", ["holes"], {}),
    "linear": ("contours", ["plane"], {"log": False}),
    "contours": ("contours", ["plane"], {"log": True, "levels": 8}),
    "compare": ("compare", ["plane", "holes"], {"techniques": ["surface", "contours"]}),
    "panels": ("panels", ["plane", "plain"], {"each": [{"log": True}, {"array": ODD_NAME}]}),
    "one scale": ("panels", ["plain", "plain"], {"common": True}),
    "too narrow": ("panels", ["plane", "holes"], {"letters": 1.0}),
    "same": ("compare", ["plane", "plane"], {}),
    "line": ("trajectory", ["line"], {}),
    "volume": ("trajectory", ["volume"], {}),
    "curve": ("default", ["exact line"], {"log": True}),
    "linear curve": ("curve", ["exact line"], {"log": False}),
    "curve with holes": ("curve", ["line"], {"evaluated": True}),
    "isosurfaces": ("default", ["exact volume"], {"log": True, "levels": 7}),
    "isosurfaces with holes": ("isosurfaces", ["volume"], {}),
    "two curves": ("compare", ["exact line", "line"], {}),
    "evaluated": ("surface", ["adaptive"], {"log": True, "evaluated": True}),
    "error": ("surface", ["adaptive"], {"array": "loss_interpolation_error"}),
    "surface of a volume": ("surface", ["volume"], {}),
    "contours of a line": ("contours", ["line"], {}),
    "volume of a plane": ("volume", ["plane"], {}),
    "no array": ("surface", ["plane"], {"array": "hessian"}),
    "no trajectory": ("trajectory", ["plain"], {}),
    "crossed": ("surface", ["plane"], {"floor": 2.0, "ceiling": 1.0}),
}


EXPORTED = pytest.param("exported", marks=pytest.mark.slow)


class Built(dict):
    """What ParaView says of each build, by name; made when a test first asks for it."""

    def __init__(self, make):
        self._make = make

    def __missing__(self, name):
        self[name] = self._make(name)
        return self[name]


@pytest.fixture(scope="module")
def built(tmp_path_factory, inputs, in_paraview):
    job = tmp_path_factory.mktemp("job") / "job.json"

    def make(name):
        figure, names, options = BUILDS[name]
        build = {"figure": figure, "inputs": [inputs[one] for one in names], "options": options}
        job.write_text(json.dumps([build]), encoding="utf-8")
        (answer,), _done = in_paraview("pipelines.py", job)
        return answer

    return Built(make)


def source(figure, start):
    """The one pipeline object whose name starts so."""
    names = [name for name in figure["sources"] if name.startswith(start)]
    assert len(names) == 1, (start, list(figure["sources"]))
    return figure["sources"][names[0]]


@pytest.mark.parametrize("name", ["plane", EXPORTED])
def test_difference_of_exact_and_drawn_values_is_told(built, name):
    report = built[name]["report"]["panels"][0]["trajectory"]
    assert report["outside"] == 0
    assert report["largest_difference"] == pytest.approx(OFFSET, abs=1e-6)
    assert report["exact"] / report["drawn"] == pytest.approx(10**OFFSET, rel=1e-5)


@pytest.mark.parametrize("name", ["plane", EXPORTED, "outside"])
def test_curve_and_markers_lie_on_the_drawn_surface(built, name):
    figure = built[name]
    factor = figure["factors"][0]
    what = ["trajectory, lifted", "markers, lifted", "surface ("]
    if name == "exported":  # with labels: each run by itself
        what[:2] = [
            f"{part}, lifted"
            for run in RUNS
            for part in (
                f"trajectory: {run}",
                f"markers: start of {run}",
                f"markers: end of {run}",
            )
        ]
    for start in what:
        lifted = source(figure, start)
        x, y, z = np.transpose(lifted["coordinates"])
        np.testing.assert_allclose(z, factor * plane_height(x, y), atol=2e-5)


def test_tubes_are_nearer_to_the_reader_and_seen_at_the_same_place(built):
    """A tube that the surface cuts shows its dark edge as a crescent."""
    towards = np.array([-0.62, -1.0, 1.3]) / np.linalg.norm([0.62, 1.0, 1.3])
    for what in ("trajectory", "markers"):
        near, on = (
            np.array(source(built["plane"], f"{what}, {where}")["coordinates"])
            for where in ("nearer", "lifted")
        )
        away = near - on
        along = away @ towards
        assert (along > 0.025).all()
        np.testing.assert_allclose(away, np.outer(along, towards), atol=1e-5)


def test_model_and_lowest_point_are_reported_and_marked(built):
    places = built["plane"]["report"]["panels"][0]["places"]
    lowest = places["lowest"]
    x, y = np.meshgrid(np.linspace(-1.5, 1, 7), np.linspace(-1.5, 1, 5))
    assert lowest["loss"] == pytest.approx(10.0 ** plane_height(x, y).min())
    assert lowest["position"] == pytest.approx([-1.5, 1.0, 0.0])
    # of the evaluated points alone
    lowest = built["evaluated"]["report"]["panels"][0]["places"]["lowest"]
    assert lowest["evaluated"]
    assert lowest["position"] != pytest.approx([-1.5, 0.375, 0.0])


def test_captions_state_what_the_file_says(built):
    words = built["plane"]["report"]["caption"]
    assert "Grid: 7 x 5 points, 35 evaluated." in words
    assert "batch-norm statistics re-estimated" in words
    assert "away from the plane" in words
    assert "logarithmic scale" in words
    assert "losses above 2 are drawn at 2" in built["ceiling"]["report"]["caption"]


def test_curve_is_cut_to_the_grid_spacing_and_keeps_its_values(built):
    curve = source(built["plane"], "trajectory, lifted")
    steps = np.linalg.norm(np.diff(np.array(curve["coordinates"])[:, :2], axis=0), axis=1)
    assert np.sort(steps)[:-1].max() < 2.5 / 6  # but for the jump from one trajectory to the other
    assert curve["arrays"]["step"] == pytest.approx([0.0, 3.0], abs=1e-6)
    assert curve["arrays"]["vtkValidPointMask"] == [1.0, 1.0]


@pytest.mark.slow
def test_runs_are_drawn_one_by_one(built):
    """Each from its own checkpoints, with a label beside its end and an entry in the legend."""
    figure = built["exported"]
    for number, run in enumerate(RUNS):
        line = source(figure, f"trajectory: {run}, line")
        assert line["arrays"]["trajectory"] == [number, number]
        assert line["points"] == (4, 3)[number]
        assert line["cells"] == 1
        last = source(figure, f"markers: end of {run}, lifted")
        assert last["points"] == 1
        assert last["arrays"]["step"] == [(3.0, 2.0)[number]] * 2
        assert f"markers: label of {run} (a landscape)" in figure["texts"]
        assert f"key: name ({run})" in figure["texts"]
    layers = {"surface", "trajectory", "markers", "title", "axes", "colour bar", "key"}
    assert set(figure["layers"]) == layers | {"own losses", "places", "notes"}
    # a file without labels is drawn as ever, by step
    assert f"key: name ({RUNS[0]})" not in built["plane"]["texts"]


def test_a_quantity_of_any_name_is_drawn_and_letters_without_a_font_are_named(built):
    figure = built["panels"]
    heights = source(figure, "height = quantity_")["arrays"]["height"]
    loss = source(figure, "height = log10 of loss")["arrays"]["loss"]
    assert heights == pytest.approx([1 + end for end in loss])
    axes = [words for name, words in figure["words"] if "title of the loss" in name]
    assert sorted(axes) == ["Brier score $\\alpha$ \u640d", "loss, log"]
    assert any("font has no \u640d in 'Brier score" in words for words in figure["warnings"])


def test_what_lies_outside_is_left_out_and_counted(built):
    assert built["outside"]["report"]["panels"][0]["trajectory"]["outside"] == 1
    curve = source(built["outside"], "trajectory, lifted")
    assert max(x for x, _y, _z in curve["coordinates"]) <= 1.0 + 1e-6


def test_log_scale_is_a_calculator_that_says_so(built):
    calculator = source(built["plane"], "height = log10 of loss")
    assert calculator["function"] == "log10(loss)"
    low, high = np.log10(calculator["arrays"]["loss"])
    assert calculator["arrays"]["height"] == pytest.approx([low, high], rel=1e-14)


def test_floor_and_ceiling_bound_the_heights_and_not_the_values(built):
    figure = built["ceiling"]
    calculator = source(figure, "height = log10 of loss, at least 0.1, at most 2")
    assert calculator["arrays"]["height"] == pytest.approx([-1.0, np.log10(2.0)])
    assert calculator["arrays"]["loss"][0] < 0.1
    assert calculator["arrays"]["loss"][1] == np.inf
    assert figure["report"]["scale"]["words"] == "log scale, cut at 0.1 and 2"
    # an infinite loss is over the ceiling, one that is no number is a hole
    assert figure["report"]["panels"][0]["holes"] == 1


def test_an_exploding_corner_is_cut_and_it_is_said(built):
    figure = built["corner"]
    scale = figure["report"]["scale"]
    cut = scale["ceiling"]
    assert 20 < cut < 30
    assert scale["words"] == f"linear scale, cut at {cut:g}"
    words = f"losses above {cut:g} are drawn at {cut:g} (the largest is 1e+06)"
    assert words in figure["report"]["caption"]
    calculator = source(figure, f"height = loss, at most {cut:g}")
    assert calculator["arrays"]["loss"][1] == 1e6
    assert calculator["arrays"]["height"][1] == cut
    lifted = built["uncut"]["report"]["scale"]
    assert (lifted["ceiling"], lifted["words"], lifted["upper"]) == (None, "linear scale", 1e6)


def test_holes_stay_holes(built):
    figure = built["holes"]
    assert figure["report"]["panels"][0]["holes"] == 2
    # 24 cells, and the NaN and the infinity at the border take two each
    assert source(figure, "plane, triangles")["cells"] == 2 * (24 - 4)


def test_contours_are_evenly_spaced_and_labelled(built):
    for name, spacing in (("contours", np.log10), ("linear", np.asarray)):
        levels = built[name]["report"]["panels"][0]["levels"]
        assert len(levels) >= 4
        steps = np.diff(spacing(levels))
        # levels are rounded to two digits on a log scale
        np.testing.assert_allclose(steps, steps.mean(), rtol=1e-9 if name == "linear" else 0.2)
        drawn = source(built[name], "contours, level (")["arrays"]["loss"]
        assert drawn == pytest.approx([min(levels), max(levels)], rel=1e-5)


def test_two_panels_share_scale_and_box(built):
    figure = built["compare"]
    assert figure["factors"][0] == figure["factors"][1]
    assert figure["bounds"][0] == figure["bounds"][1]
    assert figure["layers"]["surface"] == 2
    assert figure["layers"]["contours"] == 1


def test_panels_have_scales_of_their_own_and_keys_in_common(built):
    figure = built["panels"]
    assert len({scale["upper"] for scale in figure["report"]["scales"]}) == 2
    alone = built["plane"]["report"]["scale"]
    assert figure["report"]["scales"][0] == alone
    assert figure["factors"][0] == built["plane"]["factors"][0]
    assert figure["layers"]["surface"] == 2
    assert figure["layers"]["trajectory"] == built["plane"]["layers"]["trajectory"]
    # a bar of the quantity for each, and one of the steps
    assert figure["layers"]["colour bar"] == 3
    assert figure["texts"].count("key: name (lowest)") == 1
    assert "too narrow" in built["too narrow"]["error"]


@pytest.mark.slow
def test_panels_on_one_scale_share_one_colour_bar(built):
    figure = built["one scale"]
    assert figure["layers"]["surface"] == 2
    assert figure["layers"]["colour bar"] == 1
    assert "Height and color are the cross-entropy loss" in figure["report"]["caption"]


def test_a_landscape_beside_itself_is_opened_once(built):
    assert built["same"]["readers"] == 1
    assert built["compare"]["readers"] == 2


@pytest.mark.parametrize(("name", "of"), [("curve", np.log10), ("linear curve", np.asarray)])
def test_error_band_is_two_standard_errors_up_and_down(built, name, of):
    figure = built[name]
    band = source(figure, "error band (")
    x, _y, z = np.transpose(band["coordinates"])
    grid = np.linspace(-1.5, 1, 7)
    loss = 10.0 ** np.linspace(-1, 0, 7)
    for place, value in zip(grid, loss):
        ends = z[np.isclose(x, place)] / figure["factors"][0]
        # the file's standard error is a tenth of the loss
        assert ends.min() == pytest.approx(of(0.8 * value), abs=1e-6)
        assert ends.max() == pytest.approx(of(1.2 * value), abs=1e-6)
    scale = figure["report"]["scale"]
    assert [scale["lower"], scale["upper"]] == pytest.approx([0.8 * loss[0], 1.2 * loss[-1]])


def test_a_curve_has_a_key_and_no_colour_bar(built):
    layers = set(built["curve"]["layers"])
    assert layers == {"curve", "error band", "evaluated points", "title", "axes", "key"}


def test_holes_of_a_curve_stay_holes(built):
    figure = built["curve with holes"]
    assert figure["report"]["panels"][0]["holes"] == 2
    # 6 pieces between 7 points, less two at each hole
    assert source(figure, "plane, triangles")["cells"] == 2
    assert source(figure, "error band (")["cells"] == 2
    assert figure["report"]["panels"][0]["evaluated_points"] == 5


@pytest.mark.slow
def test_two_curves_share_the_scale(built):
    figure = built["two curves"]
    assert figure["factors"][0] == figure["factors"][1]
    assert figure["layers"]["curve"] == 2


def test_isosurfaces_are_where_the_loss_is_their_level(built):
    figure = built["isosurfaces"]
    levels = figure["report"]["panels"][0]["levels"]
    steps = np.diff(np.log10(levels))
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.2)
    assert figure["layers"]["isosurfaces"] == len(levels) >= 4
    for level in levels:
        shell = source(figure, f"isosurfaces: {level:.3g} (")
        x, y, z = np.transpose(shell["coordinates"])
        np.testing.assert_allclose(plane_height(x, y) + z, np.log10(level), atol=1e-5)
        assert shell["arrays"]["loss"] == pytest.approx([level, level], rel=1e-5)


@pytest.mark.slow
def test_isosurfaces_leave_holes_and_have_their_marks(built):
    figure = built["isosurfaces with holes"]
    assert figure["report"]["panels"][0]["holes"] == 2
    # the file has trajectories: their ends are marked, and the origin is not
    marks = {"trajectory", "markers", "minimum", "key"}
    assert set(figure["layers"]) == {"isosurfaces", "title", "axes", "colour bar", *marks}
    assert source(figure, "finite loss only")["cells"] == 6 * 4 * 3 - 4


def test_dots_are_where_the_loss_was_evaluated_and_lie_on_the_surface(built):
    figure = built["evaluated"]
    # 12 of 35 points on the coarse grid, less the one not reached and the one not finite
    assert figure["report"]["panels"][0]["evaluated_points"] == 10
    dots = source(figure, "evaluated points, lifted")
    assert dots["points"] == 10
    x, y, z = np.transpose(dots["coordinates"])
    np.testing.assert_allclose(z, figure["factors"][0] * plane_height(x, y), atol=2e-5)
    assert dots["arrays"]["status"] == [1.0, 1.0]


def test_reader_gives_status_and_interpolation_error(built):
    arrays = source(built["evaluated"], "adaptive")["arrays"]
    assert arrays["status"] == [0.0, 3.0]
    assert arrays["loss_interpolation_error"] == [0.0, 0.125]
    assert built["error"]["report"]["scale"]["upper"] == 0.125


@pytest.mark.parametrize("name", ["plane", "line", "volume"])
def test_layers_are_found_by_name(built, name):
    layers = {"surface", "trajectory", "markers", "title", "axes", "colour bar"}
    if name != "volume":  # the file's own losses are not those on the plane
        layers |= {"own losses", "key", "notes"}
    if name == "plane":
        layers |= {"places"}
    assert set(built[name]["layers"]) == layers


def test_colour_bar_says_quantity_scale_and_statistics(built):
    title = "cross-entropy loss, log scale, batch norm re-estimated"
    assert built["plane"]["report"]["bar_title"] == title


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no array", "no array 'hessian' on the surface (found:"),
        ("no trajectory", "there is no trajectory in it"),
        ("surface of a volume", "this one has 3 directions; draw isosurfaces or volume"),
        ("contours of a line", "this one has 1 direction; draw curve"),
        ("volume of a plane", "this one has 2 directions; draw surface or contours"),
        ("crossed", "the floor 2 must lie below the ceiling 1"),
    ],
)
def test_errors_say_what_is_wrong(built, name, words):
    assert words in built[name]["error"]
