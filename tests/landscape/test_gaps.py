"""Gaps between evaluated points, against distances computed pair by pair."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.gaps import describe, gaps_between


@pytest.mark.parametrize("shape", [(30,), (11, 8), (6, 5, 7)])
def test_the_probability_is_the_share_of_places_with_an_evaluated_point_near_by(rng, shape):
    evaluated = rng.random(shape) < 0.05
    evaluated.flat[4] = True
    gaps = gaps_between(evaluated)
    index = np.argwhere(np.ones(shape, bool))
    distance = np.linalg.norm(index[:, None] - np.argwhere(evaluated), axis=2).min(axis=1)
    for width in (0.0, 0.5, 1.0, np.sqrt(2), 2.3, 4.0, 99.0):
        met = sum(d <= width + 1e-12 for d in distance) / distance.size
        assert gaps.probability(width + 1e-12) == pytest.approx(met)
    assert gaps.largest == pytest.approx(distance.max())
    assert gaps.probability(gaps.largest) == 1
    for probability in (0.01, 0.5, 0.95, 1.0):
        width = gaps.half_width(probability)
        assert (distance <= width + 1e-12).mean() >= probability
        assert (distance < width - 1e-12).mean() < probability


def test_a_well_at_a_random_place_is_met_as_often_as_stated(rng):
    """Wells drawn at random; "met" is that a point within the half width is evaluated."""
    evaluated = rng.random((41, 41)) < 0.06
    gaps = gaps_between(evaluated)
    known = np.argwhere(evaluated)
    for width in (1.5, 3.0):
        middles = rng.integers(0, 41, (4000, 2))
        met = (np.linalg.norm(middles[:, None] - known, axis=2) <= width).any(axis=1).mean()
        stated = gaps.probability(width)
        assert abs(met - stated) < 5 * np.sqrt(stated * (1 - stated) / 4000)


def test_where_everything_is_evaluated_there_are_no_gaps():
    gaps = gaps_between(np.ones((4, 4), bool))
    assert gaps.largest == 0
    assert gaps.probability(0.0) == 1


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.1, float("nan")])
def test_a_probability_that_cannot_be(probability):
    with pytest.raises(LossLandscapeError, match="must be in"):
        gaps_between(np.ones(3, bool)).half_width(probability)


def test_nothing_evaluated_is_refused():
    with pytest.raises(LossLandscapeError, match="no point is evaluated"):
        gaps_between(np.zeros((3, 3), bool))


def test_a_landscape_counts_points_that_are_not_finite_as_evaluated():
    status = np.array([1, 2, 2, 3, 2, 0, 0], np.int8)
    loss = np.array([1.0, 2, 3, np.nan, 1, np.nan, np.nan])
    landscape = Landscape(Grid.line(7), {"loss": loss}, status, np.eye(1))
    assert landscape.gaps.largest == 3
    assert landscape.gaps.probability(1) == pytest.approx(5 / 7)


def test_the_sentence_has_both_widths():
    text = describe({"largest": 4.472, "half_width_95": 3.16})
    assert "every well of half width 4.5 spacings or more" in text
    assert "95% of those of 3.2" in text
    assert "narrower well may be missing" in text
