"""A short version of the study: few trials with fixed seeds, and what must fail does.

A claim passes if the number of right trials is not below the 1e-4 quantile of the binomial with the
nominal share, so that another machine's last bits cannot make it fail by chance. Each stated error
is also made too small, and the same bound must then fail.
"""

import numpy as np
import pytest
from benchmarks.coverage import diagrams, mean_intervals, planes, registry, verification
from benchmarks.coverage.claim import seed_of
from scipy import stats

from losslandscape.analysis import flatness, stationarity
from losslandscape.landscape import confidence
from losslandscape.planes import subspace

# claim, family, trials
SHORT = [
    ("kinks", "crease", 12),
    ("kinks", "cone", 12),
    ("kinks", "weak crease on a bowl", 12),
    ("kinks", "crease along which the loss falls", 12),
    ("kink places", "diamond", 8),
    ("smooth points", "bowl", 15),
    ("smooth points", "sharp but smooth valley", 10),
    ("smooth points", "monkey saddle", 10),
    ("cycles", "quartics on a line", 60),
    ("position", "normal gradients, n = 400", 100),
    ("position redrawn", "varying curvature, n = 200", 100),
    ("resolved", "rings", 40),
    ("resolved", "rounded boxes", 40),
    ("size error", "rings", 40),
    ("size error", "stars", 40),
    ("lower bounds", "ellipses", 40),
    ("mean", "1% wrong, n = 1,000", 400),
    ("mean", "0.1% wrong, n = 50", 400),
    ("mean of a data set", "10% wrong, n = 200", 400),
    ("well-behaved mean", "normal, n = 200", 400),
    ("needless warnings", "gamma(2), n = 200", 200),
    ("difference", "10% wrong, n = 200", 300),
    ("difference from the minimum", "flat, normal noise", 150),
    ("neighbors", "correlated normal losses, n = 300", 300),
    ("stopping", "0.3% wrong, 50,000 samples", 12),
    ("principal components", "converging trajectories", 3),
    ("oblique directions", "1 to 3 directions", 60),
    ("near-parallel directions", "float32", 200),
    ("near-parallel directions", "float64", 200),
    ("Wasserstein", "smooth fields", 10),
    ("bottleneck", "fields of few values", 10),
    ("plane derivatives", "layer norm and GELU", 3),
    ("sharpness", "tanh", 2),
    ("adaptive tolerance", "bowls", 3),
    ("false positives", "plateau", 12),
    ("false positives", "line", 12),
    ("power", "line, two wells, normal noise, linear, depth 0.75", 6),
]


def counted(key, name, trials):
    """Right trials, trials in which something was claimed, and the fewest that may be right."""
    claim = registry.claim(key)
    outcomes = [claim.family(name).trial(seed_of(key, name, i)) for i in range(trials)]
    claimed = [outcome for outcome in outcomes if outcome.right is not None]
    # nominal, or the share from which the page says that it holds
    fewest = int(stats.binom.ppf(1e-4, len(claimed), claim.least))
    return sum(outcome.right for outcome in claimed), len(claimed), fewest


@pytest.mark.parametrize(("key", "name", "trials"), SHORT)
def test_the_claim_holds(key, name, trials):
    right, claimed, fewest = counted(key, name, trials)
    assert claimed >= trials / 5
    assert right >= fewest


def halved(interval):
    """An interval function with half the width around the middle."""

    def narrow(*arguments, **options):
        low, high = interval(*arguments, **options)[:2]
        return (3 * low + high) / 4, (low + 3 * high) / 4

    return narrow


def scaled(function, factor):
    return lambda *arguments, **options: factor * function(*arguments, **options)


# what makes a statement too strong; the claim that must then fail, and the trials it takes
TOO_STRONG = {
    "an interval of half the width": (
        lambda patch: patch.setattr(
            mean_intervals, "mean_interval", halved(mean_intervals.mean_interval)
        ),
        ("well-behaved mean", "normal, n = 200", 200),
    ),
    "no correction for skewness and no warning": (
        lambda patch: (
            patch.setattr(confidence, "undrawn_share", lambda *_: 0.0),
            patch.setattr(confidence, "_FEWEST", 0),
        ),
        ("mean", "0.1% wrong, n = 50", 100),
    ),
    "the selection of the lowest point ignored": (
        lambda patch: patch.setattr(confidence, "_possible_minima", lambda *_: 1),
        ("difference from the minimum", "flat, normal noise", 150),
    ),
    "half the error of a difference": (
        lambda patch: patch.setattr(
            confidence, "mean_interval", halved(confidence.mean_interval)
        ),
        ("difference", "10% wrong, n = 1,000", 200),
    ),
    "half the radius of a position": (
        lambda patch: patch.setattr(
            verification, "sampling_radius", scaled(verification.sampling_radius, 0.5)
        ),
        ("position", "normal gradients, n = 400", 60),
    ),
    "half the error of a size": (
        lambda patch: patch.setattr(
            flatness, "discretization_error", scaled(flatness.discretization_error, 0.5)
        ),
        ("size error", "rings", 10),
    ),
    "thin regions resolved": (
        lambda patch: (
            patch.setattr(flatness, "RESOLVED_CELLS", 1.0),
            patch.setattr(flatness, "_RESOLVED_ERROR", dict.fromkeys((1, 2, 3), 1.0)),
        ),
        ("resolved", "rings", 30),
    ),
    "gradients that need not vanish": (
        lambda patch: patch.setattr(stationarity, "VANISHES", 100.0),
        ("kinks", "cone", 12),
    ),
    "coordinates whatever the rounding": (
        lambda patch: patch.setattr(subspace, "_COORDINATE_ERROR", np.inf),
        ("near-parallel directions", "float32", 300),
    ),
    "stopping errors of half the size": (
        lambda patch: (
            patch.setattr(mean_intervals, "STOPPING_FACTOR", 0.0),
            patch.setattr(mean_intervals, "stopped", _half_stopped(mean_intervals.stopped)),
        ),
        ("stopping", "0.1% wrong, 50,000 samples", 25),
    ),
    "distances 1% too large": (
        lambda patch: patch.setattr(
            diagrams, "wasserstein_distance", scaled(diagrams.wasserstein_distance, 1.01)
        ),
        ("Wasserstein", "smooth fields", 5),
    ),
    "shares of another plane": (
        lambda patch: patch.setattr(
            planes.ll.Subspace, "pca",
            staticmethod(lambda trajectory: _pca(trajectory, center="mean")),
        ),
        ("principal components", "converging trajectories", 3),
    ),
}  # fmt: skip
_pca = planes.ll.Subspace.pca


def _half_stopped(stopped):
    def found(*arguments):
        at = stopped(*arguments)
        return {**at, "error": at["error"] / 2}

    return found


@pytest.mark.parametrize("name", TOO_STRONG)
def test_a_statement_that_is_too_strong_fails(name, monkeypatch):
    change, case = TOO_STRONG[name]
    change(monkeypatch)
    right, _, fewest = counted(*case)
    assert right < fewest
