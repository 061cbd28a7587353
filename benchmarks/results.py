"""Results of benchmarks as JSON: a table, its notes, and the machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / "results"


def machine(device: str = "cpu") -> dict[str, Any]:
    """The machine that the results were measured on, and its load."""
    if device.startswith("cuda"):
        processor = torch.cuda.get_device_name(device)
    else:
        processor = platform.processor() or platform.machine()
        info = Path("/proc/cpuinfo")
        if info.exists():
            names = [line for line in info.read_text().splitlines() if "model name" in line]
            processor = names[0].partition(":")[2].strip() if names else processor
    return {
        "processor": f"{processor}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
    }


def write(
    name: str,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    notes: Sequence[str] = (),
    device: str | None = "cpu",
) -> None:
    """Write a table to results/<name>.json; without the machine if the device is None."""
    path = FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "title": title,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "notes": list(notes),
        **({} if device is None else {"machine": machine(device)}),
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def spread(ratios: Sequence[float]) -> str:
    """Median of paired ratios, with the smallest and the largest.

    >>> spread([1.5, 1.0, 2.0])
    '1.50 (1.00 .. 2.00)'
    """
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"
