"""How few points could be enough: points and interpolants chosen with knowledge of every value.

``python -m benchmarks.adaptive_floor`` adds points to the coarse grid until the errors are within
1% of the range, by two rules that no method can follow, because they use every value:

- the points with the largest true errors, until all errors are within it;
- those where errors are largest, until twice their local root mean square is within it. A method
  may know how rough a surface is at each place, but not which of the errors there are large.

It does so with several interpolants; of those with a parameter, the best of some values counts.
With ``--losses`` it shows what the roughness of ResNet-50's surface is: the residuals of values
predicted from their neighbors, for means over fewer and more samples, beside the standard errors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from benchmarks import results
from benchmarks.adaptive import TOLERANCE, stored
from losslandscape.adaptive.refinement import coarse_points
from losslandscape.adaptive.selection import largest_apart
from losslandscape.landscape.scale import scale_of, to_scale
from losslandscape.planes.grid import Grid

NEIGHBORS = 15
_ROUND_SHARE, _ROUND = 0.1, 6  # of the points so far, and at least
_REACH = 1.5  # spacings: standard deviation of the weights of a local mean
_SURFACES = ("resnet50_random", "resnet50_pca")
_NEAR = 1.5  # a cusp so many radii of the neighborhood away is part of the drift
_BLOCK = 400
RINGS = (0, 3, 6, 10, 16, 23)  # distances from the minimum, in spacings


@dataclass(frozen=True)
class Interpolant:
    """Local kriging with covariance h^(2 degree + 1) and a drift of this degree.

    Attributes
    ----------
    degree : int
    nugget : float
        Variance of the noise, in units of the covariance at the median distance between neighbors.
    stretch : float
        By which distances along the first axis count more than along the second.
    cusp : bool
        Whether the distance from the minimum is part of the drift beside it.

    Examples
    --------
    >>> grid = np.stack(np.meshgrid(*[np.arange(9.0)] * 2), axis=-1).reshape(-1, 2)
    >>> cone = np.hypot(*(grid - 4).T)
    >>> known = grid.sum(axis=1) % 2 == 0
    >>> beside = ~known & (cone < 2)
    >>> for cusp in (False, True):
    ...     one = Interpolant(1, cusp=cusp)
    ...     found = one.predict(grid[known], cone[known], grid[beside], np.array([4.0, 4.0]))
    ...     print(np.abs(found - cone[beside]).max() < 1e-6)
    False
    True
    """

    degree: int
    nugget: float = 0.0
    stretch: float = 1.0
    cusp: bool = False

    def predict(
        self, points: np.ndarray, values: np.ndarray, targets: np.ndarray, minimum: np.ndarray
    ) -> np.ndarray:
        """Values at the targets, shape (m,).

        Parameters
        ----------
        points : ndarray, shape (n, 2)
        values : ndarray, shape (n,)
        targets : ndarray, shape (m, 2)
        minimum : ndarray, shape (2,)
            Where the cusp is.
        """
        axes = np.array([self.stretch, 1.0])
        count = min(NEIGHBORS, len(points))
        nearest = cKDTree(points * axes).query(targets * axes, k=np.arange(1, count + 1))[1]
        return self.from_neighbors(points, values, targets, nearest, minimum)

    def from_neighbors(
        self,
        points: np.ndarray,
        values: np.ndarray,
        targets: np.ndarray,
        nearest: np.ndarray,
        minimum: np.ndarray,
    ) -> np.ndarray:
        """As :meth:`predict`, with the numbers of each target's neighbors, shape (m, k)."""
        axes = np.array([self.stretch, 1.0])
        found = np.empty(len(targets))
        for start in range(0, len(targets), _BLOCK):
            part = slice(start, start + _BLOCK)
            offsets = (points[nearest[part]] - targets[part, None]) * axes
            radius = np.linalg.norm(offsets, axis=2).max(axis=1)
            center = (minimum - targets[part]) * axes / radius[:, None]
            found[part] = self._solved(
                offsets / radius[:, None, None], values[nearest[part]], center
            )
        return found

    def _solved(self, offsets: np.ndarray, values: np.ndarray, center: np.ndarray) -> np.ndarray:
        found = np.empty(len(offsets))
        near = np.linalg.norm(center, axis=1) < _NEAR
        for with_cusp in (False, True):
            some = near & self.cusp if with_cusp else ~(near & self.cusp)
            if some.any():
                found[some] = self._of_drift(offsets[some], values[some], center[some], with_cusp)
        return found

    def _of_drift(
        self, offsets: np.ndarray, values: np.ndarray, center: np.ndarray, cusp: bool
    ) -> np.ndarray:
        sets, count, _ = offsets.shape
        x, y = offsets[..., 0], offsets[..., 1]
        drift = [np.ones((sets, count)), x, y, x * x, x * y, y * y]
        drift = drift[: (1, 3, 6)[self.degree]]
        if cusp:
            drift.append(np.linalg.norm(offsets - center[:, None], axis=2))
        terms = len(drift)
        squares = np.square(x[:, :, None] - x[:, None]) + np.square(y[:, :, None] - y[:, None])
        apart = np.sqrt(squares)
        power = 2 * self.degree + 1
        sign = 1 if self.degree % 2 else -1
        system = np.zeros((sets, count + terms, count + terms))
        system[:, :count, :count] = sign * apart**power
        spacing = np.median((apart + 9 * np.eye(count)).min(axis=2), axis=1)
        places = np.arange(count)
        system[:, places, places] += (self.nugget * spacing**power)[:, None]
        system[:, :count, count:] = np.stack(drift, axis=-1)
        system[:, count:, :count] = np.stack(drift, axis=1)
        right = np.zeros((sets, count + terms, 1))
        right[:, :count, 0] = sign * np.linalg.norm(offsets, axis=2) ** power
        right[:, count, 0] = 1.0
        if cusp:
            right[:, -1, 0] = np.linalg.norm(center, axis=1)
        system[:, places, places] += 1e-12
        weights = np.linalg.solve(system, right)[:, :count, 0]
        mean = values.mean(axis=1)
        return mean + ((values - mean[:, None]) * weights).sum(axis=1)


KINDS: dict[str, tuple[Interpolant, ...]] = {
    "h^5": (Interpolant(2),),
    "h^3": (Interpolant(1),),
    "h": (Interpolant(0),),
    "h^3 with a nugget": (Interpolant(1, nugget=0.1), Interpolant(1, nugget=0.5)),
    "h^3, anisotropic": (Interpolant(1, stretch=0.7), Interpolant(1, stretch=1.4)),
    "h^3 with the cusp": (Interpolant(1, cusp=True),),
}


def fewest(grid: Grid, truth: np.ndarray, interpolant: Interpolant, local: bool) -> int:
    """Number of points until the errors are within the tolerance.

    Parameters
    ----------
    local : bool
        Whether the points are chosen by twice the local root mean square of the true errors, and
        not by the true errors.
    """
    field = to_scale(truth, scale_of(truth))
    index = np.stack(np.unravel_index(np.arange(grid.size), grid.shape)[::-1], axis=1)
    index = index.astype(np.float64)
    known = np.zeros(grid.size, bool)
    known[coarse_points(grid)] = True
    known[field.argmin()] = True
    limit = TOLERANCE * np.ptp(field)
    while not known.all():
        targets = np.flatnonzero(~known)
        found = interpolant.predict(
            index[known], field[known], index[targets], index[field.argmin()]
        )
        errors = np.abs(found - field[targets])
        scores = errors
        if local:
            scores = 2 * np.sqrt(_local_mean(errors**2, targets, grid))
        if scores.max() <= limit:
            break
        distance = cKDTree(index[known]).query(index[targets])[0]
        count = max(_ROUND, int(_ROUND_SHARE * known.sum()))
        known[targets[largest_apart(scores, limit, count, index[targets], distance)]] = True
    return int(known.sum())


def _local_mean(values: np.ndarray, targets: np.ndarray, grid: Grid) -> np.ndarray:
    """Means of the values over the targets around each of them."""
    whole, weight = np.zeros((2, grid.size))
    whole[targets], weight[targets] = values, 1.0
    smooth = [
        ndimage.gaussian_filter(one.reshape(grid.shape), _REACH, mode="constant").ravel()
        for one in (whole, weight)
    ]
    return smooth[0][targets] / smooth[1][targets]


def engine_points() -> dict[str, int]:
    """How many points the engine takes, from the table of `benchmarks.adaptive`."""
    table = json.loads((results.FOLDER / "adaptive.json").read_text())
    place = table["columns"].index("points")
    return {row[0]: int(row[place]) for row in table["rows"]}


def floors(names: Iterable[str]) -> list[list[str]]:
    """Two rows per surface, one for each rule: the engine's points, and those of each kind."""
    rows = []
    for name in names:
        grid, truth = stored()[name]
        engine = engine_points()[name]
        for local, rule in ((False, "largest error"), (True, "roughness")):
            best = []
            for kind, interpolants in KINDS.items():
                best.append(min(fewest(grid, truth, one, local) for one in interpolants))
                print(name, rule, kind, best[-1], flush=True)
            cells = [f"{n} ({100 * n / grid.size:.1f}%)" for n in (engine, *best)]
            rows.append([name, rule, *cells])
            print(*rows[-1], sep=" | ", flush=True)
    return rows


def roughness(path: Path, counts: Iterable[int]) -> list[list[str]]:
    """Residuals of values predicted from their neighbors, in rings around the minimum."""
    with np.load(path) as file:
        losses = file["losses"].astype(np.float64)
    side, _, samples = losses.shape
    losses = losses.reshape(-1, samples)
    index = np.stack(np.unravel_index(np.arange(side**2), (side, side))[::-1], axis=1)
    index = index.astype(np.float64)
    span = float(np.ptp(np.log10(losses.mean(axis=1))))
    place = index[losses.mean(axis=1).argmin()]
    ring = np.digitize(np.linalg.norm(index - place, axis=1), RINGS)
    nearest = cKDTree(index).query(index, k=NEIGHBORS + 1)[1][:, 1:]
    random = np.random.default_rng(0)
    rows = []
    for count in counts:
        squares = np.zeros((2, side**2))
        draws = 1 if count == samples else 10
        for _ in range(draws):
            some = losses[:, random.permutation(samples)[:count]]
            mean = some.mean(axis=1)
            field = np.log10(mean)
            found = Interpolant(1).from_neighbors(index, field, index, nearest, place)
            errors = some.std(axis=1, ddof=1) / np.sqrt(count) / (mean * np.log(10))
            squares += np.stack([(found - field) ** 2, errors**2]) / draws
        cells = []
        for one in range(1, len(RINGS)):
            residual, error = np.sqrt(squares[:, ring == one].mean(axis=1)) / span
            cells.append(f"{100 * residual:.2f}% / {100 * error:.2f}%")
        rows.append([str(count), *cells])
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=stored(), default=_SURFACES)
    parser.add_argument(
        "--losses", type=Path, help="an .npz file with per-sample losses (ny, nx, samples)"
    )
    arguments = parser.parse_args()
    if arguments.losses:
        results.write(
            "adaptive_roughness",
            "What the roughness of ResNet-50's surface is: residuals / standard errors",
            ["samples", *(f"{a} to {b} spacings" for a, b in zip(RINGS, RINGS[1:]))],
            roughness(arguments.losses, (25, 50, 100, 200)),
            ["33 x 33 points over +-1, 200 digits, batch-norm statistics fixed, log10 of the loss. "
             "Root mean squares over rings around the minimum, as shares of the range, of the "
             "differences from what the 15 nearest points predict, and of the standard errors."],
            device=None,
        )  # fmt: skip
        return
    results.write(
        "adaptive_floor",
        "Points for an error of 1% of the range: adaptive, and with knowledge of the surface",
        ["surface", "known", "adaptive, which knows neither", *KINDS],
        floors(arguments.only),
        ["The first row of a surface: the points with the largest true errors are added until all "
         "errors are within 1%. The second: the points where errors are largest, until twice their "
         "local root mean square is. The covariance is that of local kriging, and of a nugget and "
         "an anisotropy, the best of some counts. Points are added by a tenth at a time, so a "
         "number may be a tenth too large."],
        device=None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
