"""Buffers of the models that a plane goes through: which differ, and what follows from it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from losslandscape.errors import LossLandscapeError
from losslandscape.public_calls import users_line


def buffers_of(model: nn.Module) -> dict[str, Tensor]:
    """A model's buffers by name, copied to the CPU.

    A buffer under several names is there under each.
    """
    return {
        name: buffer.detach().cpu().clone()
        for name, buffer in model.named_buffers(remove_duplicate=False)
    }


def differing(buffers: Sequence[Mapping[str, Tensor]]) -> frozenset[str]:
    """Names of the buffers that are not the same in all of these.

    Examples
    --------
    >>> import torch
    >>> one = {"mask": torch.ones(2), "scale": torch.ones(1)}
    >>> sorted(differing([one, {**one, "mask": torch.zeros(2)}]))
    ['mask']
    """
    first = buffers[0]
    return frozenset(
        name
        for other in buffers[1:]
        for name in first.keys() | other.keys()
        if name not in first or name not in other or not _same(first[name], other[name])
    )


def check_buffers(
    models: Sequence[nn.Module], buffers: Sequence[dict[str, Tensor]], labels: Sequence[str]
) -> None:
    """Raise a LossLandscapeError if a model lacks a buffer of another, or has another shape.

    Buffers outside of the state dict, which a model makes itself as it needs them, are removed
    from ``buffers`` in that case: those of the first model stay in use.

    Warns
    -----
    UserWarning
        With the names of these.
    """
    persistent = set().union(*(model.state_dict().keys() for model in models))
    passing = {
        name
        for name in set().union(*buffers) - persistent
        if len({tuple(b[name].shape) if name in b else None for b in buffers}) > 1
    }
    if passing:
        warnings.warn(
            f"{labels[0]} and {' and '.join(labels[1:])} have other shapes of "
            f"{', '.join(map(repr, sorted(passing)))}, which is not in the state dict "
            f"(persistent=False): {labels[0]}'s is used",
            stacklevel=users_line(),
        )
    for one in buffers:
        for name in passing:
            one.pop(name, None)
    for other, label in zip(buffers[1:], labels[1:]):
        for name in sorted(buffers[0].keys() | other.keys()):
            shapes = [tuple(b[name].shape) if name in b else None for b in (buffers[0], other)]
            if shapes[0] != shapes[1]:
                words = [f"of shape {s}" if s is not None else "missing" for s in shapes]
                raise LossLandscapeError(
                    f"the buffer '{name}' is {words[0]} in {labels[0]} and {words[1]} in {label}: "
                    "there is nothing between them. Give both models the same buffers"
                )


def of_norm_layers(model: nn.Module) -> frozenset[str]:
    """Names of the buffers of batch norm and instance norm: statistics and their counters."""
    return frozenset(
        f"{prefix}.{name}".lstrip(".")
        for prefix, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, _NormBase)
        for name in module._buffers
    )


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())
