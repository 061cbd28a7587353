"""The study of actor and critic, without its agents."""

import sys

import numpy as np
import pytest
from benchmarks.actor_critic import agents, error_bars, table
from scipy import stats

from losslandscape.errors import LossLandscapeError


def test_a_missing_library_is_named_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(LossLandscapeError, match=r"needs gymnasium.*'losslandscape\[study\]'"):
        agents.require_libraries()


@pytest.mark.parametrize("stated", [1.0, 0.5, 2.0])
def test_the_share_that_is_covered_is_that_of_the_stated_errors(stated):
    """Errors that are right cover 95%; half of them, 67%; twice as large, nearly all."""
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 100_000)) * np.array([[1.0], [0.2]])
    errors = np.full(100_000, stated), np.full(100_000, 0.2 * stated)
    found = error_bars._covered((one, errors[0]), (other, errors[1]))
    assert found == pytest.approx(2 * stats.norm.cdf(1.96 * stated) - 1, abs=0.005)


def test_a_row_has_the_mean_over_seeds_with_its_interval():
    numbers = dict.fromkeys(table._ROWS, 1.0)
    found = {
        "TD3": [{**numbers, "level": level} for level in (1.7, 1.8, 1.9)],
        "SAC": [numbers] * 3,
    }
    rows = {row[0].split(" (")[0]: row[1:] for row in table.rows(found)}
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert rows["level after ordering"] == [f"1.800 ± {half:.3f}", "1.000 ± 0.000"]
