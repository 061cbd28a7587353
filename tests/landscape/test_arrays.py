"""Another variable in the place of the loss."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape, find_critical_points
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.arrays import in_words, of_array

GRID = Grid.line(5)
LOSSES = np.random.default_rng(1).gamma(2.0, size=(5, 30))
OTHERS = np.random.default_rng(2).gamma(2.0, size=(5, 20))


@pytest.fixture
def landscape():
    return Landscape(
        GRID,
        {
            "loss": LOSSES.mean(1), "test_loss": OTHERS.mean(1),
            "test_loss_standard_error": np.full(5, 0.25), "β": np.arange(5.0),
            "Brier score": np.arange(5.0)[::-1].copy(),
        },
        np.ones(5, np.int8),
        np.eye(1),
        {
            "objective": {"sets": {"train": {"samples": 30}, "test": {"samples": 20,
                                                                     "dataset_samples": 40}}},
            "quantities": {"test_loss": "test cross-entropy"},
        },
        {"loss_samples": LOSSES, "test_loss_samples": OTHERS},
    )  # fmt: skip


def test_the_errors_and_samples_are_those_of_the_variable(landscape):
    found = of_array(landscape, "test_loss")
    np.testing.assert_array_equal(found.values(), OTHERS.mean(1))
    np.testing.assert_array_equal(found.standard_error(), np.full(5, 0.25))
    np.testing.assert_array_equal(
        found.difference_standard_error(0), landscape.difference_standard_error(0, "test_loss")
    )
    # the size of the data set is that of its own set
    np.testing.assert_array_equal(
        found.standard_error(against="dataset"),
        landscape.standard_error("test_loss", against="dataset"),
    )
    assert found.provenance["quantities"] == {"loss": "test cross-entropy"}
    assert of_array(landscape, "loss") is landscape


@pytest.mark.parametrize("name", ["β", "Brier score"])
def test_any_name_is_analyzed(landscape, name):
    found = find_critical_points(of_array(landscape, name), persistence=0.1)
    assert found.arrays["loss"].min() == 0
    assert "noise" in found.to_json()


def test_a_name_that_is_not_there_is_refused(landscape):
    with pytest.raises(LossLandscapeError, match="there is no variable 'f1'"):
        of_array(landscape, "f1")


def test_sentences_name_the_variable():
    assert in_words(["the mean loss is"], "β") == ["the mean 'β' is"]
    assert in_words(["the mean loss is"], None) == ["the mean loss is"]


def test_the_set_of_a_metric_is_the_one_that_it_was_measured_on(landscape):
    landscape.fields["test_accuracy"] = np.arange(5.0)
    for name, first in [("test_accuracy", "test"), ("β", "train"), ("Brier score", "train")]:
        sets = of_array(landscape, name).provenance["objective"]["sets"]
        assert next(iter(sets)) == first
        assert set(sets) == {"train", "test"}
