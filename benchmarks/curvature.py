"""Curvature against dense Hessians in float64: ``python -m benchmarks.curvature``.

Writes results/curvature.json, results/curvature_coverage.json and results/curvature_planes.json.
Eigenpairs are those of ``losslandscape.curvature``. The repetitions of trace and density take the
dense matrix in the place of products with the network, which agree with it (a column of the first
table).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from scipy.stats import beta
from torch import nn
from torch.func import functional_call, grad, jvp

from benchmarks import report, results
from losslandscape import Objective, Subspace, curvature
from losslandscape.analysis.extreme_eigenpairs import extreme_eigenpairs
from losslandscape.analysis.lanczos import quadrature
from losslandscape.analysis.spectral_density import Quadrature
from losslandscape.analysis.trace_estimate import hutch_plus_plus, orthonormal_rows
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.study.datasets import load_samples

_TOP, _TOLERANCE, _SAMPLES, _CONFIDENCE = 10, 1e-6, 200, 0.95
_PROBES, _DENSITY_PROBES, _STEPS = 20, 5, 50


class Attention(nn.Module):
    """One block of self-attention over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(8, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = self.read(images[:, 0])
        found = rows + self.attend(rows, rows, rows, need_weights=False)[0]
        return self.head(self.norm(found).mean(1))


def _networks() -> dict[str, nn.Module]:
    return {
        "MLP (tanh)": nn.Sequential(
            nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(),
            nn.Linear(12, 10),
        ),
        "CNN (ReLU, batch norm)": nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Flatten(), nn.Linear(32, 10),
        ),
        "attention (layer norm)": Attention(),
    }  # fmt: skip


def trained(name: str, seed: int, steps: int = 60):
    """A network after some steps of Adam on digits, in float64 and eval mode, and its samples."""
    torch.manual_seed(seed)
    model = _networks()[name].double().train()
    images, labels = load_samples("digits8")
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:_SAMPLES]
    images, labels = images[chosen].double(), labels[chosen]
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval(), (images, labels)


def dense_hessian(model: nn.Module, data) -> np.ndarray:
    """The Hessian of the mean loss column by column, forward over reverse, in the layout's order.

    One vector at a time: :func:`torch.func.hessian` takes all columns in one ``vmap``, which
    PyTorch 2.14.1 computes wrongly where the input and the weights of a layer norm are both
    differentiated.
    Central differences of gradients agree with the single columns.
    """
    layout = ParameterLayout.of(model)
    start = layout.flatten(dict(model.named_parameters())).detach()

    def loss(flat):
        return nn.functional.cross_entropy(
            functional_call(model, layout.views(flat), (data[0],)), data[1]
        )

    gradient = grad(loss)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        columns = [
            jvp(gradient, (start,), (unit,))[1].detach().numpy()
            for unit in torch.eye(len(start), dtype=start.dtype)
        ]
    found = np.stack(columns)
    return (found + found.T) / 2


def _share(hits: np.ndarray) -> str:
    """A share in percent with its 95% interval (Clopper and Pearson)."""
    n, k = hits.size, int(hits.sum())
    low = 0.0 if k == 0 else beta.ppf(0.025, k, n - k + 1)
    high = 1.0 if k == n else beta.ppf(0.975, k + 1, n - k)
    return f"{100 * k / n:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _repetitions(matrix: np.ndarray, known: np.ndarray, values: np.ndarray, count: int):
    """For each seed whether trace, norm and three moments are in their intervals.

    The Gaussian vectors of the density are drawn in the basis of the eigenvectors, where they have
    the same distribution, and a product is one multiplication by number.
    """
    size = len(matrix)
    powers = [matrix, matrix @ matrix]
    exact = [np.trace(matrix), np.linalg.norm(matrix)]
    exact += [np.trace(powers[0]) / size, np.trace(powers[1]) / size]
    exact += [np.vdot(powers[0], powers[1]) / size]
    eigenvalues, basis = np.linalg.eigh(matrix)
    rotated = known @ basis
    hits, errors = [], []
    for seed in range(count):
        found = hutch_plus_plus(
            lambda v: matrix @ v, lambda v: np.zeros(1), size, known, [slice(0, size)], 10,
            _PROBES, seed, _CONFIDENCE,
        )  # fmt: skip
        generator = np.random.default_rng([seed, 2])
        pairs = [
            quadrature(lambda v: eigenvalues * v, generator.standard_normal(size), _STEPS, rotated)
            for _ in range(_DENSITY_PROBES)
        ]
        density = Quadrature(size, values, [n for n, _ in pairs], [w for _, w in pairs])
        ends = [found.trace_interval, found.frobenius_interval]
        ends += [density.moment(order, _CONFIDENCE)[2] for order in (1, 2, 3)]
        hits.append([low <= value <= high for value, (low, high) in zip(exact, ends)])
        errors.append(abs(found.trace - exact[0]) / abs(exact[0]))
    return np.array(hits), np.array(errors)


def measured(name: str, seed: int, repetitions: int) -> tuple[list, np.ndarray]:
    """A row of the first table, and the hits of each repetition."""
    model, data = trained(name, seed)
    matrix = dense_hessian(model, data)
    exact = np.linalg.eigvalsh(matrix)[::-1]
    expected = np.concatenate([exact[:_TOP], exact[-_TOP:]])
    objective = Objective(model, "cross_entropy", data)
    found = curvature(objective, _TOP, tolerance=_TOLERANCE, density_probes=0, seed=seed)
    newton = curvature(
        objective, 1, kind="gauss_newton", tolerance=1e-4, density_probes=0, probes=2, seed=seed
    )
    off = abs(found.eigenvalues - expected)
    rounding = 1e-13 * abs(exact).max()
    image = found.eigenvectors @ matrix
    own = found.eigenvalues[:, None] * found.eigenvectors
    residuals = np.linalg.norm(image - own, axis=1)
    row = [
        name, len(matrix), seed, f"{exact[0]:.4g}", f"{exact[-1]:.3g}",
        f"{(off <= found.residuals + rounding).sum()} of {len(off)}", f"{off.max():.1e}",
        f"{found.residuals.max():.1e}", f"{abs(residuals - found.residuals).max():.1e}",
        f"{newton.eigenvalues.min() / newton.eigenvalues.max():.1e}", found.about["products"],
    ]  # fmt: skip
    known = orthonormal_rows(found.eigenvectors[found.converged])
    hits, errors = _repetitions(matrix, known, found.eigenvalues[found.converged], repetitions)
    print(row, hits.mean(0), errors.mean(), flush=True)
    return row, hits


def networks(seeds: int, repetitions: int) -> None:
    """The first two tables."""
    found = {
        name: [measured(name, seed, repetitions) for seed in range(seeds)] for name in _networks()
    }
    write(found)


def write(found: dict[str, list[tuple[list, np.ndarray]]]) -> None:
    """Write the first two tables, from what :func:`measured` returns, by network."""
    rows = [row for each in found.values() for row, _ in each]
    every, coverage = [], []
    for name, each in found.items():
        joined = np.concatenate([hits for _, hits in each])
        every.append(joined)
        coverage.append([name, len(joined), *(_share(column) for column in joined.T)])
    joined = np.concatenate(every)
    coverage.append(["all", len(joined), *(_share(column) for column in joined.T)])
    results.write(
        "curvature",
        "Eigenvalues against dense Hessians of torch.func in float64",
        ["network", "parameters", "seed", "largest", "smallest", "within their residual",
         "largest error", "largest residual", "residual against the dense matrix's",
         "Gauss-Newton: smallest / largest", "products"],
        rows,
        [f"{_TOP} eigenvalues at each end, tolerance {_TOLERANCE:g}, {_SAMPLES} digits of 8x8 "
         "pixels, 60 steps of Adam. A rounding of 1e-13 of the largest eigenvalue is allowed."],
    )  # fmt: skip
    results.write(
        "curvature_coverage",
        "How often 95% intervals cover the truth, in percent, with its 95% interval",
        ["network", "repetitions", "trace", "Frobenius norm", "mean of the density",
         "second moment", "third moment"],
        coverage,
        [f"{len(joined) // len(rows)} repetitions for each of {len(rows)} networks; {_PROBES} "
         "probes for trace and norm, "
         f"{_DENSITY_PROBES} probes of {_STEPS} steps for the density; {2 * _TOP} known "
         "eigenpairs. Products are those of the dense matrix."],
    )  # fmt: skip


def planes() -> None:
    """Eigenvector planes, and what rescaling each layer makes of them."""
    rows = []
    for name in _networks():
        model, data = trained(name, 0)
        objective = Objective(model, "cross_entropy", data)
        found = curvature(objective, 2, tolerance=1e-8, density_probes=0)
        layout = found.layout
        weights = dict(model.named_parameters())
        for which in ("largest", "extreme"):
            plane = Subspace.eigenvectors(found, which)
            rescaled = []
            for direction in plane.directions:
                views = {n: v.clone() for n, v in layout.views(direction).items()}
                for layer, view in views.items():
                    view *= weights[layer].detach().norm() / view.norm()
                size = torch.cat([v.flatten() for v in views.values()]).norm()
                rescaled.append({n: v / size for n, v in views.items()})
            other = Subspace(found.origin, rescaled, found.buffers)
            shown = []
            for one in (plane, other):
                with PlaneDerivatives(objective, one) as loss:
                    shown.append(loss.expansion((0.0, 0.0)).hessian)
            wanted = np.array(plane.recipe["eigenvalues"])
            cosines = [
                float(abs(a @ b))
                for a, b in zip(plane.directions, (layout.flatten(d) for d in rescaled))
            ]
            rows.append([
                name, which, ", ".join(f"{v:.4g}" for v in wanted),
                f"{abs(shown[0] - np.diag(wanted)).max():.1e}",
                ", ".join(f"{v:.4g}" for v in np.diag(shown[1])),
                f"{shown[1][0, 1]:.3g}", ", ".join(f"{c:.2f}" for c in cosines),
            ])  # fmt: skip
            print(rows[-1], flush=True)
    results.write(
        "curvature_planes",
        "The Hessian of the surface at the origin of a plane of eigenvectors",
        ["network", "plane", "eigenvalues", "largest difference of the surface's Hessian",
         "its diagonal after rescaling each layer", "off the diagonal",
         "cosines to the eigenvectors"],
        rows,
        ["Rescaled: each parameter tensor of an eigenvector to the norm of the weights, as "
         "'layer normalization' does, then the whole to length 1."],
    )  # fmt: skip


def spiked() -> None:
    """The synthetic matrix of Papyan 2020, figure 15: 2000 x 2000, spikes 5, 4, 3 and a bulk."""
    size, rows = 2000, 4000
    generator = np.random.default_rng(0)
    sample = generator.standard_normal((size, rows))
    spikes = np.linalg.qr(generator.standard_normal((size, 3)))[0]
    matrix = sample @ sample.T / rows / 10 + spikes @ np.diag([5.0, 4.0, 3.0]) @ spikes.T
    exact = np.linalg.eigvalsh(matrix)[::-1]
    found = extreme_eigenpairs(lambda v: matrix @ v, size, 4, 1e-8, 0, 2e-16)
    table = []
    expected = np.concatenate([exact[:4], exact[-4:]])
    for i in (0, 1, 2, 3, -1):
        table.append([
            {3: "upper edge of the bulk", -1: "lower edge of the bulk"}.get(i, f"outlier {i + 1}"),
            f"{found.values[i]:.9f}", f"{expected[i]:.9f}", f"{found.residuals[i]:.1e}",
        ])  # fmt: skip
        print(table[-1], flush=True)
    results.write(
        "curvature_spiked",
        "A matrix with a known spectrum: 2,000 x 2,000, spikes of 5, 4 and 3 on a Wishart bulk",
        ["eigenvalue", "found", "dense", "residual"],
        table,
        ["After Papyan 2020, figure 15."],
        None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, 10 repetitions")
    quick = parser.parse_args().quick
    spiked()
    planes()
    networks(1 if quick else 3, 10 if quick else 100)
    report.main()


if __name__ == "__main__":
    main()
