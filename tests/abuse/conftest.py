"""The folder in which abusive commands run, and the objects that abusive calls are given."""

import shutil
from pathlib import Path

import pytest
import torch
from tests.abuse import m

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A folder with what users have when they mistype; see the head of commands.txt."""
    return make_template(tmp_path_factory.mktemp("template"))


def make_template(folder):
    """Fill a folder with what users have."""
    from tests.cli import command_process

    for name in ("m.py", "faulty.py"):
        shutil.copy(HERE / name, folder)
    torch.save(m.build().state_dict(), folder / "own.pt")
    own = ["--model", "m:build", "--weights", "own.pt", "--data", "m:load", "--quiet"]
    for arguments in (
        ["surface", *own, "--grid", 5, "--output", "two.nc"],
        ["surface", *own, "--grid", 5, "--dimensions", 1, "--output", "one.nc"],
        ["train", "--model", "m:build", "--data", "m:load", "--epochs", 2, "--output", "run"],
    ):
        done = command_process.run(arguments, folder)
        assert done.returncode == 0, done.stderr
    import numpy as np

    np.save(folder / "three.npy", np.arange(9.0).reshape(3, 3))
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return folder
