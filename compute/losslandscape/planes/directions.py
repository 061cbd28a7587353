"""Directions in parameter space: random directions and principal components of a trajectory."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.weight_norm import WeightNorm

from losslandscape.argument_checks import COUNT, Whole
from losslandscape.argument_kinds import Names, Word
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.public_calls import public
from losslandscape.training.trajectory import joint_blocks

if TYPE_CHECKING:
    from losslandscape.training.trajectory import Block, Trajectory

Normalization = Literal["filter", "layer", "none"]
NORMALIZATIONS = ("filter", "layer", "none")
CENTERS = ("origin", "mean")

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# RMSNorm is newer than the oldest supported version
_NORMS = (nn.LayerNorm, nn.GroupNorm, _NormBase, getattr(nn, "RMSNorm", nn.LayerNorm))
_PCA_BLOCK_BYTES = 64 << 20


@public(index=Whole(0), normalization=Word(NORMALIZATIONS), moving=Names())
def random_direction(
    model: nn.Module,
    layout: ParameterLayout,
    seed: int,
    index: int,
    normalization: Normalization = "filter",
    zero_vectors: bool = True,
    moving: Collection[str] | None = None,
) -> Tensor:
    """A Gaussian direction with the norms of the model's own filters, shape (size,).

    Filter normalization scales each filter d_ij of the direction to the norm of the weight's
    filter, d_ij <- d_ij / ||d_ij|| * ||theta_ij|| (Li et al. 2018, section 4). It makes landscapes
    of networks with scale-invariant layers comparable. A filter is a slice along the output
    dimension: dimension 0, or dimension 1 of each group of a transposed convolution. Entries that
    ``torch.nn.utils.prune`` masks do not move, and the norm is that of the others.

    Numbers are drawn on the CPU from a generator seeded by (seed, index, parameter name), so they
    do not depend on the device or on the model's other parameters.

    Parameters
    ----------
    normalization : "filter", "layer" (one norm per parameter) or "none"
    zero_vectors : bool
        Keep biases, normalization weights and all parameters of one dimension or none fixed; see
        :func:`vector_names`.
    moving : collection of str, optional
        Names of the parameters that move; the direction is zero in the others. By default all.

    Raises
    ------
    LossLandscapeError
        If the normalization is unknown, or nothing would move.

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> layout = ParameterLayout.of(model)
    >>> direction = layout.views(random_direction(model, layout, seed=0, index=0))
    >>> norms = [w.norm(dim=1) for w in (direction["weight"], model.weight.detach())]
    >>> torch.allclose(*norms), direction["bias"]
    (True, tensor([0., 0.]))
    """
    if normalization not in NORMALIZATIONS:
        raise LossLandscapeError(
            f"normalization {normalization!r} is not one of {', '.join(NORMALIZATIONS)}"
        )
    chosen = [s for s in layout.segments if moving is None or s.name in moving]
    vectors = vector_names(model, layout)
    if zero_vectors and all(segment.name in vectors for segment in chosen):
        raise LossLandscapeError(
            f"all {'trainable' if moving is None else 'chosen'} parameters are biases, "
            "normalization weights or vectors; these stay fixed by default, so the direction would "
            "be zero: pass zero_vectors=False (--move-vectors)"
        )
    drawn = {s.name for s in chosen if not (zero_vectors and s.name in vectors)}
    weights = dict(model.named_parameters())
    groups, masks = _transposed_groups(model), _pruning_masks(model)
    direction = layout.empty()
    for segment in layout.segments:
        view = segment.view(direction)
        if segment.name not in drawn:
            view.zero_()
            continue
        key = hashlib.sha256(f"{seed}/{index}/{segment.name}".encode()).digest()
        generator = torch.Generator("cpu").manual_seed(int.from_bytes(key[:8], "little") >> 1)
        view.copy_(
            torch.randn(segment.shape, generator=generator, dtype=torch.float32, device="cpu")
        )
        mask = masks.get(segment.name)
        if mask is not None:
            view.mul_(mask.cpu())
        if normalization != "none":
            weight = weights[segment.name].detach()
            weight = weight if mask is None else weight * mask
            by_filter = normalization == "filter" and len(segment.shape) > 1
            _match_norms(view, weight, groups.get(segment.name), by_filter)
    return direction


def vector_names(model: nn.Module, layout: ParameterLayout) -> set[str]:
    """Names of the parameters without filters: biases, normalization weights, other vectors.

    They have one dimension or none, except for biases of any shape, weights of a layer norm over
    several dimensions, and the gains of weight norm. The gains, one per filter, have as many
    dimensions as the weight, but they are scales like those of batch norm.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.LayerNorm([2, 4, 4]))
    >>> sorted(vector_names(model, ParameterLayout.of(model)))
    ['0.bias', '1.bias', '1.weight']
    """
    found = set()
    for segment in layout.segments:
        last = segment.name.rpartition(".")[2]
        size = segment.stop - segment.start
        # "weight_g" also of programs with a weight norm of their own
        gains = last == "weight_g" and size == max(segment.shape, default=1)
        if len(segment.shape) <= 1 or last == "bias" or gains:
            found.add(segment.name)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    scales = (one for module in model.modules() for one in _scales(module))
    return found | {names[id(one)] for one in scales if id(one) in names}


def _scales(module: nn.Module) -> Iterator[Tensor | None]:
    """Biases and scales of a module, whatever their shape."""
    if isinstance(module, _NORMS):
        yield from module.parameters(recurse=False)
    if isinstance(module, nn.MultiheadAttention):
        yield from (module.bias_k, module.bias_v)
    if isinstance(module, ParametrizationList) and any(isinstance(s, _WeightNorm) for s in module):
        yield module.original0  # type: ignore[misc]
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm):
            yield getattr(module, f"{hook.name}_g")


def _transposed_groups(model: nn.Module) -> dict[str, int]:
    """Name of each transposed convolution's weight -> its number of groups.

    Under spectral norm, weight norm and pruning the weight has other names, and the same shape.
    """
    return {
        f"{name}.{weight}".lstrip("."): module.groups
        for name, module in model.named_modules()
        if isinstance(module, _TRANSPOSED)
        for weight, parameter in module.named_parameters()
        if parameter.shape
        == (module.in_channels, module.out_channels // module.groups, *module.kernel_size)
    }


def _pruning_masks(model: nn.Module) -> dict[str, Tensor]:
    """Name of each parameter under torch's pruning -> 1 where it is used, 0 where it is pruned."""
    return {
        f"{name}.{hook._tensor_name}_orig".lstrip("."): module.get_buffer(
            f"{hook._tensor_name}_mask"
        )
        for name, module in model.named_modules()
        for hook in module._forward_pre_hooks.values()
        if isinstance(hook, BasePruningMethod)
    }


def filters(tensor: Tensor, transposed_groups: int | None = None) -> Tensor:
    """The filters of a weight as rows, shape (filters, elements per filter).

    A transposed convolution, with a weight of shape (inputs, outputs / groups, ...), has one row
    for each group and output channel.

    Examples
    --------
    >>> filters(torch.zeros(8, 3, 5, 5)).shape
    torch.Size([8, 75])
    >>> filters(torch.zeros(8, 3, 5, 5), transposed_groups=2).shape
    torch.Size([6, 100])
    """
    if transposed_groups is not None:
        inputs, outputs, *kernel = tensor.shape
        tensor = tensor.reshape(transposed_groups, inputs // transposed_groups, outputs, *kernel)
        tensor = tensor.transpose(1, 2).flatten(0, 1)
    return tensor.flatten(1)


def _match_norms(
    direction: Tensor, weight: Tensor, transposed_groups: int | None, by_filter: bool
) -> None:
    """Scale the direction in place to the norms of the weight, per filter or as a whole."""

    def norms(tensor: Tensor) -> Tensor:
        tensor = tensor.cpu().double()  # not every device has float64
        rows = filters(tensor, transposed_groups) if by_filter else tensor.reshape(1, -1)
        return torch.linalg.vector_norm(rows, dim=1)

    own, wanted = norms(direction), norms(weight)
    scale = torch.where(own > 0, wanted / own, torch.zeros_like(own))
    if not by_filter:
        direction.mul_(scale.item())
    elif transposed_groups is None:
        shape = (-1,) + (1,) * (direction.dim() - 1)
        direction.copy_(direction.double() * scale.view(shape))
    else:
        per_input = direction.shape[0] // transposed_groups
        scale = scale.view(transposed_groups, -1).repeat_interleave(per_input, dim=0)
        scale = scale.view(*direction.shape[:2], *(1,) * (direction.dim() - 2))
        direction.copy_(direction.double() * scale)


@public(center=Word(CENTERS), block_bytes=COUNT, moving=Names())
def principal_directions(
    trajectory: Trajectory,
    layout: ParameterLayout,
    dimensions: int,
    center: Literal["origin", "mean"] = "origin",
    block_bytes: int = _PCA_BLOCK_BYTES,
    moving: Collection[str] | None = None,
) -> tuple[list[Tensor], np.ndarray]:
    """Principal directions of theta_i - theta_final, each of unit norm (Li et al. 2018, section 7).

    ``center="origin"`` uses the singular vectors of the differences themselves. They span the
    plane through the final checkpoint that captures most of the trajectory. ``"mean"`` subtracts
    the mean first, as scikit-learn's PCA and Li et al. do.

    The Gram matrix of the checkpoints is summed in float64 over blocks of parameters, each block
    with all checkpoints. Besides the directions, the memory is ``block_bytes``, whatever the
    length of the trajectory.

    Parameters
    ----------
    moving : collection of str, optional
        Names of the parameters whose movement is analyzed; the directions are zero in the others.
        By default all.

    Returns
    -------
    directions : list of ``dimensions`` flat vectors, shape (size,)
        Signed so that the first checkpoint has no negative coordinate.
    explained : ndarray, shape (dimensions,)
        Share of the summed squared distance from the final checkpoint along each direction: the
        share of the trajectory that the plane shows. With ``moving``, the share of the movement of
        these parameters.

    Raises
    ------
    LossLandscapeError
        If the trajectory spans fewer than ``dimensions`` directions, has parameters that are not
        finite, or ``center`` is unknown.
    """
    found = joint_principal_directions(
        [trajectory], layout, dimensions, center, block_bytes, moving
    )
    return found.directions, found.explained


class JointDirections(NamedTuple):
    """The result of :func:`joint_principal_directions`."""

    directions: list[Tensor]
    explained: np.ndarray
    run_explained: list[np.ndarray]


def joint_principal_directions(
    trajectories: Sequence[Trajectory],
    layout: ParameterLayout,
    dimensions: int,
    center: Literal["origin", "mean"] = "origin",
    block_bytes: int = _PCA_BLOCK_BYTES,
    moving: Collection[str] | None = None,
) -> JointDirections:
    """Principal directions of several training runs of one model, each of unit norm.

    As :func:`principal_directions`, of the differences of all checkpoints from the last checkpoint
    of the first run. Each run counts the same, however many checkpoints it has: a difference is
    weighted by one over the number of its run's checkpoints. For runs of one length, these are the
    principal components of all their checkpoints together.

    Parameters
    ----------
    moving : collection of str, optional
        As for :func:`principal_directions`.

    Returns
    -------
    directions : list of ``dimensions`` flat vectors, shape (size,)
        Signed so that the first checkpoint of the first run has no negative coordinate.
    explained : ndarray, shape (dimensions,)
        Weighted share of the squared distances from the last checkpoint of the first run along
        each direction.
    run_explained : list of ndarray, shape (dimensions,)
        For each run, the share of its squared distances from its own last checkpoint along each
        direction: the share of this run that the plane shows. NaN for a run that does not move.

    Raises
    ------
    LossLandscapeError
        If the runs span fewer than ``dimensions`` directions, a checkpoint has parameters that are
        not finite, or ``center`` is unknown.
    """
    if center not in ("origin", "mean"):
        raise LossLandscapeError(f"center {center!r} is neither 'origin' nor 'mean'")
    counts = [len(one) for one in trajectories]
    count, last = sum(counts), counts[0] - 1
    where = " and ".join(str(one.path) for one in trajectories)
    needed = dimensions + 1
    if count < needed:
        raise LossLandscapeError(
            f"{where}: {dimensions} directions need {needed} checkpoints or more, and "
            f"there {'is' if count == 1 else 'are'} {count}; record more checkpoints"
        )
    names = {s.name for s in layout.segments if moving is None or s.name in moving}
    arguments = trajectories, names, block_bytes, last
    plain = difference_products(trajectories, names, block_bytes, last)
    # exactly 1 for a single run
    weights = np.concatenate([np.full(n, count / (len(counts) * n)) for n in counts])
    roots = np.sqrt(weights)
    gram = plain
    if center == "mean":
        centering = np.eye(count) - weights / weights.sum()
        gram = centering @ plain @ (centering if len(counts) == 1 else centering.T)
    eigenvalues, vectors = np.linalg.eigh(roots[:, None] * gram * roots)
    order = np.argsort(eigenvalues)[::-1][:dimensions]
    # differences below the square root of float64's precision are rounding errors
    if eigenvalues[order[-1]] <= 1e-12 * max(eigenvalues[order[0]], np.finfo(float).tiny):
        raise LossLandscapeError(
            f"{where}: the checkpoints span fewer than {dimensions} directions "
            "(they lie on a line, or are all equal); record more checkpoints, or use fewer "
            "dimensions"
        )
    coefficients = roots[:, None] * vectors[:, order] / np.sqrt(eigenvalues[order])
    if center == "mean":
        coefficients = (centering if len(counts) == 1 else centering.T) @ coefficients
    # the trajectory starts on the positive side; `plain @ coefficients` are its coordinates
    coordinates = plain @ coefficients
    signs = np.where(coordinates[0] < 0, -1.0, 1.0)
    coefficients *= signs
    coordinates *= signs
    explained = (weights[:, None] * coordinates**2).sum(axis=0)
    explained = explained / np.trace(weights[:, None] * plain)
    directions = [layout.empty().zero_() for _ in range(dimensions)]
    views = [layout.views(direction) for direction in directions]
    for (name, start, stop), differences in _difference_blocks(*arguments):
        values = torch.from_numpy(coefficients.T @ differences)
        del differences
        for view, row in zip(views, values):
            _assign(view[name], start, stop, row)
    return JointDirections(directions, explained, _shares(plain, coordinates, counts))


def _shares(plain: np.ndarray, coordinates: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """The share of each run's squared distances from its own end along each direction."""
    shares = []
    for stop, count in zip(np.cumsum(counts), counts):
        rows, end = np.arange(stop - count, stop), stop - 1
        along = ((coordinates[rows] - coordinates[end]) ** 2).sum(axis=0)
        squared = np.diag(plain)[rows] + plain[end, end] - 2 * plain[rows, end]
        moved = squared.sum() > 1e-12 * max(plain[end, end], np.finfo(float).tiny)
        shares.append(along / squared.sum() if moved else np.full(along.shape, np.nan))
    return shares


def _require_finite(plain: np.ndarray, trajectories: Sequence[Trajectory]) -> None:
    """Raise a LossLandscapeError that names the first checkpoint with a NaN or an infinity."""
    finite = np.isfinite(np.diag(plain))
    if finite.all():
        return
    last = len(trajectories[0]) - 1  # without it no difference is finite
    first = int(np.argmin(finite)) if finite.any() else last
    for one in trajectories:
        if first < len(one):
            raise LossLandscapeError(
                f"{one.path}: the checkpoint of step {one.steps[first]:g} has parameters that are "
                "not finite, or are too large to be squared (did the training diverge?); leave it "
                "out of the trajectory"
            )
        first -= len(one)


def difference_products(
    trajectories: Sequence[Trajectory],
    names: Collection[str],
    block_bytes: int = _PCA_BLOCK_BYTES,
    last: int = -1,
) -> np.ndarray:
    """Inner products of theta_i - theta_last, float64, shape (checkpoints, checkpoints).

    Parameters
    ----------
    names : collection of str
        The parameters that count.
    last : int
        Number of the last checkpoint among those of all trajectories, one after the other.

    Raises
    ------
    LossLandscapeError
        If a checkpoint has parameters that are not finite.
    """
    count = sum(map(len, trajectories))
    found = np.zeros((count, count))
    for _, differences in _difference_blocks(trajectories, names, block_bytes, last):
        with np.errstate(invalid="ignore"):  # see _require_finite
            found += differences @ differences.T
        del differences  # before the next block is read
    _require_finite(found, trajectories)
    return found


def _difference_blocks(
    trajectories: Sequence[Trajectory], names: Collection[str], block_bytes: int, last: int
) -> Iterator[tuple[tuple[str, int, int], np.ndarray]]:
    """Blocks (name, start, stop), theta_i - theta_last of shape (checkpoints, stop - start)."""

    def differences(block: Block) -> tuple[tuple[str, int, int], np.ndarray]:
        name, start, stop, values = block
        with np.errstate(invalid="ignore"):
            values -= values[last].copy()
        return (name, start, stop), values

    # no loop: its variable would hold one block while the next is read
    return map(differences, joint_blocks(trajectories, block_bytes, names))


def _assign(view: Tensor, start: int, stop: int, values: Tensor) -> None:
    """Write elements start..stop of any view, counted in row-major order."""
    if view.is_contiguous():
        view.view(-1)[start:stop] = values
        return
    if stop - start == view.numel():
        view.copy_(values.view(view.shape))
        return
    index = np.unravel_index(np.arange(start, stop), view.shape)
    view[tuple(torch.from_numpy(i) for i in index)] = values.to(view.dtype)
