"""A finer grid over a box: its points, its values, and what must be the same."""

import itertools
from contextlib import nullcontext
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate, refine
from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.files import atomic_files
from losslandscape.landscape.overlays import ProjectedTrajectory
from losslandscape.run.box_refinement import agreement, finer_grid


def shared(coarse, fine):
    return [np.intersect1d(a, b) for a, b in zip(coarse.axes(), fine.axes())]


@pytest.mark.parametrize("count", [2, 3, 7, 50, 51])
@pytest.mark.parametrize("bounds", [(-1, 1), (-0.1, 0.7), (1e-3, 1.7e3), (-3.3, -0.3)])
@pytest.mark.parametrize("factor", [1, 2, 3, 7, 10])
def test_every_old_point_in_the_box_is_a_new_one_to_the_bit(count, bounds, factor):
    coarse = Grid.rectangle([count], [bounds])
    axis = coarse.axes()[0]
    for first, last in itertools.combinations(range(0, count, max(1, count // 5)), 2):
        fine = coarse.refined([(axis[first], axis[last])], factor)
        new = fine.axes()[0]
        np.testing.assert_array_equal(new[::factor], axis[first : last + 1])
        assert fine.counts == ((last - first) * factor + 1,)
        assert fine.bounds[0] == (new[0], new[-1])


def test_a_finer_grids_coordinates_are_those_of_exact_arithmetic():
    low, high = -0.3, 0.9
    fine = Grid.rectangle([13], [(low, high)]).refined([(0.11, 0.42)], 4)
    low, high = Fraction(low), Fraction(high)
    step = (high - low) / 12
    first = (Fraction("0.11") - low) // step
    exact = [float(low + step * (first + Fraction(i, 4))) for i in range(fine.counts[0])]
    np.testing.assert_allclose(fine.axes()[0], exact, rtol=0, atol=1e-15)
    assert fine.axes()[0][0] <= 0.11
    assert fine.axes()[0][-1] >= 0.42


def test_a_box_grows_to_points_and_may_reach_beyond():
    grid = Grid.square(11)
    fine = grid.refined([(-0.31, 0.05), (0.9, 1.3)], 2)
    assert fine.counts == (7, 7)
    np.testing.assert_allclose(fine.bounds, [(-0.4, 0.2), (0.8, 1.4)], atol=1e-12)


def test_a_refined_grid_is_refined_again_and_survives_json():
    grid = Grid.rectangle((11, 7), ((-1, 1), (-0.35, 0.7)))
    once = grid.refined([(-0.5, 0.5), (0, 0.4)], 3)
    twice = once.refined([(-0.1, 0.1), (0.1, 0.2)], 5)
    for finer, coarser in ((once, grid), (twice, once), (twice, grid)):
        assert all(len(points) for points in shared(coarser, finer))
    again = Grid.from_json(twice.to_json())
    assert again == twice
    for mine, other in zip(twice.axes(), again.axes()):
        np.testing.assert_array_equal(mine, other)


def test_a_grid_that_makes_no_sense_is_refused():
    grid = Grid.square(5)
    for bounds, options, message in (
        ([(0, 1)], {}, "the box has 1 axes"),
        ([(1, 0), (0, 1)], {}, "bounds must be finite and increasing"),
        ([(0, 1), (0, 1)], {"factor": 0}, "factor=0: must be"),
        ([(0, 1), (0, 1)], {"factor": 2, "points": 3}, "not both"),
        ([(0, 1), (0, 1)], {"points": 1}, "at least 2"),
    ):
        with pytest.raises(LossLandscapeError, match=message):
            finer_grid(grid, bounds, options.get("factor"), options.get("points"))


@pytest.fixture
def coarse(cnn, images, tmp_path):
    objective = Objective(cnn, "cross_entropy", images, batch_size=16)
    plane = Subspace.random(cnn, seed=3)
    path = tmp_path / "coarse.nc"
    return evaluate(objective, plane, Grid.square(6), path=path, quiet=True), objective, plane


def test_values_are_those_of_the_first_grid_and_of_single_points(coarse, tmp_path):
    landscape, objective, plane = coarse
    opened = Landscape.open(landscape.path)
    path = tmp_path / "fine.nc"
    # without the first run's batch size this objective would look for one of its own
    same = Objective(
        objective.model, "cross_entropy", next(iter(objective.sets.values())).stored()[0]
    )
    fine = refine(opened, same, plane, [(-0.2, 0.6), (0.2, 1)], factor=2, path=path, quiet=True)
    assert fine.grid.counts == (5, 5)
    assert fine.provenance["refined"] == {
        "landscape": "coarse.nc",
        "bounds": [[-0.2, 0.6], [0.2, 1.0]],
        "points": 9,
        "equal": 9,
        "largest_difference": 0.0,
    }
    np.testing.assert_array_equal(fine.values()[::2, ::2], landscape.values()[3:, 2:5])
    np.testing.assert_array_equal(
        fine.samples["loss_samples"][::2, ::2], landscape.samples["loss_samples"][3:, 2:5]
    )
    # a new point, by a plain pass over the model
    a, b = fine.grid.axes()[0][1], fine.grid.axes()[1][3]
    with torch.no_grad():
        for name, value in plane.parameters_at((a, b)).items():
            dict(objective.model.named_parameters())[name].copy_(value)
        inputs, targets = next(iter(objective.sets.values())).stored()[0]
        plain = nn.functional.cross_entropy(objective.model.eval()(inputs), targets)
    assert fine.values()[3, 1] == pytest.approx(float(plain), rel=1e-5)
    stored = Landscape.open(path)
    assert stored.provenance["refined"] == fine.provenance["refined"]
    assert stored.grid == fine.grid


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_another_batch_size_and_threads_differ_in_rounding_alone(coarse, batch_size):
    """What docs/refine.md states: float32 sums in another order."""
    landscape, objective, plane = coarse
    landscape.provenance["objective"]["batch_size"] = batch_size
    fine = refine(landscape, objective, plane, [(-1, 1), (-1, 1)], factor=1, threads=2)
    assert fine.provenance["refined"]["points"] == 36
    assert fine.provenance["refined"]["largest_difference"] < 1e-6 * landscape.values().max()


def test_statistics_are_gathered_in_the_first_runs_batches(cnn, images):
    """Their batches are not those of the evaluation, on which the last bits alone depend."""
    plane = Subspace.random(cnn, seed=3)
    objective = Objective(cnn, "cross_entropy", images, batch_norm="reestimated")
    first = evaluate(objective, plane, Grid.square(4), batch_size=7)
    assert first.provenance["objective"]["batch_size"] == 7
    fine = refine(first, objective, plane, [(-1, 1), (-1, 1)], factor=2)
    assert fine.provenance["objective"]["reestimation_batch_size"] == 256
    assert fine.provenance["refined"]["equal"] == fine.provenance["refined"]["points"] == 16
    other = Objective(cnn, "cross_entropy", images, batch_norm="reestimated", batch_size=7)
    with pytest.raises(LossLandscapeError, match="reestimation_batch_size is 7, not 256"):
        refine(first, other, plane, [(-1, 1), (-1, 1)])


def test_what_differs_is_named(coarse, images):
    landscape, objective, plane = coarse
    model = objective.model
    box = [(0, 0.4), (0, 0.4)]
    with pytest.raises(LossLandscapeError, match=r"what differs: direction alpha and beta"):
        refine(landscape, objective, Subspace.random(model, seed=4), box)
    with torch.no_grad():
        model.head.bias[0] += 1
    changed = Subspace.random(model, seed=3)
    with pytest.raises(
        LossLandscapeError, match=r"differs: the model's parameters \(other weights"
    ):
        refine(landscape, objective, changed, box)
    with torch.no_grad():
        model.head.bias[0] -= 1
        model.norm.running_mean += 1
    statistics = Subspace.random(model, seed=3)
    with pytest.raises(LossLandscapeError, match="the model's buffers, such as"):
        refine(landscape, objective, statistics, box)
    fewer = Objective(model, "cross_entropy", (images[0][:30], images[1][:30]))
    with pytest.raises(LossLandscapeError, match="its sets of samples differ"):
        refine(landscape, fewer, plane, box)
    double = Objective(model, "cross_entropy", images, precision="float64")
    with pytest.raises(LossLandscapeError, match="precision is float64, not float32"):
        refine(landscape, double, plane, box)


def test_disagreement_is_measured(coarse):
    landscape, _objective, _plane = coarse
    other = Landscape.open(landscape.path)
    other.fields["loss"][2, 3] += 0.25
    other.fields["loss"][1, 1] = landscape.fields["loss"][1, 1] = np.nan
    other.status[0, 0] = 2  # interpolated: nothing to compare
    assert agreement(landscape, other) == {
        "points": 35,
        "equal": 34,
        "largest_difference": pytest.approx(0.25),
    }
    ours, theirs = landscape.status * 8.0, landscape.status * 8.0
    theirs[2, 3] = 24.0  # in another precision
    landscape.fields["precision_bits"], other.fields["precision_bits"] = ours, theirs
    assert agreement(landscape, other) == {"points": 34, "equal": 34, "largest_difference": 0.0}
    del landscape.fields["precision_bits"], other.fields["precision_bits"]
    other.fields["loss"][1, 2] = np.inf
    assert agreement(landscape, other)["largest_difference"] is None
    other.fields["loss_sample_count"][:] = 7  # of a part of the samples
    assert agreement(landscape, other)["points"] == 0


def test_trajectory_and_models_come_along_and_files_are_kept(cnn, images, tmp_path, rng):
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        other = type(cnn)()
        models.append(other)
    plane = Subspace.between(*models)
    objective = Objective(models[0], "cross_entropy", images, batch_norm="reestimated")
    first = evaluate(objective, plane, plane.default_grid(5))
    path = tmp_path / "fine.nc"
    fine = refine(first, objective, plane, [(0, 0.5), (0, 0.5)], points=4, path=path, quiet=True)
    assert fine.grid == Grid.rectangle((4, 4), [(0, 0.5), (0, 0.5)])
    assert [m.loss for m in fine.models] == [m.loss for m in first.models]
    before = path.read_bytes()
    with pytest.raises(OutputExistsError):
        refine(first, objective, plane, [(0, 0.5), (0, 0.5)], points=5, path=path, quiet=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("appears", [False, True])
def test_the_file_has_the_agreement_and_the_trajectories_from_the_first(
    coarse, tmp_path, monkeypatch, appears
):
    landscape, objective, plane = coarse
    one = np.zeros(1)
    landscape.trajectories = [ProjectedTrajectory("run", one, np.zeros((1, 2)), one, one, one)]
    path, saved = tmp_path / "near.nc", []
    give_name = atomic_files._give_name

    def record(temporary, target):
        if target == path:
            saved.append(Landscape.open(temporary))
            # a slow machine writes it unfinished before
            if appears and [bool(one.samples) for one in saved].count(True) == 1:
                path.write_text("precious")
        give_name(temporary, target)

    monkeypatch.setattr(atomic_files, "_give_name", record)
    with pytest.raises(OutputExistsError) if appears else nullcontext():
        refine(landscape, objective, plane, [(-1, 1), (-1, 1)], factor=1, path=path, quiet=True)
    found = Landscape.open(tmp_path / "near.1.nc" if appears else path)
    assert found.provenance["refined"]["points"] > 0
    assert [t.label for t in found.trajectories] == ["run"]
    # an unfinished landscape is written without its samples
    assert ["refined" in one.provenance for one in saved if one.samples] == [True]


@pytest.mark.parametrize("counted", [(), (0,), (1,), (0, 1)])
def test_points_of_other_samples_are_not_compared_where_both_counts_are_known(counted):
    pair = []
    for number in range(2):
        fields = {"loss": np.array([1.0, 2.0, 4.0 + number])}
        if number in counted:
            fields["loss_sample_count"] = np.array([8.0, 8.0, 8.0 + number])
        pair.append(Landscape(Grid.line(3), fields, np.ones(3, np.int8), np.eye(1)))
    found = agreement(*pair)
    expected = (2, 2, 0.0) if counted == (0, 1) else (3, 2, 1.0)
    assert (found["points"], found["equal"], found["largest_difference"]) == expected
