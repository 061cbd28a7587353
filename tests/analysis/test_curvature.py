"""Spectra of Hessians, against dense Hessians of torch.func in float64."""

import numpy as np
import pytest
import torch
from tests.analysis.once_differentiable import Once
from torch import nn
from torch.func import functional_call, hessian, jacrev, vmap

from losslandscape import Objective, Subspace, curvature, sharpness_by_part
from losslandscape.analysis import extreme_eigenpairs as pairs_module
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.point.plane_derivatives import PlaneDerivatives


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.read = nn.Linear(2, 4)
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.read(x)
        return self.head(self.attend(x, x, x, need_weights=False)[0].mean(1))


def network(kind, seed=0):
    """A model of float64 and its samples."""
    torch.manual_seed(seed)
    if kind == "mlp":
        model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3))
        inputs = torch.randn(40, 4)
    elif kind == "cnn":
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 3)
        )
        inputs = torch.randn(40, 1, 4, 4)
    else:
        model = Attention()
        inputs = torch.randn(40, 5, 2)
    model = model.double()
    inputs = inputs.double()
    if kind == "cnn":
        model.train()
        with torch.no_grad():
            model(inputs)
    return model.eval(), (inputs, torch.randint(3, (40,)))


def flat(model):
    layout = ParameterLayout.of(model)
    return layout, layout.flatten(dict(model.named_parameters()))


def dense(model, data):
    """The Hessian of the mean loss, in the order of the layout."""
    layout, start = flat(model)

    def loss(point):
        outputs = functional_call(model, layout.views(point), (data[0],))
        return nn.functional.cross_entropy(outputs, data[1])

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return hessian(loss)(start).detach().numpy()


def objective_of(model, data, **options):
    return Objective(model, "cross_entropy", data, **options)


@pytest.fixture(scope="module", params=["mlp", "cnn", "attention"])
def measured(request):
    model, data = network(request.param)
    found = curvature(
        objective_of(model, data), top=4, tolerance=1e-9, density_probes=4, density_steps=30
    )
    return model, data, dense(model, data), found


def test_eigenvalues_of_both_ends_are_within_their_residuals(measured):
    _, _, matrix, found = measured
    assert not found.about["dense"]
    values = np.linalg.eigvalsh(matrix)[::-1]
    expected = np.concatenate([values[:4], values[-4:]])
    rounding = 1e-12 * abs(values).max()
    assert (abs(found.eigenvalues - expected) <= found.residuals + rounding).all()
    images = found.eigenvectors @ matrix
    residuals = np.linalg.norm(images - found.eigenvalues[:, None] * found.eigenvectors, axis=1)
    assert residuals == pytest.approx(found.residuals, rel=0.02, abs=1e-11)
    assert found.residuals.max() <= 1e-9 * (values[0] - values[-1])
    assert found.converged.all()
    assert np.linalg.norm(found.eigenvectors, axis=1) == pytest.approx(1)


def test_trace_norm_and_moments_are_within_a_few_standard_errors(measured):
    _, _, matrix, found = measured
    assert 0 < found.trace_standard_error < 0.2 * abs(np.trace(matrix)) + 0.1
    assert abs(found.trace - np.trace(matrix)) < 4 * found.trace_standard_error
    low, high = found.trace_interval
    assert low < found.trace < high
    assert abs(found.frobenius_norm - np.linalg.norm(matrix)) < (
        4 * found.frobenius_standard_error + 1e-9
    )
    for order in (1, 2, 3):
        mean, error, (low, high) = found.moment(order)
        exact = np.trace(np.linalg.matrix_power(matrix, order)) / len(matrix)
        assert abs(mean - exact) < 6 * error + 1e-12
        assert low <= mean <= high


def test_the_density_is_one_and_its_mean_is_the_trace(measured):
    _, _, matrix, found = measured
    density = found.density(4001)
    assert np.trapezoid(density.density, density.points) == pytest.approx(1, abs=1e-3)
    mean = np.trapezoid(density.points * density.density, density.points)
    assert mean == pytest.approx(found.moment(1)[0], abs=1e-3)
    values = np.linalg.eigvalsh(matrix)
    assert density.points[0] < values[0]
    assert density.points[-1] > values[-1]
    smooth = np.exp(-(((density.points[:, None] - values) / density.width) ** 2) / 2)
    exact = smooth.mean(1) / (density.width * np.sqrt(2 * np.pi))
    inside = (exact >= density.low - 1e-9) & (exact <= density.high + 1e-9)
    assert inside.mean() > 0.8  # 95% in the mean over many matrices; benchmarks/curvature.py


def test_layers_add_up_to_the_trace(measured):
    model, _, matrix, found = measured
    rows = found.by_layer
    assert sum(row["trace"] for row in rows) == pytest.approx(found.trace)
    assert sum(row["parameters"] for row in rows) == len(matrix)
    assert np.sum([row["eigenvector_shares"] for row in rows], axis=0) == pytest.approx(1)
    start = 0
    for row in rows:
        block = slice(start, start + row["parameters"])
        start += row["parameters"]
        exact = np.trace(matrix[block, block])
        assert abs(row["trace"] - exact) < 4 * row["trace_standard_error"] + 1e-9
        if row["layer"]:
            assert any(name.startswith(row["layer"]) for name, _ in model.named_parameters())


def test_standard_errors_are_those_of_the_samples(measured):
    model, data, _, found = measured
    layout, start = flat(model)

    def loss(point, sample, target):
        outputs = functional_call(model, layout.views(point), (sample[None],))
        return nn.functional.cross_entropy(outputs, target[None])

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        each = vmap(hessian(loss), (None, 0, 0))(start, *data).detach().numpy()
    along = np.einsum("mi,nij,mj->mn", found.eigenvectors, each, found.eigenvectors)
    assert found.standard_errors == pytest.approx(along.std(1, ddof=1) / 40**0.5, rel=1e-4)


def test_the_surface_of_the_eigenvectors_has_the_eigenvalues(measured):
    model, data, _, found = measured
    objective = objective_of(model, data)
    for which, numbers in [("largest", [0, 1]), ("smallest", [7, 6]), ("extreme", [0, 7])]:
        plane = Subspace.eigenvectors(found, which)
        assert np.sqrt(np.diag(plane.gram_matrix)) == pytest.approx([1, 1])
        assert plane.recipe["eigenvalues"] == found.eigenvalues[numbers].tolist()
        with PlaneDerivatives(objective, plane) as loss:
            inside = loss.expansion((0.0, 0.0)).hessian
        expected = np.diag(found.eigenvalues[numbers])
        assert abs(inside - expected).max() <= 2 * found.residuals[numbers].max() + 1e-12


@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
def test_an_eigenvector_of_the_other_end_does_not_take_a_place(which):
    # of eigenvalues 6, ..., 5, -1 the second largest is not -1, though no other one was computed
    model = nn.Linear(100, 1, bias=False).double()
    weights = torch.linspace(5, 6, 100).double()
    weights[0] = -1

    def loss(model, batch):
        return batch[0].squeeze(1) * (weights * model.weight[0] ** 2).sum() / 2

    objective = Objective(model, loss, (torch.ones(2, 1).double(),))
    found = curvature(objective, top=1, density_probes=0)
    assert found.eigenvalues == pytest.approx([6, -1])
    with pytest.raises(LossLandscapeError, match="needs 2 eigenvectors, and 1 were computed"):
        Subspace.eigenvectors(found, which)
    assert Subspace.eigenvectors(found, "extreme").recipe["eigenvalues"] == pytest.approx([6, -1])
    found = curvature(objective, top=2, density_probes=0)
    plane = Subspace.eigenvectors(found, which)
    right = {"smallest": [-1, weights[1].item()]}.get(which, [6, weights[98].item()])
    assert plane.recipe["eigenvalues"] == pytest.approx(right)


def test_a_mixed_plane_has_the_gradient_and_an_eigenvector(measured):
    model, data, _, found = measured
    plane = Subspace.eigenvectors(found, ("gradient", 0))
    with PlaneDerivatives(objective_of(model, data), plane) as loss:
        slope = loss.expansion((0.0, 0.0)).gradient[0]
    assert slope == pytest.approx(found.gradient_norm, rel=1e-9)
    assert plane.direction_names[0] == "alpha: gradient"


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_gauss_newton_is_that_of_its_formula_and_never_negative(kind):
    model, data = network(kind)
    layout, start = flat(model)

    def outputs(point):
        return functional_call(model, layout.views(point), (data[0],))

    jacobian = jacrev(outputs)(start).detach()
    chances = outputs(start).softmax(1).detach()
    inner = torch.diag_embed(chances) - chances[:, :, None] * chances[:, None, :]
    matrix = torch.einsum("nai,nab,nbj->ij", jacobian, inner, jacobian).numpy() / len(data[0])
    found = curvature(
        objective_of(model, data), top=3, kind="gauss_newton", tolerance=1e-4, density_probes=0
    )
    values = np.linalg.eigvalsh(matrix)[::-1]
    expected = np.concatenate([values[:3], values[-3:]])
    assert (abs(found.eigenvalues - expected) <= found.residuals + 1e-4 * values[0]).all()
    assert abs(found.eigenvalues - expected)[:3].max() < 1e-6 * values[0]
    assert found.eigenvalues.min() >= -1e-9 * values[0]
    assert abs(found.trace - np.trace(matrix)) < 4 * found.trace_standard_error
    along = torch.einsum(
        "nai,nab,nbj,mi,mj->mn", jacobian, inner, jacobian, *[torch.tensor(found.eigenvectors)] * 2
    ).numpy()
    assert found.standard_errors == pytest.approx(
        along.std(1, ddof=1) / 40**0.5, rel=1e-4, abs=1e-9
    )


def test_gauss_newton_refuses_a_loss_that_is_not_one_of_the_outputs():
    model, data = network("mlp")

    def penalized(model, batch):
        losses = nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
        return losses + 1e-3 * model[0].weight.square().sum()

    def twice(model, batch):
        return (model(batch[0]) + model(-batch[0])).square().sum(1)

    for loss, words in [(penalized, "besides the outputs"), (twice, "calls Sequential 2 times")]:
        with pytest.raises(LossLandscapeError, match=words):
            curvature(Objective(model, loss, data), top=1, kind="gauss_newton")


def test_a_part_has_its_block_of_the_hessian():
    model, data = network("mlp")
    found = curvature(objective_of(model, data), top=3, parameters="2")
    matrix = dense(model, data)[60:, 60:]
    values = np.linalg.eigvalsh(matrix)[::-1]
    assert found.parameters == 39
    assert found.about["dense"]
    assert found.trace == pytest.approx(np.trace(matrix))
    assert found.trace_standard_error == 0
    assert found.frobenius_norm == pytest.approx(np.linalg.norm(matrix))
    assert found.eigenvalues == pytest.approx([*values[:3], *values[-3:]], abs=1e-12)
    assert found.eigenvectors.shape == (6, 99)
    assert not found.eigenvectors[:, :60].any()
    assert found.moment(2)[:2] == (pytest.approx((values**2).mean()), 0)


def test_the_same_seed_gives_the_same_bits_and_batches_do_not_matter():
    model, data = network("mlp")
    one, two, other = (
        curvature(objective_of(model, data), top=2, density_probes=1, seed=seed, batch_size=size)
        for seed, size in [(3, 40), (3, 40), (4, 7)]
    )
    for name in ("eigenvalues", "residuals", "standard_errors", "eigenvectors", "gradient"):
        assert (getattr(one, name) == getattr(two, name)).all()
    assert one.trace == two.trace
    assert (one.density().density == two.density().density).all()
    assert one.trace != other.trace
    assert one.eigenvalues == pytest.approx(other.eigenvalues, abs=1e-6)
    assert np.isnan(one.density().low).all()  # one probe has no band


def test_it_is_taken_at_a_point_of_a_plane():
    model, data = network("mlp")
    plane = Subspace.random(model, seed=1)
    found = curvature(
        objective_of(model, data), top=1, density_probes=0, tolerance=1e-9,
        subspace=plane, coordinates=(0.3, -0.2),
    )  # fmt: skip
    with torch.no_grad():
        for name, value in plane.parameters_at((0.3, -0.2)).items():
            model.get_parameter(name).copy_(value)
    values = np.linalg.eigvalsh(dense(model, data))
    assert found.eigenvalues == pytest.approx([values[-1], values[0]], abs=1e-9)


def test_what_has_not_converged_says_so_with_its_residual(monkeypatch):
    model, data = network("cnn")
    monkeypatch.setattr(pairs_module, "_RESTARTS", 1)
    monkeypatch.setattr(pairs_module, "_VECTORS", 11)
    found = curvature(objective_of(model, data), top=5, tolerance=1e-12, density_probes=0)
    assert not found.converged.all()
    values = np.linalg.eigvalsh(dense(model, data))
    nearest = abs(found.eigenvalues[:, None] - values).min(1)
    assert (nearest <= found.residuals + 1e-12).all()
    assert found.residuals[~found.converged].max() > 1e-6
    assert "have not converged" in " ".join(found.summary())


def test_a_flat_loss_has_eigenvalues_of_zero():
    model, data = network("mlp")
    found = curvature(
        Objective(model, lambda outputs, targets: 0 * outputs.sum(1), data), top=2, density_probes=2
    )
    assert not found.eigenvalues.any()
    assert found.trace == 0
    assert found.frobenius_norm == 0
    assert found.converged.all()


def test_a_layer_with_one_derivative_is_differenced_and_said():
    model, data = network("mlp")
    once = nn.Sequential(model[0], Once(), model[2])
    options = {"top": 2, "tolerance": 1e-5, "density_probes": 0}
    found = curvature(objective_of(once, data), **options)
    exact = curvature(objective_of(model, data), **options)
    assert found.eigenvalues == pytest.approx(exact.eigenvalues, abs=1e-5)
    assert found.standard_errors == pytest.approx(exact.standard_errors, rel=1e-2)
    assert "finite differences of gradients" in " ".join(found.summary())
    with pytest.raises(LossLandscapeError, match="differentiation takes twice"):
        curvature(objective_of(once, data), kind="gauss_newton", **options)


def test_what_is_refused():
    model, data = network("mlp")
    objective = objective_of(model, data)
    for arguments, words in [
        ({"top": 100}, "pass at most 99"),
        ({"parameters": "9"}, "near are"),
        ({"probes": 1}, "probes=1: must be"),
        ({"kind": "fisher"}, "is not one of"),
        ({"coordinates": (0.0, 0.0)}, "pass subspace as well"),
    ]:
        with pytest.raises(LossLandscapeError, match=words):
            curvature(objective, **arguments)
    found = curvature(objective, top=1, density_probes=0)
    with pytest.raises(LossLandscapeError, match="density was not measured"):
        found.density()
    with pytest.raises(LossLandscapeError, match="pass top=3 to curvature"):
        Subspace.eigenvectors(found, "largest", 3)
    with pytest.raises(LossLandscapeError, match=r"which\[0\]=9: must be"):
        Subspace.eigenvectors(found, (9,))
    with torch.no_grad():
        model[0].weight[0, 0] = 1e308
        model[2].weight[0, 0] = 1e308
    with pytest.raises(LossLandscapeError):
        curvature(objective, top=1)


def test_outliers_and_edges_of_a_matrix_with_a_known_spectrum():
    # Papyan 2020, figure 15, smaller: a Wishart bulk and spikes of 5, 4 and 3
    size, rows = 400, 800
    generator = np.random.default_rng(0)
    sample = generator.standard_normal((size, rows))
    spikes = np.linalg.qr(generator.standard_normal((size, 3)))[0]
    matrix = sample @ sample.T / rows / 10 + spikes @ np.diag([5.0, 4.0, 3.0]) @ spikes.T
    found = pairs_module.extreme_eigenpairs(lambda v: matrix @ v, size, 4, 1e-8, 0, 2e-16)
    values = np.linalg.eigvalsh(matrix)[::-1]
    assert found.values == pytest.approx([*values[:4], *values[-4:]], abs=1e-7)
    assert found.values[2] > 2.9
    assert found.values[3] < 0.1 * (1 + np.sqrt(size / rows)) ** 2 * 1.1


def test_a_hessian_that_is_exactly_zero_is_explained():
    torch.manual_seed(0)
    model, data = nn.Linear(2, 1), (torch.randn(9, 2), torch.randn(9, 1))
    for loss, flat in [(nn.L1Loss(), True), (nn.MSELoss(), False)]:
        objective = Objective(model, loss, data)
        words = "\n".join(curvature(objective, top=1).summary())
        assert ("exactly 0: the loss is linear" in words) == flat
        words = str(sharpness_by_part(objective, probes=2))
        assert ("Hessian of weight, bias is exactly 0: the loss is linear" in words) == flat
