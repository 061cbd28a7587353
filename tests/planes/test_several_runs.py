"""One plane of several training runs, and names of wrapped models."""

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.directions import joint_principal_directions
from losslandscape.planes.parameters import ParameterLayout


def perceptron():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))


def record(folder, model, states, first_step=0):
    with ll.TrajectoryRecorder(model, folder) as recorder:
        for step, state in enumerate(states, first_step):
            with torch.no_grad():
                for parameter, value in zip(model.parameters(), torch.as_tensor(state)):
                    parameter.copy_(value.reshape(parameter.shape))
            recorder.record(step)
    return ll.Trajectory.open(folder)


class Pair(nn.Module):
    """Two parameters, and all of them as one vector."""

    def __init__(self, size=9):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(2, size))

    def set(self, vector):
        with torch.no_grad():
            self.a.copy_(vector[: len(self.a)])
            self.b.copy_(vector[len(self.a) :].view_as(self.b))


def pair_run(folder, rows, model=None):
    model = model or Pair()
    with ll.TrajectoryRecorder(model, folder) as recorder:
        for step, row in enumerate(torch.as_tensor(rows)):
            model.set(row)
            recorder.record(step)
    return ll.Trajectory.open(folder)


@pytest.fixture
def rows():
    """Two walks of different lengths from one start; float32 values, as float64."""
    draws = np.random.default_rng(4)
    one = np.cumsum(draws.normal(size=(12, 27)), axis=0)
    other = one[0] + np.cumsum(draws.normal(size=(5, 27)), axis=0)
    return [x.astype(np.float32).astype(np.float64) for x in (one, other)]


@pytest.fixture
def runs(tmp_path, rows):
    return [
        pair_run(tmp_path / name, torch.tensor(x, dtype=torch.float32))
        for name, x in zip("ab", rows)
    ]


@pytest.mark.parametrize("center", ["origin", "mean"])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_joint_components_are_those_of_the_weighted_differences(runs, rows, center, dimensions):
    plane = ll.Subspace.pca(runs, dimensions, center)
    differences = np.concatenate(rows) - rows[0][-1]
    weights = np.repeat([1 / 12, 1 / 5], [12, 5])
    centered = differences
    if center == "mean":
        centered = differences - (weights[:, None] * differences).sum(axis=0) / weights.sum()
    _, _, vectors = np.linalg.svd(np.sqrt(weights)[:, None] * centered, full_matrices=False)
    found = torch.stack(plane.directions).double().numpy()
    expected = vectors[:dimensions] * np.sign((vectors[:dimensions] * found).sum(axis=1))[:, None]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_array_equal(plane.origin.double().numpy(), rows[0][-1])

    along = differences @ expected.T
    np.testing.assert_allclose(
        plane.recipe["explained_variance"],
        (weights[:, None] * along**2).sum(axis=0) / (weights[:, None] * differences**2).sum(),
        rtol=1e-5,
    )
    for told, label, x in zip(plane.recipe["runs"], "ab", rows):
        own = x - x[-1]
        np.testing.assert_allclose(
            told["explained_variance"],
            ((own @ expected.T) ** 2).sum(axis=0) / (own**2).sum(),
            rtol=1e-5,
        )
        rest = x - rows[0][-1]
        rest = rest - (rest @ expected.T) @ expected
        largest = np.linalg.norm(rest, axis=1).max()
        assert told["largest_distance"] == pytest.approx(largest, rel=1e-4)
        assert (told["label"], told["checkpoints"]) == (label, len(x))
    assert plane.recipe["checkpoints"] == 17
    assert along[0].min() >= 0  # the first run starts on the positive side


def test_runs_of_one_length_are_scikit_learns_components(tmp_path, rows):
    decomposition = pytest.importorskip("sklearn.decomposition")
    pair = [rows[0][:5], rows[1]]
    runs = [pair_run(tmp_path / n, torch.tensor(x).float()) for n, x in zip("ab", pair)]
    plane = ll.Subspace.pca(runs, center="mean")
    fitted = decomposition.PCA(2).fit(np.concatenate(pair))
    for direction, expected in zip(plane.directions, fitted.components_):
        assert abs(float(direction.double().numpy() @ expected)) == pytest.approx(1, abs=1e-6)


def test_how_often_a_run_was_recorded_does_not_matter(tmp_path, runs, rows):
    twice = pair_run(tmp_path / "twice", torch.tensor(np.repeat(rows[1], 2, axis=0)).float())
    one, other = ll.Subspace.pca(runs), ll.Subspace.pca([runs[0], twice])
    for direction, again in zip(one.directions, other.directions):
        torch.testing.assert_close(direction, again, rtol=0, atol=1e-6)


def test_a_list_of_one_is_that_one(runs):
    one, other = ll.Subspace.pca(runs[0]), ll.Subspace.pca([runs[0]])
    assert one.identity == other.identity
    assert one.recipe == other.recipe
    assert "runs" not in one.recipe


def test_blocks_do_not_matter(runs):
    layout = ParameterLayout({name: shape for name, shape in runs[0].shapes.items()})
    whole = joint_principal_directions(runs, layout, 2)
    small = joint_principal_directions(runs, layout, 2, block_bytes=8 * 17 * 4)
    for one, other in zip(whole.directions, small.directions):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_the_default_grid_holds_all(runs):
    plane = ll.Subspace.pca(runs)
    low, high = np.array(plane.default_grid().bounds).T
    for run in runs:
        coordinates = plane.project_trajectory(run).coordinates
        assert (coordinates >= low).all()
        assert (coordinates <= high).all()


def test_a_run_that_does_not_move_has_no_share(tmp_path, runs, rows):
    still = pair_run(tmp_path / "still", torch.tensor(rows[1][:1]).float())
    plane = ll.Subspace.pca({"moving": runs[0], "still": still})
    assert plane.recipe["runs"][1]["explained_variance"] == [None, None]
    assert plane.recipe["origin"] == "the last checkpoint of moving"


@pytest.mark.parametrize(
    "given", ["run/trajectory", np.zeros((3, 4)), {"a": torch.zeros(2)}, 5, nn.Linear(2, 1)]
)
def test_what_is_no_trajectory(given):
    with pytest.raises(
        LossLandscapeError, match=r"open (it|a recorded folder) with Trajectory\.open"
    ):
        ll.Subspace.pca(given)
    with pytest.raises(
        LossLandscapeError, match=r"open (it|a recorded folder) with Trajectory\.open"
    ):
        ll.Subspace.pca([given])


def test_runs_that_share_a_label(tmp_path, runs, rows):
    again = pair_run(tmp_path / "other" / "a", torch.tensor(rows[1]).float())
    with pytest.raises(LossLandscapeError, match=r"other/a: both runs have the label 'a'"):
        ll.Subspace.pca([*runs, again])
    with pytest.raises(LossLandscapeError, match="label '' is not a name"):
        ll.Subspace.pca({"": runs[0]})
    with pytest.raises(LossLandscapeError, match="the list is empty"):
        ll.Subspace.pca([])


def test_runs_of_different_models(tmp_path, runs):
    wide = pair_run(tmp_path / "wide", torch.randn(3, 30), Pair(10))
    with pytest.raises(LossLandscapeError, match=r"'a' and 'wide' .* 'a' has shape \(9,\) in"):
        ll.Subspace.pca([runs[0], wide])
    model = nn.Linear(9, 1, bias=False)
    other = record(tmp_path / "linear", model, [torch.randn(1, 9) for _ in range(3)])
    with pytest.raises(LossLandscapeError, match=r"'a' has shape .* and is missing"):
        ll.Subspace.pca([runs[0], other])


def test_parameters_that_are_not_finite_are_named(tmp_path, runs, rows):
    rows = torch.tensor(rows[1]).float()
    for step, value in ((2, float("nan")), (len(rows) - 1, float("inf"))):
        broken = rows.clone()
        broken[step, 3] = value
        run = pair_run(tmp_path / f"broken{step}", broken)
        with pytest.raises(LossLandscapeError, match=rf"broken{step}: .* step {step} .*not finite"):
            ll.Subspace.pca([runs[0], run])
        with pytest.raises(LossLandscapeError, match=rf"broken{step}: .* step {step} .*not finite"):
            ll.Subspace.pca(run)


def test_runs_of_different_types_are_in_the_wider_one(tmp_path, rows):
    """Whichever is the first: none is rounded."""
    made = [
        pair_run(tmp_path / name, torch.tensor(x).to(dtype), Pair().to(dtype))
        for name, x, dtype in zip("ab", rows, (torch.float32, torch.float64))
    ]
    for pair, own in ((made, rows), (made[::-1], rows[::-1])):
        plane = ll.Subspace.pca(pair)
        assert plane.origin.dtype == torch.float64
        np.testing.assert_array_equal(plane.origin.numpy(), own[0][-1])
        directions = torch.stack(plane.directions).numpy()
        for run, x in zip(pair, own):
            expected = (x - own[0][-1]) @ directions.T
            found = plane.project_trajectory(run).coordinates
            np.testing.assert_allclose(found, expected, atol=1e-12)


# ---- names of wrapped models ---------------------------------------------------------------------


WRAPPERS = {
    "plain": lambda model: model,
    "DataParallel": nn.DataParallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "both": lambda model: torch.compile(nn.DataParallel(model), backend="eager"),
}


@pytest.fixture(scope="module")
def data():
    torch.manual_seed(1)
    return torch.randn(24, 4), torch.randint(0, 3, (24,))


def trained(folder, wrap, data):
    """A recorded run, and the loss of each checkpoint with its own statistics."""
    torch.manual_seed(0)
    model, losses = perceptron(), []
    wrapped = wrap(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    with ll.TrajectoryRecorder(wrapped, folder) as recorder:
        for step in range(6):
            recorder.record(step)
            with torch.no_grad():
                losses.append(nn.functional.cross_entropy(model.eval()(data[0]), data[1]).item())
            model.train()
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(data[0]), data[1]).backward()
            optimizer.step()
    assert np.ptp(losses) > 0.05
    return ll.Trajectory.open(folder), model, losses


@pytest.mark.parametrize("recorded", WRAPPERS)
@pytest.mark.parametrize("measured", ["plain", "DataParallel"])
@pytest.mark.filterwarnings("ignore:.*")
def test_wrapped_and_plain_fit_each_other(tmp_path, data, recorded, measured):
    run, model, losses = trained(tmp_path / "run", WRAPPERS[recorded], data)
    objective = ll.Objective(WRAPPERS[measured](model).eval(), "cross_entropy", data)
    for plane in (ll.Subspace.pca(run), ll.Subspace.random(model.eval(), seed=3)):
        found = ll.evaluate(objective, plane, ll.Grid.square(3), trajectory=run, quiet=True)
        (projected,) = found.trajectories
        assert projected.checkpoint_loss == pytest.approx(losses, rel=1e-5)
        if plane.recipe["kind"] == "pca":
            np.testing.assert_allclose(projected.coordinates[-1], 0, atol=1e-6)
            assert projected.loss[-1] == pytest.approx(losses[-1], rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*")
def test_a_wrapped_and_a_plain_run_on_one_plane(tmp_path, data):
    one, model, losses = trained(tmp_path / "one", WRAPPERS["DataParallel"], data)
    other, _, _ = trained(tmp_path / "other", WRAPPERS["plain"], data)
    plane = ll.Subspace.pca([other, one])
    objective = ll.Objective(model.eval(), "cross_entropy", data)
    found = ll.evaluate(objective, plane, plane.default_grid(3), trajectory=[other, one])
    for projected in found.trajectories:
        assert projected.checkpoint_loss == pytest.approx(losses, rel=1e-5)


def test_names_that_fit_no_model_are_still_refused(tmp_path, data):
    run, _, _ = trained(tmp_path / "run", WRAPPERS["plain"], data)
    other = nn.Sequential(nn.Flatten(), perceptron())
    plane = ll.Subspace.pca(run)
    with pytest.raises(LossLandscapeError, match=r"'0\.weight' .* is missing"):
        ll.evaluate(ll.Objective(other.eval(), "cross_entropy", data), plane, ll.Grid.square(3))
