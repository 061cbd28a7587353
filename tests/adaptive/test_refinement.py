"""The parts of a refinement, each against its definition written out."""

import numpy as np
import pytest

from losslandscape import Grid
from losslandscape.adaptive.kriging import LocalInterpolation
from losslandscape.adaptive.refinement import (
    Adaptive,
    FieldModel,
    Refinement,
    coarse_points,
    describe,
    interpolate,
    nearest,
)
from losslandscape.errors import LossLandscapeError

GRID = Grid.rectangle((9, 7), ((-1, 1), (0, 30)))  # unequal axes and units


def numbers_of(grid):
    """Whole coordinates of the points, alpha first, alpha fastest."""
    counts = grid.counts
    return np.array([[i % counts[0], i // counts[0]] for i in range(grid.size)], float)


@pytest.fixture
def field(rng):
    x, y = numbers_of(GRID).T
    return 5 + np.sin(x / 2) + 0.1 * y**2 + 0.05 * rng.random(GRID.size)


@pytest.fixture
def evaluated():
    x, y = numbers_of(GRID).T
    return (x % 2 == 0) & (y % 2 == 0)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_model_is_the_interpolation_in_units_of_the_spacing(field, evaluated, scale):
    model = FieldModel(GRID, field, evaluated, scale)
    on_scale = np.log10(field) if scale == "log" else field
    index = numbers_of(GRID)
    local = LocalInterpolation(index[evaluated], on_scale[evaluated])
    value, deviation, least = local.predict(index[~evaluated])
    np.testing.assert_array_equal(model.targets, np.flatnonzero(~evaluated))
    np.testing.assert_allclose(model.predicted, value)
    np.testing.assert_allclose(model.deviation, deviation)
    np.testing.assert_allclose(model.least, least)
    np.testing.assert_allclose(model.ratios, local.residuals / local.residual_deviations)
    assert model.range == pytest.approx(np.ptp(on_scale[evaluated]))
    apart = np.linalg.norm(index[~evaluated][:, None] - index[evaluated], axis=2).min(axis=1)
    np.testing.assert_allclose(model.distance, apart)
    # 95% of the residuals lie within: an order statistic, 1 at least
    expected = max(1.0, np.quantile(model.ratios, 0.95, method="higher"))
    assert model.factor == pytest.approx(expected)
    # beside a large residual, at least its ratio
    order = local.nearest(index[~evaluated], 3)
    np.testing.assert_allclose(model.local, model.ratios[order].max(axis=1))
    multiple = np.maximum(1.5, model.local)
    assert (multiple > 1.5).any()
    assert (multiple == 1.5).any()
    np.testing.assert_array_equal(model.error(1.5), np.maximum(multiple * deviation, least))
    whole, error = model.values_and_error(field, 1.5)
    np.testing.assert_array_equal(whole[evaluated], field[evaluated])
    np.testing.assert_array_equal(error[evaluated], 0)
    bound = np.maximum(multiple * deviation, least)
    if scale == "log":
        np.testing.assert_allclose(whole[~evaluated], 10**value)
        np.testing.assert_allclose(error[~evaluated], 10**value * (10**bound - 1))
    else:
        np.testing.assert_allclose(whole[~evaluated], value)
        np.testing.assert_allclose(error[~evaluated], bound)


def test_the_scale_is_chosen_from_the_known_values(field, evaluated):
    assert FieldModel(GRID, field, evaluated, None).scale == "linear"
    assert FieldModel(GRID, 10.0**field, evaluated, None).scale == "log"
    below = field - field[evaluated].max() - 1
    with pytest.raises(LossLandscapeError, match=f"{evaluated.sum()} of {evaluated.sum()} points"):
        FieldModel(GRID, below, evaluated, "log")
    one = field.copy()
    one[np.flatnonzero(evaluated)[3]] = 0.0
    with pytest.raises(LossLandscapeError, match="at 1 of 20 points"):
        FieldModel(GRID, one, evaluated, "log")
    one[~evaluated] = -1.0  # what is not evaluated is not looked at
    assert FieldModel(GRID, one, evaluated, "linear").range > 0


def test_beside_values_that_are_not_finite_the_error_is_infinite(field, evaluated):
    values = field.copy()
    hole = np.flatnonzero(evaluated)[6]
    values[hole] = np.nan
    model = FieldModel(GRID, values, evaluated, "linear")
    index = numbers_of(GRID)
    known = index[evaluated]
    for target, deviation, predicted in zip(model.targets, model.deviation, model.predicted):
        distances = np.linalg.norm(known - index[target], axis=1)
        order = np.sort(distances)
        at_hole = np.linalg.norm(index[hole] - index[target])
        if at_hole < order[3]:
            assert deviation == np.inf
        elif at_hole > order[3]:
            assert np.isfinite(deviation)
        assert np.isfinite(predicted)
    nothing = FieldModel(GRID, np.full(GRID.size, np.inf), evaluated, "linear")
    assert np.isnan(nothing.predicted).all()
    assert nothing.range == 0
    assert nothing.factor == np.inf
    alone = np.full(GRID.size, np.nan)
    alone[hole] = 3.0
    model = FieldModel(GRID, alone, evaluated, "linear")  # one value says nothing of errors
    assert np.isnan(model.predicted).all()
    assert np.isinf(model.deviation).any()


def test_everything_evaluated_leaves_nothing_to_predict(field):
    model = FieldModel(GRID, field, np.ones(GRID.size, bool), "linear")
    assert model.targets.size == 0
    whole, error = model.values_and_error(field, 1.0)
    np.testing.assert_array_equal(whole, field)
    assert not error.any()


def test_predictions_of_0_or_less_are_counted_where_all_losses_are_above(evaluated):
    x = numbers_of(GRID)[:, 0]
    dip = 0.01 + np.abs(x - 3.0) * 5  # 0.01 is between evaluated points
    model = FieldModel(GRID, dip, evaluated, "linear")
    assert model.not_positive == (model.predicted <= 0).sum()
    below = FieldModel(GRID, dip - 100, evaluated, "linear")
    assert below.not_positive == 0


def test_the_coarse_grid_has_the_ends_of_every_axis():
    assert coarse_points(Grid.line(9)).tolist() == list(range(9))
    assert len(coarse_points(Grid.square(51))) == 9**2
    assert len(coarse_points(Grid.cube(51))) == 6**3
    found = numbers_of(GRID)[coarse_points(GRID)]
    for axis, count in enumerate(GRID.counts):
        values = np.unique(found[:, axis])
        assert values[0] == 0
        assert values[-1] == count - 1
    assert len(found) == len(np.unique(found[:, 0])) * len(np.unique(found[:, 1]))


def test_nearest_takes_the_value_of_the_nearest_evaluated_point(field, evaluated):
    index = numbers_of(GRID)
    found = nearest(GRID, field, evaluated)
    for i in range(GRID.size):
        distances = np.linalg.norm(index[evaluated] - index[i], axis=1)
        candidates = field[evaluated][distances == distances.min()]
        assert found[i] in candidates
    np.testing.assert_array_equal(found[evaluated], field[evaluated])


def test_interpolating_takes_the_models_own_factor(field, evaluated):
    model = FieldModel(GRID, field, evaluated, None)
    for found, expected in zip(
        interpolate(GRID, field, evaluated), model.values_and_error(field, model.factor)
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tolerance": 0.0}, "tolerance=0"),
        ({"tolerance": 1.0}, "tolerance=1"),
        ({"tolerance": 0.1, "seed": -1}, "seed=-1"),
        ({"tolerance": 0.1, "round_size": 0}, "round_size=0"),
        ({"tolerance": 0.1, "scale": "cubic"}, "'cubic'"),
        ({"tolerance": "much"}, "tolerance='much': must be a number"),
        ({"tolerance": 0.1, "seed": 1.5}, "seed=1.5: must be a whole number"),
    ],
)
def test_settings_that_cannot_be(options, words):
    with pytest.raises(LossLandscapeError, match=words):
        Adaptive(**options)


def test_settings_at_their_limits():
    settings = Adaptive(np.float32(0.5), seed=0, round_size=1, max_points=np.int64(90))
    assert settings.to_json() == {
        "tolerance": 0.5, "scale": None, "seed": 0, "round_size": 1, "max_points": 90,
    }  # fmt: skip
    least = coarse_points(Grid.square(21)).size
    Adaptive(0.1, max_points=least).check(Grid.square(21))
    with pytest.raises(LossLandscapeError, match=f"{least - 1}.* has {least} points"):
        Adaptive(0.1, max_points=least - 1).check(Grid.square(21))


class Rounds:
    """A refinement of a field driven by hand."""

    def __init__(self, grid, values, **settings):
        self.grid, self.values = grid, values
        self.refinement = Refinement(grid, Adaptive(**settings))
        self.evaluated = np.zeros(grid.size, bool)

    def step(self):
        numbers = self.refinement.next_round(self.values, self.evaluated)
        self.evaluated[numbers] = True
        return numbers


def rough(grid, seed=3):
    x, y = numbers_of(grid).T
    return np.sin(0.9 * x) * np.cos(0.7 * y) + 0.02 * (x - 8) ** 2 + 3


def test_a_round_takes_the_worst_points_at_a_distance():
    grid = Grid.square(25)
    run = Rounds(grid, rough(grid), tolerance=0.002, round_size=5)
    run.step()
    before = run.evaluated.copy()
    chosen = run.step()
    model = FieldModel(grid, run.values, before, None)
    estimates = model.error(model.factor) / model.range
    index = numbers_of(grid)
    distance = dict(zip(model.targets, model.distance))
    expected = []
    for place in np.argsort(-estimates, kind="stable"):
        number = model.targets[place]
        if estimates[place] <= 0.7 * 0.002 or len(expected) == max(5, int(0.12 * before.sum())):
            break
        if all(
            np.linalg.norm(index[number] - index[other])
            >= 0.7 * max(distance[number], distance[other])
            for other in expected
        ):
            expected.append(number)
    assert chosen.tolist() == expected
    assert run.refinement.estimated_error == pytest.approx(estimates.max())


def test_a_check_draws_random_points_and_counts_those_within_their_error():
    grid = Grid.square(21)
    x, y = numbers_of(grid).T
    bowl = (x - 9) ** 2 + 2 * (y - 11) ** 2
    run = Rounds(grid, bowl.copy(), tolerance=0.01, seed=4, scale="linear")
    run.step()
    before = run.evaluated.copy()
    drawn = run.step()
    unknown = np.flatnonzero(~before)
    generator = np.random.default_rng([4, int(before.sum())])
    expected = np.sort(generator.choice(unknown, len(drawn), replace=False))
    assert drawn.tolist() == expected.tolist()
    assert "checking" in run.refinement.describe()
    # three of the drawn points are elsewhere than was predicted
    spread = np.ptp(bowl[before])
    run.values[drawn[:3]] += 0.5 * spread
    run.step()
    [check] = run.refinement.checks
    assert (check.points, check.within) == (len(drawn), len(drawn) - 3)
    whole_range = np.ptp(run.values[before | np.isin(np.arange(grid.size), drawn)])
    assert check.largest_error == pytest.approx(0.5 * spread / whole_range, rel=1e-6)
    assert not run.refinement.finished


def test_a_check_that_agrees_ends_it():
    grid = Grid.square(21)
    x, y = numbers_of(grid).T
    run = Rounds(grid, 1 + (x - 9) ** 2 + 2 * (y - 11) ** 2, tolerance=0.01, scale="linear")
    sizes = [len(run.step()) for _ in range(3)]
    assert sizes[-1] == 0
    assert run.refinement.finished
    done = run.refinement.to_json()
    assert done["evaluated"] == run.evaluated.sum() == sum(sizes)
    assert done["interpolated"] == grid.size - sum(sizes)
    assert done["rounds"] == 2
    assert done["predicted_not_finite"] == done["predicted_not_positive"] == 0
    [check] = done["checks"]
    assert check["within"] == check["points"] == sizes[1]
    found, _ = run.refinement.interpolated(run.values)
    np.testing.assert_allclose(found, run.values, atol=1e-7)


def test_at_the_limit_of_points_it_ends_unfinished():
    grid = Grid.square(25)
    least = coarse_points(grid).size
    run = Rounds(grid, rough(grid), tolerance=0.001, max_points=least + 3)
    assert [len(run.step()) for _ in range(3)] == [least, 3, 0]
    assert not run.refinement.finished
    assert "largest error estimated at" in run.refinement.describe()
    assert run.refinement.estimated_error > 0.001


def test_before_the_first_round_nothing_is_known():
    refinement = Refinement(Grid.square(25), Adaptive(0.01))
    assert refinement.estimated_error == np.inf
    assert refinement.describe() == "coarse grid"
    assert not refinement.finished


DONE = {
    "evaluated": 120, "interpolated": 2481, "estimated_error": 0.0095, "tolerance": 0.01,
    "scale": "linear", "range": 2.31, "checks": [], "finished": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "there", "not_there"),
    [
        (
            {},
            ["120 ", "2481 ", "estimated at 0.95% of", "2.31,", "tolerance 1%)"],
            ["decades", "not reached", "at most", "half width"],
        ),
        ({"estimated_error_95": 0.004}, ["95% of these are within 0.4% of the range"], []),
        (
            {"gaps": {"largest": 4.47, "half_width_95": 3.61}},
            ["every well of half width 4.5", "95% of those of 3.6"],
            [],
        ),
        ({"scale": "log"}, ["2.31 decades"], []),
        ({"estimated_error": 0.02}, ["2%", "not reached"], []),
        ({"estimated_error": 0.01}, ["1% of the range"], ["not reached"]),
        ({"estimated_error": None}, ["unknown", "not reached"], []),
        ({"interpolation_tolerance": 0.009}, ["not reached"], []),
        ({"interpolated": 0}, ["all 120 points", "1%"], ["2481"]),
        ({"predicted_not_finite": 3}, ["3 points", "not finite"], []),
        ({"predicted_not_positive": 4}, ["4 points", "0 or less"], []),
        ({"finished": False}, ["limit of points"], []),
        ({"allotment": {"error": 0.02, "passes": 12.345}}, ["0.02,", "12.3 passes"], ["orders"]),
        (
            {"allotment": {"error": 0.02, "passes": 1, "within": 97}, "scale": "log"},
            ["97 of 100", "0.02 decades"],
            [],
        ),
        (
            {"checks": [{"points": 20, "within": 15, "largest_error": 0.2},
                        {"points": 10, "within": 10, "largest_error": 0.004}]},
            ["of 30 random", "25 lay", "20%"],
            [],
        ),
    ],
)  # fmt: skip
def test_a_finished_refinement_in_a_sentence(changes, there, not_there):
    text = describe({**DONE, **changes})
    assert all(words in text for words in there), text
    assert not any(words in text for words in not_there), text
