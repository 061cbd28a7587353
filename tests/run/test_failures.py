"""Points that failed are in the provenance and in one warning."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from losslandscape.run.failures import Failures
from losslandscape.run.point_records import PointFailure

POINTS = np.array([[0.0, 0.0], [0.5, 1.0], [-1.0, 2.0]])


def failures():
    found = Failures(POINTS)
    found[2] = PointFailure("second", "worker 2")
    found[1] = PointFailure("first", "worker 1")
    return found


@pytest.mark.parametrize("tried_again", [True, False])
def test_failures_are_stated_in_the_order_of_points(tried_again):
    landscape = SimpleNamespace(provenance={})
    with pytest.warns(UserWarning, match="2 points could not be measured") as caught:
        failures().state(landscape, tried_again)
    said = str(caught[0].message)
    assert "the first at (0.5, 1), on worker 1: first" in said
    assert ("the same call tries them again" in said) == tried_again
    assert landscape.provenance["failed_points"] == [
        {"coordinates": [0.5, 1.0], "error": "first"},
        {"coordinates": [-1.0, 2.0], "error": "second"},
    ]


def test_the_warning_is_of_the_line_that_asked_for_it():
    with pytest.warns(UserWarning, match="measured") as caught:
        failures().state(SimpleNamespace(provenance={}), False)
    assert caught[0].filename == __file__


def test_no_failure_is_not_stated():
    landscape = SimpleNamespace(provenance={})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Failures(POINTS).state(landscape, True)
    assert landscape.provenance == {}
