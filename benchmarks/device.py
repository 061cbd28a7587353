"""What a device does with whole surfaces: time, memory, adaptive points, two types, resumed bits.

    python -m benchmarks.device --device cuda --seconds 200

Each row is one surface of a network with random weights and images, in the time that is left; rows
that do not fit are named. `benchmarks/device.sh` runs it with the tests and the tables of a point.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import models, results
from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.files.journal import journal_path
from losslandscape.landscape.landscape import EVALUATED

IMAGES = {"cuda": (512, 10_000), "cpu": (64,)}
SIDE = {"cuda": 21, "cpu": 5}


class Surfaces:
    """Surfaces of one network on one device.

    Args:
        name: of `benchmarks.models`.
        device: of PyTorch.
        images: how many.
        side: points along each axis.
    """

    def __init__(self, name: str, device: str, images: int, side: int):
        self.model = models.build(name, device)
        for parameter in self.model.parameters():
            if not parameter.any():  # a head that starts at zero would not move
                torch.nn.init.normal_(parameter.data, std=0.02)
        self.data = models.data(images)
        self.plane = Subspace.random(self.model, seed=0)
        self.grid = Grid.square(side, half_width=0.5)
        self.device = device

    def measured(self, precision: str = "float32", **options: Any) -> tuple[Landscape, float]:
        """A surface, and the seconds it took with everything included."""
        objective = Objective(
            self.model, "cross_entropy", self.data, device=self.device, precision=precision
        )
        start = time.perf_counter()
        found = evaluate(objective, self.plane, self.grid, quiet=True, **options)
        return found, time.perf_counter() - start

    def resumed(self) -> bool:
        """Whether a surface that is interrupted in the middle ends in the same bits.

        In one way of execution and one batch size: two runs that try them may choose others.
        """
        objective = Objective(
            self.model,
            "cross_entropy",
            self.data,
            device=self.device,
            batch_size=max(1, len(self.data[0]) // 4),
            execution="plain",
        )
        whole = evaluate(objective, self.plane, self.grid, quiet=True)
        passes = 0

        def interrupt(*_: Any) -> None:
            nonlocal passes
            passes += 1
            if passes > 4 * self.grid.size // 2:
                raise KeyboardInterrupt

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.nc")
            hook = self.model.register_forward_hook(interrupt)
            try:
                evaluate(objective, self.plane, self.grid, path=path, quiet=True)
            except KeyboardInterrupt:
                pass
            finally:
                hook.remove()
            if not journal_path(path).exists():
                return False  # nothing was interrupted
            found = evaluate(objective, self.plane, self.grid, path=path, quiet=True)
        return found.values().tobytes() == whole.values().tobytes()


def row(name: str, device: str, images: int, side: int) -> list[Any]:
    """A network's row of the table."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    surfaces = Surfaces(name, device, images, side)
    whole, seconds = surfaces.measured()
    peak = "" if device == "cpu" else f"{torch.cuda.max_memory_allocated(device) / 2**20:.0f}"
    adaptive, adaptive_seconds = surfaces.measured(tolerance=0.01)
    two, two_seconds = surfaces.measured("auto")
    stated = two.provenance["precision"]
    off = np.abs(adaptive.values() - whole.values()).max() / np.ptp(whole.values())
    return [
        name,
        images,
        f"{side}x{side}",
        f"{seconds:.1f}",
        f"{1e3 * seconds / side**2:.2f}",
        peak,
        f"{(adaptive.status == EVALUATED).mean():.0%}",
        f"{seconds / adaptive_seconds:.2f}",
        f"{100 * off:.2f}%",
        stated.get("type") or "float32",
        f"{seconds / two_seconds:.2f}",
        "yes" if surfaces.resumed() else "NO",
    ]


def within(seconds: float) -> Callable[[float], bool]:
    """Whether something of so many seconds still fits."""
    end = time.monotonic() + seconds
    return lambda needed: time.monotonic() + needed < end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=200.0, help="for all rows")
    arguments = parser.parse_args()
    kind = torch.device(arguments.device).type
    fits, rows, left_out, last = within(arguments.seconds), [], [], 0.0
    for images in IMAGES[kind]:
        for name in reversed(models.SAMPLES):  # the smallest first
            if not fits(2 * last):
                left_out.append(f"{name} with {images} images")
                continue
            start = time.monotonic()
            rows.append(row(name, arguments.device, images, SIDE[kind]))
            last = time.monotonic() - start
            print(*rows[-1], sep=" | ", flush=True)
        last = 0.0
    notes = [
        "Times include the opening and everything else of the call. Adaptive: tolerance 1%; its "
        "largest difference from the whole grid is a share of the range. Two types: "
        'precision="auto", the time of float32 over its own. Resumed: interrupted in the middle, '
        "whether the surface has the same bits."
    ]
    if left_out:
        notes.append(f"No time was left for {', '.join(left_out)}.")
    results.write(
        results.of_processor("device", arguments.device),
        "Whole surfaces on a device",
        ["model", "images", "grid", "s", "ms a point", "peak MiB", "adaptive points", "times as "
         "fast", "largest difference", "type", "two types, times as fast", "resumed bits equal"],
        rows,
        notes,
        device=arguments.device,
    )  # fmt: skip


if __name__ == "__main__":
    main()
