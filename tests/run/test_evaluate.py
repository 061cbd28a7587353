import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import netCDF4
import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.files.journal import journal_path
from losslandscape.point.evaluator import Evaluator
from losslandscape.run.plan import plan


class Quadratic(nn.Module):
    """loss = theta . A theta / 2 for one sample."""

    def __init__(self, matrix):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64))
        self.register_buffer("matrix", matrix)

    def forward(self, scale):
        return scale * (self.theta @ self.matrix @ self.theta / 2)


def quadratic_loss(model, batch):
    return model(batch[0])


@pytest.fixture
def quadratic():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    return Quadratic(root @ root.T)


def plane_of(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    directions = [{"theta": torch.randn(3, generator=generator, dtype=torch.float64)} for _ in "ab"]
    return Subspace({"theta": model.theta}, directions)


def test_a_quadratics_surface_is_the_formula(quadratic):
    samples = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    plane = plane_of(quadratic)
    grid = Grid.rectangle((7, 5), ((-1.5, 1.5), (-1, 2)))
    landscape = evaluate(Objective(quadratic, quadratic_loss, (samples,)), plane, grid)
    theta0 = quadratic.theta.detach().numpy()
    d1, d2 = (d.numpy() for d in plane.directions)
    matrix = quadratic.matrix.numpy()
    for j, b in enumerate(np.linspace(-1, 2, 5)):
        for i, a in enumerate(np.linspace(-1.5, 1.5, 7)):
            theta = theta0 + a * d1 + b * d2
            by_sample = samples.numpy() * (theta @ matrix @ theta / 2)
            assert landscape.values("loss")[j, i] == pytest.approx(by_sample.mean(), rel=1e-12)
            error = by_sample.std(ddof=1) / np.sqrt(3)
            assert landscape.values("loss_standard_error")[j, i] == pytest.approx(error, rel=1e-12)
            np.testing.assert_allclose(
                landscape.samples["loss_samples"][j, i], by_sample, rtol=1e-6
            )
    assert (landscape.status == 1).all()
    assert (landscape.values("loss_sample_count") == 3).all()


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_one_two_and_three_dimensions(cnn, images, tmp_path, dimensions):
    plane = Subspace.random(cnn, dimensions)
    grid = Grid((4, 3, 2)[:dimensions], ((-1, 1),) * dimensions)
    landscape = evaluate(
        Objective(cnn, "cross_entropy", images), plane, grid, path=tmp_path / "x.nc"
    )
    assert landscape.values("loss").shape == (2, 3, 4)[3 - dimensions :]
    again = Landscape.open(tmp_path / "x.nc")
    np.testing.assert_array_equal(again.values("accuracy"), landscape.values("accuracy"))
    assert again.grid == grid


def test_a_further_set_has_its_own_variables(cnn, images):
    sets = {"train": images, "test": (images[0][:10], images[1][:10])}
    landscape = evaluate(
        Objective(cnn, "cross_entropy", sets), Subspace.random(cnn), Grid.square(2)
    )
    assert {"loss", "test_loss", "test_accuracy", "test_loss_standard_error"} <= set(
        landscape.fields
    )
    assert landscape.samples["test_loss_samples"].shape == (2, 2, 10)


def test_the_file_holds_everything(cnn, images, tmp_path, record_trajectory):
    path = tmp_path / "x.nc"
    plane = Subspace.random(cnn)
    points = [plane.parameters_at(c) for c in ((0.5, 0.5), (0.2, 0.1), (0.0, 0.0))]
    landscape = evaluate(
        Objective(cnn, "cross_entropy", images), plane, Grid.rectangle((4, 3), ((-1, 1), (-1, 1))),
        path=path, title="a title",
    )  # fmt: skip
    landscape.add_trajectory(record_trajectory(cnn, points))
    again = Landscape.open(path)
    for name, values in landscape.fields.items():
        np.testing.assert_array_equal(again.values(name), values)
    np.testing.assert_array_equal(again.samples["loss_samples"], landscape.samples["loss_samples"])
    np.testing.assert_array_equal(again.gram_matrix, plane.gram_matrix)
    for name in ("step", "coordinates", "loss", "checkpoint_loss", "distance_to_plane"):
        np.testing.assert_array_equal(
            getattr(again.trajectories[0], name), getattr(landscape.trajectories[0], name)
        )
    assert again.provenance["title"] == "a title"
    assert again.provenance["subspace"]["seed"] == 0
    assert again.provenance["objective"]["sets"]["train"]["samples"] == 40
    assert not journal_path(path).exists()
    with netCDF4.Dataset(path) as dataset:
        kinds = {v.dtype.str for v in dataset.variables.values()}
        assert kinds <= {"<f8", "<f4", "|i1", "<i4", "|S1"}  # what ParaView's reader can take
        assert all(
            v.filters()["fletcher32"] for n, v in dataset.variables.items() if n != "provenance"
        )


def test_a_trajectory_on_the_plane_has_the_surfaces_loss(cnn, images, record_trajectory):
    plane = Subspace.random(cnn)
    landscape = evaluate(Objective(cnn, "cross_entropy", images), plane, Grid.square(5))
    axis = np.linspace(-1, 1, 5)
    corners = [(axis[i], axis[j]) for i, j in ((4, 0), (3, 1), (2, 2))]
    trajectory = landscape.add_trajectory(
        record_trajectory(cnn, [plane.parameters_at(c) for c in corners])
    )
    expected = [landscape.values()[j, i] for i, j in ((4, 0), (3, 1), (2, 2))]
    np.testing.assert_allclose(trajectory.loss, expected, rtol=1e-4)
    # no batch-norm statistics differ along this trajectory, and its points lie on the plane
    np.testing.assert_allclose(trajectory.checkpoint_loss, expected, rtol=1e-4)


def test_a_trajectory_of_another_model_is_refused(cnn, images, record_trajectory):
    landscape = evaluate(
        Objective(cnn, "cross_entropy", images), Subspace.random(cnn), Grid.square(2)
    )
    other = nn.Linear(2, 2)
    with pytest.raises(LossLandscapeError, match=r"'convolution.weight'"):
        landscape.add_trajectory(record_trajectory(other, [dict(other.named_parameters())]))


def test_another_plane_is_refused(cnn, images, tmp_path, record_trajectory):
    objective = Objective(cnn, "cross_entropy", images)
    plane = Subspace.random(cnn)
    evaluate(objective, plane, Grid.square(2), path=tmp_path / "x.nc")
    trajectory = record_trajectory(cnn, [plane.parameters_at((0.0, 0.0))])
    landscape = Landscape.open(tmp_path / "x.nc")
    with pytest.raises(LossLandscapeError, match="give objective= and subspace="):
        landscape.add_trajectory(trajectory)
    with pytest.raises(LossLandscapeError, match="not the landscape's"):
        landscape.add_trajectory(
            trajectory, objective=objective, subspace=Subspace.random(cnn, seed=9)
        )


def test_between_models_statistics_are_reestimated(cnn, images):
    import copy

    other = copy.deepcopy(cnn)
    with torch.no_grad():
        other.head.weight.add_(0.1)
    objective = Objective(cnn, "cross_entropy", images)
    with pytest.warns(UserWarning, match="re-estimated"):
        landscape = evaluate(
            objective, Subspace.between(cnn, other, labels=["x", "y"]), Grid.line(3)
        )
    assert landscape.provenance["objective"]["batch_norm"] == "reestimated"
    assert [m.label for m in landscape.models] == ["x", "y"]
    assert all(np.isfinite(m.loss) for m in landscape.models)


def test_values_that_are_not_finite_stay(tmp_path):
    model = nn.Linear(1, 1, bias=False)

    def loss(model, batch):
        return torch.log(model(batch[0])[:, 0])  # -inf at 0, NaN below

    line = Subspace({"weight": torch.ones(1, 1)}, [{"weight": torch.full((1, 1), 2.0)}])
    objective = Objective(model, loss, (torch.ones(3, 1),))
    landscape = evaluate(objective, line, Grid.line(5), path=tmp_path / "x.nc")
    for found in (landscape, Landscape.open(tmp_path / "x.nc")):
        np.testing.assert_array_equal(found.values()[:3], [np.nan, -np.inf, 0.0])
        np.testing.assert_array_equal(found.status, [3, 3, 1, 1, 1])


@pytest.mark.parametrize(
    "pool",
    [
        lambda: ThreadPoolExecutor(2),
        lambda: ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")),
    ],
)
def test_an_executor_gives_the_same_bits(images, pool):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.Linear(8, 5))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        objective = Objective(
            model, "cross_entropy", images, batch_size=40, batch_norm="reestimated"
        )
        plane = Subspace.random(model)
        expected = evaluate(objective, plane, Grid.square(4))
        with pool() as executor:
            found = evaluate(objective, plane, Grid.square(4), executor=executor)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found.samples["loss_samples"], expected.samples["loss_samples"])


def test_an_output_that_exists_is_kept(cnn, images, tmp_path):
    path = tmp_path / "x.nc"
    path.write_text("precious")
    objective = Objective(cnn, "cross_entropy", images)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        evaluate(objective, Subspace.random(cnn), Grid.square(2), path=path)
    assert path.read_text() == "precious"
    evaluate(objective, Subspace.random(cnn), Grid.square(2), path=path, overwrite=True)
    assert Landscape.open(path).finished


def test_arguments_that_do_not_fit(cnn, images, tmp_path):
    objective = Objective(cnn, "cross_entropy", images)
    with pytest.raises(LossLandscapeError, match="grid has 1 dimensions and the subspace 2"):
        evaluate(objective, Subspace.random(cnn), Grid.line(3))
    with pytest.raises(LossLandscapeError, match="create it"):
        evaluate(objective, Subspace.random(cnn), Grid.square(2), path=tmp_path / "no" / "x.nc")
    landscape = evaluate(objective, Subspace.random(cnn), Grid.square(2))
    with pytest.raises(LossLandscapeError, match=r"no variable 'los' \(found: loss,"):
        landscape.values("los")


def damaged(path, place, data):
    with open(path, "r+b") as file:
        file.seek(place, 2 if place < 0 else 0)
        file.write(data)


def test_files_that_are_no_landscape(cnn, images, tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        Landscape.open(tmp_path / "missing.nc")
    (tmp_path / "text.nc").write_text("not netCDF")
    with pytest.raises(FileFormatError, match="not a netCDF file"):
        Landscape.open(tmp_path / "text.nc")
    with netCDF4.Dataset(tmp_path / "other.nc", "w") as dataset:
        dataset.createDimension("x", 2)
        dataset.createVariable("temperature", "f8", ("x",))
    with pytest.raises(FileFormatError, match=r"'loss' is missing.*found: temperature"):
        Landscape.open(tmp_path / "other.nc")
    objective = Objective(cnn, "cross_entropy", images)
    evaluate(objective, Subspace.random(cnn), Grid.square(8), path=tmp_path / "x.nc")
    values = Landscape.open(tmp_path / "x.nc").values()
    data = (tmp_path / "x.nc").read_bytes()
    place = data.find(values.tobytes())
    assert place > 0
    damaged(tmp_path / "x.nc", place + 12, b"\x00\x00\x00\x00")
    with pytest.raises(FileFormatError, match="damaged"):
        Landscape.open(tmp_path / "x.nc")
    (tmp_path / "short.nc").write_bytes(data[: len(data) // 2])
    with pytest.raises(FileFormatError, match="damaged"):
        Landscape.open(tmp_path / "short.nc")


def test_a_journal_that_is_none_is_refused(cnn, images, tmp_path):
    journal_path(tmp_path / "x.nc").write_bytes(b"something else")
    with pytest.raises(FileFormatError, match="not a losslandscape journal"):
        evaluate(
            Objective(cnn, "cross_entropy", images), Subspace.random(cnn), path=tmp_path / "x.nc"
        )


def test_modules_do_not_hide_the_public_function():
    program = (
        "import losslandscape.run.evaluation, losslandscape.landscape.landscape\n"
        "import losslandscape as ll\n"
        "print(callable(ll.evaluate))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "True\n", result.stderr


def test_fields_survive_the_file(cnn, images, tmp_path):
    for dimensions in (1, 2, 3):
        path = tmp_path / f"{dimensions}.nc"
        grid = Grid((2,) * dimensions, ((-1, 1),) * dimensions)
        objective = Objective(cnn, "cross_entropy", images)
        made = evaluate(objective, Subspace.random(cnn, dimensions), grid, path=path)
        again = Landscape.open(path)
        assert list(again.fields) == list(made.fields)
        again.save(path, overwrite=True)
        assert list(Landscape.open(path).fields) == list(made.fields)


def test_another_objective_on_an_existing_landscape_is_refused(cnn, images, record_trajectory):
    plane = Subspace.random(cnn)
    objective = Objective(cnn, "cross_entropy", images, batch_norm="reestimated")
    landscape = evaluate(objective, plane, Grid.square(2))
    trajectory = record_trajectory(cnn, [plane.parameters_at((0.0, 0.0))])
    fixed = Objective(cnn, "cross_entropy", images)
    with pytest.raises(LossLandscapeError, match="its batch_norm differs"):
        landscape.add_trajectory(trajectory, objective=fixed, subspace=plane)
    landscape.add_trajectory(trajectory)
    with pytest.raises(OutputExistsError, match="there is a trajectory"):
        landscape.add_trajectory(trajectory)
    landscape.add_trajectory(trajectory, label="again")
    assert len(landscape.trajectories) == 2


def test_arguments_of_another_kind_are_said_first():
    model = nn.Linear(2, 1)
    data = torch.ones(8, 2), torch.zeros(8, 1)
    objective, plane = Objective(model, "mse", data), Subspace.random(model)
    for grid in (5, (3, 3)):
        with pytest.raises(LossLandscapeError, match=r"grid is .*a Grid is expected.*Grid\.square"):
            evaluate(objective, plane, grid, quiet=True)
        with pytest.raises(LossLandscapeError, match=r"but a Grid is expected"):
            plan(objective, plane, grid)
    for function in (evaluate, plan, lambda *arguments: Evaluator(*arguments[:2])):
        with pytest.raises(LossLandscapeError, match="objective is a Subspace, but an Objective"):
            function(plane, objective, Grid.square(3))
        with pytest.raises(LossLandscapeError, match="subspace is an Objective"):
            function(objective, objective, Grid.square(3))
    with pytest.raises(LossLandscapeError, match=r"model is .* but a Module is expected"):
        Objective(lambda inputs: inputs, "mse", data)
    for name in ("batch_size", "reestimation_samples", "dataset_samples"):
        for wrong in ("8", 8.5, 0):
            with pytest.raises(
                LossLandscapeError, match=f"{name}.*={wrong!r}: must be a whole number"
            ):
                Objective(model, "mse", data, **{name: wrong})
    assert Objective(model, "mse", data, dataset_samples=np.int64(9)).dataset_samples == {
        "train": 9
    }
    with pytest.raises(LossLandscapeError, match=r"batch_size=2.0: must be a whole"):
        evaluate(objective, plane, Grid.square(3), batch_size=2.0)


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:99", "meta"])
def test_devices_that_are_not_there(device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("it is there")
    data = torch.ones(8, 2), torch.zeros(8, 1)
    with pytest.raises(LossLandscapeError, match=f"device '{device}' cannot be used here"):
        Objective(nn.Linear(2, 1), "mse", data, device=device)
