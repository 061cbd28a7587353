"""The labels of a classification: do they fit the outputs, and does each sample have one?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import Batch
from losslandscape.problem.outputs import targets_of
from losslandscape.problem.samples import SampleSet


@dataclass(frozen=True)
class Labels:
    """The integer labels of all samples.

    Attributes
    ----------
    lowest, highest : (int, str) or None
        A label that counts, and where it is: set and number of the sample. None without any.
    ignores : bool
        Whether there are samples whose only label is ignored.
    """

    lowest: tuple[int, str] | None = None
    highest: tuple[int, str] | None = None
    ignores: bool = False

    def check(self, classes: int) -> None:
        """Raise a LossLandscapeError for a label that is none of 0 to ``classes`` - 1.

        Known beforehand, because on a GPU such a label ends the process's access to it.
        """
        for found in (self.lowest, self.highest):
            if found is not None and not 0 <= found[0] < classes:
                label, where = found
                raise LossLandscapeError(
                    f"{where} has the label {label}, and the model's outputs have {classes} "
                    f"classes: labels are 0 to {classes - 1}. If {label} means that there is no "
                    f"label, pass nn.CrossEntropyLoss(ignore_index={label}) as the loss"
                )


def read_labels(sets: Iterable[SampleSet], ignore_index: int | None) -> Labels:
    """Look at all labels once.

    Raises
    ------
    LossLandscapeError
        If all labels of a set are ignored.
    """
    lowest = highest = None
    ignores = False
    for samples in sets:
        start, counts = 0, False
        for batch in samples.stored():
            targets = targets_of(batch)
            if targets is None or targets.is_floating_point() or targets.is_complex():
                counts = True
                break
            counted = (
                torch.ones_like(targets, dtype=torch.bool)
                if ignore_index is None
                else targets != ignore_index
            )
            if bool(counted.any()):
                counts = True
                low, high = (
                    _extreme(targets, counted, end, start, samples.name) for end in (min, max)
                )
                lowest = low if lowest is None else min(lowest, low, key=lambda one: one[0])
                highest = high if highest is None else max(highest, high, key=lambda one: one[0])
            ignores |= targets.dim() == 1 and not bool(counted.all())
            start += len(targets)
        if not counts:
            raise LossLandscapeError(
                f"{samples.name}: all targets are ignored (label {ignore_index}), so there is no "
                "loss"
            )
    return Labels(lowest, highest, ignores)


def _extreme(targets: Tensor, counted: Tensor, end, start: int, name: str) -> tuple[int, str]:
    label = int(end(targets[counted].min(), targets[counted].max()))
    place = int(((targets == label) & counted).reshape(len(targets), -1).any(1).int().argmax())
    return label, f"{name}: sample {start + place}"


def check_shift(name: str, batch: Batch) -> None:
    """Raise a LossLandscapeError for labels of a causal language model that are not shifted."""
    labels = targets_of(batch)
    if isinstance(batch, Mapping):
        inputs = batch.get("input_ids")
    else:
        inputs = batch[0] if len(batch) > 1 else None
    if inputs is None or labels is None or labels.is_floating_point():
        return
    if labels.dim() == 2 and labels.shape == inputs.shape:
        counted = labels != -100
        if bool(counted.any()) and bool((labels == inputs)[counted].all()):
            if not isinstance(batch, Mapping):
                raise LossLandscapeError(
                    f"{name}: the targets are the inputs, token by token, as of a causal language "
                    "model whose labels were not shifted; this loss does not shift them, so it "
                    "would measure how well each token predicts itself. Pass (ids[:, :-1], "
                    "ids[:, 1:]). If the model does reproduce its inputs, pass your own function "
                    "(outputs, targets) -> per-sample losses"
                )
            raise LossLandscapeError(
                f"{name}: the labels are the input_ids, as a causal language model takes them that "
                "shifts them by one position inside; this loss does not shift them, so it would "
                "measure how well each token predicts itself. Pass loss='own' (--loss own), the "
                "loss that the model itself computes; or labels shifted by one position, "
                "labels = input_ids.roll(-1, 1) with -100 in the last column"
            )
