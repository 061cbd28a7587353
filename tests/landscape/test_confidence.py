"""Confidence intervals of landscapes, the warning beside them, and the selected minimum."""

import numpy as np
import pytest
from scipy.stats import binom
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLImageDataReader

from losslandscape import Grid, Landscape
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.confidence import (
    confidence_interval,
    difference_confidence_interval,
    largest_usual_loss,
    smallest_usual_loss,
    trust,
    trust_arrays,
)
from losslandscape.landscape.mean_intervals import effective_samples, mean_interval, undrawn_share

LEVEL = 0.954


def landscape_of(losses, dataset_samples=None):
    """A landscape of per-sample losses, shape (*grid, samples)."""
    losses = np.asarray(losses)
    shape, count = losses.shape[:-1], losses.shape[-1]
    described = {"samples": count}
    if dataset_samples:
        described["dataset_samples"] = dataset_samples
    with np.errstate(all="ignore"):
        loss = losses.astype(np.float64).mean(-1)
    status = np.where(np.isfinite(loss), 1, 3).astype(np.int8)
    return Landscape(
        Grid(shape[::-1], ((-1.0, 1.0),) * len(shape)), {"loss": loss}, status, np.eye(len(shape)),
        provenance={"objective": {"sets": {"train": described}}}, samples={"loss_samples": losses},
    )  # fmt: skip


def trained(random, rows, count, wrong):
    losses = np.abs(random.normal(size=(rows, count))) * 1e-3
    chosen = random.random((rows, count)) < wrong
    losses[chosen] = random.exponential(size=int(chosen.sum()))
    return losses, wrong + (1 - wrong) * 1e-3 * np.sqrt(2 / np.pi)


def fewest(trials, share, chance=1e-4):
    return binom.ppf(chance, trials, share)


@pytest.mark.parametrize(("count", "wrong"), [(200, 0.003), (200, 0.01), (200, 0.05), (50, 0.001)])
def test_an_interval_covers_or_says_that_it_may_not(rng, count, wrong):
    losses, truth = trained(rng, 800, count, wrong)
    low, high, trusted = landscape_of(losses).confidence_interval(undrawn_loss=1.0)
    inside = (low <= truth) & (truth <= high)
    assert (inside | ~trusted).sum() >= fewest(800, 0.95)
    assert inside.sum() >= fewest(800, 0.95)  # the assumed loss is the true one
    plain = mean_interval(losses, LEVEL)
    failing = ~((plain[0] <= truth) & (truth <= plain[1]))
    if wrong <= 0.01:
        assert failing.mean() > 0.1
        assert (~trusted[failing]).mean() > 0.9  # the warning is where the coverage fails


def test_the_warning_does_not_fire_where_nothing_is_wrong(rng):
    for losses in (rng.normal(3, 1, (300, 200)), rng.gamma(2.0, size=(300, 200))):
        assert landscape_of(losses).confidence_interval().trusted.all()


def test_the_interval_is_the_means_raised_by_what_was_not_drawn(rng):
    losses, _ = trained(rng, 12, 300, 0.05)
    measured = landscape_of(losses.reshape(3, 4, 300))
    low, high, trusted = measured.confidence_interval(undrawn_loss=4.0)
    plain = mean_interval(losses.reshape(3, 4, 300), LEVEL)
    np.testing.assert_array_equal(low, plain[0])
    share, mean = undrawn_share(300, LEVEL), losses.mean(1).reshape(3, 4)
    possible = (1 - share) * mean + share * 4.0
    np.testing.assert_allclose(high, np.maximum(plain[1], possible), rtol=1e-12)
    assert not trusted[possible > plain[1]].any()
    assert (possible > plain[1]).any()
    # by default the median of the points' largest losses
    usual = np.median(losses.max(axis=1))
    assert largest_usual_loss(measured) == usual
    for found, expected in zip(
        measured.confidence_interval(), measured.confidence_interval(undrawn_loss=usual)
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [30, 100, 300])
def test_a_plateau_of_equally_wrong_samples_may_have_missed_right_ones(rng, count):
    """0.5% of the samples are right. Most draws hold none, and the others differ by 0.01."""
    truth, covered, plain = 2.3 * 0.995, 0, 0
    for _ in range(300):
        losses = 2.3 + 0.01 * rng.normal(size=(3, count))
        losses[:, rng.random(count) < 0.005] = 0.0
        losses[1:] = rng.gamma(0.5, size=(2, count))  # elsewhere, some samples are right
        low, high, trusted = landscape_of(losses).confidence_interval(undrawn_loss=2.4)
        covered += (low[0] <= truth <= high[0]) or not trusted[0]
        low, high = mean_interval(losses[0], LEVEL)
        plain += low <= truth <= high
    assert covered >= fewest(300, 0.95)
    assert plain < fewest(300, 0.9)  # it takes the warning


def test_the_interval_is_the_means_lowered_by_what_was_not_drawn(rng):
    losses = 2.3 + 0.01 * rng.normal(size=(3, 200))
    losses[1:] = rng.gamma(0.5, size=(2, 200))
    measured = landscape_of(losses)
    assert smallest_usual_loss(measured) == np.median(losses.min(axis=1))
    low, high, trusted = measured.confidence_interval(undrawn_loss=2.3)
    plain, mean = mean_interval(losses, LEVEL), losses[0].mean()
    lowest = mean + undrawn_share(200, LEVEL) * (smallest_usual_loss(measured) - mean)
    np.testing.assert_allclose(low, [lowest, *plain[0][1:]], rtol=1e-12)
    assert not trusted[0]
    np.testing.assert_allclose(high[0], plain[1][0], rtol=1e-12)


@pytest.mark.parametrize("count", [2, 30, 100, 1000])
@pytest.mark.parametrize("value", [0.0, 0.1, 1.7, 1e8])
def test_equal_losses_are_not_trusted(count, value):
    """Their mean is rounded, so that their deviations from it need not be 0."""
    measured = landscape_of(np.full((2, count), value))
    assert (effective_samples(measured.samples["loss_samples"]) == 0).all()
    for undrawn in (None, value):
        assert not measured.confidence_interval(undrawn_loss=undrawn).trusted.any()


def test_one_sample_with_half_of_the_variance_is_not_trusted():
    losses = np.tile(np.linspace(0, 1, 100), (3, 1))
    losses[1, 0] = 30.0
    losses[2, 0] = np.nan
    low, high, trusted = landscape_of(losses).confidence_interval(undrawn_loss=0.0)
    np.testing.assert_array_equal(trusted, [True, False, False])
    np.testing.assert_array_equal(np.isnan(low), [False, False, True])
    np.testing.assert_array_equal(np.isnan(high), [False, False, True])
    whole = landscape_of(losses, 100).confidence_interval(against="dataset")
    np.testing.assert_array_equal(whole.trusted, [True, True, False])  # nothing was not drawn
    np.testing.assert_array_equal(whole.low, whole.high)


def test_the_selected_minimum_of_a_flat_bottom(rng):
    """81 points with independent noise: each true difference is 0."""
    covered = plain = 0
    for _ in range(60):
        measured = landscape_of(rng.normal(1, 1, (9, 9, 200)))
        low, high, _ = measured.difference_confidence_interval()
        others = low < high
        assert others.sum() == 80
        covered += ((low <= 0) & (high >= 0))[others].mean()
        difference = measured.values() - measured.values().min()
        plain += (difference <= 2 * measured.difference_standard_error())[others].mean()
    assert plain / 60 < 0.75
    # draws are independent, the points of one are not: a bound for 60 values between 0 and 1
    assert covered / 60 >= 0.954


def test_a_clear_minimum_costs_nothing(rng):
    losses = rng.gamma(2.0, size=(5, 400)) + np.array([3.0, 2.0, 0.0, 2.0, 3.0])[:, None]
    measured = landscape_of(losses)
    for found, expected in zip(
        measured.difference_confidence_interval(), measured.difference_confidence_interval(2)
    ):
        np.testing.assert_array_equal(found, expected)
    low, high = mean_interval(losses[4] - losses[2], LEVEL, hull=True)
    found = measured.difference_confidence_interval((0.0,))
    assert (found.low[4], found.high[4]) == (low, high)
    assert (found.low[2], found.high[2], found.trusted[2]) == (0, 0, True)


def test_the_lower_ends_have_the_level_of_all_points_that_could_be_the_minimum(rng):
    losses = rng.normal(0, 1, (6, 300)) + np.array([0, 0, 0, 0, 9, 9])[:, None]
    measured = landscape_of(losses)
    lowest = int(measured.values().argmin())
    differences = losses - losses[lowest]
    low, high, _ = measured.difference_confidence_interval()
    chance = 0.9 * (1 - LEVEL) / 4  # four points could be it
    np.testing.assert_array_equal(low, mean_interval(differences, 1 - chance, hull=True)[0])
    np.testing.assert_array_equal(high, mean_interval(differences, LEVEL, hull=True)[1])
    assert (low <= mean_interval(differences, LEVEL, hull=True)[0]).all()


def test_a_difference_is_trusted_if_one_of_its_points_is(rng):
    losses = np.abs(rng.normal(size=(3, 200))) * [[1e-3], [1.1e-3], [1.0]]
    measured = landscape_of(losses)
    np.testing.assert_array_equal(
        measured.confidence_interval(undrawn_loss=2.0).trusted, [False, False, True]
    )
    trusted = measured.difference_confidence_interval(0, undrawn_loss=2.0).trusted
    np.testing.assert_array_equal(trusted, [True, False, True])


def test_a_difference_is_covered_or_says_that_it_may_not(rng):
    """Two points at which the same 3% of samples are wrong, by more or less."""
    losses, mean = trained(rng, 500, 1000, 0.03)
    others = losses * rng.gamma(4.0, 0.3, size=losses.shape)  # 1.2 on average
    plain = inside = stated = 0
    for pair in zip(losses, others):
        measured = landscape_of(np.stack(pair))
        low, high, trusted = measured.difference_confidence_interval(0, undrawn_loss=1.0)
        difference = measured.values()[1] - measured.values()[0]
        error = 2 * measured.difference_standard_error(0)[1]
        plain += abs(difference - 0.2 * mean) <= error
        inside += low[1] <= 0.2 * mean <= high[1]
        stated += (low[1] <= 0.2 * mean <= high[1]) or not trusted[1]
    assert plain <= inside <= stated
    assert stated >= fewest(500, 0.95)
    assert plain < fewest(500, 0.95)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "test_loss"}, "no variable 'test_loss'"),
        ({"level": 2.0}, "between 0 and 1"),
        ({"against": "test"}, "not one of population, dataset"),
        ({"against": "dataset"}, "dataset_samples="),
        ({"against": "dataset", "dataset_samples": 5}, "cannot be drawn"),
    ],
)
def test_what_cannot_be_had_says_what_to_do(rng, options, message):
    measured = landscape_of(rng.random((3, 4, 30)))
    for call in (confidence_interval, difference_confidence_interval):
        with pytest.raises(LossLandscapeError, match=message):
            call(measured, **options)
    measured.samples = {}
    with pytest.raises(LossLandscapeError, match=r"loss_samples.*keep_samples=True"):
        measured.confidence_interval()
    assert trust(measured) is None
    assert trust_arrays(measured) == {}


def test_exports_have_the_effective_samples(rng, tmp_path):
    measured = landscape_of(rng.random((3, 4, 30)))
    measured.export(tmp_path, ["vti"])
    reader = vtkXMLImageDataReader()
    reader.SetFileName(str(tmp_path / "surface.vti"))
    reader.Update()
    array = reader.GetOutput().GetPointData().GetArray("loss_effective_samples")
    np.testing.assert_array_equal(
        vtk_to_numpy(array).reshape(3, 4), effective_samples(measured.samples["loss_samples"])
    )


def test_info_prints_how_many_samples_carry_the_variance_and_warns(rng, tmp_path, capsys):
    losses = np.abs(rng.normal(size=(3, 3, 200))).astype(np.float32)
    losses[1, 1] *= 1e-3
    measured = landscape_of(losses)
    measured.fields["loss_standard_error"] = losses.std(-1, ddof=1) / np.sqrt(200)
    found = trust(measured)
    assert (found.points, found.untrusted, found.lowest_trusted) == (9, 1, False)
    assert found.effective_median == np.median(trust_arrays(measured)["loss_effective_samples"])
    measured.save(tmp_path / "x.nc")
    assert main(["info", str(tmp_path / "x.nc")]) == 0
    printed = capsys.readouterr().out
    assert f"half of the variance is carried by {found.effective_median:.0f} samples" in printed
    assert (
        "1 of 9 points, the lowest among them: too few samples carry the variance; the interval "
        "cannot be trusted" in printed
    )
    assert "the lowest point was selected" in printed
    losses[1, 1] *= 1e3
    found = trust(landscape_of(losses))
    assert (found.untrusted, found.lowest_trusted) == (0, True)
    assert "can be trusted at all 9 points" in found.lines()[1]
