"""Values by sample: what a point's measurement gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from losslandscape.adaptive.allotment import Allotment
from losslandscape.problem.batches import Batch

# values by sample of one set: "loss" and the metrics, each a float array of shape (samples,)
Measurement = dict[str, dict[str, np.ndarray]]


def values_of(
    run: Callable[[Batch], dict[str, Tensor]],
    batches: Sequence[Batch],
    allotment: Allotment | None,
    count: int,
) -> list[dict[str, Tensor]]:
    """Values of all batches, or of the first ones until their sampling error is the one allotted.

    ``count`` is the number of samples of all batches.
    """
    if allotment is None:
        return [run(batch) for batch in batches]
    parts: list[dict[str, Tensor]] = []
    losses: list[np.ndarray] = []
    for batch in batches:
        parts.append(run(batch))
        losses.append(parts[-1]["loss"].double().cpu().numpy())
        if allotment.suffices(np.concatenate(losses), count):
            break
    return parts


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
