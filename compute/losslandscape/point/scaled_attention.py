"""Self-attention by PyTorch's fused scaled dot product.

On a processor ``nn.MultiheadAttention`` copies queries, keys and values into an order of its own
and writes all attention weights to memory. The fused operator reads them where the first product
left them: it takes 0.65 to 0.9 of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from losslandscape.point.replaced_layers import ReplacedLayers
from losslandscape.point.shortcut import Run, Setting, Values
from losslandscape.problem.batches import Batch


class ScaledAttention(ReplacedLayers):
    """Replaces the forward of multi-head attention of a sequence to itself, without masks.

    Other calls, those that return attention weights, and those that autograd records go to the
    layer itself, and so does a batch whose losses are not all finite. Rounding differs, nothing
    else.
    """

    name = "scaled_attention"
    optional = True

    def __init__(self, model: nn.Module):
        super().__init__([module for module in model.modules() if _can_be_scaled(module)])
        self._off = False

    @classmethod
    def offer(cls, setting: Setting) -> ScaledAttention | None:
        """On the CPU, where it was measured to pay."""
        offered = cls(setting.model) if setting.eager_on_cpu else None
        return offered if offered is not None and offered.layers else None

    def wrap(self, run: Run) -> Run:
        def finite(batch: Batch) -> Values:
            values = run(batch)
            if values["loss"].isfinite().all():
                return values
            self._off = True
            try:
                return run(batch)
            finally:
                self._off = False

        return finite

    def replaced(self, layer: nn.MultiheadAttention) -> Callable[..., Any]:
        plain = layer.forward

        def forward(
            query: Tensor,
            key: Tensor,
            value: Tensor,
            key_padding_mask: Tensor | None = None,
            need_weights: bool = True,
            attn_mask: Tensor | None = None,
            average_attn_weights: bool = True,
            is_causal: bool = False,
        ) -> Any:
            itself = query is key and query is value and query.dim() == 3
            masked = key_padding_mask is not None or attn_mask is not None or is_causal
            if (
                self._off
                or not itself
                or masked
                or need_weights
                or layer.training
                or torch.is_grad_enabled()
            ):
                return plain(
                    query,
                    key,
                    value,
                    key_padding_mask,
                    need_weights,
                    attn_mask,
                    average_attn_weights,
                    is_causal,
                )
            self.taken = True
            return _attention(layer, query), None

        return forward


def _can_be_scaled(module: nn.Module) -> bool:
    return (
        type(module) is nn.MultiheadAttention
        and "forward" not in vars(module)
        and module.batch_first
        and module._qkv_same_embed_dim
        and module.bias_k is None
        and not module.add_zero_attn
    )


def _attention(layer: nn.MultiheadAttention, inputs: Tensor) -> Tensor:
    """Attention of sequences to themselves, shape (samples, tokens, width)."""
    samples, tokens, width = inputs.shape
    heads = layer.num_heads
    products = functional.linear(inputs, layer.in_proj_weight, layer.in_proj_bias)
    parts = products.view(samples, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    found = functional.scaled_dot_product_attention(*parts)
    joined = found.transpose(1, 2).reshape(samples, tokens, width)
    return functional.linear(joined, layer.out_proj.weight, layer.out_proj.bias)
