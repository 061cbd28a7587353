"""What the last bits of a value depend on, besides its arguments."""

from __future__ import annotations

import platform
import sys

import numpy as np
import scipy
import torch

from losslandscape import __version__


def computer(device: torch.device) -> dict[str, str]:
    """Versions of the software and the processor of this process.

    Examples
    --------
    >>> computer(torch.device("cpu"))["torch"] == torch.__version__
    True
    """
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "losslandscape": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": sys.version.split()[0],
        "processor": processor,
    }
