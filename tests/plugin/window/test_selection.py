"""What a person finds in the window: figures of the selection, sliders, reloaded files, holes."""

import numpy as np
import pytest
from skimage.io import imread

from losslandscape.analysis.sublevel_set import PiecewiseLinearField

pytestmark = pytest.mark.slow
SHAPE = (5, 7)
DRAWN = [
    *(f"whole {name}" for name in ("surface", "contours", "trajectory", "topology", "flat_region")),
    "deep contours",
]


def bowl():
    """A bowl, with a second, higher well that a low threshold does not reach; never 0."""
    y, x = np.meshgrid(np.linspace(-1.5, 1, 5), np.linspace(-1.5, 1, 7), indexing="ij")
    return 0.05 + x**2 + 1.5 * (y + 0.2) ** 2 + 0.3 * np.sin(4 * x) ** 2


@pytest.fixture(scope="module")
def ran(tmp_path_factory, write_landscape, in_paraview):
    folder = tmp_path_factory.mktemp("window")
    half = bowl()
    half[3:] = np.nan
    provenance = {"direction_names": ["sharpest", "beta"], "scale": "linear", "title": "bowl"}
    files = {"whole": bowl(), "half": half, "again": 3 * bowl(), "deep": 20 * bowl() ** 3}
    for name, loss in files.items():
        scale = "log" if name == "deep" else "linear"
        write_landscape(folder / f"{name}.nc", loss=loss, provenance={**provenance, "scale": scale})
    answer, done = in_paraview("selection.py", folder)
    return answer, done, folder


def test_every_macros_figure_is_drawn_from_the_selection(ran):
    assert ran[0]["drawn"] == dict.fromkeys(DRAWN, True)
    assert ran[0]["compare"] == 2
    # nothing was opened twice
    assert ran[0]["readers"] == 1


def test_figures_of_one_session_are_those_drawn_alone(ran):
    """What is drawn before or after, of the same file or another, changes no picture."""
    together = ran[0]["together"]
    assert len(together) == 3
    assert all(together.values())
    assert ran[0]["readers_together"] == 2
    for name in together:
        alone, together = (
            imread(ran[2] / f"{which} {name}.png").astype(int) for which in ("alone", "together")
        )
        # ParaView 6.1 draws edges of thin tubes otherwise in a session's second figure
        assert (np.abs(alone - together).max(axis=2) > 1).mean() < 1e-3, name


def test_figures_warn_of_nothing(ran):
    """The window would lay its messages over the figure."""
    assert "WARN" not in ran[1].stdout + ran[1].stderr


def test_a_selection_that_does_not_fit_is_told(ran):
    said = ran[1].stdout + ran[1].stderr
    assert "Loss landscape, curve" in said
    assert "'curve' draws landscapes along 1 direction" in said
    assert "select one landscape in the pipeline browser; 0 selected, 2 open" in said


def test_ranges_of_the_sliders_follow_the_data(ran):
    loss = bowl()
    edge = np.concatenate([loss[0], loss[-1], loss[:, 0], loss[:, -1]])
    first, then = ran[0]["ranges"], ran[0]["ranges_reloaded"]
    np.testing.assert_allclose(first["Persistence"], [0, np.ptp(loss)], rtol=1e-12)
    np.testing.assert_allclose(first["Threshold"], [0, edge.min() - loss.min()], rtol=1e-12)
    for name in first:
        np.testing.assert_allclose(then[name], 3 * np.array(first[name]), rtol=1e-12)


def test_the_ceiling_cuts_the_height_and_not_the_loss(ran):
    loss = bowl().ravel()
    low, high = loss.min(), loss.max()
    facts = ran[0]["ceiling"]
    cut = low + 0.4 * (high - low)
    np.testing.assert_allclose(facts["ceiling"], cut)
    np.testing.assert_allclose(facts["height"], np.minimum(loss, cut))
    assert facts["loss"] == loss.tolist()


@pytest.mark.parametrize("name", ["whole", "deep"])
def test_the_colour_bar_follows_the_sliders(ran, name):
    """It labels the levels that are drawn, and says where heights are cut."""
    drawn, legends = ran[0]["levels"][name], ran[0]["legends"][name]
    first, *then = legends
    assert len(then) == len(drawn) == 3
    for levels, (_title, labels) in zip(drawn, then):
        # a level between two grid points may have no line
        assert set(np.round(levels, 8)) <= set(np.round(labels, 8))
        # and the ends of the bar
        assert len(labels) <= len(levels) + 3
    assert then[0][1] != then[1][1] != then[2][1]
    assert first[0] == then[0][0] == then[1][0]
    assert then[2][0].split(", ") == [
        *first[0].split(", "),
        f"heights cut at {ran[0]['cut'][name]:.3g}",
    ]


def test_the_number_of_contours_follows_its_slider(ran):
    few, many = ran[0]["levels"]["whole"][:2]
    assert 1 <= len(few) <= 4 < len(many) <= 20
    for levels in (few, many):
        assert np.allclose(np.diff(levels), np.diff(levels)[0])


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.6, 3.0])
def test_flat_region_is_that_of_losslandscape_flatness(ran, scale, threshold):
    facts = ran[0]["flat"][f"{scale} {threshold}"]
    loss = bowl()
    x, y = np.linspace(-1.5, 1, 7), np.linspace(-1.5, 1, 5)
    points = np.stack([g.ravel() for g in np.meshgrid(x, y)], axis=1)
    on_scale, level = loss, loss.min() + threshold
    if scale == "log":
        on_scale, level = np.log10(loss), np.log10(level)
    region = PiecewiseLinearField(points, on_scale).component(level, int(np.argmin(loss)))
    assert facts["area"] == pytest.approx(region.size, rel=1e-6)
    assert bool(facts["lower_bound"]) == region.touches_edge
    # VTK's clip interpolates in single precision
    assert facts["greatest"] <= (loss.min() + threshold) * (1 + 1e-6)


def test_reload_shows_what_the_file_holds_now(ran):
    np.testing.assert_array_equal(ran[0]["reloaded"], 3 * bowl().ravel())


def test_unevaluated_cells_are_holes(ran):
    # three of five rows have values: two rows of cells of the plane, 6 cells each, 2 triangles
    assert ran[0]["half"]["triangles"] == 2 * 6 * 2
    assert ran[0]["half"]["status_0"] == 0
    white, coloured = ran[0]["half"]["white"]
    assert white
    assert not coloured


def test_axes_carry_the_directions_names(ran):
    assert {"sharpest", "$\\beta$"} <= set(ran[0]["half"]["axes"])


def test_the_colour_maps_can_be_imported(ran):
    assert ran[0]["presets"] == [True, True, True]
    assert ran[0]["viridis"] < 2e-6
    assert ran[0]["kinds"] == [0.30, 0.66, 0.96, 1.0, 1.0, 1.0, 0.88, 0.20, 0.13]


def test_a_second_figure_on_a_log_scale_has_the_colours_of_the_first(
    tmp_path, write_landscape, in_paraview
):
    (first, second), _done = in_paraview(
        "figure_again.py", write_landscape(tmp_path / "x.nc", loss=bowl())
    )
    np.testing.assert_allclose(first, second, rtol=1e-12)
    # evenly spaced in the logarithm
    np.testing.assert_allclose(np.ptp(np.diff(np.log10(first[::4]))), 0, atol=1e-4)
