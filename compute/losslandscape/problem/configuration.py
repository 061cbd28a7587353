"""How an evaluator computes a point: memory format, convolutions, shortcuts and batch size.

Two configurations of one model give the same values but for rounding. Which is the fastest depends
on the model, the processor and its load, so it is found by trial; see
:mod:`losslandscape.point.memory_format`, :mod:`losslandscape.point.shortcuts` and
:mod:`losslandscape.point.batch_size`. A run keeps its configuration, because the last bits of the
values depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from losslandscape.problem.execution import AUTO, CHANNELS_LAST, CONTIGUOUS, PLAIN

ROW_MAJOR, PRODUCTS = "row_major", "products"
_WAYS = (ROW_MAJOR, PRODUCTS)


@dataclass(frozen=True)
class Configuration:
    """What a trial decides, or what is decided without one.

    Attributes
    ----------
    memory_format : {"auto", "channels_last", "contiguous"}
        The order of images, feature maps and kernels; "auto" where a trial decides.
    shortcuts : tuple of str, optional
        Names of the shortcuts to use if they are right; None for all.
    convolutions : mapping of str to str, optional
        Name of a convolution -> ``"row_major"`` or ``"products"``, where it is computed otherwise
        than PyTorch does in the model's memory format; see
        :mod:`losslandscape.point.row_major_convolutions` and
        :mod:`losslandscape.point.pixel_convolutions`. None where no trial decided: products for
        convolutions to one pixel.
    batch_size : int, optional
        The size found by trial; None where it is still to be found.

    Examples
    --------
    >>> found = Configuration("channels_last", ("pixel_convolutions",), {"4": "products"}, 128)
    >>> Configuration.from_json(found.to_json()) == found
    True
    >>> Configuration.from_json({"memory_format": "diagonal"}) is None
    True
    """

    memory_format: str = AUTO
    shortcuts: tuple[str, ...] | None = None
    convolutions: Mapping[str, str] | None = field(default=None)
    batch_size: int | None = None

    @classmethod
    def of(cls, execution: str | Configuration) -> Configuration:
        """The configuration that an objective asks for."""
        if isinstance(execution, Configuration):
            return execution
        if execution == PLAIN:
            return cls(CONTIGUOUS, (), {})
        return cls(execution)

    @property
    def decided(self) -> bool:
        """Whether nothing is left to try but the batch size."""
        return self.shortcuts is not None

    @property
    def row_major(self) -> frozenset[str]:
        """Names of the convolutions that are computed row-major."""
        ways = (self.convolutions or {}).items()
        return frozenset(name for name, way in ways if way == ROW_MAJOR)

    def to_json(self) -> dict[str, Any]:
        return {
            "memory_format": self.memory_format,
            "shortcuts": list(self.shortcuts or ()),
            "convolutions": None if self.convolutions is None else dict(self.convolutions),
            "batch_size": self.batch_size,
        }

    @classmethod
    def from_json(cls, found: Any) -> Configuration | None:
        """The configuration in a file or a cache; None if it is not one."""
        if not isinstance(found, Mapping):
            return None
        shortcuts, size = found.get("shortcuts"), found.get("batch_size")
        ways = found.get("convolutions")
        if found.get("memory_format") not in (CHANNELS_LAST, CONTIGUOUS):
            return None
        if not isinstance(shortcuts, (list, tuple)) or not all(map(_is_text, shortcuts)):
            return None
        if ways is not None and not (
            isinstance(ways, Mapping)
            and all(_is_text(name) and way in _WAYS for name, way in ways.items())
        ):
            return None
        if size is not None and not (type(size) is int and size > 0):
            return None
        kept = None if ways is None else dict(ways)
        return cls(found["memory_format"], tuple(shortcuts), kept, size)


# That of older journals, which do not record it.
UNTRIED = Configuration(
    CHANNELS_LAST, ("pixel_convolutions", "kept_products", "fused_convolutions"), None
)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
