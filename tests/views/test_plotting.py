import math
import re
import sys

import numpy as np
import pytest

from losslandscape import Grid, Landscape, LossLandscapeError, find_critical_points
from losslandscape.landscape.overlays import ModelPoint, ProjectedTrajectory
from losslandscape.views.plotting import RUN_COLORS

matplotlib = pytest.importorskip("matplotlib", reason="pip install matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def bowl(exponent=1.0, counts=(9, 7), **changes):
    """exp(exponent * r^2), its minimum 1 at (0.25, 0)."""
    grid = Grid.rectangle(counts, ((-1, 1), (-0.75, 0.75)))
    a, b = grid.points().T
    loss = np.exp(exponent * ((a - 0.25) ** 2 + b**2)).reshape(grid.shape)
    return Landscape(
        **{
            "grid": grid,
            "fields": {"loss": loss, "accuracy": 1 / (1 + loss)},
            "status": np.ones(grid.shape, np.int8),
            "gram_matrix": np.eye(2),
            "provenance": {
                "direction_names": ["alpha", "beta"],
                "subspace": {"kind": "pca", "explained_variance": [0.75, 0.125]},
                "quantities": {"loss": "cross-entropy loss"},
                "objective": {"batch_norm": "reestimated"},
                "title": "a $bowl$ <b>",
            },
            "trajectories": [way()],
            **changes,
        }
    )


def way(label="run"):
    coordinates = np.array([[-0.9, 0.5], [-0.3, 0.2], [0.0, 0.0]])
    loss = np.array([4.0, 2.0, 1.0])
    return ProjectedTrajectory(label, np.arange(3.0), coordinates, loss, loss, 0 * loss)


def line(loss=(4.0, 1.0, 2.0), error=(0.5, 0.25, 3.0), **changes):
    fields = {"loss": np.array(loss), "loss_standard_error": np.array(error)}
    return Landscape(Grid.line(3), fields, np.ones(3, np.int8), np.eye(1), **changes)


def drawn_lines(ax):
    return {str(drawn.get_label()): drawn for drawn in ax.get_lines()}


def colour_bar(ax):
    (bar,) = [other for other in (*ax.figure.axes, *ax.child_axes) if other is not ax]
    return bar


def test_contours_say_what_they_show():
    ax = bowl().plot()
    assert ax.get_xlabel() == "$\\alpha$ (principal component 1,\n75.0% of variance)"
    assert ax.get_ylabel() == "$\\beta$ (principal component 2,\n12.5% of variance)"
    assert colour_bar(ax).get_ylabel() == "cross-entropy loss, batch norm re-estimated"
    assert ax.get_title() == "a \\$bowl\\$ <b>"
    assert ax.get_aspect() == 1
    assert ax.get_xlim() == (-1, 1)
    lines = drawn_lines(ax)
    assert lines["lowest, 1"].get_xydata().tolist() == [[0.25, 0.0]]
    np.testing.assert_array_equal(lines["run"].get_xydata(), way().coordinates)
    ax.figure.canvas.draw()


def test_directions_of_different_length_have_no_equal_aspect():
    assert bowl(gram_matrix=np.diag([1.0, 4.0])).plot().get_aspect() == "auto"
    assert bowl(gram_matrix=np.full((2, 2), np.nan)).plot().get_aspect() == "auto"


@pytest.mark.parametrize(("exponent", "log"), [(1, False), (3, True)])
def test_the_scale_follows_from_the_range(exponent, log):
    landscape = bowl(exponent)
    loss = landscape.values("loss")
    assert (loss.max() / loss.min() > 100) == log
    for ax in (landscape.plot(), landscape.plot("surface")):
        assert colour_bar(ax).get_ylabel().endswith(", log scale") == log
    norm = landscape.plot().collections[0].norm
    assert isinstance(norm, matplotlib.colors.LogNorm) == log
    assert (norm.vmin, norm.vmax) == (loss.min(), loss.max())  # nothing is clipped
    other = landscape.plot(scale="linear" if log else "log")
    assert isinstance(other.collections[0].norm, matplotlib.colors.LogNorm) != log


@pytest.mark.parametrize("kind", ["contour", "surface"])
@pytest.mark.parametrize("high", [4.4, 29.0, 80.0, 300.0])
def test_a_log_colour_bar_has_round_labels_however_short_it_is(kind, high):
    loss = 3.0 + (high - 3.0) * np.linspace(0, 1, 9).reshape(3, 3)
    ax = Landscape(Grid.square(3), {"loss": loss}, np.ones((3, 3), np.int8), np.eye(2)).plot(
        kind, scale="log"
    )
    ax.figure.canvas.draw()
    for axis in [colour_bar(ax).yaxis] + ([ax.zaxis] if kind == "surface" else []):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        low, top = sorted(axis.get_view_interval())
        places = axis.get_ticklocs()
        labels = [text for text, at in zip(labels, places, strict=True) if low <= at <= top]
        assert len([text for text in labels if text]) >= 2, labels
        assert max(map(len, labels)) <= len("$\\mathdefault{10^{0}}$"), labels
        assert not any("times" in text for text in labels)


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_a_constant_has_the_colour_that_its_bar_gives_it(kind, scale):
    loss = np.full((3, 3), 2.3)
    ax = Landscape(Grid.square(3), {"loss": loss}, np.ones((3, 3), np.int8), np.eye(2)).plot(
        kind, scale=scale
    )
    ax.figure.canvas.draw()
    low, high = colour_bar(ax).get_ylim()
    share = np.log(2.3 / low) / np.log(high / low) if scale == "log" else (2.3 - low) / (high - low)
    expected = matplotlib.colormaps["viridis"](share)
    (drawn,) = ax.collections
    # the surface's is shaded: the hue is the map's, the brightness that of the light
    colour = drawn.to_rgba(2.3) if kind == "contour" else drawn.get_facecolor()[0]
    ratio = np.array(colour[:3]) / np.array(expected[:3])
    np.testing.assert_allclose(ratio, ratio[0], rtol=0.02)
    assert 0.5 < ratio[0] < 1.2


@pytest.mark.parametrize("exponent", [1, 3])
def test_every_value_is_drawn_extremes_too(exponent):
    """Pixel by pixel: no hole's grey inside a landscape that has none."""
    ax = bowl(exponent, trajectories=[]).plot()
    assert grey_share(ax) == 0


def grey_share(ax):
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[..., :3]
    box = ax.get_window_extent()
    height = len(pixels)
    inside = pixels[
        int(height - box.y1) + 3 : int(height - box.y0) - 3, int(box.x0) + 3 : int(box.x1) - 3
    ]
    return (np.abs(inside.astype(int) - 217) <= 1).all(axis=-1).mean()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_points_without_a_value_are_holes(value):
    landscape = bowl(trajectories=[])
    landscape.fields["loss"][3, 6] = value
    before = landscape.fields["loss"].copy()
    # the four cells around the point, of 8 x 6
    assert grey_share(landscape.plot()) == pytest.approx(4 / 48, rel=0.15)
    landscape.plot("surface").figure.canvas.draw()
    np.testing.assert_array_equal(landscape.fields["loss"], before)


def test_a_ceiling_is_of_the_drawing_alone_and_is_told():
    landscape = bowl()
    before = landscape.values("loss").copy()
    ax = landscape.plot(ceiling=2.0)
    assert colour_bar(ax).get_ylabel().endswith(f"drawn up to 2 of {before.max():g}")
    assert ax.collections[0].norm.vmax == 2
    assert ax.collections[0].extend == "max"
    assert "drawn up to" not in colour_bar(landscape.plot(ceiling=100.0)).get_ylabel()
    np.testing.assert_array_equal(landscape.values("loss"), before)


def test_an_exploding_corner_is_cut_unless_a_ceiling_lifts_it():
    landscape = bowl(trajectories=[])
    landscape.fields["loss"][-1, -1] = 1e4
    ax = landscape.plot(scale="linear")
    assert re.search("drawn up to .* of 10000$", colour_bar(ax).get_ylabel())
    low, high = ax.collections[0].norm.vmin, ax.collections[0].norm.vmax
    assert high < 20
    ax.figure.canvas.draw()
    assert all(low <= tick <= high for tick in colour_bar(ax).get_yticks())
    landscape.fields["accuracy"] = landscape.fields["loss"]
    assert "drawn up to" not in colour_bar(landscape.plot(field="accuracy")).get_ylabel()
    lifted = landscape.plot(scale="linear", ceiling=math.inf)
    assert "drawn up to" not in colour_bar(lifted).get_ylabel()
    assert lifted.collections[0].norm.vmax == 1e4


def test_a_surface_has_the_values_as_heights_and_the_trajectory_at_its_losses():
    landscape = bowl(3)
    ax = landscape.plot("surface")
    ax.figure.canvas.draw()
    exact = drawn_lines(ax)["run"].get_data_3d()[2]
    np.testing.assert_allclose(exact, np.log10([4.0, 2.0, 1.0]), atol=1e-12)
    low, high = ax.get_zlim()
    assert low <= 0
    assert high >= np.log10(landscape.values("loss").max())
    assert ax.get_xlabel() == "$\\alpha$ (PC 1, 75.0%)"


def test_a_curve_has_a_band_of_two_standard_errors():
    landscape = line()
    ax = landscape.plot()
    assert ax.get_ylabel() == "loss"
    assert ax.get_yscale() == "linear"
    (band,) = ax.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert {(-1, 3.0), (-1, 5.0), (0, 0.5), (0, 1.5), (1, -4.0), (1, 8.0)} <= corners
    assert band.get_label() == "$\\pm$ 2 standard errors"
    low, high = ax.get_ylim()
    assert low < -4
    assert high > 8


@pytest.mark.parametrize("own_axes", [False, True])
def test_the_color_bar_is_as_high_as_the_plot(own_axes):
    grid = Grid.rectangle((9, 5), ((-7, 7), (-1, 1)))
    values = (grid.points() ** 2).sum(1).reshape(grid.shape)
    wide = Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), np.eye(2))
    ax = pyplot.figure().add_subplot() if own_axes else None
    ax = wide.plot(ax=ax)
    ax.figure.draw_without_rendering()
    bar = colour_bar(ax)
    assert bar.get_window_extent().height == pytest.approx(ax.get_window_extent().height, rel=0.02)


def test_a_band_that_reaches_0_does_not_stretch_a_logarithmic_axis():
    ax = line(loss=(900.0, 1.0, 2.0)).plot()
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert 0.1 < low < 0.75
    assert 900.5 < high < 2000


def test_evaluated_points_are_marked_on_request():
    landscape = bowl()
    landscape.status[:] = 2
    landscape.status[::3, ::4] = 1
    label = "evaluated (elsewhere interpolated)"
    ax = landscape.plot(show_interpolated=True)
    (marks,) = [c for c in ax.collections if c.get_label() == label]
    assert len(marks.get_offsets()) == (landscape.status == 1).sum() == 9
    assert [-1, -0.75] in marks.get_offsets().tolist()
    assert label not in [c.get_label() for c in landscape.plot().collections]
    curve = line(provenance={})
    curve.status[1] = 2
    marks = drawn_lines(curve.plot(show_interpolated=True))[label]
    assert marks.get_xydata().tolist() == [[-1, 4], [1, 2]]


def test_critical_points_are_where_the_complex_has_them():
    grid = Grid.square(21)
    a, b = grid.points().T
    loss = (2 + np.cos(2 * np.pi * a) + 0.5 * np.cos(np.pi * b)).reshape(grid.shape)
    landscape = Landscape(grid, {"loss": loss}, np.ones(grid.shape, np.int8), np.eye(2))
    ax = landscape.plot(critical_points=True)
    marks = [
        c for c in ax.collections if c.get_label().startswith(("minimum", "saddle", "maximum"))
    ]
    points = np.concatenate([np.asarray(c.get_offsets()) for c in marks])
    assert len(points) == len(find_critical_points(landscape))
    (maxima,) = [c.get_offsets() for c in marks if c.get_label().startswith("maximum")]
    # by calculus one at the centre; the complex puts it into a triangle that has the point
    assert min(np.abs(np.asarray(maxima)).max(axis=1)) < 0.1
    for arguments in ({"field": "accuracy"}, {"kind": "surface"}):
        with pytest.raises(LossLandscapeError, match="contours of the loss"):
            bowl().plot(critical_points=True, **arguments)


def test_labelled_models_are_named():
    ax = bowl(models=[ModelPoint("seed $0", (0.5, 0.5), 1.0)]).plot()
    assert [text.get_text() for text in ax.texts] == ["seed \\$0"]
    ax.figure.canvas.draw()


def test_another_field_has_no_lowest_loss():
    ax = bowl().plot(field="accuracy")
    assert colour_bar(ax).get_ylabel() == "accuracy, batch norm re-estimated"
    assert set(drawn_lines(ax)) == {"run"}
    assert set(drawn_lines(bowl().plot(field="accuracy", trajectory=False))) == set()


def test_one_value_everywhere_is_drawn():
    landscape = bowl(0, trajectories=[])
    for kind in ("contour", "surface"):
        landscape.plot(kind).figure.canvas.draw()
    line(loss=(1, 1, 1), error=(0, 0, 0)).plot().figure.canvas.draw()


def test_into_axes_of_ones_own():
    _, axes = pyplot.subplots(1, 2)
    assert bowl().plot(ax=axes[1]) is axes[1]
    assert axes[1].get_legend() is not None
    assert not axes[0].has_data()
    with pytest.raises(LossLandscapeError, match="three-dimensional axes"):
        bowl().plot("surface", ax=axes[0])


@pytest.mark.parametrize(
    ("landscape", "arguments", "message"),
    [
        (bowl(), {"kind": "curve"}, "2 dimensions needs 'contour' or 'surface'"),
        (line(), {"kind": "surface"}, "1 dimension needs 'curve'"),
        (bowl(), {"field": "los"}, "no variable 'los'"),
        (bowl(), {"scale": "logarithmic"}, "it must be one of auto, linear, log"),
        (line(loss=(-1, 0, 1)), {"scale": "log"}, "lowest value of 'loss' is -1"),
        (bowl(), {"ceiling": 0.5}, "not above the lowest value"),
        (line(loss=(np.nan, np.inf, np.nan)), {}, "no finite value"),
        (
            Landscape(
                Grid.cube(2), {"loss": np.ones((2, 2, 2))}, np.ones((2, 2, 2), np.int8), np.eye(3)
            ),
            {},
            "three dimensions; draw it in ParaView",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(landscape, arguments, message):
    with pytest.raises(LossLandscapeError, match=message):
        landscape.plot(**arguments)
    assert not pyplot.get_fignums()


def test_a_notebook_shows_a_table_and_a_thumbnail_escaped():
    landscape = bowl(trajectories=[way("<script>alert(1)</script>")])
    landscape.status[0, 0] = 2
    landscape.provenance["objective"] = {"model": "Net<b>", "sets": {"train": {"samples": 200}}}
    text = landscape._repr_html_()
    assert "<script>" not in text
    assert "<b>" not in text.replace("<caption", "").split("</caption>")[1]
    for words in (
        "a $bowl$ &lt;b&gt;",
        "Net&lt;b&gt;",
        "200 samples (train)",
        "87.5% of variance",
        "9 x 7: alpha -1 to 1, beta -0.75 to 0.75",
        "62 evaluated, 1 interpolated",
        "(0.25, 0)",
        "&lt;script&gt;alert(1)&lt;/script&gt;, 3 checkpoints",
        'src="data:image/png;base64,',
    ):
        assert words in text
    assert landscape._repr_png_().startswith(b"\x89PNG")
    assert not pyplot.get_fignums()  # nothing is left for the notebook to show once more


def test_a_notebook_without_matplotlib_shows_the_table(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    landscape = bowl()
    assert landscape._repr_png_() is None
    assert "<img" not in landscape._repr_html_()
    assert "cross-entropy loss" in landscape._repr_html_()
    with pytest.raises(LossLandscapeError, match="pip install matplotlib"):
        landscape.plot()


def test_a_notebook_shows_what_has_no_picture():
    cube = Landscape(
        Grid.cube(2), {"loss": np.ones((2, 2, 2))}, np.ones((2, 2, 2), np.int8), np.eye(3)
    )
    nothing = line(loss=(np.nan,) * 3)
    nothing.status[:] = 0
    assert "<img" not in cube._repr_html_()
    assert "3 not evaluated" in nothing._repr_html_()


# ---- several runs --------------------------------------------------------------------------------


def shifted(label, by):
    run = way(label)
    run.coordinates = run.coordinates + by
    return run


@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_several_runs_have_their_own_colors_and_a_legend(kind):
    from matplotlib.colors import to_hex

    names = ["SGD", "Adam", "$x$"]
    runs = [shifted(name, 0.1 * i) for i, name in enumerate(names)]
    ax = bowl(trajectories=runs).plot(kind)
    drawn = drawn_lines(ax)
    colors = [to_hex(drawn[name.replace("$", r"\$")].get_color()) for name in names]
    assert colors == list(RUN_COLORS[:3])
    assert len(set(colors)) == 3
    (legend,) = ax.figure.legends
    assert [text.get_text() for text in legend.get_texts()][:3] == ["SGD", "Adam", r"\$x\$"]
    # each end has the color of its run, each start is white
    ends = [line for line in ax.get_lines() if len(line.get_xdata()) == 1]
    shown = [to_hex(line.get_color()) for line in ends if line.get_marker() == "o"]
    assert shown == [color for run in colors for color in ("#ffffff", run)]


def test_one_run_is_drawn_as_before():
    ax = bowl().plot()
    assert drawn_lines(ax)["run"].get_color() == "crimson"
    assert drawn_lines(ax)["run"].get_path_effects() == []
    assert sum(line.get_marker() == "o" for line in ax.get_lines()) == 1


def test_runs_on_a_line():
    runs = [way("a"), way("b")]
    for run in runs:
        run.coordinates = run.coordinates[:, :1]
    drawn = drawn_lines(line(trajectories=runs).plot())
    assert drawn["a"].get_color() != drawn["b"].get_color()
