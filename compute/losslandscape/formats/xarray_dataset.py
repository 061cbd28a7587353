"""A landscape as an xarray.Dataset: the contents of its netCDF file, without the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import netCDF4
import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.formats import netcdf
from losslandscape.landscape.landscape import Landscape

if TYPE_CHECKING:
    import xarray


def to_xarray(landscape: Landscape) -> xarray.Dataset:
    """The variables and attributes of the landscape's file, in memory.

    The file's JSON text ``provenance`` is left out, because the attributes repeat it. The labels of
    trajectories and models, which the file stores elsewhere, are added as coordinates
    ``trajectory`` (step) and ``model_label`` (model).

    Raises
    ------
    LossLandscapeError
        If xarray is not installed.
    """
    try:
        import xarray
        from xarray.backends import NetCDF4DataStore
    except ImportError as error:
        raise LossLandscapeError("to_xarray() needs xarray: pip install xarray") from error
    # filled by the function that writes the file, so that the two cannot differ
    with netCDF4.Dataset("landscape.nc", "w", diskless=True, persist=False) as memory:
        netcdf.fill(memory, landscape)
        dataset = xarray.open_dataset(NetCDF4DataStore(memory)).load().drop_vars("provenance")
    for variable in dataset.variables.values():
        variable.encoding = {}  # describes the file in memory
    dataset.encoding = {}
    if landscape.trajectories:
        labels = np.array([trajectory.label for trajectory in landscape.trajectories])
        dataset = dataset.assign_coords(
            trajectory=("step", labels[dataset["trajectory_index"].values])
        )
    if landscape.models:
        names = [model.label for model in landscape.models]
        dataset = dataset.assign_coords(model_label=("model", names))
    return dataset
