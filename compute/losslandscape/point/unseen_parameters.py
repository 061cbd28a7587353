"""Trainable parameters that the loss does not depend on.

Such a part moves and changes nothing: a head that is not called, a weight that the model computed
from once and keeps, a copy that stands beside what is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_TRIED_ALONE = 16  # parameters, where all together make a difference


def unreached(losses: Tensor, groups: Mapping[str, Sequence[nn.Parameter]]) -> list[str]:
    """Names of the parameters that autograd did not see on the way to the losses.

    Parameters
    ----------
    groups : mapping of name to parameters
        Tied parameters have one name.

    Examples
    --------
    >>> used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    >>> unreached(used * 2, {"used": [used], "unused": [unused]})
    ['unused']
    """
    if losses.grad_fn is None:  # detached: nothing is known
        return []
    seen, leaves = set(), set()
    waiting: list[Any] = [losses.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (variable := getattr(node, "variable", None)) is not None:
            leaves.add(id(variable))
        waiting += [following for following, _ in node.next_functions]
    return [name for name, group in groups.items() if not any(id(p) in leaves for p in group)]


def without_effect(
    names: Sequence[str],
    origin: Mapping[str, Tensor],
    same: Callable[[Mapping[str, Tensor]], bool],
) -> list[str]:
    """Those of the parameters that may have any values and change no loss.

    Parameters
    ----------
    origin : mapping of name to tensor
        All parameters that move.
    same : callable
        Parameters -> whether the losses are those of the origin, to the bit.
    """
    other = {name: _other(origin[name]) for name in names}
    if not names or same({**origin, **other}):
        return list(names)
    if len(names) == 1 or len(names) > _TRIED_ALONE:
        return []
    return [name for name in names if same({**origin, name: other[name]})]


def _other(tensor: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(tensor.shape, generator=generator).to(tensor)
    size = tensor.std() if tensor.numel() > 1 else tensor.abs().sum()
    return tensor + noise * (size + 0.1)
