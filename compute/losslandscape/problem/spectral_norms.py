"""The vectors of spectral norm, as they belong to a weight.

``torch.nn.utils.spectral_norm`` and ``torch.nn.utils.parametrizations.spectral_norm`` divide a
weight W by u^T W v, where u and v are buffers. In training, one step of power iteration per pass
brings them near the first singular vectors of W; in evaluation they stay. With the vectors of
another weight, u^T W v may be far too small. Here they are the limit of the power iteration.

T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, "Spectral normalization for generative adversarial
networks", ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm


@dataclass(frozen=True)
class SpectralVectors:
    """Where the vectors u and v of one weight are.

    Attributes
    ----------
    names : (str, str)
        Of the buffers u and v in the model.
    """

    names: tuple[str, str]
    _holder: Any  # the layer with the hook, or the weight's list of parametrizations
    _norm: Any

    def converged(self) -> dict[str, Tensor]:
        """The first singular vectors of the present weight, by the names of the buffers.

        Empty for a weight of zeros, which has none.
        """
        with torch.no_grad():
            matrix = self._matrix().detach().double().cpu()
        if not torch.isfinite(matrix).all() or not matrix.any():
            return {}
        u, v = first_singular_vectors(matrix)
        return dict(zip(self.names, (u, v)))

    def _matrix(self) -> Tensor:
        if isinstance(self._norm, SpectralNorm):
            weight = getattr(self._holder, f"{self._norm.name}_orig")
            return self._norm.reshape_weight_to_matrix(weight)
        holder = self._holder  # a ParametrizationList
        values = (
            (holder.original,)
            if holder.is_tensor
            else tuple(getattr(holder, f"original{i}") for i in range(holder.ntensors))
        )
        for step in holder.children():
            if step is self._norm:
                break
            values = (step(*values),)
        return self._norm._reshape_weight_to_matrix(*values)


def spectral_vectors(model: nn.Module) -> list[SpectralVectors]:
    """Those of all weights of a model under spectral norm.

    Examples
    --------
    >>> layer = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
    >>> [one.names for one in spectral_vectors(layer)]
    [('parametrizations.weight.0._u', 'parametrizations.weight.0._v')]
    """
    return list(_found(model))


def _found(model: nn.Module) -> Iterator[SpectralVectors]:
    for prefix, module in model.named_modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                names = (f"{prefix}.{hook.name}_{letter}".lstrip(".") for letter in "uv")
                yield SpectralVectors(tuple(names), module, hook)  # type: ignore[arg-type]
        if not is_parametrized(module):
            continue
        for weight, steps in module.parametrizations.items():  # type: ignore[union-attr, operator]
            for i, step in enumerate(steps):
                if isinstance(step, _SpectralNorm) and hasattr(step, "_u"):
                    place = f"{prefix}.parametrizations.{weight}.{i}".lstrip(".")
                    yield SpectralVectors((f"{place}._u", f"{place}._v"), steps, step)


def first_singular_vectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """u and v with the largest u^T matrix v, both of norm 1.

    By the Gram matrix of the smaller side, whose largest eigenvalue is known to all digits.

    Examples
    --------
    >>> u, v = first_singular_vectors(torch.tensor([[0.0, 3.0], [2.0, 0.0]]))
    >>> abs(u), abs(v)
    (tensor([1., 0.]), tensor([0., 1.]))
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    rows = matrix if wide else matrix.T
    short = torch.linalg.eigh(rows @ rows.T).eigenvectors[:, -1]
    long = rows.T @ short
    long = long / long.norm()
    return (short, long) if wide else (long, short)
