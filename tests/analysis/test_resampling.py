"""Draws of a bootstrap: the same in blocks of any size, and those of one call."""

import numpy as np

from losslandscape.analysis import resampling
from losslandscape.analysis.resampling import bootstrap_counts


def test_draws_are_those_of_one_call_whatever_the_blocks(monkeypatch):
    whole = np.random.default_rng(7).multinomial(11, np.full(11, 1 / 11), 50)
    monkeypatch.setattr(resampling, "BLOCK_BYTES", 8 * 11 * 4)
    parts = list(bootstrap_counts(50, 11, 7))
    assert [some.stop - some.start for some, _ in parts] == [4] * 12 + [2]
    np.testing.assert_array_equal(np.concatenate([counts for _, counts in parts]), whole)
    wide = list(bootstrap_counts(50, 11, 7, row=44))
    assert len(wide) == 50
    np.testing.assert_array_equal(np.concatenate([counts for _, counts in wide]), whole)


def test_a_draw_takes_as_many_samples_as_there_are_each_equally_often():
    [(_, counts)] = bootstrap_counts(4000, 5, 1)
    assert (counts.sum(axis=1) == 5).all()
    # binomial with n = 5 and p = 1/5: mean 1, variance 0.8; 6 standard errors
    assert abs(counts.mean(axis=0) - 1).max() < 6 * np.sqrt(0.8 / 4000)
    assert abs(counts.var(axis=0) - 0.8).max() < 0.15
