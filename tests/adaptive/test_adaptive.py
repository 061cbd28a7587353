"""Adaptive refinement: analytic fields, fields that break it, and bit-identical results."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.adaptive.refinement import (
    Adaptive,
    FieldModel,
    Refinement,
    describe,
    interpolate,
)
from losslandscape.errors import LossLandscapeError
from losslandscape.files.journal import Journal, journal_path
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED, NOT_FINITE


def refined(grid, field, tolerance=0.01, **options):
    """Refine a known field: the refinement, which points were evaluated, the surface, its error."""
    field = np.asarray(field, dtype=float).ravel()
    refinement = Refinement(grid, Adaptive(tolerance, **options))
    evaluated = np.zeros(grid.size, bool)
    seen = np.full(grid.size, np.nan)
    while (numbers := refinement.next_round(seen, evaluated)).size:
        assert not evaluated[numbers].any()
        assert np.unique(numbers).size == numbers.size
        evaluated[numbers] = True
        seen[numbers] = field[numbers]
    return refinement, evaluated, *refinement.interpolated(seen)


SQUARE = Grid.square(41, 3.0)
X, Y = SQUARE.points().T


@pytest.mark.parametrize(
    ("grid", "most"),
    [(Grid.line(201, 2.0), 39), (Grid.square(41, 2.0), 111), (Grid.cube(21, 2.0), 246)],
)
def test_a_quadratic_needs_only_the_coarse_grid_and_a_check(grid, most):
    field = ((grid.points() - 0.3) ** 2 * [1.0, 2.0, 3.0][: grid.dimensions]).sum(axis=1)
    refinement, evaluated, values, error = refined(grid, field, scale="linear")
    assert evaluated.sum() <= most
    np.testing.assert_allclose(values, field, atol=1e-9)
    assert (error >= np.abs(values - field)).all()
    assert [check.within for check in refinement.checks] == [30]


def test_the_first_round_includes_the_middle_and_the_corners():
    grid = Grid.rectangle((51, 41), ((-1, 1), (-1, 1)))
    first = Refinement(grid, Adaptive(0.01)).next_round(
        np.full(grid.size, np.nan), np.zeros(grid.size, bool)
    )
    points = {tuple(p) for p in grid.points()[first]}
    assert {(0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1)} <= points


def test_white_noise_ends_up_fully_evaluated():
    noise = np.random.default_rng(0).standard_normal(SQUARE.size)
    refinement, evaluated, values, error = refined(SQUARE, noise)
    assert evaluated.all()
    np.testing.assert_array_equal(values, noise)
    assert not error.any()
    assert refinement.to_json()["interpolated"] == 0


@pytest.mark.parametrize("name", ["waves", "kink", "cliff", "decades", "narrow valley"])
def test_the_error_stays_within_the_tolerance(name):
    field = {
        "waves": np.sin(2 * X) * np.cos(1.5 * Y) + 0.3 * X,
        "kink": np.abs(X + 0.3 * Y - 0.7) + 0.1 * X**2,
        "cliff": np.where(X + 0.3 * Y > 1.1, 10.0, 0.0) + 0.1 * X**2,
        "decades": 1e-3 + np.exp(2 * np.hypot(X, Y + 0.3) ** 1.5),
        "narrow valley": 1e-2 + (X - Y) ** 2 + 0.01 * (X + Y) ** 2,
    }[name]
    refinement, evaluated, values, error = refined(SQUARE, field)
    scale = np.log10 if refinement.model.scale == "log" else np.asarray
    true = np.abs(scale(values) - scale(field))
    assert true.max() <= 0.01 * np.ptp(scale(field))
    assert (error >= np.abs(values - field))[~evaluated].mean() >= 0.95


@given(
    st.floats(0.5, 6), st.floats(0.5, 6), st.floats(-2, 2), st.sampled_from(["linear", "log"]),
    st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=10, deadline=None)
def test_properties_of_every_refinement(fx, fy, tilt, scale, seed):
    grid = Grid.rectangle((31, 21), ((-1, 1), (-1, 1)))
    x, y = grid.points().T
    field = 1.5 + np.sin(fx * x) * np.cos(fy * y) + tilt * x * y / 5
    _, evaluated, values, error = refined(grid, field, scale=scale, seed=seed)
    np.testing.assert_array_equal(values[evaluated], field[evaluated])  # unchanged
    assert not error[evaluated].any()
    assert (error[~evaluated] > 0).all()
    assert np.isfinite(values).all()
    again = refined(grid, field, scale=scale, seed=seed)
    np.testing.assert_array_equal(again[1], evaluated)
    np.testing.assert_array_equal(again[2], values)
    np.testing.assert_array_equal(again[3], error)


@given(st.floats(0.1, 1000), st.floats(-5, 5))
@settings(max_examples=4, deadline=None)
def test_units_do_not_change_which_points_are_chosen(gain, shift):
    field = np.sin(1.3 * X) * np.cos(Y)
    chosen = refined(SQUARE, field, 0.02, scale="linear")[1]
    other = refined(SQUARE, gain * field + shift, 0.02, scale="linear")[1]
    # rounding may swap two nearly equal candidates
    assert (chosen != other).sum() <= 0.05 * chosen.sum()


@pytest.mark.parametrize("power", [0.5, 1.0])
@pytest.mark.parametrize("place", [(0.37, -0.81), (0.375, -0.825)])
def test_a_cusp_is_found_to_its_lowest_point(power, place):
    cusp = np.hypot(X - place[0], 1.7 * (Y - place[1])) ** power
    _, evaluated, values, error = refined(SQUARE, cusp, scale="linear")
    lowest = int(cusp.argmin())
    assert evaluated[lowest]
    assert np.abs(values - cusp).max() <= 0.01 * np.ptp(cusp)
    assert (error >= np.abs(values - cusp))[~evaluated].mean() >= 0.95


def test_a_cusp_on_a_long_line_stays_within_the_tolerance():
    line = Grid.line(401)
    x = line.points()[:, 0]
    for place in (-0.613, 0.1234, 0.49):
        cusp = np.abs(x - place) ** 0.75 + 0.3 * x**2
        values = refined(line, cusp, scale="linear")[2]
        assert np.abs(values - cusp).max() <= 0.01 * np.ptp(cusp)


def test_the_rounds_end_with_minima_bends_and_a_check():
    """The order of the last rounds, and that a bend off by more than 0.7 tolerances is repeated."""
    field = np.abs(X + 0.3 * Y - 0.7) + 0.1 * X**2
    refinement = Refinement(SQUARE, Adaptive(0.01, scale="linear"))
    evaluated, seen = np.zeros(SQUARE.size, bool), np.full(SQUARE.size, np.nan)
    kinds, agreed = [], []
    while (numbers := refinement.next_round(seen, evaluated)).size:
        if refinement.model is not None:
            kind = refinement._pending.kind
            place = np.searchsorted(refinement.model.targets, numbers)
            off = np.abs(refinement.model.predicted[place] - field[numbers])
            kinds.append(kind)
            agreed.append(off.max() <= 0.7 * 0.01 * np.ptp(field))
            if kind in ("minima", "bends", "check"):
                assert refinement.estimated_error <= 0.009
            if kind == "minima":
                estimates = refinement._estimates()[place]
                assert (estimates > 0.001).all()
                assert (np.diff(estimates) <= 0).all()
        evaluated[numbers] = True
        seen[numbers] = field[numbers]
    assert {"worst", "bends"} <= set(kinds)
    assert kinds[-1] == "check"
    for kind, as_predicted, following in zip(kinds, agreed, kinds[1:]):
        if kind == "bends" and as_predicted:
            assert following != "bends"


def test_a_plateau_of_nan_is_outlined_not_filled():
    field = X**2 + 3 * Y**2
    field[(X > 0.7) & (Y > -1)] = np.nan
    _, evaluated, values, _ = refined(SQUARE, field)
    assert evaluated.mean() < 0.3
    np.testing.assert_array_equal(np.isnan(values), np.isnan(field))
    finite = np.isfinite(field)
    np.testing.assert_allclose(values[finite], field[finite], atol=0.01 * np.ptp(field[finite]))


def test_no_finite_value_at_all():
    _, evaluated, values, error = refined(SQUARE, np.full(SQUARE.size, np.nan))
    assert evaluated.sum() == 111
    assert np.isnan(values).all()
    assert np.isnan(error[~evaluated]).all()


def test_a_constant_field():
    _, evaluated, values, _ = refined(SQUARE, np.full(SQUARE.size, 2.5))
    assert evaluated.sum() == 111
    np.testing.assert_allclose(values, 2.5, rtol=1e-12)


def test_a_spike_between_the_points_is_missed():
    """A limit of refinement, stated in docs/adaptive.md."""
    field = X**2 + 3 * Y**2
    clean = refined(SQUARE, field)[1]
    hidden = np.flatnonzero(~clean)[137]
    field[hidden] += 100.0
    _, evaluated, values, _ = refined(SQUARE, field)
    assert not evaluated[hidden]
    assert values[hidden] < field[hidden] - 99


def test_the_scale_becomes_linear_when_a_loss_is_not_positive():
    """The scale follows from the known values, and the log scale needs positive ones."""
    field = X**2 + Y**2
    field[field < 0.05] = -0.01
    refinement, _, values, _ = refined(SQUARE, field + 0.0)
    assert refinement.model.scale == "linear"
    assert np.abs(values - field).max() <= 0.01 * np.ptp(field)


def test_interpolated_losses_below_zero_are_reported():
    """A linear scale allows an error larger than the loss in a valley beside a steep wall."""
    valley = 1e-3 + 40 * np.maximum(0, np.abs(X + 0.3 * Y) - 0.4)
    refinement, evaluated, values, _ = refined(SQUARE, valley, 0.1, scale="linear")
    count = int((values <= 0).sum())
    assert count > 0
    assert (values[evaluated] > 0).all()
    assert refinement.to_json()["predicted_not_positive"] == count
    assert f"at {count} points the interpolated loss is 0 or less" in describe(refinement.to_json())
    for other, scale in ((valley, "log"), (valley - 0.1, "linear")):
        done = refined(SQUARE, other, 0.1, scale=scale)[0].to_json()
        assert done["predicted_not_positive"] == 0
        assert "0 or less" not in describe(done)


def test_a_grid_smaller_than_the_coarse_one_is_evaluated_fully():
    grid = Grid.square(5)
    _, evaluated, _, _ = refined(grid, grid.points()[:, 0])
    assert evaluated.all()


def test_points_of_a_round_keep_a_distance():
    field = np.abs(X + 0.3 * Y - 0.7)
    refinement = Refinement(SQUARE, Adaptive(0.001))
    evaluated = np.zeros(SQUARE.size, bool)
    for _ in range(5):
        evaluated[refinement.next_round(field, evaluated)] = True
    numbers = refinement.next_round(field, evaluated)
    index = np.stack(np.unravel_index(numbers, SQUARE.shape), axis=1)
    known = np.stack(np.unravel_index(np.flatnonzero(evaluated), SQUARE.shape), axis=1)
    distance = np.linalg.norm(index[:, None] - known[None], axis=2).min(axis=1)
    apart = np.linalg.norm(index[:, None] - index[None], axis=2) + 99 * np.eye(len(index))
    assert len(numbers) >= 8
    assert (apart >= 0.7 * np.maximum(distance[:, None], distance[None])).all()


def test_a_further_field_comes_with_an_error():
    accuracy = 1 / (1 + np.exp(X))
    evaluated = np.random.default_rng(0).random(SQUARE.size) < 0.2
    values, error = interpolate(SQUARE, accuracy, evaluated)
    assert np.abs(values - accuracy).max() < 1e-3
    assert (error >= np.abs(values - accuracy))[~evaluated].mean() > 0.9


def test_an_error_in_decades_becomes_an_error_of_the_loss():
    field = np.exp(2 * np.hypot(X, Y + 0.2))
    evaluated = np.zeros(SQUARE.size, bool)
    evaluated[::5] = True
    model = FieldModel(SQUARE, field, evaluated, "log")
    values, error = model.values_and_error(field, 2.0)
    unseen = model.targets
    np.testing.assert_allclose(values[unseen], 10**model.predicted)
    decades = np.log10(1 + error[unseen] / values[unseen])
    np.testing.assert_allclose(decades, model.error(2.0), rtol=1e-6)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1, float("nan")])
def test_an_invalid_tolerance_is_refused(tolerance):
    with pytest.raises(LossLandscapeError, match=r"above 0 and below 1"):
        Adaptive(tolerance)


def test_invalid_settings_are_refused():
    with pytest.raises(LossLandscapeError, match="scale"):
        Adaptive(0.1, "logarithmic")
    with pytest.raises(LossLandscapeError, match="round_size"):
        Adaptive(0.1, round_size=0)


@pytest.mark.parametrize("limit", [81, 100])
def test_refinement_stops_at_the_limit_of_points(limit):
    field = np.sin(3 * X) * np.cos(2 * Y)
    refinement, evaluated, _, error = refined(SQUARE, field, max_points=limit)
    assert evaluated.sum() == limit
    done = refinement.to_json()
    assert done["estimated_error"] > done["tolerance"]
    assert "not reached" in describe(done)
    assert not done["finished"]
    assert (error[evaluated] == 0).all()


def test_a_limit_below_the_coarse_grid_is_refused():
    with pytest.raises(LossLandscapeError, match="81 points"):
        Refinement(SQUARE, Adaptive(0.01, max_points=80))


def test_a_run_that_ends_at_the_limit_says_that_it_was_not_checked():
    refinement, *_ = refined(SQUARE, X**2 + 3 * Y**2, scale="linear", max_points=81)
    done = refinement.to_json()
    assert done["estimated_error"] < 0.01
    assert "before a final check" in describe(done)
    assert "before a final check" not in describe(refined(SQUARE, X**2)[0].to_json())


def test_a_loss_of_zero_has_no_logarithm():
    with pytest.raises(LossLandscapeError, match="linear"):
        refined(SQUARE, np.maximum(X, 0), scale="log")


def test_the_description_is_valid_json():
    field = X**2 + Y**2
    field[X > 0.4] = np.nan
    for values in (field, np.full(SQUARE.size, np.nan)):
        done = refined(SQUARE, values, max_points=100)[0].to_json()
        json.dumps(done, allow_nan=False)
        assert done["predicted_not_finite"] > 0
        assert "the predicted loss is not finite" in describe(done)


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"seed": 1.5}, {"max_points": 99.5}, {"tolerance": "a"}]
)
def test_settings_of_the_wrong_type_are_refused(wrong):
    with pytest.raises(LossLandscapeError):
        Adaptive(**{"tolerance": 0.01, **wrong})


@pytest.mark.parametrize("kink", [0.2, 4.0])
def test_the_estimate_is_calibrated_on_residuals_and_on_predictions(kink):
    """docs/adaptive.md, 4: 96% of both kinds of known errors, and the geometric mean of the two."""
    field = np.sin(3 * X) * Y + np.abs(X - 0.3) * kink
    refinement = Refinement(SQUARE, Adaptive(0.01, scale="linear"))
    evaluated, seen = np.zeros(SQUARE.size, bool), np.full(SQUARE.size, np.nan)
    predicted: list[float] = []  # |error| / deviation, of points predicted and then evaluated
    rounds_with_both = 0

    def bound(ratios):
        return max(1.0, np.sort(ratios)[int(np.ceil(0.96 * (len(ratios) - 1)))])

    while (numbers := refinement.next_round(seen, evaluated)).size:
        if refinement.model is not None:
            model = refinement.model
            wanted = bound(model.ratios)
            if len(predicted) >= 15:
                latest = bound(predicted[-120:])
                rounds_with_both += abs(latest / wanted - 1) > 0.05
                wanted = np.sqrt(wanted * latest)
            assert refinement.factor == pytest.approx(wanted, rel=1e-12)
            place = np.searchsorted(model.targets, numbers)
            errors = np.abs(field[numbers] - model.predicted[place])
            predicted += list(errors / model.deviation[place])
        evaluated[numbers] = True
        seen[numbers] = field[numbers]
    assert len(predicted) > 120  # more than the calibration uses
    assert rounds_with_both >= 5  # the two factors differ, so either alone would show


def test_points_that_no_round_requested_keep_their_values():
    field = np.sin(2 * X) * np.cos(1.5 * Y)
    refinement, evaluated, *_ = refined(SQUARE, field)
    evaluated[np.flatnonzero(~evaluated)[::50]] = True
    refinement.absorb(field, evaluated)
    values, error = refinement.interpolated(field)
    np.testing.assert_array_equal(values[evaluated], field[evaluated])
    assert not error[evaluated].any()


def test_the_statement_about_most_points_and_about_wells():
    field = np.sin(2 * X) * np.cos(1.5 * Y)
    refinement, evaluated, *_ = refined(SQUARE, field, scale="linear")
    done = refinement.to_json()
    estimates = refinement.model.error(refinement.factor) / refinement.model.range
    share = (estimates <= done["estimated_error_95"]).mean()
    assert 0.95 <= share < 0.96
    assert done["estimated_error_95"] < done["estimated_error"] == estimates.max()
    index = np.argwhere(np.ones(SQUARE.shape, bool))
    known = index[evaluated]
    distance = np.linalg.norm(index[:, None] - known, axis=2).min(axis=1)
    assert done["gaps"]["largest"] == pytest.approx(distance.max())
    for width, probability in zip(done["gaps"]["half_widths"], done["gaps"]["probabilities"]):
        assert probability == pytest.approx((distance <= width).mean())
    assert f"every well of half width {distance.max():.2g} " in describe(done)


# --- through evaluate -----------------------------------------------------------------------------


def small_problem():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    inputs, targets = torch.randn(50, 4), torch.arange(50) % 3
    objective = Objective(model, "cross_entropy", (inputs, targets), batch_size=50)
    return objective, Subspace.random(model, seed=1)


GRID = Grid.square(25, 1.0)


@pytest.fixture(scope="module")
def undisturbed():
    return evaluate(*small_problem(), GRID, tolerance=0.01, quiet=True)


def same(a, b):
    for name in a.fields:
        np.testing.assert_array_equal(a.fields[name], b.fields[name])
    np.testing.assert_array_equal(a.status, b.status)
    for name in a.samples:
        np.testing.assert_array_equal(a.samples[name], b.samples[name])
    assert a.provenance["adaptive"] == b.provenance["adaptive"]


def test_evaluated_points_are_those_of_the_dense_surface(undisturbed):
    dense = evaluate(*small_problem(), GRID, quiet=True)
    evaluated = undisturbed.status == EVALUATED
    assert 0.1 < evaluated.mean() < 0.5
    assert (undisturbed.status[~evaluated] == INTERPOLATED).all()
    for name in ("loss", "accuracy", "loss_standard_error"):
        np.testing.assert_array_equal(
            undisturbed.values(name)[evaluated], dense.values(name)[evaluated]
        )
    error = np.abs(undisturbed.values("loss") - dense.values("loss"))
    assert error.max() <= 0.01 * np.ptp(dense.values("loss"))
    assert (undisturbed.values("loss_interpolation_error")[evaluated] == 0).all()
    assert (undisturbed.values("loss_interpolation_error")[~evaluated] > 0).all()
    assert np.isnan(undisturbed.samples["loss_samples"][~evaluated]).all()
    assert (undisturbed.values("loss_sample_count") == 50).all()
    assert undisturbed.finished


def test_the_file_says_which_points_were_evaluated(undisturbed, tmp_path):
    undisturbed.save(tmp_path / "x.nc")
    again = Landscape.open(tmp_path / "x.nc")
    same(undisturbed, again)
    done = again.provenance["adaptive"]
    assert done["evaluated"] == (again.status == EVALUATED).sum()
    assert done["estimated_error"] <= done["tolerance"] == 0.01
    assert done["gaps"] == again.gaps.to_json()
    assert done["scale"] in ("log", "linear")


def test_every_executor_gives_the_same_bits(undisturbed, tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        through = evaluate(
            *small_problem(),
            GRID,
            tolerance=0.01,
            executor=pool,
            path=tmp_path / "x.nc",
            quiet=True,
        )
    same(undisturbed, through)


def test_a_run_interrupted_anywhere_resumes_to_the_same_bits(undisturbed, tmp_path):
    """The journal of a full run, cut after any number of records and in the middle of one."""
    path = tmp_path / "x.nc"
    whole = []
    append = Journal.append

    def keep(journal, number, payload):
        append(journal, number, payload)
        whole.append(journal.path.read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", keep)
        same(undisturbed, evaluate(*small_problem(), GRID, tolerance=0.01, path=path, quiet=True))
    for cut in (0, 3, 80, 81, 95, len(whole) - 1):
        path.unlink()
        journal_path(path).write_bytes(whole[cut][:-5])  # the last record is incomplete
        went_on = evaluate(*small_problem(), GRID, tolerance=0.01, path=path, quiet=True)
        same(undisturbed, went_on)
        assert not journal_path(path).exists()


def test_a_journal_of_a_method_that_chose_other_points_goes_on(undisturbed, tmp_path):
    """Its points are kept with their values; the rounds are those of the present method."""
    path = tmp_path / "x.nc"

    def other(refinement, evaluated):
        return refinement.model.targets[:30]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Refinement, "_drawn", other)
        patch.setattr(Journal, "remove", lambda journal: journal._file.close())
        before = evaluate(*small_problem(), GRID, tolerance=0.01, path=path, quiet=True)
    path.unlink()
    went_on = evaluate(*small_problem(), GRID, tolerance=0.01, path=path, quiet=True)
    both = (before.status == EVALUATED) | (undisturbed.status == EVALUATED)
    assert both.sum() > (undisturbed.status == EVALUATED).sum()
    np.testing.assert_array_equal(went_on.status == EVALUATED, both)
    for one in (before, undisturbed):
        same_points = one.status == EVALUATED
        np.testing.assert_array_equal(
            went_on.values("loss")[same_points], one.values("loss")[same_points]
        )


def test_another_tolerance_does_not_resume_from_the_journal(tmp_path):
    path = tmp_path / "x.nc"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "remove", lambda journal: journal._file.close())
        evaluate(*small_problem(), GRID, tolerance=0.1, path=path, quiet=True)
    path.unlink()
    with pytest.raises(LossLandscapeError, match=r"adaptive\.tolerance"):
        evaluate(*small_problem(), GRID, tolerance=0.01, path=path, quiet=True)
    with pytest.raises(LossLandscapeError, match="adaptive"):
        evaluate(*small_problem(), GRID, path=path, quiet=True)


_SCRIPT = """
import sys, time
sys.path.insert(0, {folder!r})
import losslandscape as ll
from test_adaptive import GRID, small_problem
from losslandscape.run.point_records import PointJob
record = PointJob.record
def slow(job, evaluator, number):
    time.sleep(0.01)
    return record(job, evaluator, number)
PointJob.record = slow
ll.evaluate(*small_problem(), GRID, tolerance=0.01, path={path!r})
"""


def test_a_killed_run_resumes_to_the_same_bits(undisturbed, tmp_path):
    path = tmp_path / "x.nc"
    script = _SCRIPT.format(folder=os.path.dirname(__file__), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not journal_path(path).exists() or journal_path(path).stat().st_size < 20_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert journal_path(path).exists()
    same(undisturbed, evaluate(*small_problem(), GRID, tolerance=0.01, path=path, quiet=True))


def test_scattered_losses_that_are_not_finite_are_counted_by_the_checks(rng):
    """No model predicts them: that they were met says how many to expect."""
    field = 1 + X**2 + Y**2
    field[rng.random(field.size) < 0.1] = np.nan
    refinement, evaluated, values, _ = refined(SQUARE, field)
    done = refinement.to_json()
    json.dumps(done, allow_nan=False)
    wrong = sum(check["not_finite"] for check in done["checks"])
    points = sum(check["points"] for check in done["checks"])
    assert wrong > 0
    assert all(check["within"] <= check["points"] - check["not_finite"] for check in done["checks"])
    words = f"at {wrong} of {points} random points the loss was not finite, unpredicted"
    assert words in describe(done)
    assert "inf" not in describe(done).replace("finite", "")
    missed = np.isnan(field) & ~np.isnan(values)
    assert missed.sum() / (~evaluated).sum() == pytest.approx(wrong / points, abs=0.1)


def test_losses_that_are_not_finite_keep_their_status():
    def loss(model, batch):
        (scale,) = batch
        theta = model.weight[0]
        value = (theta**2).sum() - 1.0
        return scale * torch.where(theta[0] > 0.61, torch.nan, value)

    model = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    plane = Subspace(
        dict(model.named_parameters()),
        [{"weight": torch.tensor([[1.0, 0.0]])}, {"weight": torch.tensor([[0.0, 1.0]])}],
    )
    landscape = evaluate(
        Objective(model, loss, (torch.ones(4),)), plane, Grid.square(31), tolerance=0.01, quiet=True
    )
    a = np.broadcast_to(np.linspace(-1, 1, 31), (31, 31))
    np.testing.assert_array_equal(np.isnan(landscape.values("loss")), a > 0.61)
    assert set(np.unique(landscape.status)) == {EVALUATED, INTERPOLATED, NOT_FINITE}
    assert (landscape.status[a <= 0.61] != NOT_FINITE).all()
