"""The container of a landscape, and the scale its losses are looked at on."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.interpolation_errors import interpolation_errors, interpolation_of
from losslandscape.landscape.landscape import (
    EVALUATED,
    INTERPOLATED,
    NOT_EVALUATED,
    NOT_FINITE,
)
from losslandscape.landscape.scale import scale_of


def landscape_of(loss, status=None, **options):
    loss = np.asarray(loss, dtype=float)
    status = np.ones(loss.shape, np.int8) if status is None else np.array(status, np.int8)
    fields = {"loss": loss, **options.pop("fields", {})}
    return Landscape(Grid.line(loss.size), fields, status, np.eye(1), **options)


def test_statuses_are_those_of_the_file_format():
    assert (NOT_EVALUATED, EVALUATED, INTERPOLATED, NOT_FINITE) == (0, 1, 2, 3)
    assert landscape_of([1, 2]).description()["format_version"] == 1


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1.0, 100.0], "linear"),  # two decades are not more than two
        ([1.0, 101.0], "log"),
        ([0.0, 1000.0], "linear"),
        ([-1.0, 1000.0], "linear"),
        ([np.nan, 1.0, np.inf, 1e3], "log"),
        ([np.nan, np.inf], "linear"),
        ([], "linear"),
        ([5.0, 5.0], "linear"),
    ],
)
def test_the_scale_is_log_above_two_decades_of_positive_values(values, scale):
    assert scale_of(np.array(values)) == scale
    if values:
        assert landscape_of(values).scale == landscape_of(values).description()["scale"] == scale


def test_a_landscape_is_finished_when_every_point_has_a_value_or_none_to_have():
    assert landscape_of([1, 2, 3, 4], [1, 2, 3, 1]).finished
    assert not landscape_of([1, 2, 3, 4], [1, 2, 0, 1]).finished


def test_variables_are_named_where_one_is_missing(tmp_path):
    measured = landscape_of([1, 2], fields={"accuracy": np.ones(2)})
    assert measured.values().tolist() == [1, 2]
    assert measured.values("accuracy").tolist() == [1, 1]
    with pytest.raises(LossLandscapeError, match=r"'test_loss' .*loss, accuracy"):
        measured.values("test_loss")
    assert repr(measured) == "<Landscape: 2 points, loss, accuracy>"
    measured.save(tmp_path / "a.nc")
    opened = Landscape.open(tmp_path / "a.nc")
    assert "a.nc': 2 points" in repr(opened)
    with pytest.raises(LossLandscapeError, match=r"a\.nc: "):
        opened.values("test_loss")


ERRORS = {"loss_interpolation_error": np.array([9.0, 0.5, 2.0, 4.0])}


def test_errors_of_interpolated_losses_on_either_scale():
    measured = landscape_of([1.0, 2.0, 2.0, 4.0], [1, 2, 2, 2], fields=ERRORS)
    np.testing.assert_array_equal(interpolation_errors(measured), [0, 0.5, 2, 4])
    # interpolated as it is, v - e is the farther side in decades; at v = e it reaches 0
    expected = [0, -np.log10(0.75), np.inf, np.inf]
    np.testing.assert_allclose(interpolation_errors(measured, "log"), expected)
    measured.provenance = {"adaptive": {"scale": "linear"}}
    np.testing.assert_allclose(interpolation_errors(measured, "log"), expected)
    # interpolated as log10, v + e is
    measured.provenance = {"adaptive": {"scale": "log"}}
    expected = [0, np.log10(1.25), np.log10(2), np.log10(2)]
    np.testing.assert_allclose(interpolation_errors(measured, "log"), expected)


def test_errors_that_are_not_known_are_nan_on_either_scale():
    measured = landscape_of([1.0, 2.0], [1, 2])
    for scale in ("linear", "log"):
        np.testing.assert_array_equal(interpolation_errors(measured, scale), [0, np.nan])
    assert np.isnan(interpolation_of(measured).largest_error)
    assert "unknown errors" in str(interpolation_of(measured))


def test_interpolated_points_are_counted_among_those_with_a_value():
    fields = {"loss_interpolation_error": np.array([9.0, 0.5, 2.0, 4.0, 8.0])}
    measured = landscape_of([1.0, 2.0, 3.0, np.nan, 5.0], [1, 2, 2, 2, 3], fields=fields)
    found = interpolation_of(measured)
    assert (found.points, found.interpolated, found.largest_error) == (4, 2, 2.0)
    some = interpolation_of(measured, np.array([True, True, False, True, True]))
    assert (some.points, some.interpolated, some.largest_error) == (3, 1, 0.5)
    none = interpolation_of(measured, np.array([True, False, False, False, False]))
    assert (none.points, none.interpolated, none.largest_error) == (1, 0, 0.0)
    assert none.to_json() == {"points": 1, "interpolated": 0, "largest_error": 0.0}
