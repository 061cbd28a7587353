"""Points that were not evaluated are interpolated, field by field, with their errors."""

import numpy as np

from losslandscape import Grid, Landscape
from losslandscape.adaptive.refinement import (
    Adaptive,
    Refinement,
    coarse_points,
    interpolate,
    nearest,
)
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED, NOT_EVALUATED
from losslandscape.run.finishing import fill_by_interpolation

GRID = Grid((21, 17), ((-1.0, 1.0), (-2.0, 2.0)))


def test_each_field_is_interpolated_in_its_own_way():
    x, y = GRID.points().T
    rng = np.random.default_rng(0)
    evaluated = rng.random(GRID.size) < 0.3
    evaluated[coarse_points(GRID)] = True
    fields = {
        "loss": 1 + x**2 + y**2,
        "loss_standard_error": 0.1 + 0.01 * x,
        "loss_sample_count": rng.integers(1, 99, GRID.size).astype(float),
        "accuracy": 0.5 + 0.1 * x * y,
    }
    given = {name: np.where(evaluated, field, np.nan) for name, field in fields.items()}
    titles = {"loss": "cross-entropy", **dict.fromkeys([*fields][1:], "")}
    landscape = Landscape(
        GRID,
        {name: field.reshape(GRID.shape).copy() for name, field in given.items()},
        np.where(evaluated, EVALUATED, NOT_EVALUATED).astype(np.int8).reshape(GRID.shape),
        np.eye(2),
        provenance={"quantities": titles},
    )
    refinement = Refinement(GRID, Adaptive(0.01))
    for measured in (np.zeros(GRID.size, bool), evaluated):
        refinement.next_round(given["loss"], measured)
    done = fill_by_interpolation(landscape, refinement)
    assert done == refinement.to_json()

    found = {name: field.ravel() for name, field in landscape.fields.items()}
    assert set(found) == {*fields, "loss_interpolation_error", "accuracy_interpolation_error"}
    for name in fields:
        np.testing.assert_array_equal(found[name][evaluated], fields[name][evaluated])
        assert np.isfinite(found[name]).all()
    counts = nearest(GRID, given["loss_sample_count"], evaluated)
    np.testing.assert_array_equal(found["loss_sample_count"], counts)
    for name in ("loss_standard_error", "accuracy"):
        whole, error = interpolate(GRID, given[name], evaluated)
        np.testing.assert_array_equal(found[name], whole)
        if name == "accuracy":
            np.testing.assert_array_equal(found["accuracy_interpolation_error"], error)
    whole, error = refinement.interpolated(given["loss"])
    np.testing.assert_array_equal(found["loss"], whole)
    np.testing.assert_array_equal(found["loss_interpolation_error"], error)
    assert np.abs(found["loss"] - fields["loss"]).max() < 0.5
    status = landscape.status.ravel()
    np.testing.assert_array_equal(status, np.where(evaluated, EVALUATED, INTERPOLATED))
    assert titles["loss_interpolation_error"] == (
        "estimated interpolation error of the cross-entropy"
    )
    assert titles["accuracy_interpolation_error"] == "estimated interpolation error of the accuracy"
