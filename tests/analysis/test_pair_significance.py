"""Pairs judged one by one: against a loop over draws, their invariances, and how often it is right.

``benchmarks/coverage/significance_power.py`` has the error rates on more surfaces.
"""

import numpy as np
import pytest
from scipy import stats

from losslandscape import Grid, Landscape
from losslandscape.analysis import pair_significance as module
from losslandscape.analysis.critical_points import find_critical_points
from losslandscape.analysis.pair_significance import pair_significance
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import INTERPOLATED
from losslandscape.topology import persistence_pairs

RING = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1))  # of the triangulation


def landscape_of(losses, **fields):
    """A landscape of per-sample losses, shape (*grid, samples)."""
    losses = np.asarray(losses)
    shape = losses.shape[:-1]
    grid = Grid(shape[::-1], ((-1.0, 1.0),) * len(shape))
    values = {"loss": losses.astype(np.float64).mean(-1), **fields}
    return Landscape(
        grid, values, np.ones(shape, np.int8), np.eye(len(shape)), samples={"loss_samples": losses}
    )


def judged(landscape, scale="linear", **options):
    values = landscape.values("loss")
    values = np.log10(values) if scale == "log" else values
    return pair_significance(landscape, values, scale, persistence_pairs(values), **options)


def contributions_of(losses):
    """Fields and what samples contribute to them, by scale."""
    means = losses.mean(1)
    return {
        "linear": (means, losses, np.full(means.size, np.inf)),
        "log": (
            np.log10(means),
            losses / means[:, None] / np.log(10),
            losses.sum(1) ** 2 / (losses**2).sum(1),
        ),
    }


def slow_height(losses, scales, sign, v, extremum):
    """How many standard errors a point lies above an extremum, as a normal variable."""
    on_scales = []
    for scale in scales:
        field, parts, carrying = contributions_of(losses)[scale]
        error = (parts[v] - parts[extremum]).std(ddof=1) / np.sqrt(losses.shape[1])
        freedom = min(losses.shape[1] - 1, 2 * min(carrying[v], carrying[extremum]) - 1)
        ratio = sign * (field[v] - field[extremum]) / error
        on_scales.append(stats.norm.isf(stats.t.sf(ratio, freedom)))
    return max(on_scales)


def slow_pass(losses, shape, scales, sign, extremum, other):
    """The least height above both ends that a path reaches: from the lowest point on, or to None,
    which is the edge, by flooding."""
    ends = [extremum] if other is None else [extremum, other]
    heights = {
        v: min(slow_height(losses, scales, sign, v, end) for end in ends)
        for v in range(len(losses))
        if v not in ends
    }
    inside, reached = {extremum}, -np.inf
    while True:
        around = set()
        for vertex in inside:
            place = np.unravel_index(vertex, shape)
            for offset in RING if len(shape) == 2 else ((1,), (-1,)):
                there = tuple(np.add(place, offset))
                if all(0 <= c < n for c, n in zip(there, shape)):
                    around.add(int(np.ravel_multi_index(there, shape)))
                elif other is None:
                    return reached
        if other in around:
            return reached
        lowest = min(around - inside, key=heights.get)
        reached = max(reached, heights[lowest])
        inside.add(lowest)


@pytest.mark.parametrize("shape", [(5, 6), (9,)])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_p_values_are_those_of_a_loop_over_draws(rng, shape, scale, monkeypatch):
    losses = 1 + rng.gamma(3.0, size=(*shape, 12))
    losses[tuple(np.array(shape) // 2)] /= 3.0  # a deep minimum beside those of the noise
    losses[1] /= 2.5
    scales = ("linear", "log")[: 1 + (scale == "log")]
    losses = losses[..., np.argsort(losses.sum(axis=tuple(range(len(shape)))))]  # as they are drawn
    flat = losses.reshape(-1, 12)
    pairs = persistence_pairs(flat.mean(1).reshape(shape))
    monkeypatch.setattr("losslandscape.analysis.resampling.BLOCK_BYTES", 8 * 12 * 100)
    found = judged(landscape_of(losses), scale, draws=60, seed=3, confidence=0.6)
    generator, largest = np.random.default_rng(3), []
    for _ in range(60):
        counts = generator.multinomial(12, np.full(12, 1 / 12))
        drawn = np.repeat(flat, counts, axis=1).mean(1)
        fields = {"linear": drawn, "log": np.log10(drawn)}
        field = contributions_of(flat)[scale][0]
        noisy = persistence_pairs((field + 2 * (fields[scale] - field)).reshape(shape))
        ratios = [0.0]
        for death, birth, finite, persistence in zip(
            noisy["death_vertex"], noisy["birth_vertex"], noisy["IsFinite"], noisy["Persistence"]
        ):
            for one in scales if finite and persistence > 0 else ():
                field, parts, _ = contributions_of(flat)[one]
                change = fields[one] - field
                error = (parts[death] - parts[birth]).std(ddof=1) / np.sqrt(12)
                ratios.append((change[death] - change[birth]) / error)
        largest.append(np.sqrt(1.25) * max(ratios))

    def p_value(statistic):
        return (1 + sum(one >= statistic for one in largest)) / 61

    ends = pairs["Birth"] + pairs["Persistence"]
    checked = 0
    for kind, order in ((0, np.argsort(pairs["Birth"])), (1, np.argsort(-ends))):
        sign, of_extremum, of_saddle = (
            (1, "birth_vertex", "death_vertex") if kind == 0
            else (-1, "death_vertex", "birth_vertex")
        )  # fmt: skip
        kept = [None] if kind else []
        for i in order[pairs["PairType"][order] == kind]:
            extremum, saddle = int(pairs[of_extremum][i]), int(pairs[of_saddle][i])
            if not pairs["IsFinite"][i]:
                assert np.isnan(found.p_values[i])
                assert not found.significant[i]
                kept.append(extremum)
                continue
            statistic = slow_height(flat, scales, sign, saddle, extremum)
            if p_value(statistic) <= 0.4:
                passes = [slow_pass(flat, shape, scales, sign, extremum, a) for a in kept]
                statistic = min(statistic, *passes)
                if p_value(statistic) <= 0.4:
                    kept.append(extremum)
            assert found.p_values[i] == pytest.approx(p_value(statistic), abs=1e-12)
            assert found.significant[i] == (p_value(statistic) <= 0.4)
            checked += found.significant[i]
    assert checked >= 1
    # of 61 values 24 may be as large: the 24th largest draw is the one to exceed
    assert found.critical == pytest.approx(np.sort(largest)[-24], rel=1e-9)
    assert found.scales == scales


def wells(depth, size=9):
    """Wells at (+-1/2, 0), the second ``depth`` below the barrier, the first half as much more."""
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    shape = depth * np.minimum((4 * x**2 - 1) ** 2, 4)
    return 5 + 2 * y**2 + np.where(x < 0, 1.5 * shape - 0.5 * depth, shape)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_verdicts_do_not_depend_on_units_constants_and_the_order_of_samples(scale):
    verdicts = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        losses = wells(0.7)[..., None] * rng.gamma(20.0, 1 / 20, size=(9, 9, 50))
        found = judged(landscape_of(losses), scale, draws=200)
        others = [rng.permutation(losses.T).T, 3.7 * losses]
        others += [losses + 11.0] if scale == "linear" else []
        for other in others:
            again = judged(landscape_of(other), scale, draws=200)
            np.testing.assert_array_equal(again.significant, found.significant)
            np.testing.assert_array_equal(again.p_values, found.p_values)
            assert again.critical == pytest.approx(found.critical, rel=1e-9)
        verdicts.add(bool(found.significant.any()))
    assert verdicts == {True, False}  # the wells are about as deep as can be found


def test_the_same_seed_gives_the_same_p_values_and_another_seed_others(rng):
    measured = landscape_of(wells(0.4)[..., None] + rng.normal(size=(9, 9, 40)))
    first, second, other = (judged(measured, draws=300, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.p_values, second.p_values)
    assert first.critical == second.critical != other.critical


def noise_of(kind, rng, field, samples):
    if kind == "normal":
        return field[..., None] + rng.normal(size=(*field.shape, samples))
    if kind == "lognormal":
        # independent of point and sample
        return field[..., None] * rng.lognormal(-0.72, 1.2, size=(*field.shape, samples))
    # smooth over the plane, and a tenth of the samples carry the loss
    y, x = np.indices(field.shape) / 4
    waves = rng.normal(size=(3, samples, 1, 1))
    factor = np.exp(0.7 * waves[2] * np.cos(waves[0] * x + waves[1] * y + 3 * waves[0]))
    carried = (rng.random(samples) < 0.1) * rng.exponential(size=samples)
    return field[..., None] * np.moveaxis(factor, 0, -1) * carried


@pytest.mark.parametrize(
    ("kind", "scale", "samples"),
    [
        ("normal", "linear", 40),
        ("lognormal", "linear", 40),
        ("lognormal", "log", 40),
        ("heavy", "linear", 200),
        ("heavy", "log", 200),
    ],
)
@pytest.mark.parametrize("surface", ["plateau", "bowl", "valley"])
def test_where_there_is_one_minimum_no_pair_is_significant(surface, kind, scale, samples):
    y, x = np.indices((9, 9)) / 4 - 1
    field = {
        "plateau": np.ones((9, 9)),
        "bowl": 1 + x**2 + y**2,
        "valley": np.where(abs(y) < 0.1, 1.0, 8.0),  # flat, and one point wide
    }[surface]
    trials = 60
    false = 0
    for seed in range(trials):
        rng = np.random.default_rng([seed, len(kind), len(surface)])
        measured = landscape_of(noise_of(kind, rng, field, samples))
        false += judged(measured, scale, draws=199, seed=seed).significant.any()
    # more would come up once in 10,000 times if surfaces had a false positive in 5% of all cases
    assert false <= stats.binom.isf(1e-4, trials, 0.05)


@pytest.mark.parametrize(
    ("kind", "scale", "depth", "samples", "share"),
    [
        ("normal", "linear", 1.3, 40, 0.9),
        ("lognormal", "log", 2.0, 100, 0.8),
        ("heavy", "log", 0.8, 400, 0.8),
    ],
)
def test_a_deep_second_well_is_found(kind, scale, depth, samples, share):
    field = wells(depth)
    if kind != "normal":  # relative noise: the depth is in decades
        field = 10 ** np.minimum(field - field.min(), 2 * depth)
    trials, found = 25, 0
    for seed in range(trials):
        rng = np.random.default_rng([seed, len(kind)])
        measured = landscape_of(noise_of(kind, rng, field, samples))
        counts = find_critical_points(measured, scale=scale, draws=199, seed=seed).counts["minimum"]
        found += counts["significant"] == 2
    assert found >= stats.binom.ppf(1e-4, trials, share)


def test_noise_far_from_a_pair_does_not_hide_it(rng):
    noise = np.full((9, 9), 0.3)
    noise[0], noise[-1] = 60.0, 60.0
    losses = wells(0.8)[..., None] + noise[..., None] * rng.normal(size=(9, 9, 60))
    losses[[0, -1]] += 100
    alone, together = (
        find_critical_points(landscape_of(losses), scale="linear", method=method, draws=300)
        for method in ("studentized", "bootstrap")
    )
    assert (alone.noise.method, alone.counts["minimum"]["significant"]) == ("studentized", 2)
    assert together.counts["minimum"]["significant"] == 1


def test_a_noisy_way_around_the_saddle_is_a_way(rng):
    # the saddle is certain; another way is higher, but may be lower
    field = np.full((5, 5), 30.0)
    field[1, 1:4] = [1.0, 3.0, 0.0]
    field[2, 1], field[2, 3], field[3, 1:4] = 1.0001, 0.0001, [1.0002, 3.5, 0.0002]
    for size, expected in ((1e-3, 2), (20.0, 1)):
        noise = np.full(field.shape, 1e-3)
        noise[3, 2] = size
        draws = rng.normal(size=(5, 5, 30))
        draws -= draws.mean(axis=-1, keepdims=True)
        measured = landscape_of(field[..., None] + noise[..., None] * draws)
        found = find_critical_points(measured, scale="linear", draws=199)
        assert found.counts["minimum"]["significant"] == expected


def test_a_minimum_of_the_well_of_another_is_not_significant_twice(rng):
    # 1 and 1.2 are one well up to noise, though each is separated from 0
    field = np.array([9.0, 1.0, 1.25, 1.2, 5.0, 0.0, 9.0])
    losses = field[:, None] + 0.3 * rng.normal(size=(7, 40))
    losses += (field - losses.mean(1))[:, None]
    found = judged(landscape_of(losses), draws=299)
    by_birth = dict(zip(persistence_pairs(field)["birth_vertex"].tolist(), found.significant))
    assert (by_birth[1], by_birth[3]) == (True, False)


def test_a_pair_that_one_sample_makes_is_not_significant():
    rng = np.random.default_rng(4)
    losses = np.array([9.0, 1.0, 1.01, 0.9, 9.0])[:, None] + 1e-3 * rng.normal(size=(5, 100))
    losses[2, 17] += 50.0  # the barrier is this sample's
    found = judged(landscape_of(losses))
    assert found.p_values[np.isfinite(found.p_values)].min() > 0.05


@pytest.mark.parametrize("carrying", [1, 2, 3])
def test_curves_of_the_few_samples_that_carry_all_of_the_loss_are_not_significant(carrying):
    rng = np.random.default_rng(5)
    losses = 1e-6 * rng.random((5, 100))
    losses[:, :carrying] = 50 * np.array([9.0, 1.0, 3.0, 0.5, 9.0])[:, None]
    losses[:, :carrying] *= 1 + 0.01 * rng.normal(size=(5, carrying))
    for scale in ("linear", "log"):
        found = judged(landscape_of(losses), scale, draws=199)
        assert not found.significant.any()
    losses[:, carrying:] = losses[:, :1] * (1 + 0.01 * rng.normal(size=(5, 100 - carrying)))
    assert judged(landscape_of(losses), draws=199).significant.any()


def test_losses_without_noise_are_judged_by_their_rounding():
    field = np.array([9.0, 1.0, 3.0, 0.0, 9.0, 4.0, 4.0 + 1e-7, 3.9999999, 9.0], np.float32)
    found = judged(landscape_of(np.repeat(field[:, None], 20, axis=1)))
    pairs = persistence_pairs(field.astype(np.float64))
    large = (pairs["IsFinite"] == 1) & (pairs["Persistence"] > 1)
    assert found.significant[large].all()
    assert found.persistence < 1e-5


def test_where_a_draw_falls_off_the_log_scale_the_linear_one_decides(rng):
    losses = np.zeros((3, 3, 10), np.float32)
    losses[..., 0] = np.arange(1, 10).reshape(3, 3)[[1, 0, 2]]  # one sample has all the loss
    found = find_critical_points(landscape_of(losses), scale="log")
    assert found.noise.scales == ("linear",)
    assert "or its log10" not in found.noise.reason
    assert found.arrays["significant"].sum() == 1  # the lowest
    losses = wells(2.0)[..., None] + rng.normal(size=(9, 9, 40))
    losses[0, 0] = 0.0
    losses[0, 0, 0] = 400.0  # a draw without this sample has no loss there
    found = find_critical_points(landscape_of(losses), scale="log", draws=199)
    assert found.noise.scales == ("linear",)
    assert found.counts["minimum"]["significant"] == 2


def interpolated(values, losses, places, errors):
    measured = landscape_of(losses, loss=values, loss_interpolation_error=errors)
    measured.status[places] = INTERPOLATED
    measured.samples["loss_samples"] = np.where(
        (measured.status == INTERPOLATED)[..., None], np.nan, losses
    )
    return measured


def test_the_estimated_errors_of_a_pairs_own_points_are_taken_off(rng):
    values = np.array([9.0, 1.0, 3.0, 0.0, 9.0, 5.0, 9.0])
    losses = values[:, None] + 0.01 * rng.normal(size=(7, 40))
    for error, expected in ((1.0, True), (2.1, False)):
        errors = np.full(7, np.nan)
        errors[2] = error
        found = judged(interpolated(values, losses, [2], errors), draws=199)
        pairs = persistence_pairs(values)
        by_saddle = dict(zip(pairs["death_vertex"].tolist(), found.significant.tolist()))
        assert by_saddle[2] == expected  # ends at the interpolated point, 2 above the minimum
        assert by_saddle[4]  # has nothing to do with it
        assert found.points_interpolated == 1
        assert found.interpolation == error
        assert "reduced by the estimated errors of the 1 interpolated points (of 7)" in found.reason
    unknown = judged(interpolated(values, losses, [2], np.full(7, np.nan)), draws=199)
    assert np.isnan(unknown.interpolation)
    assert "not in the file and are not included" in unknown.reason


def in_place(changes):
    changes.order, changes.lowest_mean = np.arange(changes.samples), -1.0


def test_interpolated_points_have_the_interpolated_noise(rng, monkeypatch):
    # losses linear between the evaluated points: as if all had been evaluated
    losses = rng.gamma(4.0, size=(9, 30))
    losses[1::2] = (losses[:-1:2] + losses[2::2]) / 2
    values = losses.mean(1)
    values[3] += 0.5  # the interpolant need not be linear
    losses = losses[:, np.argsort(losses.sum(axis=0))]
    monkeypatch.setattr(module._Changes, "_order_samples", in_place)
    whole = judged(landscape_of(losses, loss=values), draws=199)
    some = judged(interpolated(values, losses, np.arange(1, 9, 2), np.zeros(9)), draws=199)
    np.testing.assert_array_equal(some.p_values, whole.p_values)
    assert some.critical == pytest.approx(whole.critical, rel=1e-9)
    assert (some.points, some.points_interpolated, whole.points) == (5, 4, 9)


def test_holes_are_outside(rng):
    losses = wells(2.0)[..., None] + 0.3 * rng.normal(size=(9, 9, 30))
    losses[:, 4, 3] = np.nan  # a ridge without values; one point of it is left
    losses[4, 4] = wells(2.0)[4, 4] + 0.3 * rng.normal(size=30)
    found = find_critical_points(landscape_of(losses), scale="linear", draws=199)
    assert found.noise.points_outside == 8
    assert found.counts["minimum"]["significant"] == 2
    assert "8 points without finite values are left out" in found.noise.reason


def test_simplification_keeps_what_was_judged(rng):
    field = wells(2.0)
    field[:3] = 16.0  # a plateau, on which noise makes pairs
    measured = landscape_of(field[..., None] + rng.normal(size=(9, 9, 60)))
    plain = find_critical_points(measured, scale="linear", draws=199)
    simple = find_critical_points(measured, scale="linear", draws=199, simplify=True)
    assert len(simple) < len(plain)
    assert simple.threshold == plain.threshold > 0
    # pairs of saddle and maximum beside the boundary may stay
    minima = simple.arrays["CellDimension"] == 0
    assert simple.arrays["significant"][minima].all()
    kept = plain.arrays["significant"] == 1
    left = simple.arrays["significant"] == 1
    for name in ("p_value", "loss"):
        np.testing.assert_array_equal(
            np.sort(simple.arrays[name][left]), np.sort(plain.arrays[name][kept])
        )


def test_bad_arguments_are_refused(rng):
    measured = landscape_of(rng.random((4, 4, 9)))
    for options, words in (
        ({"confidence": 1.0}, "above 0 and below 1"),
        ({"draws": 19}, "19 bootstrap draws"),
    ):
        with pytest.raises(LossLandscapeError, match=words):
            judged(measured, **options)
    assert judged(measured, draws=21).draws == 21
    measured.samples = {}
    with pytest.raises(LossLandscapeError, match=r"loss_samples.*keep_samples"):
        find_critical_points(measured, method="studentized")
    measured = landscape_of(np.where(np.arange(9) == 2, np.nan, rng.random((4, 4, 9))))
    measured.fields["loss"] = rng.random((4, 4))
    with pytest.raises(LossLandscapeError, match="nothing to resample"):
        find_critical_points(measured)
