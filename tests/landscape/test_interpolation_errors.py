"""Landscapes with interpolated points: significance thresholds and reports."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.interpolate import LinearNDInterpolator

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.analysis.comparison import compare
from losslandscape.analysis.critical_points import find_critical_points
from losslandscape.analysis.flatness import flat_region
from losslandscape.analysis.linear_interpolation import linear_interpolation_matrix
from losslandscape.analysis.significance import noise_threshold
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.interpolation_errors import interpolation_errors, interpolation_of


def checkerboard(shape):
    """Every other point along each axis, including the corners if sides are odd."""
    evaluated = np.zeros(shape, dtype=bool)
    evaluated[(slice(None, None, 2),) * len(shape)] = True
    return evaluated


def interpolated_landscape(values, evaluated, errors=None, losses=None, scale="linear"):
    """A landscape as adaptive evaluation returns it."""
    values = np.asarray(values, dtype=np.float64)
    fields = {"loss": values}
    if errors is not None:
        fields["loss_interpolation_error"] = np.where(evaluated, 0.0, errors)
    samples = {}
    if losses is not None:
        fields["loss_standard_error"] = losses.std(-1, ddof=1) / np.sqrt(losses.shape[-1])
        samples["loss_samples"] = np.where(evaluated[..., None], losses, np.nan)
    return Landscape(
        Grid(values.shape[::-1], ((-1.0, 1.0),) * values.ndim), fields,
        np.where(evaluated, 1, 2).astype(np.int8), np.eye(values.ndim),
        provenance={"adaptive": {"tolerance": 0.01, "scale": scale}}, samples=samples,
    )  # fmt: skip


def linearly_filled(values, evaluated):
    """Values at the evaluated points, interpolated elsewhere by scipy's interpolator."""
    places = np.argwhere(np.ones(evaluated.shape, bool)).astype(float)
    known = evaluated.ravel()
    flat = values.reshape(known.size, -1)
    filled = LinearNDInterpolator(places[known], flat[known])(places)
    filled[known] = flat[known]
    return filled.reshape(values.shape)


# ------------------------------------------------------------------ the matrix of an interpolant


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_matrix_is_scipys_linear_interpolant(rng, dimensions):
    points, targets = rng.random((60, dimensions)), rng.random((200, dimensions))
    values = rng.normal(size=60)
    found = linear_interpolation_matrix(points, targets) @ values
    if dimensions == 1:
        order = points[:, 0].argsort()
        expected = np.interp(targets[:, 0], points[order, 0], values[order])
    else:
        expected = LinearNDInterpolator(points, values)(targets)
        outside = np.isnan(expected)
        assert 0 < outside.sum() < 150
        nearest = np.linalg.norm(targets[outside, None] - points, axis=-1).argmin(1)
        expected[outside] = values[nearest]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    npst.arrays(bool, st.tuples(st.integers(2, 6), st.integers(2, 6))).filter(np.any),
    st.lists(st.integers(-4, 4), min_size=3, max_size=3),
)
def test_the_matrix_has_convex_rows_and_reproduces_planes(evaluated, plane):
    places = np.argwhere(np.ones(evaluated.shape, bool)).astype(float)
    known = evaluated.ravel()
    matrix = linear_interpolation_matrix(places[known], places)
    assert matrix.data.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    # a known point keeps its value
    np.testing.assert_allclose(matrix[known].toarray(), np.eye(known.sum()), atol=1e-9)
    if evaluated[[0, 0, -1, -1], [0, -1, 0, -1]].all():  # all points lie in the hull
        values = plane[0] + places @ np.array(plane[1:])
        np.testing.assert_allclose(matrix @ values[known], values, atol=1e-9)


# ---------------------------------------------------------------------------- errors on a scale


def test_losses_interpolated_on_the_log_scale_return_their_error_in_decades(rng):
    values, decades = rng.gamma(2.0, size=(5, 5)), rng.random((5, 5))
    evaluated = checkerboard((5, 5))
    errors = values * (10**decades - 1)
    measured = interpolated_landscape(values, evaluated, errors, scale="log")
    expected = np.where(evaluated, 0.0, decades)
    np.testing.assert_allclose(interpolation_errors(measured, "log"), expected, atol=1e-12)
    np.testing.assert_array_equal(
        interpolation_errors(measured), measured.fields["loss_interpolation_error"]
    )


def test_losses_interpolated_on_the_linear_scale_have_the_larger_log_error():
    values, evaluated = np.array([1.0, 2.0, 2.0, 2.0, 2.0]), np.array([1, 0, 0, 0, 1], bool)
    measured = interpolated_landscape(values, evaluated, np.array([0, 1.0, 2.0, np.nan, 0]))
    found = interpolation_errors(measured, "log")
    np.testing.assert_allclose(found[[0, 1, 4]], [0, np.log10(2.0) - np.log10(1.0), 0])
    assert found[2] == np.inf
    assert np.isnan(found[3])


# -------------------------------------------------------------------------------- the threshold


@pytest.mark.parametrize("method", ["bootstrap", "bottleneck", "standard_error", "none"])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_threshold_grows_by_twice_the_largest_error(rng, method, scale):
    if method == "bottleneck":
        pytest.importorskip("gudhi")
    evaluated = checkerboard((5, 7))
    losses = linearly_filled(rng.gamma(3.0, size=(5, 7, 30)), evaluated)
    values, decades = losses.mean(-1), 0.2 * rng.random((5, 7))
    errors = values * (10**decades - 1)
    measured = interpolated_landscape(values, evaluated, errors, losses, "log")
    exact = interpolated_landscape(values, evaluated, 0 * errors, losses, "log")
    found, sampled = (
        noise_threshold(one, scale=scale, method=method, draws=40) for one in (measured, exact)
    )
    expected = 2 * (decades if scale == "log" else errors)[~evaluated].max()
    assert found.interpolation == pytest.approx(expected, rel=1e-12)
    assert (sampled.interpolation, found.sampling) == (0.0, sampled.persistence)
    assert found.persistence == found.sampling + found.interpolation
    assert (found.points, found.points_interpolated, found.points_outside) == (12, 23, 0)
    assert f"{expected:.4g} of t is twice the largest estimated error" in found.reason
    assert "the 23 interpolated points (of 35)" in found.reason
    written = found.to_json()
    assert written["persistence"] == found.persistence
    assert written["interpolation"] == found.interpolation


def test_without_interpolated_points_nothing_changes(rng):
    losses = rng.gamma(3.0, size=(4, 5, 30))
    all_of_it = np.ones((4, 5), bool)
    plain = interpolated_landscape(losses.mean(-1), all_of_it, None, losses)
    found = noise_threshold(plain, scale="linear", draws=50)
    assert (found.interpolation, found.points_interpolated) == (0.0, 0)
    assert found.persistence == found.sampling
    assert "interpolated" not in found.reason


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_bootstrap_resamples_the_evaluated_points_alone(rng, scale):
    evaluated = checkerboard((5, 7))
    losses = rng.gamma(3.0, size=(5, 7, 30))
    measured = interpolated_landscape(losses.mean(-1), evaluated, np.zeros((5, 7)), losses)
    holes = interpolated_landscape(losses.mean(-1), evaluated, None, losses)
    holes.fields["loss"] = np.where(evaluated, holes.values(), np.nan)
    for method in ("bootstrap", "standard_error"):
        one, other = (
            noise_threshold(one, scale=scale, method=method, draws=40) for one in (measured, holes)
        )
        assert one.sampling == other.sampling
        np.testing.assert_equal(one.band, other.band)
        assert (one.points_outside, other.points_outside) == (0, 23)
        # filled-in samples are not measured samples
        filled = interpolated_landscape(losses.mean(-1), evaluated, np.zeros((5, 7)), losses)
        filled.samples["loss_samples"] = losses
        assert noise_threshold(filled, scale=scale, method=method, draws=40) == one


@pytest.mark.parametrize("shape", [(5, 7), (11,)])
def test_the_bottleneck_bootstrap_is_exact_for_losses_linear_between_points(rng, shape):
    # every per-sample loss is linear between the evaluated points, so the resampled interpolated
    # surface equals the one from evaluating all points
    pytest.importorskip("gudhi")
    evaluated = checkerboard(shape)
    losses = rng.gamma(2.0, size=(*shape, 20)).astype(np.float32).astype(np.float64)
    if len(shape) == 1:
        x = np.arange(11)
        losses = np.stack([np.interp(x, x[::2], row[::2]) for row in losses.T], axis=-1)
    else:
        losses = linearly_filled(losses, evaluated)
    whole = interpolated_landscape(losses.mean(-1), np.ones(shape, bool), None, losses)
    some = interpolated_landscape(losses.mean(-1), evaluated, np.zeros(shape), losses)
    one, other = (
        noise_threshold(landscape, scale="linear", method="bottleneck", draws=60)
        for landscape in (whole, some)
    )
    assert one.sampling > 0
    assert other.sampling == pytest.approx(one.sampling, rel=1e-9)
    assert other.points_interpolated == whole.values().size - evaluated.sum()


def test_draws_that_leave_the_log_scale_exclude_interpolated_points_too(rng):
    pytest.importorskip("gudhi")
    evaluated = checkerboard((5, 7))
    losses = np.zeros((5, 7, 10))
    losses[..., 0] = 1 + rng.random((5, 7))  # one sample in ten carries all the loss
    measured = interpolated_landscape(losses.mean(-1), evaluated, np.zeros((5, 7)), losses)
    for method in ("bootstrap", "bottleneck"):
        found = noise_threshold(measured, scale="log", method=method, draws=40)
        assert found.sampling == np.inf
    losses[:, 2:] += 0.1  # elsewhere every sample has a loss: only two columns leave it
    measured = interpolated_landscape(losses.mean(-1), evaluated, np.zeros((5, 7)), losses)
    assert noise_threshold(measured, scale="log", draws=40).sampling == np.inf
    found = noise_threshold(measured, scale="log", method="bottleneck", draws=40)
    # the one valley that leaves it holds the global minimum, whose pair never ends
    assert 0 < found.sampling < np.inf


def test_a_draw_that_is_constant_has_no_pairs(rng):
    pytest.importorskip("gudhi")
    losses = np.zeros((5, 7, 10))
    losses[..., 0] = 10 * rng.random((5, 7))
    measured = interpolated_landscape(losses.mean(-1), np.ones((5, 7), bool), None, losses)
    found = noise_threshold(measured, scale="linear", method="bottleneck", draws=40)
    pairs = find_critical_points(measured, persistence=0.0, scale="linear").complex
    finite = pairs.persistence_pairs["IsFinite"] == 1
    largest = pairs.persistence_pairs["Persistence"][finite].max()
    # a third of the draws lack the sample: twice the largest distance from the diagonal
    assert found.sampling >= largest


def test_artifacts_of_interpolation_are_not_significant(rng):
    # a bowl with errors of +-e at its interpolated points, which create minima of persistence 2e
    x, y = np.meshgrid(np.linspace(-1, 1, 13), np.linspace(-1, 1, 13))
    bowl, error = 0.05 * (x**2 + y**2), 0.3
    evaluated = checkerboard((13, 13))
    off = bowl + np.where(evaluated, 0, error * rng.choice([-1, 1], size=bowl.shape))
    losses = np.repeat(off[..., None], 20, axis=-1)  # no sampling noise
    told, untold = (
        find_critical_points(
            interpolated_landscape(off, evaluated, e, losses),
            scale="linear",
            draws=40,
            method="bootstrap",
        )
        for e in (np.full(bowl.shape, error), np.zeros(bowl.shape))
    )

    def minima(found):
        return found.counts["minimum"]["significant"]

    assert told.noise.sampling == pytest.approx(0, abs=1e-12)
    assert told.threshold == pytest.approx(2 * error)
    assert minima(told) == 1
    assert minima(untold) > 5
    told, untold = (
        find_critical_points(
            interpolated_landscape(off, evaluated, e, losses), scale="linear", draws=40
        )
        for e in (np.full(bowl.shape, error), np.zeros(bowl.shape))
    )
    assert (minima(told), told.noise.method) == (1, "studentized")
    assert minima(untold) > 5
    # the same with deeper wells
    wells = 2 * ((x * 1.5) ** 2 - 1) ** 2 + y**2 + 0.2 * x
    deep = interpolated_landscape(
        wells + off,
        evaluated,
        np.full(bowl.shape, error),
        np.repeat((wells + off)[..., None], 9, 2),
    )
    assert minima(find_critical_points(deep, scale="linear", draws=40)) == 2


@pytest.mark.parametrize("seed", range(5))
def test_every_feature_above_the_threshold_exists_in_the_true_surface(seed):
    # the interpolant of a coarser grid, with its true error, has no more minima above t
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    angles = rng.random(6) * 2 * np.pi
    truth = sum(np.cos(4 * (np.cos(a) * x + np.sin(a) * y) + 7 * a) for a in angles)
    evaluated = checkerboard(truth.shape)
    values = linearly_filled(truth, evaluated)
    measured = interpolated_landscape(values, evaluated, abs(values - truth))
    t = noise_threshold(measured, scale="linear")
    assert t.persistence == pytest.approx(2 * abs(values - truth).max())
    found = find_critical_points(measured, scale="linear", persistence=t.persistence)
    true = find_critical_points(
        interpolated_landscape(truth, np.ones_like(evaluated)), scale="linear", persistence=0.0
    )

    def all_minima(points):
        kind = points.counts["minimum"]
        return kind["significant"] + kind["boundary_significant"]

    assert 1 <= all_minima(found) <= all_minima(true)


def test_unknown_and_infinite_errors_are_stated():
    evaluated = np.array([1, 0, 1, 0, 1], bool)
    values = np.array([3.0, 1.0, 2.0, 0.5, 4.0])
    missing = noise_threshold(interpolated_landscape(values, evaluated), scale="linear")
    assert np.isnan(missing.interpolation)
    assert missing.persistence == 0
    assert "errors of the 2 interpolated points (of 5) are not in the file" in missing.reason
    large = interpolated_landscape(values, evaluated, np.full(5, 0.6))
    found = noise_threshold(large, scale="log")
    assert found.persistence == np.inf
    assert "judge on the linear scale" in found.reason
    assert noise_threshold(large, scale="linear").persistence == 1.2


def test_a_bootstrap_with_no_evaluated_point_is_refused(rng):
    losses = rng.random((3, 3, 9))
    measured = interpolated_landscape(losses.mean(-1), np.zeros((3, 3), bool), None, losses)
    with pytest.raises(LossLandscapeError, match="nothing to resample"):
        noise_threshold(measured, scale="linear", method="bootstrap")


# ------------------------------------------------------------------------------------- reports


@pytest.fixture
def wells(rng):
    x, y = np.meshgrid(np.linspace(-1.5, 1.5, 25), np.linspace(-1, 1, 17))
    values = 10 * ((x**2 - 1) ** 2 + y**2) + 0.3 * x + 1
    evaluated = checkerboard(values.shape)
    losses = values[..., None] + 0.01 * rng.standard_normal((*values.shape, 20))
    return interpolated_landscape(losses.mean(-1), evaluated, np.full(values.shape, 0.02), losses)


def test_interpolated_points_are_counted_among_those_with_values(wells):
    wells.fields["loss"][0, 1] = np.nan  # predicted as not finite
    wells.fields["loss_interpolation_error"][0, 1] = np.nan
    wells.fields["loss_interpolation_error"][3, 3] = 0.04
    found = interpolation_of(wells)
    assert (found.points, found.interpolated, found.largest_error) == (424, 424 - 9 * 13, 0.04)
    nowhere = interpolation_of(wells, np.zeros(wells.status.shape, bool))
    assert (nowhere.points, nowhere.interpolated, nowhere.largest_error) == (0, 0, 0.0)
    assert noise_threshold(wells, scale="linear", draws=40).points_outside == 1


def test_critical_points_say_which_are_interpolated(wells):
    wells.fields["loss"][7, 5] = 0.5  # a pit at an interpolated point
    found = find_critical_points(wells, scale="linear", draws=40)
    vertices = found.arrays["ttkVertexScalarField"]
    np.testing.assert_array_equal(found.arrays["interpolated"], wells.status.ravel()[vertices] == 2)
    assert {0, 1} == set(found.arrays["interpolated"])
    # a pair with one end without samples has no per-sample error
    errors = found.arrays["persistence_standard_error"]
    assert np.isnan(errors[found.arrays["interpolated"] == 1]).all()
    line = next(line for line in found.summary() if "308 of 425 points are interpolated" in line)
    assert "with an estimated error of up to 0.02" in line
    significant = found.arrays["significant"] == 1
    both = (significant & (found.arrays["interpolated"] == 1)).sum()
    assert both >= 1
    words = "significant critical points lie at one of them"
    assert f"{both} of the {significant.sum()} {words}" in line
    report = found.to_json()
    assert report["interpolation"]["interpolated"] == 308
    assert report["noise"]["interpolation"] == pytest.approx(0.02)
    report = find_critical_points(wells, scale="linear", draws=40, method="bootstrap").to_json()
    assert report["noise"]["interpolation"] == pytest.approx(0.04)
    assert "critical points above t lie at one of them" in " ".join(report["summary"])
    assert [row["interpolated"] for row in found.table()].count(True) == sum(
        found.arrays["interpolated"]
    )


def test_flat_regions_state_the_interpolated_points_at_their_edge(wells):
    wells.fields["loss_interpolation_error"][0, 1] = 5.0  # far from the region
    found = flat_region(wells, 0.5, scale="linear")
    assert found.interpolation.largest_error == 0.02
    assert 0 < found.interpolation.interpolated < found.interpolation.points < 100
    assert any("in the region and next to it" in line for line in found.summary())
    assert not any("as large as epsilon" in line for line in found.summary())
    fine = flat_region(wells, 0.01, scale="linear")
    assert any("as large as epsilon" in line for line in fine.summary())
    report = found.to_json()
    assert report["interpolation"]["interpolated"] == found.interpolation.interpolated
    lowest = np.unravel_index(wells.values().argmin(), wells.status.shape)
    assert found.minimum_interpolated == (wells.status[lowest] == 2)
    wells.status[lowest] = 2
    assert any("the minimum is one of them" in line for line in flat_region(wells, 0.5).summary())


def test_comparisons_name_what_is_interpolated(wells):
    pytest.importorskip("gudhi")
    whole = interpolated_landscape(wells.values(), np.ones(wells.status.shape, bool))
    found = compare([wells, whole], ["some", "all"], scale="linear", method="none")
    assert [row["interpolated_points"] for row in found.rows] == [308, 0]
    assert [row["interpolation_error"] for row in found.rows] == [0.02, 0.0]
    assert "some: 308 of 425 points are interpolated" in " ".join(found.notes)
    assert [row["threshold"] for row in found.rows] == [0.04, 0.0]
    plain = compare([whole, whole], ["one", "two"], scale="linear", method="none")
    assert "interpolated_points" not in plain.rows[0]
    assert "interpolated" not in " ".join(plain.notes)


def test_the_command_line_reports_interpolated_points(wells, tmp_path, capsys):
    path = tmp_path / "wells.nc"
    wells.save(path)
    again = Landscape.open(path)
    np.testing.assert_array_equal(
        again.samples["loss_samples"], wells.samples["loss_samples"].astype(np.float32)
    )
    assert main(["topology", str(path), "--scale", "linear", "--draws", "100"]) == 0
    printed = capsys.readouterr().out
    words = "differences are reduced by the estimated errors of the 308 interpolated points"
    assert words in printed
    assert "308 of 425 points are interpolated" in printed
    report = json.loads((tmp_path / "wells_topology" / "topology.json").read_text())
    assert report["noise"]["points_interpolated"] == 308
    assert report["interpolation"]["largest_error"] == 0.02
    assert main(["flatness", str(path)]) == 0
    assert "points are interpolated" in capsys.readouterr().out
    assert main(["info", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "117 evaluated, 308 interpolated" in printed
    assert "tolerance 0.01 of the range" in printed
    assert main(["export", str(path)]) == 0


def test_an_adaptive_landscape_passes_through_every_analysis(tmp_path, capsys):
    pytest.importorskip("gudhi")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    data = (torch.randn(40, 4), torch.randint(0, 3, (40,)))
    path = tmp_path / "x.nc"
    measured = evaluate(
        Objective(model, "cross_entropy", data, batch_size=40),
        Subspace.random(model, seed=0),
        Grid.square(25, 2.0),
        tolerance=0.02,
        path=path,
        keep_samples=True,
        quiet=True,
    )
    interpolated = measured.status == 2
    assert 0 < interpolated.sum() < interpolated.size
    found = noise_threshold(measured)
    assert found.points_interpolated == interpolated.sum()
    estimate = measured.provenance["adaptive"]["estimated_error"]
    scale, extent = (measured.provenance["adaptive"][key] for key in ("scale", "range"))
    found = noise_threshold(measured, scale=scale)
    assert found.interpolation == pytest.approx(2 * estimate * extent, rel=1e-6)
    assert noise_threshold(measured, method="bottleneck", draws=40).interpolation > 0
    differences = measured.difference_standard_error()
    np.testing.assert_array_equal(np.isnan(differences), interpolated)
    assert np.isfinite(measured.standard_error(against="dataset", dataset_samples=50)).all()
    assert main(["info", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "tolerance 0.02 of the range" in printed
    assert "random points" in printed
    assert main(["topology", str(path), "--draws", "100"]) == 0
    assert "reduced by the estimated errors of the" in capsys.readouterr().out
    assert main(
        ["topology", str(path), "--draws", "100", "--noise", "bootstrap", "--overwrite"]
    ) == 0  # fmt: skip
    assert "of t is twice the largest estimated error" in capsys.readouterr().out
