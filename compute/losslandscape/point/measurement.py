"""Values by sample: what a point's measurement gives."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# values by sample of one set: "loss" and the metrics, each a float array of shape (samples,)
Measurement = dict[str, dict[str, np.ndarray]]


def joined(parts: list[dict[str, Tensor]]) -> dict[str, np.ndarray]:
    """Batches' values by sample, one array a name."""
    joined = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        whole = values[0] if len(values) == 1 else torch.cat(values)
        if whole.dtype not in (torch.float32, torch.float64):
            whole = whole.float()
        joined[name] = whole.cpu().numpy()
    return joined


def mean_loss(measurement: Measurement) -> float:
    """Mean loss of the first set."""
    return float(np.mean(next(iter(measurement.values()))["loss"], dtype=np.float64))
