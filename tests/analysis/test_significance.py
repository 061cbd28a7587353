"""Noise or structure: thresholds against slow references, and how often they are right."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape, flat_region
from losslandscape.analysis.critical_points import find_critical_points
from losslandscape.analysis.significance import (
    NoiseThreshold,
    bootstrap_deviations,
    noise_threshold,
    on_scale,
)
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.interpolation_errors import interpolation_errors
from losslandscape.landscape.landscape import INTERPOLATED


def landscape_of(losses, grid=None, **fields):
    """A landscape of per-sample losses, shape (ny, nx, samples)."""
    losses = np.asarray(losses, dtype=np.float32)
    shape, count = losses.shape[:-1], losses.shape[-1]
    wide = losses.astype(np.float64)
    values = {
        "loss": wide.mean(-1),
        "loss_standard_error": wide.std(-1, ddof=1) / np.sqrt(count),
        **fields,
    }
    grid = grid or Grid((*shape[::-1],), ((-1.0, 1.0),) * len(shape))
    return Landscape(
        grid, values, np.ones(shape, np.int8), np.eye(len(shape)), samples={"loss_samples": losses}
    )


def noisy(field, rng, samples=60, sigma=1.0):
    return landscape_of(field[..., None] + sigma * rng.standard_normal((*field.shape, samples)))


def two_wells(barrier):
    """Wells at (+-1, 0) and a saddle at 0, all on grid points, with this barrier."""
    x, y = np.meshgrid(np.linspace(-1.5, 1.5, 13), np.linspace(-1, 1, 9))
    return barrier * ((x**2 - 1) ** 2 + 2 * y**2)


def reference_bootstrap(losses, draws, seed, log):
    """One draw after the other, sample by sample."""
    flat = losses.reshape(-1, losses.shape[-1]).astype(np.float64)
    samples = flat.shape[1]
    generator = np.random.default_rng(seed)
    scale = np.log10 if log else np.asarray
    measured = scale(flat.mean(1))
    spread, largest = [], []
    for _ in range(draws):
        counts = generator.multinomial(samples, np.full(samples, 1 / samples))
        resampled = np.repeat(flat, counts, axis=1).mean(1)
        change = scale(resampled) - measured
        spread.append(change.max() - change.min())
        largest.append(abs(change).max())
    level = int(np.ceil(0.95 * (draws - 1)))  # the order statistic that "higher" takes
    return np.sort(spread)[level], 2 * np.sort(largest)[level]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_bootstrap_is_that_of_a_loop_over_draws(rng, scale, monkeypatch):
    losses = rng.gamma(2.0, size=(5, 7, 30)).astype(np.float32)
    monkeypatch.setattr("losslandscape.analysis.resampling.BLOCK_BYTES", 8 * 30 * 7)  # many blocks
    found = noise_threshold(landscape_of(losses), scale=scale, draws=50, seed=3)
    t, band = reference_bootstrap(losses, 50, 3, scale == "log")
    np.testing.assert_allclose([found.persistence, found.band], [t, band], rtol=1e-9)
    assert t <= band
    assert (found.method, found.draws, found.seed, found.samples) == ("bootstrap", 50, 3, 30)


def test_on_a_noisy_bowl_one_minimum_is_significant():
    x, y = np.meshgrid(np.linspace(-1, 1, 13), np.linspace(-1, 1, 13))
    bowl, rng = x**2 + y**2, np.random.default_rng(1)
    right, spurious = 0, 0
    for seed in range(100):
        found = find_critical_points(
            noisy(bowl, rng), scale="linear", seed=seed, method="bootstrap"
        )
        counts = found.counts["minimum"]
        right += counts["significant"] + counts["boundary_significant"] == 1
        spurious += counts["not_significant"]
    assert right >= 95
    assert spurious > 100  # the noise does make minima


def test_of_two_wells_with_a_barrier_of_twice_the_threshold_both_are_significant():
    rng = np.random.default_rng(2)
    t = noise_threshold(noisy(two_wells(1.0), rng), scale="linear").persistence
    right = 0
    for seed in range(100):
        measured = noisy(two_wells(2 * t), rng)
        found = find_critical_points(measured, scale="linear", seed=seed, method="bootstrap")
        right += found.counts["minimum"]["significant"] == 2
    assert right >= 95


def test_the_bottleneck_bootstrap_overlooks_noise_on_slopes():
    pytest.importorskip("gudhi")
    rng = np.random.default_rng(3)
    field = two_wells(1.0)
    steep = np.abs(np.linspace(-1, 1, 9))[:, None] ** 8 * 50  # far above both wells, and very noisy
    losses = field[..., None] + steep[..., None] * (1 + rng.standard_normal((9, 13, 100)))
    losses += 0.3 * rng.standard_normal(losses.shape)
    found = landscape_of(losses)
    whole = find_critical_points(found, scale="linear", draws=200, method="bootstrap")
    diagram = find_critical_points(found, scale="linear", draws=200, method="bottleneck")
    assert whole.counts["minimum"]["significant"] == 1
    inside = diagram.counts["minimum"]
    assert inside["significant"] + inside["boundary_significant"] >= 2
    assert "bottleneck" in diagram.noise.reason


def test_without_samples_the_threshold_comes_from_standard_errors(rng):
    measured = noisy(two_wells(1.0), rng)
    measured.samples = {}
    found = noise_threshold(measured, scale="linear")
    from scipy.stats import norm

    errors = measured.fields["loss_standard_error"]
    expected = 2 * norm.ppf(1 - 0.05 / (2 * errors.size)) * errors.max()
    np.testing.assert_allclose(found.persistence, expected)
    assert "no losses by sample are kept" in found.reason
    with pytest.raises(LossLandscapeError, match=r"loss_samples.*keep_samples"):
        noise_threshold(measured, method="bootstrap")


def test_on_the_log_scale_standard_errors_are_relative(rng):
    measured = landscape_of(rng.gamma(9.0, size=(4, 5, 50)))
    linear = measured.fields["loss_standard_error"] / measured.fields["loss"] / np.log(10)
    found = noise_threshold(measured, scale="log", method="standard_error").persistence
    measured.fields["loss_standard_error"] = linear
    np.testing.assert_allclose(
        found, noise_threshold(measured, scale="linear", method="standard_error").persistence
    )


def test_with_neither_the_threshold_is_zero_and_says_so():
    measured = Landscape(
        Grid.line(3), {"loss": np.array([1.0, 0.0, 2.0])}, np.ones(3, np.int8), np.eye(1)
    )
    found = noise_threshold(measured)
    assert found.persistence == 0
    assert "t is 0" in found.reason
    with pytest.raises(LossLandscapeError, match="standard error"):
        noise_threshold(measured, method="standard_error")


def test_points_without_finite_values_are_left_out(rng):
    losses = rng.gamma(2.0, size=(4, 4, 20)).astype(np.float32)
    reference = noise_threshold(landscape_of(losses[1:]), scale="linear").persistence
    losses[0, :, 3] = [np.inf, np.nan, np.inf, np.nan]
    found = noise_threshold(landscape_of(losses), scale="linear")
    assert found.persistence == pytest.approx(reference, rel=1e-12)
    assert (found.points, found.points_outside) == (12, 4)
    assert "4 points without finite values are left out" in found.reason
    losses[..., 0] = np.nan
    with pytest.raises(LossLandscapeError, match="finite"):
        noise_threshold(landscape_of(losses))


def test_draws_that_fall_off_the_log_scale_make_the_threshold_infinite():
    losses = np.zeros((3, 3, 10), np.float32)
    losses[..., 0] = np.arange(1, 10).reshape(3, 3)  # one sample in ten has all the loss
    found = find_critical_points(landscape_of(losses), scale="log", method="bootstrap")
    assert found.threshold == np.inf
    assert "linear scale" in found.noise.reason
    assert found.counts["minimum"]["significant"] + found.counts["minimum"]["boundary_significant"]


def test_the_global_minimum_counts_even_on_the_boundary_and_other_minima_there_apart():
    field = np.array(
        [[0.0, 5.0, 5.0, 4.0, 1.0], [5.0, 5.0, 5.0, 4.0, 4.0], [5.0, 5.0, 2.0, 5.0, 5.0],
         [5.0, 5.5, 5.0, 6.0, 6.0]]
    )  # fmt: skip
    measured = Landscape(
        Grid((5, 4), ((0, 1), (0, 1))), {"loss": field}, np.ones(field.shape, np.int8), np.eye(2)
    )
    found = find_critical_points(measured, persistence=1.5)
    assert found.counts["minimum"] == {
        "significant": 2, "not_significant": 0,
        "boundary_significant": 1, "boundary_not_significant": 0,
    }  # fmt: skip
    assert any("the global minimum lies on the boundary" in line for line in found.summary())


def test_a_lone_minimum_is_said_to_count_always():
    measured = Landscape(
        Grid((5, 5), ((0, 1), (0, 1))), {"loss": np.add.outer(np.arange(-2.0, 3) ** 2,
        np.arange(-2.0, 3) ** 2)}, np.ones((5, 5), np.int8), np.eye(2),
    )  # fmt: skip
    words = "the global minimum always counts"
    assert any(words in line for line in find_critical_points(measured, persistence=1).summary())
    two = Landscape(
        Grid((5, 3), ((0, 1), (0, 1))),
        {"loss": np.array([[9.0, 9, 9, 9, 9], [9, 0, 5, 1, 9], [9, 9, 9, 9, 9]])},
        np.ones((3, 5), np.int8), np.eye(2),
    )  # fmt: skip
    assert not any(words in line for line in find_critical_points(two, persistence=1).summary())


def test_a_saddle_that_only_closes_around_a_hole_is_no_feature_of_the_loss():
    field = np.add.outer(np.arange(5.0) ** 2, np.arange(5.0) ** 2)
    field[2, 2] = np.nan
    measured = Landscape(
        Grid((5, 5), ((0, 1), (0, 1))), {"loss": field}, np.ones(field.shape, np.int8), np.eye(2)
    )
    found = find_critical_points(measured, persistence=0.0, scale="linear")
    endless = np.isinf(found.arrays["persistence"])
    saddle = found.arrays["CellDimension"] == 1
    assert (endless & saddle).any()
    assert not found.arrays["significant"][endless & saddle].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"persistence": -1.0}, "must be a finite number of at least 0"),
        ({"persistence": np.nan}, "must be a finite number of at least 0"),
        ({"scale": "cubic"}, "not one of log, linear"),
        ({"method": "guess"}, "not one of studentized, bootstrap"),
        ({"confidence": 1.0}, "above 0 and below 1"),
        ({"draws": 0}, "0 bootstrap draws"),
    ],
)
def test_bad_arguments_are_refused(rng, options, message):
    with pytest.raises(LossLandscapeError, match=message):
        find_critical_points(noisy(two_wells(1.0), rng), **options)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (np.full((3, 3), np.nan), "finite at none"),
        (np.ones((3, 3)), "constant"),
        (np.arange(27.0).reshape(3, 3, 3), "3-D"),
    ],
)
def test_bad_fields_are_refused(field, message):
    measured = Landscape(
        Grid(field.shape, ((0, 1),) * field.ndim), {"loss": field},
        np.ones(field.shape, np.int8), np.eye(field.ndim),
    )  # fmt: skip
    with pytest.raises(LossLandscapeError, match=message):
        find_critical_points(measured)


def test_a_threshold_by_pairs_is_refused_with_what_does_it(rng):
    with pytest.raises(LossLandscapeError, match="find_critical_points"):
        noise_threshold(noisy(two_wells(1.0), rng), method="studentized")


def test_too_few_draws_for_the_quantile_are_refused(rng):
    losses = rng.random((5, 5, 20)).astype(np.float32)
    with pytest.raises(LossLandscapeError, match="10 bootstrap draws"):
        noise_threshold(landscape_of(losses), draws=10)


@pytest.mark.parametrize("method", ["bootstrap", "bottleneck"])
def test_the_draws_are_counted_to_the_last(rng, method, monkeypatch, capsys):
    if method == "bottleneck":
        pytest.importorskip("gudhi")
    measured = landscape_of(rng.gamma(2.0, size=(5, 7, 30)))
    noise_threshold(measured, method=method, draws=50)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("losslandscape.analysis.resampling.BLOCK_BYTES", 8 * 30 * 7)  # many blocks
    noise_threshold(measured, method=method, draws=50, quiet=False)
    said = capsys.readouterr().err.splitlines()
    steps = 50 * 5 * 7 if method == "bootstrap" else 50
    assert said[0] == "bootstrap: 50 draws of 35 points, 30 samples each"
    assert said[-1].startswith(f"bootstrap: {steps}/{steps}, ")


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_bottleneck_bootstrap_is_that_of_a_loop_over_draws(rng, scale, monkeypatch):
    hera = pytest.importorskip("gudhi.hera")
    from losslandscape.topology import persistence_pairs

    losses = rng.gamma(2.0, size=(3, 5, 12)).astype(np.float32)
    change = np.log10 if scale == "log" else np.asarray

    def diagrams(means):
        pairs = persistence_pairs(change(means))
        for kind in (0, 1):
            kept = (pairs["IsFinite"] == 1) & (pairs["PairType"] == kind)
            kept &= pairs["Persistence"] > 0
            birth, persistence = pairs["Birth"][kept], pairs["Persistence"][kept]
            yield np.column_stack([birth, birth + persistence])

    wide = losses.astype(np.float64)
    generator, distances = np.random.default_rng(5), []
    for _ in range(20):
        counts = generator.multinomial(12, np.full(12, 1 / 12))
        pairs = zip(diagrams(wide.mean(-1)), diagrams(wide @ counts / 12))
        distances.append(max(hera.bottleneck_distance(a, b, delta=0.0) for a, b in pairs))
    monkeypatch.setattr("losslandscape.analysis.resampling.BLOCK_BYTES", 8 * 30 * 7)
    found = noise_threshold(
        landscape_of(losses), scale=scale, method="bottleneck", draws=20, seed=5, confidence=0.9
    )
    level = int(np.ceil(0.9 * 19))
    assert found.persistence == pytest.approx(2 * np.sort(distances)[level], rel=1e-9)
    assert np.isnan(found.band)
    assert (found.points, found.points_outside) == (15, 0)


def with_interpolated(rng, shape=(3, 4), place=(1, 2)):
    """A landscape with one interpolated point, its estimated error 0.25."""
    losses = rng.gamma(9.0, size=(*shape, 30)).astype(np.float32)
    measured = landscape_of(losses)
    measured.status[place] = INTERPOLATED
    measured.samples["loss_samples"][place] = np.nan
    measured.fields["loss_standard_error"][place] = np.nan
    measured.fields["loss_interpolation_error"] = np.where(
        measured.status == INTERPOLATED, 0.25, np.nan
    )
    return measured, losses


@pytest.mark.parametrize("method", ["bootstrap", "standard_error", "none"])
def test_twice_the_largest_error_of_interpolated_points_is_added(rng, method):
    measured, losses = with_interpolated(rng)
    found = noise_threshold(measured, scale="linear", method=method)
    errors = interpolation_errors(measured, "linear")
    largest = errors[measured.status == INTERPOLATED].max()
    assert found.interpolation == pytest.approx(2 * largest)
    assert (found.points, found.points_outside, found.points_interpolated) == (11, 0, 1)
    kept = np.delete(losses.reshape(12, 30), 6, axis=0)
    alone = noise_threshold(landscape_of(kept), scale="linear", method=method)
    assert found.sampling == pytest.approx(alone.persistence, rel=1e-9)
    assert found.persistence == pytest.approx(alone.persistence + 2 * largest, rel=1e-9)
    assert "1 interpolated points (of 12)" in found.reason
    measured.fields["loss"][0, 0] = np.nan
    outside = noise_threshold(measured, scale="linear", method=method)
    assert (outside.points, outside.points_outside, outside.points_interpolated) == (10, 1, 1)


def test_an_unknown_error_of_interpolated_points_is_said_and_not_added():
    found = NoiseThreshold(
        0.5, 0.7, "bootstrap", "linear", 0.95, 8, 0, interpolation=np.nan, points_interpolated=2
    )
    assert found.persistence == 0.5
    assert "2 interpolated points (of 10)" in found.reason
    assert "knows nothing" in found.reason
    known = NoiseThreshold(0.5, 0.7, "bootstrap", "linear", 0.95, 8, 0, interpolation=0.25)
    assert known.persistence == 0.75
    assert known.to_json()["persistence"] == 0.75


@pytest.mark.parametrize(("scale", "words"), [("log", "linear scale"), ("linear", "not finite")])
def test_an_infinite_error_of_interpolated_points_is_explained(scale, words):
    found = NoiseThreshold(
        0.5, 0.7, "standard_error", scale, 0.95, 8, 0, interpolation=np.inf, points_interpolated=2
    )
    assert found.persistence == np.inf
    assert words in found.reason


def test_the_best_method_is_the_first_that_there_are_data_for(rng):
    measured = noisy(two_wells(1.0), rng, samples=2)
    assert noise_threshold(measured, scale="linear").method == "bootstrap"
    one = noisy(two_wells(1.0), rng, samples=3)
    one.samples = {"loss_samples": one.samples["loss_samples"][..., :1]}
    assert noise_threshold(one, scale="linear").method == "standard_error"
    one.fields["loss_standard_error"][:] = np.nan
    found = noise_threshold(one, scale="linear")
    assert (found.method, found.sampling, found.points) == ("none", 0.0, 117)
    with pytest.raises(LossLandscapeError, match="two samples"):
        noise_threshold(one, scale="linear", method="bootstrap")


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_the_confidence_sets_the_quantile(rng, confidence):
    from scipy.stats import norm

    measured = landscape_of(rng.gamma(2.0, size=(3, 4, 30)))
    spread, largest = bootstrap_deviations(
        measured.samples["loss_samples"].reshape(12, 30), np.ones(12, bool), 200, 4, False
    )
    found = noise_threshold(measured, scale="linear", draws=200, seed=4, confidence=confidence)
    level = int(np.ceil(confidence * 199))
    assert found.persistence == np.sort(spread)[level]
    assert found.band == 2 * np.sort(largest)[level]
    errors = noise_threshold(
        measured, scale="linear", method="standard_error", confidence=confidence
    )
    z = norm.ppf(1 - (1 - confidence) / (2 * 12))
    assert errors.persistence == pytest.approx(2 * z * measured.fields["loss_standard_error"].max())
    assert f"{100 * confidence:g}%" in found.reason


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, np.nan])
def test_confidence_lies_between_0_and_1(rng, confidence):
    with pytest.raises(LossLandscapeError, match="confidence"):
        noise_threshold(landscape_of(rng.random((3, 3, 9))), confidence=confidence)


def test_twenty_draws_have_a_95_percent_quantile_and_nineteen_have_none(rng):
    measured = landscape_of(rng.random((3, 3, 9)))
    assert noise_threshold(measured, draws=21).draws == 21
    with pytest.raises(LossLandscapeError, match="19 bootstrap draws"):
        noise_threshold(measured, draws=19)


def test_values_on_a_scale_are_nan_where_they_are_not_finite():
    def line(*values):
        return Landscape(
            Grid.line(len(values)), {"loss": np.array(values)}, np.ones(len(values), np.int8),
            np.eye(1),
        )  # fmt: skip

    values, scale = on_scale(line(10.0, np.inf, np.nan, 0.001), "log")
    assert scale == "log"
    np.testing.assert_allclose(values, [1, np.nan, np.nan, -3])
    values, scale = on_scale(line(10.0, 0.0, -1.0, np.inf, np.nan, 0.001))
    assert scale == "linear"
    np.testing.assert_allclose(values, [10, 0, -1, np.nan, np.nan, 0.001])
    with pytest.raises(LossLandscapeError, match="finite at none of its 2"):
        on_scale(line(np.nan, np.inf), "log")


@pytest.mark.parametrize(("values", "words"), [
    ((10.0, 0.0, -1.0, np.inf, 0.001), r"2 of 5 points have a loss of 0 or less \(the lowest: -1"),
    ((1.0, 0.0), r"1 of 2 points have a loss of 0 or less \(the lowest: 0"),
])  # fmt: skip
def test_a_loss_without_a_logarithm_is_refused_on_the_log_scale(values, words):
    measured = Landscape(
        Grid.line(len(values)), {"loss": np.array(values)}, np.ones(len(values), np.int8), np.eye(1)
    )
    for analysis in (on_scale, lambda m, s: find_critical_points(m, scale=s),
                     lambda m, s: flat_region(m, 0.1, scale=s)):  # fmt: skip
        with pytest.raises(LossLandscapeError, match=words):
            analysis(measured, "log")
        analysis(measured, "linear")


def test_the_largest_deviation_is_of_either_sign():
    losses = np.array([[0.0, 0.0, 0.0, 4.0], [8.0, 8.0, 8.0, 0.0]])
    spread, largest = bootstrap_deviations(losses, np.ones(2, bool), 30, 0, False)
    counts = np.random.default_rng(0).multinomial(4, np.full(4, 0.25), 30)
    change = counts @ losses.T / 4 - losses.mean(axis=1)
    np.testing.assert_allclose(spread, change.max(1) - change.min(1))
    np.testing.assert_allclose(largest, abs(change).max(1))
    assert (change.max(1) > -change.min(1)).any()
    assert (change.max(1) < -change.min(1)).any()
    some, _ = bootstrap_deviations(losses, np.array([False, True]), 30, 0, False)
    np.testing.assert_array_equal(some, 0)
