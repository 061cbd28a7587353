"""Configurations that trials found, kept for the next run of the same problem on this machine.

One small JSON file in the user's cache folder. ``LOSSLANDSCAPE_CACHE`` names another folder, or is
``off``. The file is never needed: one that is damaged, or cannot be read or written, counts as
empty. What is found in it is checked as any configuration is, so that a wrong entry costs time, and
never a value.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from losslandscape import __version__
from losslandscape.files.atomic_files import replace_file
from losslandscape.problem.batches import tensors_of
from losslandscape.problem.configuration import Configuration
from losslandscape.problem.objective import Objective
from losslandscape.problem.samples import SampleSet

VARIABLE = "LOSSLANDSCAPE_CACHE"
FILE = "configurations.json"
_OFF = {"off", "0", "no", "false"}
_LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
)
_MOST = 1000  # entries; the oldest go first
_MOST_BYTES = 16 << 20

_log = logging.getLogger(__name__)


def folder() -> Path | None:
    """The folder of the cache; None where there is none."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen.lower() in _OFF:
        return None
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        place = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        place = "~/Library/Caches"
    else:
        place = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(place).expanduser() / "losslandscape" if place else None
    except RuntimeError:  # there is no home
        return None


def kept(key: str) -> Configuration | None:
    """The configuration that was found for this problem; None where none is known."""
    entry = _entries().get(key)
    return Configuration.from_json(entry.get("configuration")) if isinstance(entry, dict) else None


def keep(key: str, configuration: Configuration) -> None:
    """Keep a configuration, if the cache can be written."""
    place = folder()
    if place is None:
        return
    entries = _entries()
    entries.pop(key, None)
    for oldest in list(entries)[: len(entries) + 1 - _MOST]:
        del entries[oldest]
    entries[key] = {"configuration": configuration.to_json(), "found": int(time.time())}
    try:
        place.mkdir(parents=True, exist_ok=True)
        with replace_file(place / FILE) as temporary:
            temporary.write_text(json.dumps(entries, indent=1))
    except Exception as error:  # a full or read-only disk; the next run makes its trial again
        _log.debug("%s: not written: %s", place / FILE, error)


def _entries() -> dict[str, Any]:
    place = folder()
    if place is None:
        return {}
    file = place / FILE
    try:
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return {}
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        _log.debug("%s: not read: %s", file, error)
        return {}
    return found if isinstance(found, dict) else {}


def key_of(objective: Objective, model: nn.Module, dimensions: int, batch_size: int | None) -> str:
    """What the fastest configuration depends on, as a hash.

    Structure and shapes, without the values of weights and samples; the machine; the versions.
    """
    tensors = [
        (name, tuple(tensor.shape), str(tensor.dtype), tensor.requires_grad)
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    ]
    about = {
        "model": [type(model).__module__, type(model).__qualname__, repr(model), tensors],
        "modes": [module.training for module in model.modules()],
        "sets": {name: _shapes(samples) for name, samples in objective.sets.items()},
        "losses": {name: loss.name for name, loss in objective.losses.items()},
        "batch_norm": objective.batch_norm,
        "precision": [str(objective.dtype), objective.arithmetic and objective.arithmetic.name],
        "compile": objective.compile,
        "execution": objective.execution,
        "dimensions": dimensions,
        "batch_size": batch_size,
        "machine": _machine(objective.device),
        "versions": [__version__, torch.__version__],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def _shapes(samples: SampleSet) -> list[Any]:
    """Number and shapes of samples; streamed ones are not read for it."""
    if samples.streamed:
        return [len(samples), samples.ragged]
    first = samples.first(1)
    names = list(first) if isinstance(first, Mapping) else []
    shapes = [(tuple(t.shape[1:]), str(t.dtype)) for t in tensors_of(first)]
    return [len(samples), samples.ragged, names, shapes]


def _machine(device: torch.device) -> list[Any]:
    found = [
        platform.machine(),
        _processor(),
        torch.backends.cpu.get_cpu_capability(),
        os.cpu_count(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        [os.environ.get(name) for name in _LIMITS],
    ]
    if device.type == "cuda":
        found.append(torch.cuda.get_device_name(device))
    return found


@functools.cache
def _processor() -> str:
    """The processor's name, and what it can do where the system says so."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    first = {name: line for line in reversed(lines) for name in _LINES if line.startswith(name)}
    return "\n".join(first.get(name, "") for name in _LINES)


_LINES = ("model name", "model\t", "stepping", "flags")
