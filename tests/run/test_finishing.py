"""Points that were not evaluated are interpolated, field by field, with their errors."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.adaptive.allotment import Allotment
from losslandscape.adaptive.refinement import (
    Adaptive,
    Refinement,
    coarse_points,
    interpolate,
    nearest,
)
from losslandscape.files.journal import journal_path
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED, NOT_EVALUATED
from losslandscape.run import pilot
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


class FailsOnce(nn.Linear):
    """Raises at one point of the grid while ``fails`` is set."""

    fails = True

    def forward(self, inputs):
        if self.fails and float(self.bias.detach()) > 0.9:
            raise ArithmeticError("not here")
        return super().forward(inputs)


def test_the_journal_stays_where_a_point_failed_and_the_same_call_measures_it(tmp_path):
    model = FailsOnce(2, 1)
    nn.init.zeros_(model.bias)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    line = Subspace(parameters, [{"weight": torch.zeros(1, 2), "bias": torch.ones(1)}])
    objective = Objective(model, "mse", (torch.ones(8, 2), torch.zeros(8, 1)), batch_size=8)
    path = tmp_path / "x.nc"

    def run():
        return evaluate(objective, line, Grid.line(3), path=path, quiet=True)

    with pytest.warns(UserWarning, match="the same call tries them again"):
        found = run()
    assert np.isfinite(found.values()).tolist() == [True, True, False]
    assert journal_path(path).exists()
    assert path.exists()
    model.fails = False
    found = run()
    assert np.isfinite(found.values()).all()
    assert "failed_points" not in found.provenance
    assert not journal_path(path).exists()


def test_an_allotment_states_what_share_of_the_samples_was_taken():
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    data = torch.randn(16_384, 2), torch.randn(16_384, 1)
    objective = Objective(model, "mse", data, batch_size=1024)
    plane = Subspace.random(model, seed=2)
    adaptive = Adaptive(0.2, scale="linear")
    found = evaluate(objective, plane, Grid.square(21, 2.0), tolerance=adaptive, quiet=True)
    stated = found.provenance["adaptive"]
    counts = found.fields["loss_sample_count"][found.status == EVALUATED]
    assert stated["allotment"]["passes"] == pytest.approx(counts.sum() / 16_384)
    assert stated["allotment"]["largest_share"] == counts.max() / 16_384 < 1
    assert stated["tolerance"] == 0.2
    within = pilot.for_interpolation(adaptive, Allotment("linear", 0.1)).tolerance
    assert stated["interpolation_tolerance"] == pytest.approx(within)


class Adapted(nn.Module):
    """A frozen layer with a low-rank adapter, which is at its start: B is 0."""

    def __init__(self, head):
        super().__init__()
        self.base = nn.Linear(6, 3).requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.zeros(3, 2))
        self.head = nn.Linear(3, 3).requires_grad_(head)

    def forward(self, inputs):
        return self.head(self.base(inputs) + inputs @ self.a.T @ self.b.T)


def warned(model, plane):
    objective = Objective(model.eval(), "cross_entropy", (torch.randn(9, 6), torch.arange(9) % 3))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        evaluate(objective, plane, Grid.square(3), quiet=True)
    return [str(one.message) for one in found]


def test_a_surface_on_which_nothing_changes_is_said_and_why():
    model = Adapted(head=False)
    still, constant = warned(model, Subspace.random(model))
    assert still.startswith("'b': all values are 0")
    assert constant.startswith("the loss is exactly constant, ")
    (still,) = warned(Adapted(head=True), Subspace.random(Adapted(head=True)))
    assert still.startswith("'b': all values are 0")
    assert not warned(model, Subspace.random(model, normalization="none"))
    with torch.no_grad():
        model.b += 1
    assert not warned(model, Subspace.random(model))
