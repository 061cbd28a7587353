"""Tensors that are not finite, and words for them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.parameter import is_lazy

DIVERGED = "the training has diverged, or the file is damaged; give other weights"


def in_tensors(parameters: Mapping[str, Tensor]) -> str:
    """The first parameter that is not finite; empty if there is none.

    Examples
    --------
    >>> import torch
    >>> in_tensors({"weight": torch.tensor([0.0, float("nan")])})
    "parameter 'weight' has NaN in 1 of 2 values"
    """
    for name, parameter in parameters.items():
        if not is_lazy(parameter) and (count := bad_values(parameter)):
            return f"parameter '{name}' has {kind_of(parameter)} in {count} of {size_of(parameter)}"
    return ""


def bad_values(tensor: Tensor) -> int:
    """Number of values that are not finite."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return 0
    return int((~tensor.detach().isfinite()).sum())


def has_nan(tensor: Tensor) -> bool:
    """Whether a real tensor has a NaN."""
    return bool(tensor.is_floating_point() and tensor.detach().isnan().any())


def kind_of(tensor: Tensor) -> str:
    """Of a tensor that is not finite: "NaN" or "infinity"."""
    return "NaN" if has_nan(tensor) else "infinity"


def size_of(tensor: Tensor) -> str:
    """How many values a tensor has."""
    return f"{tensor.numel():,} value{'s' * (tensor.numel() != 1)}"
