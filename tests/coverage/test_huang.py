"""The study of minima: it goes on where it was killed, and its claims are what SciPy says."""

import json

import numpy as np
import pytest
from benchmarks.huang import __main__ as study
from benchmarks.huang import kept, page
from benchmarks.huang.claims import claims, rank_correlation, with_interval
from benchmarks.huang.measures import Measured
from benchmarks.huang.minima import (
    Minimum,
    accuracy,
    held_out_set,
    network_of,
    poison,
    train,
    training_set,
)
from scipy.stats import spearmanr

from losslandscape.study.spirals import two_spirals


def numbers_of(minimum):
    volume = {
        "log10_volume": -100.0 - minimum.factor, "interval": [-101.0, -99.0], "lower_bound": -102.0,
        "effective_samples": 1.5, "median_radius": 0.3, "not_crossed": 0,
    }  # fmt: skip
    return {
        "factor": minimum.factor, "seed": minimum.seed, "steps": minimum.steps, "loss": 0.002,
        "training_accuracy": 1.0, "test_accuracy": 0.9 - 0.1 * minimum.factor + 0.01 * minimum.seed,
        "norm": 9.0, "dimension": 3, "naive": volume, "preconditioned": volume,
    }  # fmt: skip


def measured_of(minimum, directions=5):
    radii = {"naive": np.arange(directions) + minimum.factor, "preconditioned": np.ones(directions)}
    return Measured(minimum, numbers_of(minimum), radii, np.zeros((2, 3)))


def minimum_of(factor, seed):
    weights = np.array([factor, seed, 1.0], dtype=np.float32)
    return Minimum(factor, seed, 7, weights, np.stack([weights, weights]))


def test_a_killed_study_goes_on_and_ends_with_the_same_numbers(tmp_path, monkeypatch):
    made = []

    def trained(factor, seed):
        if len(made) in (1, 3) and "killed" not in made:
            made.append("killed")
            raise KeyboardInterrupt
        made.append((factor, seed))
        return minimum_of(factor, seed)

    monkeypatch.setattr(study, "train", trained)
    monkeypatch.setattr(study, "measure", measured_of)
    sizes = {"factors": (0.0, 1.0), "seeds": 2, "directions": 5}
    undisturbed = [measured_of(minimum_of(f, s)) for f in (0.0, 1.0) for s in (0, 1)]
    with pytest.raises(KeyboardInterrupt):
        study.minima(tmp_path, **sizes)
    found = study.minima(tmp_path, **sizes)
    made.remove("killed")
    assert made == [(0.0, 0), (0.0, 1), (1.0, 0), (1.0, 1)]  # each once
    again = study.minima(tmp_path, **sizes)
    for one, other, expected in zip(found, again, undisturbed):
        assert one.numbers == other.numbers == expected.numbers
        np.testing.assert_array_equal(other.minimum.weights, expected.minimum.weights)
        np.testing.assert_array_equal(other.radii["naive"], expected.radii["naive"])
    assert len(made) == 4
    study.minima(tmp_path, **{**sizes, "directions": 6})  # another recipe: made anew
    assert len(made) == 8


def test_a_file_of_other_code_is_not_used(tmp_path):
    path = tmp_path / "one.npz"
    kept.save(path, measured_of(minimum_of(1.0, 0)), {"code": "a"})
    assert kept.load(path, {"code": "b"}) is None
    assert kept.load(tmp_path / "none.npz", {"code": "a"}) is None
    assert kept.load(path, {"code": "a"}).numbers["factor"] == 1.0


def test_rank_correlations_are_scipys():
    generator = np.random.default_rng(0)
    x = generator.standard_normal(30).round(1)  # with ties
    y = x + generator.standard_normal(30)
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)
    value, low, high = with_interval(x, y)
    assert low < value < high
    assert np.isnan(rank_correlation([1, 1], [1, 2]))


def test_verdicts_follow_from_the_interval():
    rows = [numbers_of(minimum_of(f, s)) for f in (0.0, 0.5, 1.0, 2.0) for s in range(4)]
    assert [one["verdict"] for one in claims(rows)] == ["holds"] * 2
    for row in rows:
        row["test_accuracy"] = 1 - row["test_accuracy"]
    assert [one["verdict"] for one in claims(rows)] == ["does not hold here"] * 2
    assert [one["verdict"] for one in claims(rows[:6])] == ["cannot be told"] * 2
    json.dumps(claims(rows[:1]), allow_nan=False)  # no correlation of one
    for row in rows[6:]:  # training did not reach the level
        row["loss"] = 0.4
    assert [one["verdict"] for one in claims(rows)] == ["cannot be told"] * 2


def test_the_page_has_the_stored_table():
    content = json.loads(study.RESULTS.read_text())
    assert "\n".join(page.table(content)) in page.PAGE.read_text(encoding="utf-8")


def test_poison_is_the_spirals_with_the_wrong_label():
    points, labels = poison(seed=2)
    same, opposite = two_spirals(100, seed=1002)
    assert np.array_equal(points, same)
    assert np.array_equal(labels, 1 - opposite)
    stopped = train(0.1, seed=0, most_steps=12)
    assert stopped.steps == 12
    assert stopped.path.shape == (3, 3614)  # at the start, after 10 steps and at the end
    np.testing.assert_array_equal(stopped.path[-1], stopped.weights)


def test_training_stops_at_the_level_and_is_right_on_every_training_point():
    found = train(0.0, seed=0)
    assert 0 < found.steps < 1000
    model = network_of(found.weights)
    assert accuracy(model, training_set()) == 1.0
    assert accuracy(model, held_out_set()) > 0.85
