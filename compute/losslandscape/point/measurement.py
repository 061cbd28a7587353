"""Values by sample: what a point's measurement gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from losslandscape.adaptive.allotment import Allotment, GivenCount
from losslandscape.problem.batches import Batch
from losslandscape.problem.sample_weights import WEIGHT, linearized

# values by sample of one set: "loss" and the metrics, each a float array of shape (samples,)
Measurement = dict[str, dict[str, np.ndarray]]


def values_of(
    run: Callable[[Batch], dict[str, Tensor]],
    batches: Sequence[Batch],
    allotment: Allotment | GivenCount | None,
    count: int,
) -> list[dict[str, Tensor]]:
    """Values of all batches, or of the first ones until their sampling error is the one allotted.

    ``count`` is the number of samples of all batches.
    """
    if allotment is None:
        return [run(batch) for batch in batches]
    parts: list[dict[str, Tensor]] = []
    losses: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for batch in batches:
        parts.append(run(batch))
        losses.append(parts[-1]["loss"].double().cpu().numpy())
        found = np.concatenate(losses)
        if f"loss{WEIGHT}" in parts[-1]:
            weights.append(parts[-1][f"loss{WEIGHT}"].double().cpu().numpy())
            so_far = np.concatenate(weights)
            if not so_far.any():
                continue
            found = linearized(found, so_far)
        if allotment.suffices(found, count):
            break
    return parts


def joined(parts: list[dict[str, Tensor]]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Batches' values by sample, one array a name, and the weights of those that have some.

    The mean of each array is the weighted mean of what was measured; see
    :func:`losslandscape.problem.sample_weights.linearized`.
    """
    arrays = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        whole = values[0] if len(values) == 1 else torch.cat(values)
        if whole.dtype not in (torch.float32, torch.float64):
            whole = whole.float()
        arrays[name] = whole.cpu().numpy()
    weights = {
        name.removesuffix(WEIGHT): arrays.pop(name) for name in list(arrays) if WEIGHT in name
    }
    for name, some in weights.items():
        arrays[name] = linearized(arrays[name], some, name)
    return arrays, weights


def mean_loss(measurement: Measurement) -> float:
    """Mean loss of the first set."""
    return float(np.mean(next(iter(measurement.values()))["loss"], dtype=np.float64))
