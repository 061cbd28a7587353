"""In which arithmetic a model is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from losslandscape.errors import LossLandscapeError

_TELLS_AUTOCAST = hasattr(torch, "get_autocast_dtype")  # of any device: PyTorch 2.4 and later
# parameters of these lose a step of a direction below 1/256 or 1/2,048 of themselves
COARSE = (torch.bfloat16, torch.float16)
# types of parameters and data; derivatives are computed in one of these
PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Precision:
    """The type of parameters and data, and what matrix products and convolutions make of them.

    Parameters stay in float32 where the computing type is narrower: in bfloat16 a step of a
    direction below 1/256 of a parameter would be lost, and the surface would be a staircase.
    """

    name: str
    parameters: torch.dtype
    autocast: torch.dtype | None = None
    tf32: bool = False

    @property
    def reduced(self) -> bool:
        """Whether values differ from those of plain arithmetic in the parameters' type."""
        return self.autocast is not None or self.tf32


_NAMED = {
    **{name: Precision(name, dtype) for name, dtype in PRECISIONS.items()},
    "bfloat16": Precision("bfloat16", torch.float32, autocast=torch.bfloat16),
    "float16": Precision("float16", torch.float32, autocast=torch.float16),
    "tf32": Precision("tf32", torch.float32, tf32=True),
}
NAMES = tuple(_NAMED)


def type_name(dtype: torch.dtype) -> str:
    """The name of a type as the file has it, such as ``float32``."""
    return str(dtype).removeprefix("torch.")


def resolve(name: str, device: torch.device) -> Precision:
    """The precision of a name.

    Raises
    ------
    LossLandscapeError
        If the name is unknown, or the device does not have it.
    """
    if name not in _NAMED:
        raise LossLandscapeError(f"precision {name!r} is not one of {', '.join(NAMES)}")
    if name == "tf32" and device.type != "cuda":
        raise LossLandscapeError(
            f"precision 'tf32' is one of NVIDIA's processors, and the device is {device.type}; "
            "choose 'float32', or a cuda device"
        )
    return _NAMED[name]


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Products in a type, or in that of their factors whatever was set outside, in this thread."""
    if dtype is None and _TELLS_AUTOCAST and not torch.is_autocast_enabled(device.type):
        return nullcontext()
    # without its cache, which would keep the weights of another point
    return torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False)


@contextmanager
def arithmetic(tf32: bool = False) -> Iterator[None]:
    """Float32 products are computed in float32, whatever was set outside, unless asked otherwise.

    PyTorch allows TF32 (10 bits of mantissa) in cuDNN's convolutions by default, and
    ``set_float32_matmul_precision`` allows TF32 and bfloat16 elsewhere. Algorithms that give the
    same bits every time are preferred. What was set outside is restored; these are settings of the
    whole process.
    """
    saved = []

    def set_to(owner: Any, name: str, value: Any) -> None:
        saved.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    try:
        for owner, name, value in _float32_settings(tf32):
            set_to(owner, name, value)
        set_to(torch.backends.cudnn, "benchmark", False)
        set_to(torch.backends.cudnn, "deterministic", True)
        yield
    finally:
        for owner, name, value in reversed(saved):
            setattr(owner, name, value)


def _float32_settings(tf32: bool) -> list[tuple[Any, str, Any]]:
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):  # PyTorch 2.9 and later
        wanted = "tf32" if tf32 else "ieee"
        return [
            (backends.cuda.matmul, "fp32_precision", wanted),
            (backends.cudnn.conv, "fp32_precision", wanted),
            (backends.cudnn.rnn, "fp32_precision", wanted),
            (backends.mkldnn.matmul, "fp32_precision", "ieee"),
            (backends.mkldnn.conv, "fp32_precision", "ieee"),
        ]
    return [
        (backends.cuda.matmul, "allow_tf32", tf32),
        (backends.cudnn, "allow_tf32", tf32),
    ]
