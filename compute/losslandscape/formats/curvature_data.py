"""A curvature on disk: a report in JSON, and its vectors in safetensors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from losslandscape.analysis.curvature import Curvature
from losslandscape.analysis.spectral_density import Quadrature
from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.inputs import input_file
from losslandscape.planes.parameters import ParameterLayout, sha256
from losslandscape.training.weights import save_weights

VECTORS_FILE = "eigenvectors.safetensors"
_VERSION = 1
_ARRAYS = ("eigenvalues", "residuals", "standard_errors", "converged", "eigenvectors", "gradient")
_NUMBERS = (
    "kind", "loss", "trace", "trace_standard_error", "trace_interval", "trace_sample_error",
    "frobenius_norm", "frobenius_standard_error", "by_layer", "parameters", "samples", "about",
)  # fmt: skip
_WANTED = f"a file of 'losslandscape curvature' is expected ({VECTORS_FILE})"


def write_vectors(found: Curvature, path: Path) -> None:
    """Write eigenvectors and all numbers to a safetensors file, from which it can be read again."""
    arrays = {name: torch.from_numpy(np.array(getattr(found, name))) for name in _ARRAYS}
    rest = found._quadrature
    arrays["known"] = torch.from_numpy(np.array(rest.known))
    for i, (nodes, weights) in enumerate(zip(rest.nodes, rest.weights)):
        arrays[f"nodes_{i}"] = torch.from_numpy(nodes)
        arrays[f"weights_{i}"] = torch.from_numpy(weights)
    told = {name: getattr(found, name) for name in _NUMBERS}
    told |= {"version": _VERSION, "probes": len(rest.nodes), **_place(found.origin, found.buffers)}
    save_weights(arrays, path, json.dumps(told, sort_keys=True))


def read_vectors(path: str | os.PathLike, model: nn.Module) -> Curvature:
    """Read what :func:`write_vectors` wrote, for the model that it was measured at.

    Parameters
    ----------
    path : path
        The file, or the folder that it is in.

    Raises
    ------
    LossLandscapeError
        If it is no such file, or was measured at other weights.
    """
    place = Path(path)
    place = input_file(place / VECTORS_FILE if place.is_dir() else place, _WANTED)
    told, arrays = _content(place)
    layout = ParameterLayout.of(model)
    given = dict(model.named_parameters())
    origin = {s.name: given[s.name].detach().cpu().clone() for s in layout.segments}
    buffers = {n: b.detach().cpu().clone() for n, b in model.named_buffers()}
    for name, value in _place(origin, buffers).items():
        if told[name] != value:
            what = name.removesuffix("_sha256")
            raise LossLandscapeError(
                f"{place}: the curvature was measured at a model with other {what}; load the "
                "weights that it was measured at (--weights), or measure it again"
            )
    probes = range(told["probes"])
    vectors: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
    numbers: dict[str, Any] = {name: told[name] for name in _NUMBERS}
    numbers["trace_interval"] = tuple(numbers["trace_interval"])
    return Curvature(
        **vectors,
        **numbers,
        layout=layout,
        origin=origin,
        buffers=buffers,
        _quadrature=Quadrature(
            told["parameters"],
            arrays["known"],
            [arrays[f"nodes_{i}"] for i in probes],
            [arrays[f"weights_{i}"] for i in probes],
        ),
    )


def _content(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with safe_open(os.fspath(path), "numpy") as file:
            told = json.loads((file.metadata() or {})["losslandscape"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        wanted = {*_ARRAYS, "known"}
        probes = range(told["probes"])
        wanted |= {f"{name}_{i}" for name in ("nodes", "weights") for i in probes}
        if told["version"] != _VERSION or not wanted <= set(arrays):
            raise KeyError("version")
        if not {*_NUMBERS, "parameters_sha256", "buffers_sha256"} <= set(told):
            raise KeyError("numbers")
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: cannot be read: {_WANTED}") from error
    return told, arrays


def _place(origin: dict[str, Tensor], buffers: dict[str, Tensor]) -> dict[str, str]:
    return {
        "parameters_sha256": sha256([origin[name] for name in sorted(origin)]),
        "buffers_sha256": sha256([buffers[name] for name in sorted(buffers)]),
    }
