"""Whole surfaces of trained networks within 1%, beside the fastest peer's dense ones.

    python -m benchmarks.headline                       # all networks that have no result yet
    python -m benchmarks.headline --only vgg11 --again
    python -m benchmarks.headline --quick               # small grids and data; nothing is stored

Each network is trained first (`study_runs/trained`; a finished or interrupted training continues).
Then its 51 x 51 surface on all training data is measured with ``tolerance=0.01`` in one call, and
the clock runs from before the objective is made until the file is written, with an empty cache of
trials. Peers evaluate a stated number of points before and after it, in turns: a dense surface of
theirs would take hours. Its time is the number of grid points times the median of those times, and
leaves out the peer's own preparation. A network's result is stored when it is finished, so the
command continues where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks import results
from benchmarks.peers import PEERS, Bare
from benchmarks.trained import DATA_NAMES, trained
from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.landscape.landscape import INTERPOLATED
from losslandscape.landscape.scale import to_scale
from losslandscape.point.batch_size import fastest_batch_size
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss
from losslandscape.problem.precision import arithmetic

NETWORKS = ("vgg11", "resnet50", "small_transformer", "gpt2")
TOLERANCE = 0.01
SIDE, QUICK_SIDE = 51, 15
TURNS = 2  # of each peer before our run, and as many after it
PEER_POINTS = 2  # of a turn
TURN_SECONDS = 1.0  # more points where these take less
CHECKED = 30  # interpolated points that are measured afterward


class Peers:
    """Other programs, in turns of a few points, at the batch size that is the model's fastest."""

    def __init__(self, model: nn.Module, data: tuple[Tensor, Tensor]):
        probe = Bare(model, *data, len(data[0]))
        self.batch_size = fastest_batch_size(probe.rate, len(data[0]))
        self.contenders = [peer(model, *data, self.batch_size) for peer in PEERS]
        self.seconds: dict[str, list[float]] = {one.name: [] for one in self.contenders}
        self.points = dict.fromkeys(self.seconds, 0)

    def take_turns(self, turns: int) -> None:
        """Each peer evaluates some points, after one that is not timed, and so on."""
        for _ in range(turns):
            for one in self.contenders:
                known = self.seconds[one.name] or [one.seconds(1)]
                count = max(PEER_POINTS, round(TURN_SECONDS / known[-1]))
                self.seconds[one.name].append(one.seconds(count))
                self.points[one.name] += count

    def fastest(self) -> tuple[str, float, int]:
        """The peer with the smallest median time of a point, this time, and how many points."""
        medians = {name: float(np.median(found)) for name, found in self.seconds.items()}
        best = min(medians, key=medians.__getitem__)
        return best, medians[best], self.points[best]


def ours(
    model: nn.Module, data: tuple[Tensor, Tensor], side: int, precision: str, path: Path
) -> tuple[Landscape, float]:
    """The surface, and the seconds that it took with everything included."""
    start = time.perf_counter()
    objective = Objective(model, "cross_entropy", data, precision=precision)
    plane = Subspace.random(model, seed=0)
    grid = Grid.square(side, half_width=1.0)
    found = evaluate(objective, plane, grid, tolerance=TOLERANCE, path=path, quiet=True)
    return found, time.perf_counter() - start


def checked(
    landscape: Landscape, model: nn.Module, data: tuple[Tensor, Tensor]
) -> tuple[float, int, int]:
    """Measure random interpolated points the plain way.

    Returns
    -------
    largest : float
        Largest error, as a share of the range on the scale of the tolerance.
    within : int
        How many errors are within the point's own estimate.
    points : int
    """
    status, values = landscape.status.ravel(), landscape.values().ravel()
    stated = landscape.values("loss_interpolation_error").ravel()
    places = np.flatnonzero(status == INTERPOLATED)
    if not places.size:
        return 0.0, 0, 0
    chosen = np.random.default_rng(1).choice(places, min(CHECKED, places.size), replace=False)
    objective = Objective(model, "cross_entropy", data, execution="plain")
    points = landscape.grid.points()
    with Evaluator(objective, Subspace.random(model, seed=0)) as evaluator, arithmetic():
        found = np.array([mean_loss(evaluator.measure(tuple(points[i]))) for i in chosen])
    adaptive = landscape.provenance["adaptive"]
    off = np.abs(to_scale(values[chosen], adaptive["scale"]) - to_scale(found, adaptive["scale"]))
    within = int((np.abs(values[chosen] - found) <= stated[chosen]).sum())
    return float(off.max() / adaptive["range"]), within, chosen.size


def compare(name: str, precision: str, quick: bool) -> dict[str, Any]:
    """Measure a network's surface, and what a peer's dense one would take."""
    model, data = trained(name, quick)
    side = QUICK_SIDE if quick else SIDE
    turns = 1 if quick else TURNS
    peers = Peers(model, data)
    peers.take_turns(turns)
    os.environ["LOSSLANDSCAPE_CACHE"] = "off"  # every trial is paid for
    with tempfile.TemporaryDirectory() as folder:
        landscape, seconds = ours(model, data, side, precision, Path(folder, f"{name}.nc"))
    peers.take_turns(turns)
    peer, point, timed = peers.fastest()
    largest, within, points = checked(landscape, model, data)
    stated = landscape.provenance["adaptive"]
    return {
        "network": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "samples": len(data[0]),
        "data": DATA_NAMES[name],
        "precision": precision,
        "side": side,
        "evaluated": stated["evaluated"],
        "range": stated["range"],
        "scale": stated["scale"],
        "stated": stated["estimated_error"],
        "finished": stated["finished"],
        "checked_largest": largest,
        "checked_within": within,
        "checked": points,
        "seconds": seconds,
        "peer": peer,
        "peer_point": point,
        "peer_points": timed,
        "peer_batch_size": peers.batch_size,
        "medians": {key: float(np.median(found)) for key, found in peers.seconds.items()},
        "ratio": side**2 * point / seconds,
        "machine": results.machine(),
    }


def row(found: dict[str, Any]) -> list[Any]:
    """A row of the table."""
    kind = "" if found["precision"] == "float32" else f", precision {found['precision']}"
    dense = found["side"] ** 2 * found["peer_point"]
    return [
        f"{found['network']}, {found['parameters'] / 1e6:.2g} million parameters{kind}",
        f"{found['samples']:,} {found['data']}",
        f"{found['evaluated']} of {found['side'] ** 2:,}",
        "unknown" if found["stated"] is None else f"{100 * found['stated']:.2f}%",
        f"{100 * found['checked_largest']:.2f}% "
        f"({found['checked_within']}/{found['checked']} within theirs)",
        duration(found["seconds"]),
        found["peer"],
        f"{found['peer_point']:.3g} s ({found['peer_points']} points)",
        duration(dense),
        f"{found['ratio']:.1f}",
    ]


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    >>> duration(5025), duration(75.4), duration(8.2)
    ('1 h 23 min', '1 min 15 s', '8.2 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def stored(name: str, precision: str) -> Path:
    """Where the result of a network on this processor is kept."""
    folder = results.FOLDER / "headline" / results.of_processor("on")
    return folder / f"{name}_{precision}.json"


def write_table(folder: Path) -> None:
    """The table of all results on this processor."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    found.sort(key=lambda one: (NETWORKS.index(one["network"]), one["precision"]))
    machines = [one["machine"] for one in found]
    loads = [machine["load"] for machine in machines]
    results.write(
        results.of_processor("headline"),
        f"A {SIDE} x {SIDE} surface within {100 * TOLERANCE:g}% of its range, beside the fastest "
        "peer's dense one",
        ["network", "data", "points", "largest error, stated", "largest error of random points",
         "losslandscape, all", "fastest peer", "its point", "its dense surface", "ratio"],
        [row(one) for one in found],
        [
            "Random planes, filter-normalized, from -1 to 1; batch-norm statistics fixed. The time "
            "of losslandscape is measured whole: opening, trials with an empty cache, points, "
            "interpolation and file. The peer's dense time is "
            f"{SIDE**2:,} times the median time of its points, which were evaluated before and "
            "after; its own preparation is left out. Random points were interpolated, and then "
            "measured without any shortcut. "
            f"{_list({machine['processor'] for machine in machines})}, "
            f"{_list({str(machine['threads']) for machine in machines})} threads, load "
            f"{min(loads):g} to {max(loads):g}."
        ],
        device=None,
    )  # fmt: skip


def _list(words: set[str]) -> str:
    return " and ".join(sorted(words))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--precision", choices=("float32", "auto"), default="float32")
    parser.add_argument("--again", action="store_true", help="also networks that have a result")
    parser.add_argument("--quick", action="store_true", help="small grids and data, not stored")
    arguments = parser.parse_args(words)
    for name in arguments.only:
        path = stored(name, arguments.precision)
        if path.exists() and not (arguments.again or arguments.quick):
            print(f"{name}: has a result, {path.name}", flush=True)
            continue
        start = time.perf_counter()
        found = compare(name, arguments.precision, arguments.quick)
        print(*row(found), sep=" | ", flush=True)
        print(f"{time.perf_counter() - start:.0f} s with training and peers\n", flush=True)
        if not arguments.quick:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found, indent=1) + "\n")
            write_table(path.parent)


if __name__ == "__main__":
    main()
