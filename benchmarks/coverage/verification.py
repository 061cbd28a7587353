"""Verified critical points: never a kink, the right place, the right kind, the stated errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.optimize import fsolve
from torch import Tensor, nn

import losslandscape as ll
from benchmarks.coverage.claim import Claim, Family, Outcome
from losslandscape.analysis.critical_point_search import (
    DEGENERATE,
    CriticalPointSearch,
    ScaledLoss,
    StoppingRule,
)
from losslandscape.analysis.stationarity import sampling_radius
from losslandscape.point.plane_derivatives import Expansion, PlaneDerivatives

SECTION = "Verified critical points"
KIND_NAMES = {0: "minimum", 1: "saddle", 2: "maximum", DEGENERATE: "degenerate"}
Function = Callable[..., Tensor]


class Analytic(ScaledLoss):
    """A function of coordinates, shape (dimensions,), as a loss in units of grid spacings."""

    relative_rounding = 1e-8

    def __init__(self, function: Callable[[Tensor], Tensor], spacing: np.ndarray):
        self.function, self.spacing = function, spacing

    def _at(self, position: np.ndarray, twice: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        leaf = torch.tensor(position * self.spacing, requires_grad=True)
        value = self.function(leaf)
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=twice)
        return leaf, value, gradient

    def value_and_gradient(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        _, value, gradient = self._at(position)
        return value.item(), gradient.numpy() * self.spacing

    def expansion(self, position: np.ndarray) -> Expansion:
        leaf, value, gradient = self._at(position, twice=True)
        hessian = torch.zeros(len(leaf), len(leaf), dtype=leaf.dtype)
        for row, entry in zip(hessian, gradient):
            if entry.requires_grad:
                (found,) = torch.autograd.grad(entry, leaf, retain_graph=True, allow_unused=True)
                if found is not None:
                    row[:] = found
        scale = np.outer(self.spacing, self.spacing)
        slope = gradient.detach().numpy() * self.spacing
        return Expansion(value.item(), slope, hessian.numpy() * scale)


def _norm(*coordinates: Tensor) -> Tensor:
    return torch.sqrt(sum(x**2 for x in coordinates))


# name -> function of weights and coordinates, kind on the grid, whether 0 is in the hull
KINKS: dict[str, tuple[Function, int, bool]] = {
    "crease": (lambda w, x, y: w[0] * abs(x) + w[1] * y**2, 0, True),
    "crease with unequal sides": (
        lambda w, x, y: w[0] * torch.relu(x) + w[2] * torch.relu(-x) + w[1] * y**2, 0, True,
    ),
    "ridge": (lambda w, x, y: -w[0] * abs(x) - w[1] * y**2, 2, True),
    "diamond": (lambda w, x, y: w[0] * abs(x) + w[1] * abs(y), 0, True),
    "cone": (lambda w, x, y: w[0] * _norm(x, y), 0, True),
    "elliptic cone": (lambda w, x, y: _norm(w[0] * x, w[1] * y), 0, True),
    "cusp": (lambda w, x, y: torch.sqrt(_norm(x, y)), 0, True),
    "creased saddle": (lambda w, x, y: w[0] * abs(x) - w[1] * y**2, 1, True),
    "folded saddle": (lambda w, x, y: -w[0] * abs(x) + w[1] * abs(y), 1, True),
    "weak crease on a bowl": (
        lambda w, x, y: 0.1 * w[0] * abs(x) + w[1] * y**2 + w[2] * x**2 + 0.05 * w[0] * x, 0, True,
    ),
    "crease along which the loss falls": (lambda w, x, y: w[0] * abs(x) + w[1] * y, 0, False),
    "three planes": (
        lambda w, x, y: torch.stack([w[0] * x, w[1] * y - x, -x - w[2] * y]).amax(), 0, True,
    ),
    "|x| on a line": (lambda w, x: w[0] * abs(x) + 0.3 * w[1] * x, 0, True),
    "cone in a volume": (lambda w, x, y, z: w[0] * _norm(x, y, z), 0, True),
    "crease in a volume": (lambda w, x, y, z: w[0] * abs(x) + w[1] * y**2 + w[2] * z**2, 0, True),
}  # fmt: skip
# name -> function of weights and coordinates, kind on the grid, true kind
SMOOTH: dict[str, tuple[Function, int, int]] = {
    "bowl": (lambda w, x, y: w[0] * x**2 + w[1] * y**2 + 0.3 * x**3, 0, 0),
    "saddle": (lambda w, x, y: w[0] * x**2 - w[1] * y**2 + 0.3 * x**3, 1, 1),
    "top": (lambda w, x, y: -w[0] * x**2 - w[1] * y**2 + 0.3 * x**3, 2, 2),
    "sharp but smooth bowl": (lambda w, x, y: w[0] * torch.sqrt(1e-6 + x**2 + y**2), 0, 0),
    "sharp but smooth valley": (lambda w, x, y: w[0] * torch.sqrt(1e-5 + x**2) + w[1] * y**2, 0, 0),
    "quartic": (lambda w, x, y: w[0] * x**4 + w[1] * y**4, 0, DEGENERATE),
    "quartic along one axis": (lambda w, x, y: w[0] * x**2 + w[1] * y**4, 0, DEGENERATE),
    "monkey saddle": (lambda w, x, y: w[0] * (x**3 - 3 * x * y**2), 1, DEGENERATE),
    "bowl on a line": (lambda w, x: w[0] * x**2 + 0.3 * x**3, 0, 0),
    "bowl in a volume": (
        lambda w, x, y, z: w[0] * x**2 + w[1] * y**2 + w[2] * z**2 + 0.3 * x**3, 0, 0,
    ),
}  # fmt: skip


def _dimensions(name: str) -> int:
    return 1 if "on a line" in name else 3 if "volume" in name else 2


def _searched(name: str, function: Function, kind: int, seed: int):
    """What the search finds from the nearest grid point or one beside it, and the true place."""
    random, dimensions = np.random.default_rng(seed), _dimensions(name)
    weights, center = random.uniform(0.2, 3.0, 3), random.uniform(-0.15, 0.15, dimensions)
    turn = torch.tensor(np.linalg.qr(random.normal(size=(dimensions, dimensions)))[0])
    spacing = random.uniform(0.08, 0.25, dimensions)
    if random.random() < 0.2:
        turn = torch.eye(dimensions, dtype=turn.dtype)  # along the grid's axes
    beside = random.integers(-1, 2, dimensions) * (random.random(dimensions) < 0.3)
    start = np.round(center / spacing) + beside
    loss = Analytic(lambda x: function(weights, *(turn @ (x - torch.tensor(center)))), spacing)
    found = CriticalPointSearch(loss, start - 8, start + 8, StoppingRule()).near(start, kind)
    return found, center / spacing


def kink(name: str, seed: int) -> Outcome:
    """Whether a kink is called something smooth."""
    function, kind, _ = KINKS[name]
    found, _ = _searched(name, function, kind, seed)
    wrong = found is not None and found.curvature is not None
    return Outcome(not wrong, note=f"called a {KIND_NAMES.get(found.kind)}" if wrong else "")


def non_smooth_place(name: str, seed: int) -> Outcome:
    """Where a point called non-smooth is, and whether there is such a point."""
    function, kind, stationary = KINKS[name]
    found, truth = _searched(name, function, kind, seed)
    if found is None or found.curvature is not None:
        return Outcome(None if stationary else True)
    off = float(np.linalg.norm(found.position - truth))
    right = stationary and off <= 0.05
    return Outcome(right, off, "" if right else f"{off:.2g} spacings from the kink")


def smooth(name: str, seed: int) -> Outcome:
    """Whether a smooth critical point is found where it is, as what it is."""
    function, kind, true_kind = SMOOTH[name]
    found, truth = _searched(name, function, kind, seed)
    if found is None:
        return Outcome(False, note="not converged")
    off = float(np.linalg.norm(found.position - truth))
    right = found.kind == true_kind and off <= 1e-4
    what = KIND_NAMES.get(found.kind, "non-smooth")
    return Outcome(right, off, "" if right else f"{what}, {off:.2g} spacings off")


def cycle(seed: int) -> Outcome:
    """From 0, Newton's method on x^4/4 - x^2 + 2x goes to 1 and back; here scaled, and beside 0."""
    random = np.random.default_rng(seed)
    scale, height = random.uniform(0.2, 3.0), random.choice([-1.0, 1.0]) * random.uniform(0.1, 9.0)

    def function(x: Tensor) -> Tensor:
        t = x / scale
        return height * (t**4 / 4 - t**2 + 2 * t).sum()

    loss = Analytic(function, np.array([scale]))
    start = np.array([random.choice([0.0, 1.0, random.uniform(-0.3, 1.3)])])
    search = CriticalPointSearch(loss, start - 9, start + 9, StoppingRule())
    found = search.near(start, int(random.integers(0, 2)))
    if found is None:
        return Outcome(True)
    off = abs(float(found.position[0]) + 1.769292354238631)
    right = off < 1e-6 and found.kind == int(height < 0)
    return Outcome(right, off, "" if right else f"at {found.position[0]:.4g}, not at -1.769")


class Surface(nn.Module):
    """A function of two parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(self.position).expand(len(inputs))


def _value(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
    return model(batch[0])


def _himmelblau(p: Tensor) -> Tensor:
    return (p[0] ** 2 + p[1] - 11) ** 2 + (p[0] + p[1] ** 2 - 7) ** 2


def _rastrigin(p: Tensor) -> Tensor:
    return 20 + (p**2 - 10 * torch.cos(2 * torch.pi * p)).sum()


def _egg_crate(p: Tensor) -> Tensor:
    return (p**2 + 25 * torch.sin(p) ** 2).sum()


def _valley(p: Tensor) -> Tensor:
    return 30 * (p[0] - 0.3 * p[1]) ** 2 + 0.3 * (p[0] + p[1]) ** 2 + 0.2 * p[0] ** 3


SURFACES: dict[str, tuple[Callable[[Tensor], Tensor], float, int]] = {  # half width, grid points
    "Himmelblau": (_himmelblau, 5.0, 25),
    "Rastrigin": (_rastrigin, 1.3, 25),
    "egg crate": (_egg_crate, 4.0, 25),
    "valley": (_valley, 1.0, 21),
}


def _true_points(function: Callable[[Tensor], Tensor], half: float) -> tuple[np.ndarray, list[int]]:
    """Zeros of the gradient by SciPy from a dense lattice of starts, and their kinds."""

    def gradient(p: np.ndarray) -> np.ndarray:
        leaf = torch.tensor(p, requires_grad=True)
        return torch.autograd.grad(function(leaf), leaf)[0].numpy()

    roots: list[np.ndarray] = []
    axis = np.linspace(-1.5 * half, 1.5 * half, 15)
    for start in np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2):
        root, info, *_ = fsolve(gradient, start, xtol=1e-14, full_output=True)
        if np.linalg.norm(info["fvec"]) < 1e-9 and not any(
            np.linalg.norm(root - other) < 1e-5 for other in roots
        ):
            roots.append(root)
    hessian = [torch.autograd.functional.hessian(function, torch.tensor(r)) for r in roots]
    return np.array(roots), [int((torch.linalg.eigvalsh(h) < 0).sum()) for h in hessian]


_TRUE_POINTS: dict[str, tuple[np.ndarray, list[int]]] = {}


def oblique(name: str, seed: int) -> Outcome:
    """All verified points of a known surface on a plane with oblique axes: place and kind."""
    function, half, points = SURFACES[name]
    if name not in _TRUE_POINTS:
        _TRUE_POINTS[name] = _true_points(function, half)
    roots, kinds = _TRUE_POINTS[name]
    random = np.random.default_rng(seed)
    angle = random.uniform(0, 2 * np.pi)
    apart = random.uniform(0.35, 1.0) * np.pi / 2
    axes = half * np.array(
        [[np.cos(a), np.sin(a)] for a in (angle, angle + apart)]
    )  # rows: directions
    origin = random.uniform(-0.1, 0.1, 2) * half
    model = Surface(function)
    plane = ll.Subspace(
        {"position": torch.tensor(origin)}, [{"position": torch.tensor(axis)} for axis in axes]
    )
    objective = ll.Objective(model, _value, (torch.zeros(2, 1, dtype=torch.float64),))
    grid = ll.Grid.square(points)
    landscape = ll.evaluate(objective, plane, grid, quiet=True)
    critical = ll.find_critical_points(landscape, scale="linear", persistence=0.0)
    arrays = ll.verify(landscape, critical, objective, plane).arrays
    truth = (roots - origin) @ np.linalg.inv(axes) / grid.spacing[0]
    verified = np.flatnonzero(arrays["verification"] == 0)
    worst = 0.0
    for i in verified:
        off = np.linalg.norm(arrays["refined_position"][i, :2] / grid.spacing[0] - truth, axis=1)
        nearest = int(off.argmin())
        worst = max(worst, float(off[nearest]))
        if arrays["verified_kind"][i] != kinds[nearest]:
            return Outcome(False, worst, f"kind {arrays['verified_kind'][i]}, not {kinds[nearest]}")
    if not len(verified):
        return Outcome(None)
    return Outcome(worst <= 1e-9, worst, "" if worst <= 1e-9 else f"{worst:.2g} spacings off")


def _kind_around(rise: np.ndarray) -> int | None:
    """The kind of a point by the change of the loss along a circle around it."""
    if rise.min() > 0:
        return 0
    if rise.max() < 0:
        return 2
    return 1 if (np.sign(rise) != np.sign(np.roll(rise, 1))).sum() >= 4 else None


def relu_network(seed: int) -> Outcome:
    """Whether the loss around verified points of a small ReLU network is what their kind says."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 1))
    model.double()
    data = torch.randn(12, 2, dtype=torch.float64), torch.randn(12, 1, dtype=torch.float64)
    objective = ll.Objective(model, "mse", data)
    plane = ll.Subspace.random(model, seed=seed)
    grid = ll.Grid.square(13, 1.5)
    landscape = ll.evaluate(objective, plane, grid, quiet=True)
    critical = ll.find_critical_points(landscape, scale="linear", persistence=0.0)
    arrays = ll.verify(landscape, critical, objective, plane).arrays
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = grid.spacing[0] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    judged = False
    for i in np.flatnonzero((arrays["verification"] == 0) & (arrays["verified_kind"] <= 2)):
        place, kind = arrays["refined_position"][i, :2], int(arrays["verified_kind"][i])
        with PlaneDerivatives(objective, plane) as loss:
            here = loss.value_and_gradient(place)[0]
            agrees = False
            for radius in (1.0, 0.3, 0.03, 0.003):
                around = [loss.value_and_gradient(place + radius * c)[0] for c in circle]
                agrees = agrees or _kind_around(np.array(around) - here) == kind
        judged = True
        if not agrees:
            return Outcome(False, note=f"no {KIND_NAMES[kind]} by the losses around it")
    return Outcome(True if judged else None)


def _normal_pulls(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(count), random.normal(size=(count, 2))


def _varying_curvature(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    return random.gamma(2.0, 0.5, count), random.normal(size=(count, 2))


def _few_large(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """5% of the samples pull thirty times as strongly, as wrong samples of a trained network do."""
    wrong = random.random(count) < 0.05
    return np.ones(count), random.normal(size=(count, 2)) * np.where(wrong, 30.0, 1.0)[:, None]


PULLS = {
    "normal gradients, n = 50": (_normal_pulls, 50),
    "normal gradients, n = 400": (_normal_pulls, 400),
    "varying curvature, n = 200": (_varying_curvature, 200),
    "5% of the samples pull 30 times, n = 200": (_few_large, 200),
}


def _critical_point(curvature: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Of the mean of a_i / 2 (x - c_i)' M (x - c_i): the mean of the c_i, weighted by a_i."""
    return (curvature[:, None] * pull).sum(axis=0) / curvature.sum()


def position(name: str, seed: int, redrawn: bool = False) -> Outcome:
    """Whether the true critical point, 0, is within the stated radius of the one of n samples."""
    draw, count = PULLS[name]
    random = np.random.default_rng(seed)
    root = random.normal(size=(2, 2))
    shape = root @ root.T + 0.1 * np.eye(2)
    curvature, pull = draw(random, count)
    found = _critical_point(curvature, pull)
    gradients = curvature[:, None] * ((found - pull) @ shape)
    radius = sampling_radius(curvature.mean() * shape, gradients)
    if redrawn:
        off = float(np.linalg.norm(found - _critical_point(*draw(random, count)))) / np.sqrt(2)
    else:
        off = float(np.linalg.norm(found))
    return Outcome(off <= radius, off / radius)


def claims() -> tuple[Claim, ...]:
    return (
        Claim(
            "kinks",
            SECTION,
            "No kink, cone, cusp or crease is called a minimum, saddle, maximum or degenerate "
            "point.",
            1.0,
            tuple(Family(name, partial(kink, name), 70) for name in KINKS),
            why="Centers, weights, rotations and grid spacings are random. The search starts from "
            "the nearest grid point or one beside it.",
        ),
        Claim(
            "kink places",
            SECTION,
            "A point that is called non-smooth is a kink with 0 in the hull of its gradients, "
            "within 0.05 spacings.",
            1.0,
            tuple(Family(name, partial(non_smooth_place, name), 40) for name in KINKS),
            number="distance in spacings",
        ),
        Claim(
            "smooth points",
            SECTION,
            "A smooth critical point is verified as what it is, within 1e-4 spacings.",
            1.0,
            tuple(Family(name, partial(smooth, name), 60) for name in SMOOTH),
            number="distance in spacings",
        ),
        Claim(
            "cycles",
            SECTION,
            "Where Newton's method alternates between two points, neither is verified.",
            1.0,
            (Family("quartics on a line", cycle, 200),),
            number="distance in spacings",
        ),
        Claim(
            "oblique planes",
            SECTION,
            "On known surfaces, cut by planes with oblique axes, every verified point has the "
            "right kind and is within 1e-9 spacings.",
            1.0,
            tuple(Family(name, partial(oblique, name), 20) for name in SURFACES),
            number="worst distance in spacings",
        ),
        Claim(
            "ReLU networks",
            SECTION,
            "On a circle of 1, 0.3, 0.03 or 0.003 spacings around a verified point of a ReLU "
            "network the loss is higher (minimum), lower (maximum), or alternates (saddle).",
            1.0,
            (Family("two layers of ReLU, 12 samples", relu_network, 20),),
        ),
        Claim(
            "position",
            SECTION,
            "`position_sampling` is the radius that holds the critical point of the population "
            "with 95%.",
            0.95,
            tuple(Family(name, partial(position, name), 400) for name in PULLS),
            required=0.93,
            why="The radius is a bootstrap to first order. Of 50 samples it is a little too small, "
            "as every bootstrap of few samples.",
            number="distance / radius",
        ),
        Claim(
            "position redrawn",
            SECTION,
            "1.41 times that radius holds the critical point of another draw of as many samples "
            "with 95%.",
            0.95,
            tuple(Family(name, partial(position, name, redrawn=True), 400) for name in PULLS),
            required=0.93,
            number="distance / (1.41 radius)",
        ),
    )
