"""The smallest step that raises the loss, on functions where it is known."""

import numpy as np
import pytest

from losslandscape.analysis.critical_step import critical_step


def counted(function):
    def loss(step):
        loss.calls += 1
        return function(step)

    loss.calls = 0
    return loss


@pytest.mark.parametrize("known", [0.03, 0.7, 1.0, 3.0, 40.0])
@pytest.mark.parametrize(
    "shape",
    [
        lambda s, k: s * (s - k),
        lambda s, k: 5 + 1e-3 * s * (s - k),
        lambda s, k: np.cosh(s - k / 2) if s < 100 else np.inf,  # symmetric about k / 2
        lambda s, k: s**4 - k**3 * s,
    ],
)
def test_the_bracket_holds_the_step_within_nine_passes(shape, known):
    loss = counted(lambda s: shape(s, known))
    found = critical_step(loss)
    assert found.low <= known * (1 + 1e-9)
    assert known * (1 - 1e-9) <= found.high
    assert loss.calls == found.passes <= 9
    if 0.2 < known < 10:
        assert found.step == pytest.approx(known, rel=0.03)


def test_a_quadratic_takes_few_passes_from_a_near_guess():
    found = critical_step(lambda s: s * (s - 1.1), guess=1.0)
    assert found.passes <= 5
    assert found.high <= 1.02 * found.low


def test_more_passes_close_the_bracket():
    coarse, fine = (critical_step(lambda s: s * (s - 40.0), passes=p) for p in (8, 14))
    assert fine.high / fine.low < coarse.high / coarse.low
    assert fine.high <= 1.02 * fine.low


def test_what_only_rises_or_only_falls_has_no_critical_step():
    up, down = critical_step(lambda s: s), critical_step(lambda s: -s)
    assert np.isnan(up.step)
    assert up.low == 0
    assert up.high == 2.0**-7
    assert np.isnan(down.step)
    assert down.low == 2.0**7
    assert np.isinf(down.high)
    assert up.passes == down.passes == 9


def test_not_finite_counts_as_raised():
    found = critical_step(lambda s: -s if s < 1.5 else np.nan)
    assert found.low < 1.5 <= found.high
    assert found.high <= 1.03 * found.low
    with np.errstate(all="raise"):
        assert critical_step(lambda s: np.inf if s > 1 else -s, guess=1.0).low >= 1.0
