"""Intervals of means over all eigenvalues, on spectra that are known."""

import numpy as np
import pytest
from scipy.special import stdtrit

from losslandscape.analysis.lanczos import quadrature
from losslandscape.analysis.spectral_density import Quadrature

SIZE, SEEDS, CONFIDENCE = 40, 200, 0.95
SPECTRA = {
    "one eigenvalue has all": np.eye(SIZE)[0],
    "a few have most": 1 / np.arange(1.0, SIZE + 1) ** 2,
    "both signs": np.outer([1, -0.5], 1 / np.arange(1.0, SIZE // 2 + 1)).ravel(),
    "all alike": np.linspace(1.0, 2.0, SIZE),
}


def drawn(values, probes, seed, known=()):
    """Each probe with all eigenvalues as nodes: what a complete Lanczos run has."""
    generator = np.random.default_rng([seed, 3])
    squares = generator.standard_normal((probes, len(values))) ** 2
    weights = squares / squares.sum(axis=1, keepdims=True)
    known = np.asarray(known, float)
    return Quadrature(len(values) + len(known), known, [values] * probes, list(weights))


@pytest.mark.parametrize(("probes", "order"), [(2, 2), (5, 1), (5, 3), (20, 2)])
@pytest.mark.parametrize("name", SPECTRA)
def test_intervals_of_moments_cover_the_truth(name, probes, order):
    values = SPECTRA[name]
    exact = (values**order).mean()
    ends = [drawn(values, probes, s).moment(order, CONFIDENCE)[2] for s in range(SEEDS)]
    covered = np.mean([low <= exact <= high for low, high in ends])
    assert covered >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / SEEDS)


def test_students_interval_over_few_probes_does_not_cover():
    """Why the scatter of the probes is not what the error is made of."""
    values = SPECTRA["one eigenvalue has all"]
    hits = []
    for seed in range(SEEDS):
        each = drawn(values, 5, seed).by_probe(lambda v: v**2)
        half = stdtrit(4, 0.975) * each.std(ddof=1) / np.sqrt(5)
        hits.append(abs(each.mean() - (values**2).mean()) <= half)
    assert np.mean(hits) < 0.9


@pytest.mark.parametrize("name", SPECTRA)
def test_the_standard_error_is_the_scatter_of_many_runs(name):
    values, known = SPECTRA[name], [9.0, -3.0]
    found = [drawn(values, 5, s, known).moment(2, CONFIDENCE)[:2] for s in range(SEEDS)]
    means, errors = np.array(found).T
    assert means.mean() == pytest.approx(
        (np.sum(values**2) + 90) / (SIZE + 2), abs=4 * means.std() / np.sqrt(SEEDS)
    )
    assert np.sqrt((errors**2).mean()) == pytest.approx(means.std(), rel=0.2)


def test_the_band_of_the_density_covers_point_by_point():
    values = np.random.default_rng(0).standard_normal(SIZE)
    points, width = np.linspace(-2.5, 2.5, 21), 0.3
    exact = np.exp(-(((points[:, None] - values) / width) ** 2) / 2).mean(1)
    exact /= width * np.sqrt(2 * np.pi)
    bands = [drawn(values, 4, seed).density(points, width, CONFIDENCE) for seed in range(SEEDS)]
    covered = np.mean([(b.low <= exact) & (exact <= b.high) for b in bands], axis=0)
    assert covered.mean() > 0.93


def test_what_is_known_has_no_error():
    values = np.array([3.0, 1.0, -2.0])
    whole = Quadrature(3, values, [], [])
    assert whole.moment(2, CONFIDENCE) == (pytest.approx(14 / 3), 0.0, (14 / 3, 14 / 3))
    last = Quadrature(3, values[:2], [values[2:]] * 2, [np.ones(1)] * 2)
    assert last.moment(1, CONFIDENCE)[:2] == (pytest.approx(2 / 3), 0.0)
    alike = Quadrature(9, values[:1], [np.full(2, 5.0)] * 2, [np.full(2, 0.5)] * 2)
    assert alike.moment(3, CONFIDENCE)[1] == 0.0


def test_one_probe_has_no_error():
    mean, error, ends = drawn(SPECTRA["all alike"], 1, 0).moment(1, CONFIDENCE)
    assert np.isfinite(mean)
    assert np.isnan([error, *ends]).all()


def test_high_moments_do_not_overflow():
    values = np.geomspace(1e-3, 1e6, SIZE)
    mean, error, (low, high) = drawn(values, 3, 0).moment(40, CONFIDENCE)
    assert low < mean < high
    assert np.isfinite(error)


def test_quadrature_has_the_moments_of_its_vector():
    values = SPECTRA["all alike"]
    start = np.random.default_rng(1).standard_normal(SIZE)
    nodes, weights = quadrature(lambda v: values * v, start, 10)
    share = start**2 / (start @ start)
    found = Quadrature(SIZE, np.empty(0), [nodes] * 2, [weights] * 2)
    whole = Quadrature(SIZE, np.empty(0), [values] * 2, [share] * 2)
    for order in (1, 2, 3):  # the error has degree 4 * order, exact up to 19
        for one, other in zip(found.moment(order, CONFIDENCE), whole.moment(order, CONFIDENCE)):
            assert one == pytest.approx(other, rel=1e-9)


def test_a_density_of_many_points_is_that_of_its_parts():
    found = drawn(SPECTRA["both signs"], 3, 0)
    points = np.linspace(-1, 2, 9001)
    whole = found.density(points, 0.05, CONFIDENCE)
    for part in (slice(0, 10), slice(4090, 4100), slice(-10, None)):
        alone = found.density(points[part], 0.05, CONFIDENCE)
        for name in ("points", "density", "low", "high"):
            np.testing.assert_allclose(
                getattr(whole, name)[part], getattr(alone, name), rtol=1e-12, atol=1e-300
            )
