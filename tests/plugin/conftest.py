"""ParaView as a process, and landscape files written as the format says, by netCDF4 alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview import process as paraview_process

HERE = Path(__file__).resolve().parent
collect_ignore_glob = ["in_paraview/*"]  # scripts that ParaView's Python runs
GRID_SIZES = {"alpha": 7, "beta": 5, "gamma": 4}


def pytest_collection_modifyitems(items):
    """Mark what lies in this folder, and skip it where there is no ParaView."""
    try:
        paraview_process.find_pvpython()
        reason = None
    except LossLandscapeError as error:
        reason = str(error)
    for item in items:
        if HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.paraview)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def repository():
    return HERE.parents[1]


@pytest.fixture(scope="session")
def in_paraview(repository):
    """Run a script of `in_paraview/` with ParaView's Python; the JSON it prints last comes back.

    Its first argument is the folder of the plugin, the others are the caller's.
    """

    def run(script, *arguments, plugin=repository / "paraview_plugin"):
        done = paraview_process.run_script(
            HERE / "in_paraview" / script,
            [str(plugin), *(str(argument) for argument in arguments)],
            timeout=1200,
            capture=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1]), done

    return run


@pytest.fixture(scope="session")
def write_landscape():
    """Write a landscape file with random values, a NaN and an infinity among them."""
    from netCDF4 import Dataset

    def write(path, dimensions=2, provenance=None, leave_out=(), loss=None):
        rng = np.random.default_rng(dimensions)
        names = ("alpha", "beta", "gamma")[:dimensions]
        grid = names[::-1]
        shape = tuple(GRID_SIZES[name] for name in grid)
        if loss is None:
            loss = np.exp(2 * rng.normal(size=shape))
            loss.flat[2], loss.flat[-2] = np.nan, np.inf
        steps = np.array([0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0])
        variables = {
            "loss": ("f8", grid, loss),
            "loss_standard_error": ("f8", grid, 0.1 * loss),
            "accuracy": ("f4", grid, rng.random(shape)),
            "epochs": ("i2", grid, rng.integers(-300, 300, shape)),
            "status": ("i1", grid, np.where(np.isfinite(loss), 1, -3)),
            "loss_samples": ("f4", (*grid, "sample"), rng.random((*shape, 6))),
            "trajectory_index": ("i4", ("step",), [0, 0, 0, 0, 1, 1, 1]),
            "trajectory_step": ("f8", ("step",), steps),
            "model_loss": ("f8", ("model",), [0.5, 0.25]),
        }
        for name in names:
            axis = np.linspace(-1.5, 1.0, GRID_SIZES[name])
            variables[name] = ("f8", (name,), axis)
            variables[f"trajectory_{name}"] = ("f8", ("step",), rng.uniform(-1, 0.5, 7))
            variables[f"model_{name}"] = ("f8", ("model",), rng.uniform(-1, 0.5, 2))
        for name in ("loss", "checkpoint_loss", "distance_to_plane"):
            variables[f"trajectory_{name}"] = ("f8", ("step",), rng.uniform(0.1, 1, 7))
        if provenance is None:
            provenance = {
                "format": "losslandscape",
                "title": "a landscape",
                "models": ["seed 0", "seed 1"],
                "quantities": {"loss": "cross-entropy loss"},
                "objective": {"batch_norm": "reestimated"},
            }
        text = np.frombuffer(json.dumps(provenance).encode("ascii"), "S1")
        variables["provenance"] = ("S1", ("provenance_length",), text)
        with Dataset(path, "w") as file:
            for _kind, dims, values in variables.values():
                for name, size in zip(dims, np.shape(values)):
                    if name not in file.dimensions:
                        file.createDimension(name, size)
            for name, (kind, dims, values) in variables.items():
                if name not in leave_out:
                    variable = file.createVariable(name, kind, dims, fletcher32=kind != "S1")
                    variable[:] = values
        return path

    return write
