"""The inputs of a network as the parameters that move, while the network itself is fixed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import told
from losslandscape.problem.batches import Batch, describe
from losslandscape.problem.losses import Loss
from losslandscape.problem.outputs import TARGET_KEYS
from losslandscape.problem.samples import SampleSet

Range = tuple[float, float]


class InputsModel(nn.Module):
    """A fixed network, and the inputs of a set of samples as its only trainable parameter.

    Parameters
    ----------
    network : torch.nn.Module
        Its values are shared, not copied; its parameters are frozen here and nowhere else.
    inputs : Tensor, shape (samples, ...)
    valid_range : (low, high), optional
        Of the values of an input.
    clip : bool
        Evaluate the network at values clipped to ``valid_range``. What is clipped is counted by
        :meth:`outside`.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Tensor,
        valid_range: Range | None = None,
        clip: bool = False,
    ):
        super().__init__()
        self.network = _frozen(network)
        self.inputs = nn.Parameter(inputs.detach().clone())
        self.valid_range, self.clip = valid_range, clip
        self.training = network.training

    def extra_repr(self) -> str:
        shape = tuple(self.inputs.shape)
        return f"inputs={shape}, valid_range={self.valid_range}, clip={self.clip}"

    def forward(self, numbers: Tensor) -> Any:
        return self.network(self.moved(numbers))

    def moved(self, numbers: Tensor) -> Tensor:
        """The inputs of these samples as the network gets them, shape (n, ...)."""
        inputs = self.inputs[numbers]
        if self.clip and self.valid_range is not None:
            inputs = inputs.clamp(*self.valid_range)
        return inputs

    def outside(self, numbers: Tensor) -> Tensor:
        """The share of each input's values that lie outside the valid range, shape (n,)."""
        assert self.valid_range is not None
        low, high = self.valid_range
        inputs = self.inputs[numbers].detach()
        return ((inputs < low) | (inputs > high)).flatten(1).float().mean(1)


def _frozen(network: nn.Module) -> nn.Module:
    """A copy of a network that shares its parameters' values, none of them trainable.

    Raises
    ------
    LossLandscapeError
        If the network holds something that cannot be copied.
    """
    shared: dict[int, Any] = {
        id(parameter): nn.Parameter(parameter.detach(), requires_grad=False)
        for parameter in network.parameters()
    }
    for module in network.modules():  # tensors that autograd computed cannot be copied
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                shared[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(network, shared)
    except (Exception, SystemExit) as error:  # whatever the user's modules hold
        raise LossLandscapeError(
            f"{type(network).__name__} cannot be copied ({told(error)}), which a "
            "landscape over its inputs needs; drop what it keeps from call to call"
        ) from error


@dataclass(frozen=True)
class InputsLoss(Loss):
    """A loss of a network, as a loss of the inputs that move.

    A batch has the numbers of the samples in the place of their inputs. If a valid range is known,
    ``outside_range`` is measured beside the loss.
    """

    of: Loss
    place: Any  # of the inputs in a batch: a position or a key

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        numbers = batch[self.place]
        # what is called may be compiled or copied; it has the attributes of an InputsModel
        values = self.at(model.network, batch, model.moved(numbers))  # type: ignore[operator, arg-type]
        if model.valid_range is not None:
            values["outside_range"] = model.outside(numbers)  # type: ignore[operator]
        return values

    def at(self, network: nn.Module, batch: Batch, inputs: Tensor) -> dict[str, Tensor]:
        """The values of a batch whose inputs are given."""
        if isinstance(batch, Mapping):
            return self.of(network, {**batch, self.place: inputs})
        parts = list(batch)
        parts[self.place] = inputs
        return self.of(network, tuple(parts))

    @property
    def gradients(self) -> bool:
        return self.of.gradients

    def code_hash(self) -> str | None:
        return self.of.code_hash()

    def may_have_code(self, stated: str | None) -> bool:
        return self.of.may_have_code(stated)

    def to_json(self) -> dict[str, Any]:
        return self.of.to_json()


def moving_inputs(
    network: nn.Module,
    loss: Loss,
    samples: SampleSet,
    valid_range: Range | None,
    clip: bool,
    place: int | str | None,
) -> tuple[InputsModel, InputsLoss, SampleSet]:
    """The model, loss and samples of an objective over the inputs.

    Raises
    ------
    LossLandscapeError
        If the samples are not held in memory or differ in shape; the inputs are missing or not
        floating-point numbers; or they lie outside the valid range.
    """
    if samples.streamed or samples.ragged:
        reason = "too large to be held in memory" if samples.streamed else "of different shapes"
        raise LossLandscapeError(
            f"{samples.name}: the samples are {reason}, and a landscape over the inputs moves "
            "them all; pass a few samples as tensors of one shape"
        )
    batch = samples.first(len(samples))
    place = _place(batch, samples.name) if place is None else place
    try:
        inputs = batch[place]
    except (KeyError, IndexError, TypeError) as error:
        raise LossLandscapeError(
            f"{samples.name}: a batch ({describe(batch)}) has no inputs at {place!r}"
        ) from error
    if not inputs.is_floating_point():
        raise LossLandscapeError(
            f"{samples.name}: the inputs have type {str(inputs.dtype).removeprefix('torch.')}, and "
            "only floating-point inputs can move; for token ids, let your model take their "
            "embeddings as inputs"
        )
    valid_range = _checked_range(valid_range, clip, inputs)
    own = next(iter(network.parameters()), None)
    if own is not None:
        inputs = inputs.to(own.device, own.dtype)
    model = InputsModel(network, inputs, valid_range, clip)
    numbers = torch.arange(len(inputs))
    if isinstance(batch, Mapping):
        rest: Batch = {**batch, place: numbers}
    else:
        rest = tuple(numbers if i == place else part for i, part in enumerate(batch))
    return (
        model,
        InputsLoss(f"{loss.name} over the inputs", loss.title, loss.function, loss, place),
        SampleSet(rest, samples.name),
    )


def _place(batch: Batch, name: str) -> int | str:
    """The place of the inputs: the first part, or the first key of floating-point numbers."""
    if not isinstance(batch, Mapping):
        return 0
    for key, tensor in batch.items():
        if key not in TARGET_KEYS and tensor.is_floating_point():
            return key
    raise LossLandscapeError(
        f"{name}: no entry of a batch ({describe(batch)}) holds floating-point inputs; for token "
        "ids, let your model take their embeddings as inputs"
    )


def _checked_range(valid_range: Range | None, clip: bool, inputs: Tensor) -> Range | None:
    if valid_range is None:
        if clip:
            raise LossLandscapeError(
                "clip=True needs the range to clip to: valid_range=(0, 1) (--valid-range 0,1)"
            )
        return None
    try:
        low, high = (float(end) for end in valid_range)
    except (TypeError, ValueError):
        low = high = np.nan
    if not low < high:
        raise LossLandscapeError(
            f"valid_range is {valid_range!r}; pass the lowest and the highest value of an input, "
            "such as (0, 1)"
        )
    count = int(((inputs < low) | (inputs > high)).sum())
    if count:
        raise LossLandscapeError(
            f"{count} of {inputs.numel()} input values lie outside of valid_range "
            f"{low:g} to {high:g} before anything moves (they run from {float(inputs.min()):g} to "
            f"{float(inputs.max()):g}); if the data are normalized, pass the range after that"
        )
    return low, high
