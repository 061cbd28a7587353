"""Verification against known critical points, and derivatives against finite differences."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.optimize import fsolve
from torch import nn

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.analysis.critical_points import find_critical_points
from losslandscape.analysis.verification import (
    OUTCOMES,
    verify,
)
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.study.networks import build_network

BOUNDARY, NON_SMOOTH = OUTCOMES.index("boundary"), OUTCOMES.index("non-smooth")


class Point(nn.Module):
    """A function of two parameters; the data only say how often to count it."""

    def __init__(self, function, dimensions=2, dtype=torch.float64):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(dimensions, dtype=dtype))
        self.function = function

    def forward(self, inputs):
        return self.function(self.position).expand(len(inputs))


def value(model, batch):
    return model(batch[0])


def problem(function, dimensions=2, dtype=torch.float64):
    model = Point(function, dimensions, dtype)
    axes = torch.eye(dimensions, dtype=dtype)
    subspace = Subspace(dict(model.named_parameters()), [{"position": axis} for axis in axes])
    return Objective(model, value, (torch.zeros(2, 1, dtype=dtype),)), subspace


def verified(function, grid, dtype=torch.float64, **options):
    objective, subspace = problem(function, grid.dimensions, dtype)
    landscape = evaluate(objective, subspace, grid, quiet=True)
    found = find_critical_points(landscape, persistence=0.0, scale="linear")
    return verify(landscape, found, objective, subspace, **options)


def himmelblau(p):
    return (p[0] ** 2 + p[1] - 11) ** 2 + (p[0] + p[1] ** 2 - 7) ** 2


def himmelblau_gradient(p):
    x, y = p
    return (
        4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7),
        2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7),
    )


def rastrigin(p):
    return 20 + (p**2 - 10 * torch.cos(2 * torch.pi * p)).sum()


@pytest.fixture(scope="module")
def himmelblau_verified():
    return verified(himmelblau, Grid.square(51, 5.0))


def test_himmelblaus_interior_critical_points_are_all_found_and_of_the_right_kind(
    himmelblau_verified,
):
    roots = np.array([
        fsolve(himmelblau_gradient, start, xtol=1e-12)
        for start in [
            (3, 2), (-2.8, 3.1), (-3.8, -3.3), (3.6, -1.8), (-0.3, -0.9),
            (0.1, 2.9), (3.4, 0.1), (-3.1, -0.1), (-0.1, -2.0),
        ]
    ])  # fmt: skip
    kinds = [0, 0, 0, 0, 2, 1, 1, 1, 1]
    a = himmelblau_verified.arrays
    inside = a["IsOnBoundary"] == 0
    assert inside.sum() == 9
    assert (a["verification"][inside] == 0).all()
    np.testing.assert_array_equal(a["verified_kind"][inside], a["CellDimension"][inside])
    for root, kind in zip(roots, kinds):
        distance = np.linalg.norm(a["refined_position"][:, :2] - root, axis=1)
        nearest = distance.argmin()
        assert distance[nearest] < 1e-6
        assert a["verified_kind"][nearest] == kind
    assert a["in_plane_gradient_norm"][inside].max() < 1e-6
    np.testing.assert_allclose(
        a["full_gradient_norm"], a["in_plane_gradient_norm"], atol=1e-12
    )  # two parameters: the plane is the whole space


def test_boundary_points_are_named_so_with_the_outward_derivative():
    # the window cuts off the two minima to the right
    result = verified(himmelblau, Grid.rectangle((38, 51), ((-5, 2.4), (-5, 5))))
    a = result.arrays
    edge = a["IsOnBoundary"] == 1
    assert edge.sum() > 0
    assert (a["verification"][edge] == BOUNDARY).all()
    np.testing.assert_array_equal(a["refined_position"][edge], a["points"][edge])
    for i in np.flatnonzero(edge):
        x, y = position = a["points"][i, :2].tolist()
        outward = np.array([(x > 2.3) - (x < -4.9), (y > 4.9) - (y < -4.9)])
        expected = np.dot(himmelblau_gradient(position), outward / np.linalg.norm(outward))
        assert a["outward_derivative"][i] == pytest.approx(expected, rel=1e-5)
    minimum = edge & (a["CellDimension"] == 0)
    assert minimum.any()
    assert (a["outward_derivative"][minimum] < 0).all()  # the loss goes on falling outside
    assert result.confusion["minimum"]["minimum"] == 2
    assert sum(row["boundary"] for row in result.confusion.values()) == edge.sum()


def test_rastrigins_critical_points():
    result = verified(rastrigin, Grid.square(45, 1.3))
    a = result.arrays
    inside = a["IsOnBoundary"] == 0
    assert (a["verification"][inside] == 0).all()
    np.testing.assert_array_equal(a["verified_kind"][inside], a["CellDimension"][inside])
    assert (a["verification"][~inside] == BOUNDARY).all()
    # each coordinate by itself is critical: minima near whole, maxima near half numbers
    single = np.array([
        fsolve(lambda x: 2 * x + 20 * np.pi * np.sin(2 * np.pi * x), s, xtol=1e-12)[0]
        for s in np.arange(-1.0, 1.1, 0.5)
    ])  # fmt: skip
    distance = abs(a["refined_position"][inside][:, :2, None] - single).min(-1)
    assert distance.max() < 1e-6
    assert result.distinct == {"minimum": 9, "saddle": 12, "maximum": 4, "degenerate": 0}


def test_float32_finds_the_same_kinds():
    result = verified(himmelblau, Grid.square(31, 5.0), torch.float32)
    assert result.about["precision"] == "float32"
    inside = result.arrays["IsOnBoundary"] == 0
    assert (result.arrays["verification"][inside] == 0).all()
    wide = verified(himmelblau, Grid.square(31, 5.0), torch.float32, precision="float64")
    difference = result.arrays["refined_position"] - wide.arrays["refined_position"]
    assert abs(difference[inside]).max() < 1e-3
    off = np.linalg.norm(difference[inside], axis=1) / (10 / 30)
    assert (off <= 3 * result.arrays["position_rounding"][inside] + 1e-6).all()
    assert (result.arrays["position_rounding"][inside] < 2e-3).all()
    assert (wide.arrays["position_rounding"][inside] < 1e-8).all()


def test_a_cusp_is_non_smooth_wherever_the_grid_meets_it():
    for shift in (0.0, 0.013):
        result = verified(
            lambda p, s=shift: abs(p[0] - s) + abs(p[1] + 2 * s) + p[0] ** 2, Grid.square(11)
        )
        interior = result.arrays["IsOnBoundary"] == 0
        minimum = np.flatnonzero(interior & (result.arrays["CellDimension"] == 0))
        assert (result.arrays["verification"][minimum] == NON_SMOOTH).all()
        where = result.arrays["refined_position"][minimum[0], :2]
        np.testing.assert_allclose(where, (shift, -2 * shift), atol=0.02)


def test_among_the_pieces_of_a_piecewise_linear_gradient_the_point_is_still_verified():
    # a parabola with a small kink beside its minimum: Newton's steps go to and fro across it
    def kinked(p):
        return p[0] ** 2 + p[1] ** 2 + 2e-3 * abs(p[0] - 4e-4) + 1e-3 * p[0]

    result = verified(kinked, Grid.square(12))
    minimum = np.flatnonzero(result.arrays["CellDimension"] == 0)
    assert (result.arrays["verification"][minimum] == 0).all()
    assert (result.arrays["verified_kind"][minimum] == 0).all()
    assert (result.arrays["relative_gradient"][minimum] <= 0.01).all()
    assert abs(result.arrays["refined_position"][minimum]).max() < 0.05 * 2 / 11


def test_a_sharp_but_smooth_bend_is_not_a_cusp():
    result = verified(lambda p: (p[0] ** 2 + 1e-5).sqrt() + p[1] ** 2, Grid.square(11))
    minimum = np.flatnonzero(
        (result.arrays["IsOnBoundary"] == 0) & (result.arrays["CellDimension"] == 0)
    )
    assert (result.arrays["verification"][minimum] == 0).all()


def test_an_artefact_of_the_grid_moves_or_does_not_converge():
    # a narrow diagonal valley: the coarse grid sees a chain of minima, the loss has one
    def valley(p):
        return 100 * (p[0] - 0.9 * p[1]) ** 2 + 0.1 * (p[0] + p[1]) ** 2

    result = verified(valley, Grid.square(12))
    minima = (result.arrays["CellDimension"] == 0) & (result.arrays["IsOnBoundary"] == 0)
    assert minima.sum() > 1
    assert result.distinct["minimum"] == 1
    assert result.counts["moved"] > 0


def test_one_dimension():
    result = verified(lambda p: (p[0] ** 2 - 1) ** 2 + 0.1 * p[0], Grid.line(41, 1.5))
    inside = result.arrays["IsOnBoundary"] == 0
    assert result.distinct == {"minimum": 2, "maximum": 1, "degenerate": 0}
    assert (result.arrays["verification"][inside] == 0).all()


class Norms(nn.Module):
    """Two batch-norm layers, one of them used twice, one on vectors without weights."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.plain = nn.BatchNorm1d(4, affine=False)
        self.head = nn.Linear(4, 3)

    def forward(self, images):
        hidden = torch.tanh(self.norm(self.first(images)))
        hidden = torch.tanh(self.norm(self.second(hidden)))
        return self.head(self.plain(hidden.mean((2, 3))))


@pytest.mark.parametrize("batch_norm", ["fixed", "reestimated"])
def test_derivatives_are_those_of_the_evaluated_loss(batch_norm):
    torch.manual_seed(0)
    model = Norms().double()
    data = torch.randn(24, 2, 6, 6).double(), torch.randint(0, 3, (24,))
    objective = Objective(
        model, "cross_entropy", data, batch_norm=batch_norm, batch_size=8, reestimation_samples=16
    )
    plane = Subspace.random(model, seed=1, zero_vectors=False)
    at, step = np.array([0.3, -0.4]), 1e-4
    shifts = np.eye(2) * step
    with Evaluator(objective, plane) as evaluator:

        def loss(coordinates):
            return evaluator.measure(coordinates)["train"]["loss"].mean()

        measured = loss(at)
        slope = [(loss(at + s) - loss(at - s)) / (2 * step) for s in shifts]
        curvature = [
            [
                (loss(at + s + r) - loss(at + s - r) - loss(at - s + r) + loss(at - s - r))
                / (4 * step**2)
                for r in shifts
            ]
            for s in shifts
        ]
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with PlaneDerivatives(objective, plane) as derivatives:
        found = derivatives.expansion(at)
        gradient = derivatives.gradient(at)
        norm = derivatives.full_gradient_norm(at)
    assert found.value == pytest.approx(measured, rel=1e-12)
    np.testing.assert_allclose(found.gradient, slope, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(gradient, found.gradient, rtol=1e-9)
    np.testing.assert_allclose(found.hessian, curvature, rtol=1e-4, atol=1e-6)
    assert norm >= np.linalg.norm(gradient) / np.sqrt(np.linalg.eigvalsh(plane.gram_matrix).max())
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert "forward" not in model.norm.__dict__


@pytest.mark.parametrize("batch_norm", ["fixed", "reestimated"])
def test_gradients_of_samples_are_those_of_their_losses(batch_norm):
    torch.manual_seed(0)
    model = Norms().double()
    data = torch.randn(24, 2, 6, 6).double(), torch.randint(0, 3, (24,))
    objective = Objective(
        model, "cross_entropy", data, batch_norm=batch_norm, batch_size=8, reestimation_samples=16
    )
    plane = Subspace.random(model, seed=1, zero_vectors=False)
    at, step = np.array([0.3, -0.4]), 1e-4
    with Evaluator(objective, plane) as evaluator:
        sides = [
            [evaluator.measure(at + sign * shift)["train"]["loss"] for sign in (1, -1)]
            for shift in np.eye(2) * step
        ]
    expected = np.stack([(one - other) / (2 * step) for one, other in sides], axis=1)
    with PlaneDerivatives(objective, plane) as derivatives:
        found = derivatives.sample_gradients(at)
        mean = derivatives.gradient(at)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.mean(axis=0), mean, rtol=1e-9)


class Center(nn.Module):
    """Its loss, half the squared distance from each sample, is least at their mean."""

    def __init__(self):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, inputs):
        return ((self.position - inputs) ** 2).sum(1) / 2


def verified_center(samples):
    """The verification of the minimum of a :class:`Center`, and its landscape."""
    model = Center()
    plane = Subspace(
        dict(model.named_parameters()),
        [{"position": axis} for axis in torch.eye(2, dtype=torch.float64)],
    )
    objective = Objective(model, value, (samples,))
    landscape = evaluate(objective, plane, Grid.square(11), quiet=True)
    found = find_critical_points(landscape, persistence=0.0, scale="linear")
    result = verify(landscape, found, objective, plane)
    return result, landscape


def test_the_position_is_as_uncertain_as_the_mean_of_the_samples():
    generator = torch.Generator().manual_seed(0)
    samples = 0.3 * torch.randn(500, 2, generator=generator, dtype=torch.float64)
    result, landscape = verified_center(samples)
    minimum = np.flatnonzero(result.arrays["CellDimension"] == 0)
    assert len(minimum) == 1
    np.testing.assert_allclose(
        result.arrays["refined_position"][minimum[0], :2], samples.mean(0), atol=1e-9
    )
    # 95% of a plane's normal distribution lie within 2.45 standard deviations
    expected = 2.448 * 0.3 / np.sqrt(500) / landscape.grid.spacing[0]
    assert result.arrays["position_sampling"][minimum[0]] == pytest.approx(expected, rel=0.1)
    assert result.arrays["position_rounding"][minimum[0]] < 1e-9
    assert "these samples only" not in " ".join(result.summary())


def test_points_that_the_samples_do_not_locate_are_said_to_be_of_these_samples_only():
    generator = torch.Generator().manual_seed(0)
    samples = 3 * torch.randn(12, 2, generator=generator, dtype=torch.float64)
    samples -= samples.mean(0)
    result, _ = verified_center(samples)
    (radius,) = result.arrays["position_sampling"][result.arrays["verification"] == 0]
    assert radius > 1
    (said,) = (line for line in result.summary() if "these samples only" in line)
    assert said.startswith("1 point is verified for these samples only: other samples")
    assert f"move it by up to {2**0.5 * radius:.3g} grid spacings" in said
    assert f"position_sampling is {radius:.3g}, more than one spacing" in said


def test_the_summary_says_whether_it_is_a_critical_point_of_the_network(himmelblau_verified):
    norms = himmelblau_verified.arrays["full_gradient_norm"]
    converged = np.isin(himmelblau_verified.arrays["verification"], (0, 1))
    (said,) = (line for line in himmelblau_verified.summary() if "of the network" in line)
    assert "unless the full gradient norm is 0 too" in said
    assert f"{norms[converged].min():.3g} to {norms[converged].max():.3g}" in said


def test_the_repr_is_short(himmelblau_verified):
    lines = repr(himmelblau_verified).splitlines()
    assert lines[0].startswith("<Verification: 9 verified, 0 moved, ")
    assert len(lines) == 8  # title, header, five rows, how many more
    assert "more: .table()>" in lines[-1]
    assert max(map(len, lines)) < 120


def test_the_full_gradient_norm_is_autograds(cnn, images):
    plane = Subspace.random(cnn)
    with PlaneDerivatives(Objective(cnn, "cross_entropy", images, batch_size=16), plane) as loss:
        found = loss.full_gradient_norm((0.0, 0.0))
    cnn.eval()
    nn.functional.cross_entropy(cnn(images[0]), images[1]).backward()
    expected = sum(p.grad.square().sum() for p in cnn.parameters()) ** 0.5
    assert found == pytest.approx(float(expected.detach()), rel=1e-4)


class Tied(nn.Module):
    """One matrix under two names, and once more over the same memory."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.third = nn.Parameter(self.first.weight.data)

    def forward(self, inputs):
        return self.second(torch.tanh(self.first(inputs))) @ self.third


@pytest.mark.parametrize("precision", [None, "float64"])
def test_tied_parameters_move_together(precision):
    torch.manual_seed(0)
    model, data = Tied(), (torch.randn(8, 3), torch.randn(8, 3))
    objective = Objective(model, "mse", data)
    line = Subspace.random(model, dimensions=1)
    with Evaluator(objective, line) as evaluator:

        def loss(coordinate):
            return evaluator.measure((coordinate,))["train"]["loss"].mean(dtype=float)

        slope = (loss(0.31) - loss(0.29)) / 0.02
        value = loss(0.3)
    with PlaneDerivatives(objective, line, precision) as derivatives:
        found = derivatives.expansion((0.3,))
    assert found.value == pytest.approx(value, rel=1e-5)
    assert found.gradient[0] == pytest.approx(slope, rel=2e-3)


def test_a_loss_that_is_detached_is_refused():
    objective, subspace = problem(lambda p: himmelblau(p.detach()))
    with (
        PlaneDerivatives(objective, subspace) as loss,
        pytest.raises(LossLandscapeError, match="cannot be differentiated"),
    ):
        loss.gradient((0.0, 0.0))


def test_another_subspace_is_refused():
    objective, subspace = problem(himmelblau)
    landscape = evaluate(objective, subspace, Grid.square(9, 5.0), quiet=True)
    found = find_critical_points(landscape, persistence=0.0)
    other = Subspace(
        {"position": torch.ones(2, dtype=torch.float64)},
        [{"position": axis} for axis in torch.eye(2, dtype=torch.float64)],
    )
    with pytest.raises(LossLandscapeError, match="not the landscape's"):
        verify(landscape, found, objective, other)


def test_the_verb_prints_the_confusion_matrix_and_saves_everything(tmp_path, capsys):
    file, weights = tmp_path / "mlp.nc", tmp_path / "mlp.safetensors"
    torch.manual_seed(0)
    save_file(build_network("mlp", (1, 8, 8), 10).state_dict(), weights)
    surface = [
        "surface", "--model", "mlp", "--weights", str(weights), "--data", "digits8",
        "--samples", "40", "--grid", "7", "--output", str(file), "--quiet",
    ]  # fmt: skip
    assert main(surface) == 0
    assert main(["verify", str(file), "--precision", "float64", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "critical points of the grid are verified" in printed
    assert "on the grid \\ of the loss" in printed
    assert "rounding [spacings]  sampling [spacings]" in printed
    folder = tmp_path / "mlp_verification"
    report = json.loads((folder / "verification.json").read_text())
    assert report["precision"] == "float64"
    assert report["stopping_rule"]["trust_radius"] == 2.0
    assert (folder / "verified_points.vtp").exists()
    assert main(["verify", str(file), "--quiet"]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_other_samples_than_the_surfaces_are_refused():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    data = torch.randn(8, 2), torch.randint(0, 2, (8,))
    plane = Subspace.random(model)
    landscape = evaluate(Objective(model, "cross_entropy", data), plane, Grid.square(5), quiet=True)
    other = Objective(model, "cross_entropy", (data[0] + 1, data[1]))
    points = find_critical_points(landscape, method="none")
    with pytest.raises(LossLandscapeError, match="its sets of samples differ"):
        verify(landscape, points, other, plane)


@pytest.mark.parametrize(
    "function",
    [
        lambda p: torch.relu((p**2).sum() - 0.25),  # flat in a disc
        lambda p: (p**4).sum(),
    ],
)
def test_where_all_around_is_flat_the_point_is_degenerate(function):
    result = verified(function, Grid.square(21))
    found = result.arrays["verification"] == 0
    assert found.any()
    assert (result.arrays["verified_kind"][found] == 3).all()
    assert np.abs(result.arrays["eigenvalue_max"][found]).max(initial=0.0) < 1e-6


def test_a_moved_kink_is_no_maximum():
    # a convex function with one kink: it has no maximum and no saddle
    def creased_valley(p):
        return 100 * (p[0] - 0.9 * p[1]) ** 2 + (0.9 * p[0] + p[1] - 0.21).abs()

    result = verified(creased_valley, Grid.square(12))
    assert result.counts["moved"] > 0
    assert result.distinct["maximum"] == result.distinct["saddle"] == 0
    assert "maxim" not in result.summary()[1]
