"""A landscape read and drawn through a pvserver is the one read here."""

import os
import queue
import re
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from losslandscape.paraview import process as paraview_process
from losslandscape.paraview import programs as paraview_programs

SCRIPTS = Path(__file__).resolve().parents[1] / "in_paraview"


@pytest.fixture(params=[True])
def server(request, repository):
    """A pvserver on 127.0.0.1, started as the guide says where the parameter is true; its port."""
    program = shutil.which("pvserver", path=paraview_programs.clean_environment()["PATH"])
    if program is None:
        pytest.skip("there is no pvserver")
    plugin = repository / "paraview_plugin"
    environment = paraview_programs.clean_environment()
    environment.pop("PYTHONPATH", None)
    if request.param:
        environment["PYTHONPATH"] = str(plugin / "losslandscape_paraview" / "startup")
    with paraview_process.screen() as display:
        environment["DISPLAY"] = display or os.environ.get("DISPLAY", "")
        # port 0: any free one, which the server tells
        process = subprocess.Popen(
            [program, "--hostname=127.0.0.1", "--server-port=0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = queue.Queue()
        threading.Thread(target=lambda: [said.put(x) for x in process.stdout], daemon=True).start()
        try:
            words = ""
            while "Accepting connection" not in words:
                words += said.get(timeout=60)
            yield re.search(r"Accepting connection\(s\): .*:(\d+)", words).group(1)
        finally:
            process.kill()
            process.wait()


def test_arrays_and_figure_are_those_of_a_local_session(
    tmp_path, server, write_landscape, in_paraview
):
    write_landscape(tmp_path / "x.nc")
    local, _done = in_paraview("remote.py", tmp_path, "127.0.0.1", "local", alone=True)
    remote, _done = in_paraview("remote.py", tmp_path, "127.0.0.1", server, alone=True)
    assert (local["remote"], remote["remote"]) == (False, True)
    assert remote["proxy"] == "LossLandscapeReader"
    assert remote["report"] == local["report"]
    with np.load(tmp_path / "local.npz") as here, np.load(tmp_path / "remote.npz") as there:
        assert {"0/loss", "0/status", "1/loss", "1/step", "2/loss", "height"} <= set(here)
        assert set(here) == set(there)
        for name in here:
            assert here[name].dtype == there[name].dtype
            assert here[name].tobytes() == there[name].tobytes()
    assert (tmp_path / "remote.png").stat().st_size > 10_000


@pytest.mark.parametrize("server", [False], indirect=True)
def test_a_server_that_cannot_load_the_plugin_is_told(
    tmp_path, server, write_landscape, repository
):
    if paraview_programs.describe(paraview_programs.find_pvpython()).loads_python_plugins:
        pytest.skip("this ParaView loads Python plugins as it is")
    write_landscape(tmp_path / "x.nc")
    script = SCRIPTS / "remote.py"
    plugin = repository / "paraview_plugin"
    done = paraview_process.run_script(
        script, [str(plugin), str(tmp_path), "127.0.0.1", server], timeout=300, capture=True
    )
    assert done.returncode != 0
    assert "the server could not load" in done.stderr
    assert "startup (see docs/launcher.md)" in done.stderr
