"""Landscape files to damage, and what became of reading a damaged one."""

import time

import netCDF4
import numpy as np
from tests.fuzz.forked_child import forked_children

from losslandscape.errors import LossLandscapeError
from losslandscape.formats import file_seal, netcdf, netcdf_content
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.overlays import ModelPoint, ProjectedTrajectory
from losslandscape.planes.grid import Grid

SECONDS = 5.0
REFUSED, UNCHANGED = "refused", "unchanged"  # any other outcome is a failure


def small_landscape(dimensions=2):
    """A few kilobytes of file with one of everything."""
    rng = np.random.default_rng(dimensions)
    grid = Grid((6, 5, 4)[:dimensions], ((-1.0, 1.0),) * dimensions)
    loss = rng.random(grid.shape) + 0.5
    loss.flat[1] = np.nan
    samples = rng.random((*grid.shape, 7)).astype(np.float32)
    rows = [rng.random(3) for _ in range(3)]
    return Landscape(
        grid=grid,
        fields={"loss": loss, "accuracy": rng.random(grid.shape)},
        status=np.where(np.isfinite(loss), 1, 3).astype(np.int8),
        gram_matrix=np.eye(dimensions),
        provenance={"title": "fuzzed", "objective": {"loss": "mse"}, "quantities": {"loss": "l"}},
        samples={"loss_samples": samples},
        models=[ModelPoint("m", (0.25,) * dimensions, 0.75)],
        trajectories=[ProjectedTrajectory("t", np.arange(3.0), rng.random((3, dimensions)), *rows)],
    )


def write(landscape, path, kind="sealed"):
    """A file as it is written; `unsealed`: without its last line, as after a copy by another
    program; `old`: without any of the checksums over the whole."""
    landscape.save(path, overwrite=True)
    if kind != "sealed":
        content = path.read_bytes()
        path.write_bytes(content[: -file_seal.LENGTH])
    if kind == "old":
        with netCDF4.Dataset(path, "a") as dataset:
            dataset.delncattr(netcdf_content.CHECKSUM)
    return path


def everything(landscape):
    """All that a landscape holds, to the bit."""
    return (
        landscape.grid,
        *(
            [(n, v.dtype.str, v.shape, v.tobytes()) for n, v in sorted(arrays.items())]
            for arrays in (landscape.fields, landscape.samples, {"s": landscape.status})
        ),
        landscape.gram_matrix.tobytes(),
        landscape.description(),
        landscape.models,
        [
            (t.label, *(getattr(t, n).tobytes() for n in
             ("step", "coordinates", "loss", "checkpoint_loss", "distance_to_plane")))
            for t in landscape.trajectories
        ],
    )  # fmt: skip


def outcome(path, original):
    """How a file is read by `netcdf.read`, whose child is forked here."""
    started = time.monotonic()
    try:
        with forked_children():
            found = netcdf.read(path)
    except LossLandscapeError as error:
        seconds = time.monotonic() - started
        return REFUSED if seconds < SECONDS else f"refused after {seconds:.1f} s: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return UNCHANGED if everything(found) == original else "taken for good, but changed"
