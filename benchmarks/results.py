"""Results of benchmarks as JSON: a table, its notes, and the machine."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / "results"


def processor(device: str = "cpu") -> str:
    """The processor, and the largest instruction sets that PyTorch and oneDNN may use."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    name, flags = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            name = value if key == "model name" else name
            flags = value if key == "flags" else flags
    name = name.replace("(R)", "").replace(" Processor", "")
    sets = torch.backends.cpu.get_cpu_capability()
    if sets == "AVX512" and "amx_tile" in flags and not os.environ.get("ONEDNN_MAX_CPU_ISA"):
        sets += " and AMX"
    return f"{name}, {sets}"


def of_processor(table: str, device: str = "cpu") -> str:
    """The name of a table that depends on the processor."""
    return f"{table}_{'_'.join(re.findall('[a-z0-9]+', processor(device).lower()))}"


def machine(device: str = "cpu") -> dict[str, Any]:
    """The machine that the results were measured on, and its load."""
    return {
        "processor": processor(device),
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
