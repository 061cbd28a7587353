"""Kernels that have the derivatives that are wanted of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_FUSED = ("flash", "mem_efficient", "cudnn")


@contextmanager
def differentiable_kernels(model: nn.Module) -> Iterator[None]:
    """Inside the context, attention is plain, and recurrent layers do without cuDNN.

    Fused attention has no second derivative. cuDNN's recurrent layers have no derivative at all in
    eval mode.

    Examples
    --------
    >>> query = torch.ones(1, 1, 2, 4, requires_grad=True)
    >>> with differentiable_kernels(nn.Identity()):
    ...     out = nn.functional.scaled_dot_product_attention(query, query, query).sum()
    ...     (first,) = torch.autograd.grad(out, query, create_graph=True)
    ...     (second,) = torch.autograd.grad(first.sum(), query)
    >>> second.shape
    torch.Size([1, 1, 2, 4])
    """
    attention = torch.backends.cuda  # the switches are for the CPU too
    allowed = {
        kind: getattr(attention, f"{kind}_sdp_enabled")()
        for kind in _FUSED
        if hasattr(attention, f"{kind}_sdp_enabled")
    }
    plain = attention.math_sdp_enabled()
    cudnn = torch.backends.cudnn.enabled
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    try:
        attention.enable_math_sdp(True)
        for kind in allowed:
            getattr(attention, f"enable_{kind}_sdp")(False)
        if recurrent:
            torch.backends.cudnn.enabled = False
        yield
    finally:
        attention.enable_math_sdp(plain)
        for kind, was in allowed.items():
            getattr(attention, f"enable_{kind}_sdp")(was)
        if recurrent:
            torch.backends.cudnn.enabled = cudnn
