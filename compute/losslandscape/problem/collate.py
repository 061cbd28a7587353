"""Samples of a data set as batches: dicts and lists of numbers, as tokenizers return them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import from_array


class Collate:
    """PyTorch's default, but that a list of numbers within a sample is one tensor.

    PyTorch takes it for a list of tensors, one for each place.

    Parameters
    ----------
    name : str
        Of the set, for messages.

    Raises
    ------
    LossLandscapeError
        If samples hold something other than numbers, or differ in shape.

    Examples
    --------
    >>> rows = [{"ids": [1, 2], "label": 0}, {"ids": [3, 4], "label": 1}]
    >>> Collate("train")(rows)
    {'ids': tensor([[1, 2],
            [3, 4]]), 'label': tensor([0, 1])}
    """

    def __init__(self, name: str):
        self.name = name

    def __call__(self, samples: list[Any]) -> Any:
        samples = [self._sample(sample) for sample in samples]
        try:
            return default_collate(samples)
        except RuntimeError as error:
            shapes = _differing(samples)
            if shapes is None:
                raise
            place, one, other = shapes
            raise LossLandscapeError(
                f"{self.name}: samples differ in shape ({place} is {one} in one and {other} in "
                "another), so they make no batch; pad them, or pass "
                "DataLoader(dataset, batch_size=..., collate_fn=...) with a function that does, "
                "such as transformers.DataCollatorWithPadding"
            ) from error

    def _sample(self, sample: Any) -> Any:
        if isinstance(sample, Mapping):
            return {key: self._part(value, repr(key)) for key, value in sample.items()}
        if isinstance(sample, tuple) and hasattr(sample, "_fields"):
            return tuple(self._part(value, name) for name, value in zip(sample._fields, sample))
        if isinstance(sample, (tuple, list)):
            return tuple(self._part(value, f"part {i}") for i, value in enumerate(sample))
        return self._part(sample, "a sample")

    def _part(self, value: Any, place: str) -> Any:
        if isinstance(value, np.ndarray):
            return from_array(value, self.name)
        if isinstance(value, (Tensor, np.generic, bool, int, float)):
            return value
        if isinstance(value, (list, tuple)) and not any(isinstance(v, Tensor) for v in value):
            try:
                return torch.tensor(value)
            except (TypeError, ValueError, RuntimeError):
                pass
        if isinstance(value, (str, bytes)) or value is None:
            raise LossLandscapeError(
                f"{self.name}: {place} of a sample is {type(value).__name__}, and samples hold "
                "numbers alone; leave it out (of a data set of Hugging Face: "
                f"remove_columns([{place}]))"
            )
        return value


def _differing(samples: list[Any]) -> tuple[str, tuple, tuple] | None:
    """A part whose shape differs between samples: its place and two shapes."""

    def shapes(sample: Any) -> dict[Any, tuple]:
        if isinstance(sample, Mapping):
            parts = {repr(key): value for key, value in sample.items()}
        elif isinstance(sample, tuple):
            parts = {f"part {i}": value for i, value in enumerate(sample)}
        else:
            parts = {"the sample": sample}
        return {place: tuple(getattr(value, "shape", ())) for place, value in parts.items()}

    first = shapes(samples[0])
    for sample in samples[1:]:
        for place, shape in shapes(sample).items():
            if first.get(place) != shape:
                return place, first.get(place, ()), shape
    return None
