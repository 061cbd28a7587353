"""ParaView as a process, and landscape files written as the format says, by netCDF4 alone."""

import json
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview import process as paraview_process
from losslandscape.paraview import programs as paraview_programs

HERE = Path(__file__).resolve().parent
collect_ignore_glob = ["in_paraview/*"]  # scripts that ParaView's Python runs
_SCRIPTS_A_PROCESS = 12
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


class SharedParaView:
    """One ParaView process for many scripts; each begins with an empty session."""

    def __init__(self, plugin, folder):
        self._plugin, self._folder, self._count = plugin, folder, 0
        self._stack = self._process = None

    def run_script(self, script, arguments=(), timeout=None, capture=True):
        """As `losslandscape.paraview.process.run_script`."""
        self._count += 1
        if self._count % _SCRIPTS_A_PROCESS == 0:  # each session leaves ParaView a little slower
            self.end()
        files = {name: self._folder / f"{self._count}.{name}" for name in ("stdout", "stderr")}
        process = self._started()
        wanted = {
            "script": str(script),
            "arguments": [str(argument) for argument in arguments],
            **{name: str(file) for name, file in files.items()},
        }
        process.stdin.write(json.dumps(wanted) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:  # ParaView broke off
            process.wait()
            self.end()
        said = {name: file.read_text(errors="replace") for name, file in files.items()}
        return subprocess.CompletedProcess(
            [str(script)], int(answer or process.returncode), said["stdout"], said["stderr"]
        )

    def _started(self):
        if self._process is None:
            self._stack = ExitStack()
            environment = paraview_programs.clean_environment()
            environment["TMPDIR"] = str(self._folder)
            environment["DISPLAY"] = self._stack.enter_context(paraview_process.screen()) or ""
            command = [
                str(paraview_programs.find_pvpython()),
                str(HERE / "in_paraview" / "shared.py"),
                str(self._plugin),
            ]
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return self._process

    def end(self):
        """End the process, if one was started."""
        if self._process is not None:
            with suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            self._stack.close()
            self._stack = self._process = None


@pytest.fixture(scope="session")
def shared_paraview(repository, tmp_path_factory):
    """A ParaView process for what needs none of its own; started when first used."""
    shared = SharedParaView(repository / "paraview_plugin", tmp_path_factory.mktemp("shared"))
    yield shared
    shared.end()


@pytest.fixture(scope="module")
def jobs_in_one_paraview(shared_paraview):
    """The package's jobs (`render`, `render_state`) share a ParaView process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paraview_process, "run_script", shared_paraview.run_script)
        yield


@pytest.fixture(scope="session")
def in_paraview(repository, shared_paraview):
    """Run a script of `in_paraview/` with ParaView's Python; the JSON it prints last comes back.

    Its first argument is the folder of the plugin, the others are the caller's. With `alone`, and
    with another folder of the plugin, it has a process of its own.
    """
    own = repository / "paraview_plugin"

    def run(script, *arguments, plugin=own, alone=False):
        start = (
            paraview_process.run_script if alone or plugin != own else shared_paraview.run_script
        )
        done = start(
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
