"""Sampling errors: against all subsets of small data sets, slow loops, and simulated draws."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLImageDataReader

from losslandscape import Grid, Landscape
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.sampling_errors import (
    finite_population_correction,
    grid_arrays,
    mean_standard_error,
    paired_standard_error,
    summary,
)


def landscape_of(losses, dataset_samples=None, **provenance):
    """A landscape of per-sample losses, shape (*grid, samples); float64 so that tests are exact."""
    losses = np.asarray(losses)
    shape, count = losses.shape[:-1], losses.shape[-1]
    described = {"samples": count}
    if dataset_samples:
        described["dataset_samples"] = dataset_samples
    with np.errstate(all="ignore"):
        wide = losses.astype(np.float64)
        fields = {
            "loss": wide.mean(-1),
            "loss_standard_error": wide.std(-1, ddof=min(count - 1, 1)) / np.sqrt(count),
        }
    status = np.where(np.isfinite(fields["loss"]), 1, 3).astype(np.int8)
    return Landscape(
        Grid(shape[::-1], ((-1.0, 1.0),) * len(shape)), fields, status, np.eye(len(shape)),
        provenance={"objective": {"sets": {"train": described}, **provenance}},
        samples={"loss_samples": losses},
    )  # fmt: skip


def subsets(count, size):
    return np.array(list(itertools.combinations(range(count), size)))


@pytest.mark.parametrize(("count", "size"), [(7, 2), (7, 3), (8, 7), (5, 5)])
def test_over_all_subsets_the_squared_error_is_the_variance_of_the_mean(rng, count, size):
    dataset = rng.gamma(0.5, size=count)  # skewed, as losses are
    draws = np.tile(dataset[subsets(count, size)], (2, 1))  # a row a subset; a line has two points
    errors = landscape_of(draws, count).standard_error(against="dataset")
    deviations = draws.mean(1) - dataset.mean()
    np.testing.assert_allclose((errors**2).mean(), (deviations**2).mean(), atol=1e-15)


@pytest.mark.parametrize(("count", "size"), [(7, 3), (8, 5)])
def test_over_all_subsets_the_squared_difference_error_is_the_variance_of_the_difference(
    rng, count, size
):
    one = rng.gamma(0.5, size=count)
    other = 0.7 * one + rng.gamma(0.2, size=count)
    truth = other.mean() - one.mean()
    squares, deviations = [], []
    for subset in subsets(count, size):
        line = landscape_of([one[subset], other[subset]], count)
        squares.append(line.difference_standard_error(0, against="dataset")[1] ** 2)
        deviations.append(line.values()[1] - line.values()[0] - truth)
    np.testing.assert_allclose(np.mean(squares), np.mean(np.square(deviations)), rtol=1e-10)


def test_the_intervals_of_drawn_subsets_hold_the_data_sets_mean_as_often_as_they_say(rng):
    dataset = rng.normal(2.0, 1.0, size=500)
    draws = np.stack([rng.choice(dataset, 300, replace=False) for _ in range(2000)])
    measured = landscape_of(draws, 500)
    away = abs(measured.values() - dataset.mean())
    for against, low, high in (("dataset", 0.935, 0.965), ("population", 0.99, 1.0)):
        covered = (away <= 1.96 * measured.standard_error(against=against)).mean()
        assert low <= covered <= high


def test_the_intervals_of_a_population_hold_its_mean_as_often_as_they_say(rng):
    measured = landscape_of(rng.normal(3.0, 2.0, size=(4000, 100)))
    covered = (abs(measured.values() - 3.0) <= 1.984 * measured.standard_error()).mean()
    assert 0.94 <= covered <= 0.96


@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 4)])
def test_difference_errors_are_those_of_a_loop(rng, shape, monkeypatch):
    losses = rng.gamma(2.0, size=(*shape, 9)).astype(np.float32)
    monkeypatch.setattr(
        "losslandscape.landscape.sampling_errors._BLOCK_BYTES", 8 * 9 * 5
    )  # many blocks
    measured = landscape_of(losses)
    wide = losses.astype(np.float64)

    def error(a, b):
        differences = [float(x) - float(y) for x, y in zip(wide[a], wide[b])]
        mean = sum(differences) / 9
        return np.sqrt(sum((d - mean) ** 2 for d in differences) / 8 / 9)

    places = list(np.ndindex(shape))
    reference = places[5]
    expected = [error(place, reference) for place in places]
    np.testing.assert_allclose(measured.difference_standard_error(5).ravel(), expected, rtol=1e-6)
    for i, name in enumerate(measured.grid.axis_names):
        axis = len(shape) - 1 - i
        found = measured.neighbour_difference_standard_error(name)
        assert found.shape == np.diff(measured.values(), axis=axis).shape
        for place in np.ndindex(found.shape):
            following = tuple(p + (j == axis) for j, p in enumerate(place))
            assert found[place] == pytest.approx(error(following, place), rel=1e-6)


@pytest.mark.parametrize("correlation", [-1.0, -0.5, 0.0, 0.8, 1.0])
def test_of_two_equally_noisy_points_the_ratio_is_that_of_their_correlation(rng, correlation):
    x, y = np.linalg.qr(np.column_stack([np.ones(50), rng.normal(size=(50, 2))]))[0].T[1:]
    other = correlation * x + np.sqrt(1 - correlation**2) * y
    found = summary(landscape_of([x, other]))
    rows = {row["error"]: row for row in found.rows}
    neighbours = rows["of the difference of neighbors along alpha"]
    assert neighbours["ratio"] == pytest.approx(np.sqrt(1 - correlation), abs=1e-7)
    assert neighbours["points"] == 1


def test_a_minimum_without_losses_makes_differences_no_better_than_the_losses(rng):
    losses = rng.gamma(2.0, size=(3, 5, 40))
    losses[1, 2] = 0.0
    measured = landscape_of(losses)
    found = {row["error"]: row for row in summary(measured).rows}
    assert found["of the difference from the minimum"]["ratio"] == 1.0
    np.testing.assert_allclose(measured.difference_standard_error(), measured.standard_error())


# multiples of 1/64, so that sums and offsets are exact
_losses = npst.arrays(
    np.float64, st.tuples(st.integers(3, 6), st.integers(2, 8)),
    elements=st.integers(-640, 640).map(lambda k: k / 64),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(_losses, st.data())
def test_what_all_points_share_sample_by_sample_is_not_in_the_difference(losses, data):
    shared = data.draw(
        npst.arrays(np.float64, losses.shape[1], elements=st.integers(-99, 99).map(float))
    )
    first, second = np.arange(1, len(losses)), np.arange(len(losses) - 1)
    before = paired_standard_error(losses, first, second)
    np.testing.assert_array_equal(before, paired_standard_error(losses + shared, first, second))
    np.testing.assert_array_equal(before, paired_standard_error(losses, second, first))


@settings(max_examples=60, deadline=None)
@given(_losses, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(losses, random):
    order = list(range(losses.shape[1]))
    random.shuffle(order)
    first, second = np.arange(len(losses)), np.zeros(len(losses), dtype=int)
    for error in (mean_standard_error, lambda rows: paired_standard_error(rows, first, second)):
        np.testing.assert_allclose(error(losses[:, order]), error(losses), rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(_losses)
def test_errors_are_a_seminorm_of_the_losses(losses):
    single = mean_standard_error(losses)
    a, b, c = 0, 1, 2

    def error(one, other):
        return paired_standard_error(losses, np.array([one]), np.array([other]))[0]

    slack = 1e-9
    assert error(a, c) <= error(a, b) + error(b, c) + slack
    assert error(a, b) <= np.sqrt(2) * np.hypot(single[a], single[b]) + slack  # the largest ratio
    assert abs(single[a] - single[b]) - slack <= error(a, b) <= single[a] + single[b] + slack
    assert error(a, a) == 0


@settings(max_examples=60, deadline=None)
@given(_losses, st.integers(0, 1000))
def test_the_error_against_the_data_set_is_never_larger(losses, more):
    count = losses.shape[1]
    measured = landscape_of(losses)
    population = measured.standard_error()
    dataset = measured.standard_error(against="dataset", dataset_samples=count + more)
    assert (dataset <= population).all()
    assert (dataset == 0).all() or more > 0
    larger = measured.standard_error(against="dataset", dataset_samples=count + more + 1)
    assert (dataset <= larger).all()


def test_the_error_against_the_data_set_goes_to_that_of_the_population():
    assert finite_population_correction(10, 10**9) == pytest.approx(1)
    assert finite_population_correction(1, 1) == 0


def test_errors_come_from_the_field_and_the_provenance_without_samples(rng):
    measured = landscape_of(rng.random((4, 30)), dataset_samples=40)
    expected = measured.standard_error(against="dataset")
    measured.samples = {}
    np.testing.assert_array_equal(measured.standard_error(against="dataset"), expected)
    measured.provenance = {}
    measured.fields["loss_sample_count"] = np.array([np.nan, 30, 30, 30])
    found = measured.standard_error(against="dataset", dataset_samples=40)
    np.testing.assert_array_equal(found, expected)
    del measured.fields["loss_sample_count"]
    with pytest.raises(LossLandscapeError, match="how many samples 'loss' is the mean of"):
        measured.standard_error(against="dataset", dataset_samples=40)
    del measured.fields["loss_standard_error"]
    with pytest.raises(LossLandscapeError, match="neither a standard error"):
        measured.standard_error()


def test_errors_come_from_the_samples_where_the_field_is_missing(rng):
    measured = landscape_of(rng.random((3, 4, 30)).astype(np.float32))
    field = measured.fields.pop("loss_standard_error")
    np.testing.assert_allclose(measured.standard_error(), field, rtol=1e-12)


def test_each_set_has_its_own_size(rng):
    measured = landscape_of(rng.random((4, 30)), dataset_samples=40)
    losses = rng.random((4, 20))
    measured.fields["test_loss"] = losses.mean(1)
    measured.samples["test_loss_samples"] = losses
    measured.provenance["objective"]["sets"]["test"] = {"samples": 20, "dataset_samples": 80}
    expected = losses.std(1, ddof=1) / np.sqrt(20) * np.sqrt(0.75)
    np.testing.assert_allclose(measured.standard_error("test_loss", against="dataset"), expected)
    differences = (losses - losses[0]).std(1, ddof=1) / np.sqrt(20)
    found = measured.difference_standard_error(0, "test_loss")
    np.testing.assert_allclose(found, differences)
    found = measured.difference_standard_error(0, "test_loss", against="dataset")
    np.testing.assert_allclose(found, differences * np.sqrt(0.75))
    found = measured.neighbour_difference_standard_error("alpha", against="dataset")
    population = measured.neighbour_difference_standard_error("alpha")
    np.testing.assert_allclose(found, population / 2)


def test_references_are_the_minimum_a_number_or_coordinates(rng):
    measured = landscape_of(rng.random((3, 5, 8)))
    lowest = int(measured.values().argmin())
    expected = measured.difference_standard_error(lowest)
    np.testing.assert_array_equal(measured.difference_standard_error(), expected)
    for reference in (tuple(measured.grid.points()[lowest]), measured.grid.points()[lowest] + 1e-5):
        np.testing.assert_array_equal(measured.difference_standard_error(reference), expected)
    assert expected.ravel()[lowest] == 0


def test_points_without_samples_have_no_difference_error_and_are_no_reference(rng):
    losses = rng.random((3, 4, 8))
    losses[0, 1], losses[2, 2, 3] = np.nan, np.inf
    measured = landscape_of(losses)
    measured.fields["loss"][0, 1] = -1.0  # interpolated, and lower than what was measured
    measured.status[0, 1] = 2
    found = measured.difference_standard_error()
    missing = np.zeros((3, 4), bool)
    missing[0, 1] = missing[2, 2] = True
    np.testing.assert_array_equal(np.isnan(found), missing)
    assert (found == 0).sum() == 1
    along = measured.neighbour_difference_standard_error("alpha")
    np.testing.assert_array_equal(np.isnan(along), missing[:, 1:] | missing[:, :-1])
    for point in (1, 10):
        with pytest.raises(LossLandscapeError, match="no finite losses by sample"):
            measured.difference_standard_error(point)
    rows = {row["error"]: row for row in summary(measured).rows}
    assert rows["of the loss, against the population"]["points"] == 10
    assert rows["of the difference from the minimum"]["points"] == 9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.standard_error(against="dataset"), r"dataset_samples=.*30 where they are all"),
        (lambda m: m.standard_error(against="dataset", dataset_samples=29), "cannot be drawn"),
        (lambda m: m.standard_error(against="test"), "not one of population, dataset"),
        (lambda m: m.standard_error("error"), "no variable 'error'"),
        (lambda m: m.difference_standard_error("start"), "give 'minimum'"),
        (lambda m: m.difference_standard_error(12), "0 to 11"),
        (lambda m: m.difference_standard_error(-1), "0 to 11"),
        (lambda m: m.difference_standard_error((0.0,)), "1 coordinate .* 2 directions"),
        (lambda m: m.difference_standard_error((0.1, 0.0)), r"nearest is \(0.333.*, 0.0\)"),
        (lambda m: m.difference_standard_error((np.nan, 0.0)), "must be a finite number"),
        (lambda m: m.neighbour_difference_standard_error("gamma"), "not one of alpha, beta"),
    ],
)
def test_what_cannot_be_had_says_what_to_do(rng, call, message):
    with pytest.raises(LossLandscapeError, match=message):
        call(landscape_of(rng.random((3, 4, 30))))


def test_without_losses_by_sample_there_are_no_difference_errors(rng):
    measured = landscape_of(rng.random((3, 4, 30)))
    measured.samples = {}
    for call in (
        lambda: measured.difference_standard_error(),
        lambda: measured.neighbour_difference_standard_error("alpha"),
    ):
        with pytest.raises(LossLandscapeError, match=r"loss_samples.*keep_samples=True"):
            call()
    found = summary(measured)
    assert len(found.rows) == 1
    assert any("losses by sample are not kept" in note for note in found.notes)
    single = landscape_of(rng.random((3, 4, 1)))
    with pytest.raises(LossLandscapeError, match="one sample"):
        single.difference_standard_error()
    del single.fields["loss_standard_error"]
    assert np.isnan(single.standard_error()).all()


def test_exports_hold_the_errors_as_grid_arrays(rng, tmp_path):
    measured = landscape_of(rng.random((3, 4, 30)), dataset_samples=90)
    measured.export(tmp_path, ["vti"])
    reader = vtkXMLImageDataReader()
    reader.SetFileName(str(tmp_path / "surface.vti"))
    reader.Update()
    data = reader.GetOutput().GetPointData()

    def array(name):
        return vtk_to_numpy(data.GetArray(name)).reshape(3, 4)

    np.testing.assert_allclose(
        array("loss_dataset_standard_error"), measured.standard_error() * np.sqrt(2 / 3)
    )
    np.testing.assert_array_equal(
        array("loss_difference_standard_error"), measured.difference_standard_error()
    )
    for axis, kept, last in (
        ("alpha", np.s_[:, :-1], np.s_[:, -1]),
        ("beta", np.s_[:-1], np.s_[-1]),
    ):
        found = array(f"loss_difference_standard_error_{axis}")
        expected = measured.neighbour_difference_standard_error(axis)
        np.testing.assert_array_equal(found[kept], expected)
        assert np.isnan(found[last]).all()


def test_what_the_landscape_has_no_data_for_is_not_exported(rng, tmp_path):
    measured = landscape_of(rng.random((3, 4, 30)))
    measured.samples = {}
    measured.export(tmp_path, ["vti"])
    text = (tmp_path / "surface.vti").read_text()
    assert 'Name="loss_standard_error"' in text
    assert "dataset_standard_error" not in text
    assert "difference" not in text


@pytest.mark.parametrize("mode", ["fixed", "reestimated"])
def test_info_prints_the_medians_and_the_ratios(rng, tmp_path, capsys, mode):
    shared = rng.random(30)
    losses = (shared + 0.01 * rng.random((3, 4, 30))).astype(np.float32)
    path = tmp_path / "x.nc"
    landscape_of(losses, batch_norm=mode).save(path)
    assert main(["info", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "against the data set: not known" in printed
    assert ("are then not independent" in printed) == (mode == "reestimated")

    assert main(["info", str(path), "--dataset-samples", "40"]) == 0
    printed = capsys.readouterr().out
    assert "n = 30 of N = 40 samples" in printed
    lines = [line for line in printed.splitlines() if line.startswith("    of the")]
    cells = {line.rsplit(None, 3)[0].strip(): line.split()[-3:] for line in lines}
    wide = losses.astype(np.float64).reshape(12, 30)
    single = wide.std(1, ddof=1) / np.sqrt(30)

    def expected(first, second):
        error = (wide[first] - wide[second]).std(1, ddof=1) / np.sqrt(30)
        ratio = np.median(error / np.sqrt(single[first] ** 2 + single[second] ** 2))
        assert ratio < 0.1  # nearly all noise is shared
        return [f"{np.median(error):.4g}", f"{ratio:.4g}", str(len(first))]

    numbers = np.arange(12).reshape(3, 4)
    lowest = wide.mean(1).argmin()
    others = np.delete(np.arange(12), lowest)
    assert cells == {
        "of the loss, against the population": [f"{np.median(single):.4g}", "none", "12"],
        "of the loss, against the data set": [f"{np.median(single) / 2:.4g}", "none", "12"],
        "of the difference from the minimum": expected(others, np.full(11, lowest)),
        "of the difference of neighbors along alpha": expected(
            numbers[:, 1:].ravel(), numbers[:, :-1].ravel()
        ),
        "of the difference of neighbors along beta": expected(
            numbers[1:].ravel(), numbers[:-1].ravel()
        ),
    }

    assert main(["info", str(path), "--dataset-samples", "4"]) == 1
    assert "30 samples cannot be drawn from a data set of 4" in capsys.readouterr().err


@pytest.mark.parametrize(("samples", "size"), [(1, 4), (3, 4), (4, 4), (30, 50)])
def test_the_finite_population_correction_is_cochrans(samples, size):
    expected = np.sqrt((size - samples) / size)
    assert finite_population_correction(samples, size) == pytest.approx(expected)


@pytest.mark.parametrize(("samples", "size"), [(0, 4), (5, 4), (-1, 4)])
def test_samples_that_cannot_be_drawn_are_refused(samples, size):
    with pytest.raises(LossLandscapeError, match=f"{samples} samples .* {size}"):
        finite_population_correction(samples, size)


def allotted(rng, counts, size=100):
    """A landscape whose points took so many samples, their losses by sample not kept."""
    measured = landscape_of(rng.random((len(counts), 60)), size)
    measured.samples = {}
    measured.fields["loss_sample_count"] = np.array(counts, dtype=float)
    return measured


def test_points_that_took_different_numbers_are_corrected_each_by_its_own(rng):
    measured = allotted(rng, [10, 50, 90, np.nan])
    found = measured.standard_error(against="dataset") / measured.standard_error()
    np.testing.assert_allclose(found, [np.sqrt(0.9), np.sqrt(0.5), np.sqrt(0.1), np.nan])
    found = summary(measured)
    assert found.samples == 50
    assert any("10 to 90" in note for note in found.notes)
    rows = {row["error"]: row for row in found.rows}
    expected = measured.standard_error(against="dataset")[:3]
    assert rows["of the loss, against the data set"]["median"] == np.median(expected)
    with pytest.raises(LossLandscapeError, match=r"90 samples .* 80"):
        measured.standard_error(against="dataset", dataset_samples=80)
    alike = allotted(rng, [25, 25, np.nan, 25])
    np.testing.assert_allclose(
        alike.standard_error(against="dataset"), alike.standard_error() * np.sqrt(0.75)
    )
    assert not any(" to " in note for note in summary(alike).notes)


def test_a_given_size_takes_the_place_of_the_landscapes(rng):
    measured = landscape_of(rng.random((4, 30)), 40)
    found = measured.standard_error(against="dataset", dataset_samples=120)
    np.testing.assert_allclose(found, measured.standard_error() * np.sqrt(0.75))
    assert summary(measured).dataset_samples == 40
    assert summary(measured, dataset_samples=120).dataset_samples == 120
    assert summary(measured, dataset_samples=120).to_json()["dataset_samples"] == 120


def test_coordinates_up_to_a_thousandth_of_a_cell_off_are_a_grid_point(rng):
    measured = landscape_of(rng.random((3, 5, 8)))  # spacings 0.5 and 1
    expected = measured.difference_standard_error(7)  # (0, 0)
    for near in ((4e-4, 0.0), (0.0, -9e-4), (4e-4, 9e-4)):
        np.testing.assert_array_equal(measured.difference_standard_error(near), expected)
    for off in ((6e-4, 0.0), (0.0, 1.1e-3)):
        with pytest.raises(LossLandscapeError, match="not a grid point"):
            measured.difference_standard_error(off)


def test_the_last_point_is_a_reference_and_the_next_number_is_none(rng):
    measured = landscape_of(rng.random((3, 4, 8)))
    assert measured.difference_standard_error(11)[2, 3] == 0
    assert measured.difference_standard_error(0)[0, 0] == 0
    assert measured.difference_standard_error(np.int64(5))[1, 1] == 0


def test_without_any_point_of_finite_losses_there_is_no_minimum(rng):
    losses = rng.random((3, 8))
    losses[:, 2] = np.inf
    measured = landscape_of(losses)
    with pytest.raises(LossLandscapeError, match="no point"):
        measured.difference_standard_error()
    assert len(summary(measured).rows) == 1
    assert "loss_difference_standard_error" not in grid_arrays(measured)


def test_grid_arrays_of_each_loss_and_of_no_other_variable(rng):
    measured = landscape_of(rng.random((2, 3, 4, 9)), dataset_samples=18)
    losses = rng.random((2, 3, 4, 6))
    measured.fields |= {
        "test_loss": losses.mean(-1),
        "test_loss_standard_error": losses.std(-1, ddof=1) / np.sqrt(6),
        "accuracy": np.ones((2, 3, 4)),
    }
    measured.samples |= {"test_loss_samples": losses, "accuracy_samples": losses}
    found = grid_arrays(measured)
    kinds = ["", *(f"_{axis}" for axis in ("alpha", "beta", "gamma"))]
    assert set(found) == {
        "loss_dataset_standard_error",
        *(f"loss_difference_standard_error{kind}" for kind in kinds),
        *(f"test_loss_difference_standard_error{kind}" for kind in kinds),
    }
    for name in ("loss", "test_loss"):
        for number, axis in enumerate(("alpha", "beta", "gamma")):
            array = found[f"{name}_difference_standard_error_{axis}"]
            assert array.shape == (2, 3, 4)
            expected = measured.neighbour_difference_standard_error(axis, name)
            place = 2 - number
            np.testing.assert_array_equal(
                np.take(array, range(array.shape[place] - 1), place), expected
            )
            assert np.isnan(np.take(array, -1, place)).all()
    two = landscape_of(rng.random((3, 2)))
    assert "loss_difference_standard_error" in grid_arrays(two)
    assert grid_arrays(landscape_of(rng.random((3, 1)))) == {}


def test_statistics_from_other_samples_are_noted_of_other_losses(rng):
    measured = landscape_of(rng.random((4, 30)), batch_norm="reestimated")
    measured.fields["test_loss"] = measured.fields["loss"]
    measured.samples["test_loss_samples"] = measured.samples["loss_samples"]
    assert any("these samples" in note for note in summary(measured).notes)
    assert any("other samples" in note for note in summary(measured, "test_loss").notes)
    fixed = landscape_of(rng.random((4, 30)), batch_norm="fixed")
    assert not any("batch-norm" in note for note in summary(fixed).notes)


def test_medians_are_over_evaluated_points_with_an_error(rng):
    measured = landscape_of(rng.random((5, 30)))
    measured.status[:] = [1, 2, 1, 0, 1]
    measured.fields["loss_standard_error"][4] = np.nan
    row = summary(measured).rows[0]
    assert row["points"] == 2
    assert row["median"] == np.median(measured.fields["loss_standard_error"][[0, 2]])
    assert row["ratio"] is None
