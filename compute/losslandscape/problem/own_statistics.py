"""Running statistics of a user's own modules, gathered anew by passes in train mode.

Such a module has buffers ``running_...`` and renews them in train mode as a moving average,
``new = (1 - m) * old + m * statistic``. What m is can be seen: passes of one batch that begin with
the buffers at 0, 1 and 2 end 1 - m apart. A pass that begins with 0 then gives the statistic of
its batch, and the mean over the batches is what batch norm's re-estimation gives too. A module
whose buffers do not follow that rule is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from losslandscape.problem.batches import Batch

_PREFIX = "running_"
_RELATIVE = 1e-3  # of the change of a buffer, for what counts as the same


def candidates(model: nn.Module) -> dict[str, nn.Module]:
    """Modules by name that have running statistics and are no norm layer of PyTorch's."""
    return {
        name: module
        for name, module in model.named_modules()
        if not isinstance(module, _NormBase) and _statistics(module)
    }


class OwnStatistics:
    """A module whose running statistics are a moving average with a known weight.

    Parameters
    ----------
    weight : float
        m, the share of a batch's statistic in the new value.
    """

    def __init__(self, module: nn.Module, weight: float):
        self.module = module
        self._weight = weight
        self._buffers = _statistics(module)
        self._sums: dict[str, Tensor] = {}
        self._batches = 0

    @property
    def names(self) -> list[str]:
        """Of its running statistics."""
        return list(self._buffers)

    @classmethod
    def seen(
        cls, module: nn.Module, batch: Batch, run: Callable[[Batch], object], reset: Callable
    ) -> OwnStatistics | None:
        """What passes of one batch show of a module in train mode; None if it is no such average.

        Parameters
        ----------
        reset : callable
            Puts all buffers back to what they were.
        """
        ends = []
        module.training = True  # alone: not what is inside of it
        try:
            for start in (0.0, 1.0, 2.0):
                reset()
                for buffer in _statistics(module).values():
                    buffer.fill_(start)
                run(batch)
                ends.append({name: b.clone() for name, b in _statistics(module).items()})
        except (
            Exception,
            SystemExit,
        ):  # whatever the module does with statistics that it never had
            return None
        finally:
            module.training = False
            reset()
        weight = _weight(ends)
        return None if weight is None else cls(module, weight)

    def begin(self) -> None:
        self._sums = {name: torch.zeros_like(b) for name, b in self._buffers.items()}
        self._batches = 0
        self.module.training = True

    def before_batch(self) -> None:
        self._install()
        for buffer in self._buffers.values():
            buffer.zero_()

    def after_batch(self) -> None:
        for name, total in self._sums.items():
            found = self.module._buffers[name]
            assert found is not None
            total += found / self._weight
        self._batches += 1

    def end(self) -> None:
        self.module.training = False
        self._install()
        for name, buffer in self._buffers.items():
            if self._batches:
                buffer.copy_(self._sums[name] / self._batches)

    def _install(self) -> None:
        """The module's own tensors again, where it put others in their place."""
        self.module._buffers.update(self._buffers)


def _statistics(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: buffer
        for name, buffer in module._buffers.items()
        if buffer is not None and name.startswith(_PREFIX) and buffer.is_floating_point()
    }


def _weight(ends: Sequence[dict[str, Tensor]]) -> float | None:
    """m, by where buffers that began with 0, 1 and 2 ended; None if there is no one number."""
    kept = []
    for name, first in ends[0].items():
        one, two = ends[1][name] - first, (ends[2][name] - first) / 2
        if not (torch.isfinite(one).all() and torch.allclose(one, two, _RELATIVE, _RELATIVE)):
            return None
        kept += [float(one.min()), float(one.max())]
    low, high = min(kept), max(kept)
    if not (low >= 0 and high < 1 - _RELATIVE and high - low <= _RELATIVE):
        return None
    return 1 - (low + high) / 2
