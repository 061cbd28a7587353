"""Convolutions, with the batch norm, sum and rectifier that follow, in one call of oneDNN.

With fixed statistics a batch norm is one factor and one summand a channel: they go into the kernel
and its bias, anew at each point, or at each call where the kernel is large. A sum and a rectifier
that follow are done while the result is in the processor's cache. That saves reading and writing
each map up to three times, which takes half of the time of a small residual network. The order of
the model's operations is found by torch.fx.
"""

from __future__ import annotations

import copy
import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from losslandscape.point.shortcut import Run, Setting, Shortcut, Values
from losslandscape.problem.batches import Batch

# oneDNN's rectifier turns NaN into 0. Its leaky one keeps NaN, and with this slope leaves of a
# negative number less than any rounding error of what it is added to.
_SLOPE = 1e-30
# Larger kernels are folded at each call: kept, they would be a second copy of the parameters.
_KEPT_ELEMENTS = 1 << 16
_RECTIFIERS = {torch.relu, torch.relu_, functional.relu, "relu", "relu_"}
_SUMS = {operator.add, operator.iadd, torch.add, "add", "add_"}


class FusedConvolutions(Shortcut):
    """A model's forward pass with its convolutions fused; parameters and buffers are the model's.

    Rounding differs from the model's, and negative numbers are rectified to about -1e-30 times
    themselves instead of 0; a result that is not finite must be taken from the model itself, since
    an infinity can leave a leaky rectifier that would not leave a plain one.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode, channels-last, float32 on the CPU. It is not changed.
    by : callable, optional
        (what is called instead of the model, batch) -> values by sample.
    largest_batch : int
        No batch has more samples.

    Attributes
    ----------
    called : callable or None
        What to call instead of the model; None where nothing can be fused: torch.fx cannot follow
        the model, it has hooks, or there is no such sequence.
    """

    name = "fused_convolutions"
    optional = True

    def __init__(
        self,
        model: nn.Module,
        by: Callable[[Any, Batch], Values] | None = None,
        largest_batch: int = 1,
    ):
        self._by, self._largest_batch = by, largest_batch
        self.layers: list[_FusedConvolution] = []
        self.called: fx.GraphModule | None = None
        if not _keeps_nan() or any(_hooked(module) for module in model.modules()):
            return
        if not any(type(module) is nn.Conv2d for module in model.modules()):
            return
        try:
            graph = _Tracer().trace(_structure(model))
            graph_module = fx.GraphModule(model, graph)
        except (
            Exception,
            SystemExit,
        ):  # whatever a forward function does with what it takes for a tensor
            return
        for chain in list(_chains(graph_module)):
            self._fuse(graph_module, chain)
        if self.layers:
            graph_module.recompile()
            self.called = graph_module

    @classmethod
    def offer(cls, setting: Setting) -> FusedConvolutions | None:
        """On the CPU, where it was measured to pay, for channels-last float32 models."""
        if not (setting.eager_on_cpu and setting.plain_calls and setting.channels_last):
            return None
        if setting.objective.dtype != torch.float32:
            return None
        offered = cls(setting.model, setting.by, setting.largest_batch)
        return None if offered.called is None else offered

    @property
    def taken(self) -> bool:  # type: ignore[override]
        return any(layer.taken for layer in self.layers)

    def undo(self) -> None:
        self.before_batches()

    def wrap(self, run: Run) -> Run:
        def fused(batch: Batch) -> Values:
            assert self._by is not None
            values = self._by(self.called, batch)
            # an infinity can leave a leaky rectifier that would not leave a plain one
            return values if values["loss"].isfinite().all() else run(batch)

        return fused

    def before_batches(self) -> None:
        """Fold batch norms anew at the next call: parameters or statistics have changed."""
        for layer in self.layers:
            layer.folded = None

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Fuse what the largest batch would fuse, and keep no folded kernels."""
        try:
            for layer in self.layers:
                layer.as_with, layer.folded = self._largest_batch, None
            yield
        finally:
            for layer in self.layers:
                layer.as_with, layer.folded = None, None

    def _fuse(self, graph_module: fx.GraphModule, chain: _Chain) -> None:
        fused = _FusedConvolution(chain.layer, chain.norm, chain.sum is not None, chain.rectified)
        name = f"_fused_{len(self.layers)}"
        graph_module.add_submodule(name, fused)
        last = chain.nodes[-1]
        read = [chain.nodes[0].args[0]]
        if chain.sum is not None:  # as it is now: what it adds may have been fused before
            read += [other for other in chain.sum.args if other not in chain.nodes]
        with graph_module.graph.inserting_after(last):
            node = graph_module.graph.call_module(name, tuple(read))
        last.replace_all_uses_with(node)
        for old in reversed(chain.nodes):
            graph_module.graph.erase_node(old)
        self.layers.append(fused)


class _Tracer(fx.Tracer):
    """Follows modules down to torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or "forward" in vars(m)


class _Chain:
    """A convolution's node and those fused with it, in their order."""

    def __init__(self, node: fx.Node, layer: nn.Conv2d):
        self.nodes = [node]
        self.layer = layer
        self.norm: nn.BatchNorm2d | None = None
        self.sum: fx.Node | None = None
        self.rectified = False


def _chains(graph_module: fx.GraphModule) -> Iterator[_Chain]:
    taken: set[fx.Node] = set()
    for node in graph_module.graph.nodes:
        layer = _module(graph_module, node)
        if type(layer) is not nn.Conv2d or not _plain_call(node):
            continue
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            continue
        chain = _Chain(node, layer)
        following = _only_user(node)
        norm = _module(graph_module, following)
        if (
            following is not None
            and isinstance(norm, nn.BatchNorm2d)
            and type(norm) is nn.BatchNorm2d
            and norm.running_mean is not None
            and _plain_call(following)
        ):
            chain.norm = norm
            chain.nodes.append(following)
            following = _only_user(following)
        if following is not None and following not in taken and _adds_two(following):
            chain.sum = following
            chain.nodes.append(following)
            following = _only_user(following)
        if following is not None and _rectifies(graph_module, following):
            chain.rectified = True
            chain.nodes.append(following)
        if len(chain.nodes) > 1:
            taken.update(chain.nodes)
            yield chain


def _module(graph_module: fx.GraphModule, node: fx.Node | None) -> nn.Module | None:
    if node is None or node.op != "call_module":
        return None
    return graph_module.get_submodule(str(node.target))


def _plain_call(node: fx.Node) -> bool:
    return len(node.args) == 1 and isinstance(node.args[0], fx.Node) and not node.kwargs


def _only_user(node: fx.Node) -> fx.Node | None:
    """The node that alone reads this one's result."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def _adds_two(node: fx.Node) -> bool:
    """Whether the node adds two tensors."""
    return (
        node.op in ("call_function", "call_method")
        and node.target in _SUMS
        and len(node.args) == 2
        and all(isinstance(part, fx.Node) for part in node.args)
        and node.args[0] is not node.args[1]
        and not node.kwargs
    )


def _rectifies(graph_module: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return type(_module(graph_module, node)) is nn.ReLU and _plain_call(node)
    return (
        node.op in ("call_function", "call_method")
        and node.target in _RECTIFIERS
        and len(node.args) == 1
        and set(node.kwargs) <= {"inplace"}
    )


class _FusedConvolution(nn.Module):
    """A convolution and what follows it; where that does not pay, as the model does it."""

    def __init__(
        self, layer: nn.Conv2d, norm: nn.BatchNorm2d | None, summed: bool, rectified: bool
    ):
        super().__init__()
        self._own = (layer, norm)  # in a tuple: they are the model's modules, not this one's
        self._summed, self._rectified = summed, rectified
        self.folded: tuple[Tensor, Tensor | None] | None = None
        self.as_with: int | None = None  # in a check: fuse as in a batch of so many samples
        self.taken = False
        self._keeps = norm is None or layer.weight.numel() <= _KEPT_ELEMENTS
        padding = [int(p) for p in layer.padding]
        self._geometry = (padding, list(layer.stride), list(layer.dilation), layer.groups)

    def forward(self, images: Tensor, summand: Any = None) -> Tensor:
        if not self._pays(images, summand):
            return self._as_given(images, summand)
        folded = self._fold() if self.folded is None else self.folded
        if self._keeps and self.as_with is None:
            self.folded = folded
        self.taken = True
        convolve = torch.ops.mkldnn._convolution_pointwise
        arguments = (*folded, *self._geometry)
        if self._summed:  # oneDNN's rectifier after a sum has no slope
            result = convolve.binary(images, summand, *arguments, "add", 1.0, None, [], "")
            return result.relu_() if self._rectified else result
        if self._rectified:
            return convolve(images, *arguments, "leaky_relu", [_SLOPE], "")
        return convolve(images, *arguments, "none", [], "")

    def _pays(self, images: Tensor, summand: Any) -> bool:
        """Whether maps are larger than kernels, which are folded anew, and than a pixel.

        A convolution to one pixel is a matrix product: see ``pixel_convolutions``.
        """
        layer, norm = self._own
        if getattr(vars(layer).get("forward"), "found_faster", False):  # another shortcut's
            return False
        if images.dim() != 4 or images.dtype != torch.float32 or torch.is_grad_enabled():
            return False
        shape = self._shape(images)
        elements = shape[1:].numel() * (shape[0] if self.as_with is None else self.as_with)
        if shape[2] * shape[3] <= 1 or (norm is not None and layer.weight.numel() > elements):
            return False
        return not self._summed or (
            isinstance(summand, Tensor)
            and summand.shape == shape
            and summand.dtype == images.dtype
            and summand.is_contiguous(memory_format=torch.channels_last)
        )

    def _shape(self, images: Tensor) -> torch.Size:
        layer, _ = self._own
        padding, stride, dilation, _ = self._geometry
        sizes = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, p, s, d in zip(images.shape[2:], layer.kernel_size, padding, stride, dilation)
        ]
        return torch.Size((images.shape[0], layer.out_channels, *sizes))

    def _fold(self) -> tuple[Tensor, Tensor | None]:
        """Kernel and bias with the batch norm in them."""
        layer, norm = self._own
        if norm is None:
            return layer.weight, layer.bias
        assert norm.running_mean is not None
        assert norm.running_var is not None
        factor = torch.rsqrt(norm.running_var + norm.eps)
        if norm.weight is not None:
            factor = factor * norm.weight
        mean = norm.running_mean if layer.bias is None else norm.running_mean - layer.bias
        bias = -mean * factor if norm.bias is None else norm.bias - mean * factor
        return layer.weight * factor[:, None, None, None], bias

    def _as_given(self, images: Tensor, summand: Any) -> Tensor:
        layer, norm = self._own
        result = layer(images)
        if norm is not None:
            result = norm(result)
        if self._summed:
            result = result + summand
        return result.relu_() if self._rectified else result


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _structure(model: nn.Module) -> nn.Module:
    """A copy of the modules with the model's own tensors.

    A forward function that keeps what it computes leaves it there, not in the user's model.
    """
    tensors = itertools.chain(model.parameters(), model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


@functools.cache
def _keeps_nan() -> bool:
    """Whether this PyTorch has the fused operators, and NaN comes out of them as NaN."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        convolve = torch.ops.mkldnn._convolution_pointwise
        images = torch.ones(2, 8, 4, 4)
        images[0, 3, 1, 1] = torch.nan
        images = images.contiguous(memory_format=torch.channels_last)
        kernel = torch.ones(8, 8, 1, 1)
        geometry = ([0, 0], [1, 1], [1, 1], 1)
        with torch.no_grad():
            alone = convolve(images, kernel, None, *geometry, "leaky_relu", [_SLOPE], "")
            summed = convolve.binary(
                images, images, kernel, None, *geometry, "add", 1.0, None, [], ""
            )
    except (AttributeError, RuntimeError):
        return False
    expected = images.isnan().any(1, keepdim=True).expand_as(alone)
    return torch.equal(alone.isnan(), expected) and torch.equal(summed.isnan(), expected)
