"""Runs that are killed or interrupted go on to the same bits, or are refused by name."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.files.journal import Journal, journal_path

_KILLED_RUN = """
import sys, os, time, torch
sys.path[:0] = {folders!r}
import losslandscape as ll

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.BatchNorm1d(7), torch.nn.Linear(7, 3))
data = torch.randn(30, 5), torch.randint(0, 3, (30,))

def loss(model, batch):
    time.sleep(float(os.environ["PAUSE"]))
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

objective = ll.Objective(model, loss, data, batch_norm="reestimated", batch_size=15)
ll.evaluate(objective, ll.Subspace.random(model), ll.Grid.square(9), path={path!r})
"""


def test_a_surface_killed_in_the_middle_ends_in_the_same_bits(tmp_path):
    def script(name):
        import losslandscape

        folders = [os.path.dirname(os.path.dirname(losslandscape.__file__))]
        text = _KILLED_RUN.format(folders=folders, path=str(tmp_path / name))
        return [sys.executable, "-c", text]

    at_once, slowly = ({**os.environ, "PAUSE": pause} for pause in ("0", "0.02"))
    subprocess.run(script("whole.nc"), check=True, env=at_once)
    killed = subprocess.Popen(script("killed.nc"), env=slowly)
    journal = journal_path(tmp_path / "killed.nc")
    deadline = time.monotonic() + 120
    started = 0
    while time.monotonic() < deadline and killed.poll() is None:
        # enough records in the file that some are behind the first flush
        started = started or (journal.stat().st_size if journal.exists() else 0)
        if started and journal.stat().st_size > started + 1000:
            break
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.nc").exists()
    with journal.open("ab") as file:
        file.write(b"half a record")  # a write that the power cut
    opened, records = Journal.resume(journal)
    opened.__exit__()
    assert 0 < len(records) < 81
    subprocess.run(script("killed.nc"), check=True, env=at_once)
    whole, resumed = (Landscape.open(tmp_path / name) for name in ("whole.nc", "killed.nc"))
    np.testing.assert_array_equal(resumed.samples["loss_samples"], whole.samples["loss_samples"])
    for name in whole.fields:
        np.testing.assert_array_equal(resumed.values(name), whole.values(name))
    assert not journal.exists()


def interrupted(path, cnn, images, records, **options):
    """Begin a surface and press Ctrl-C in the first pass after so many records of its journal."""
    written = 0
    append = Journal.append

    def count(journal, *record):
        nonlocal written
        written += 1
        append(journal, *record)

    def loss(model, batch):
        if written >= records:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", count)
        with pytest.raises(KeyboardInterrupt) as caught:
            evaluate(Objective(cnn, loss, images, batch_size=40), path=path, quiet=True, **options)
    return str(caught.value)


def test_an_interrupted_call_says_what_is_kept_and_nothing_where_nothing_is(cnn, images, tmp_path):
    path = tmp_path / "x.nc"
    plane, grid = Subspace.random(cnn), Grid.square(4)
    assert interrupted(path, cnn, images, 0, subspace=plane, grid=grid) == ""
    assert interrupted(None, cnn, images, 0, subspace=plane, grid=grid) == ""
    said = interrupted(path, cnn, images, 6, subspace=plane, grid=grid)
    kept = len(Journal.resume(journal_path(path))[1]) - 1  # the origin is a record too
    assert kept >= 5
    assert said == f"{kept} of 16 points are in {path}.journal, and the same call continues"


def test_an_unfinished_run_of_something_else_is_refused(cnn, images, tmp_path):
    path = tmp_path / "x.nc"
    interrupted(path, cnn, images, 6, subspace=Subspace.random(cnn), grid=Grid.square(4))
    assert journal_path(path).exists()
    objective = Objective(cnn, "cross_entropy", images)
    with pytest.raises(LossLandscapeError, match=r"an unfinished run .* its grid.shape is not"):
        evaluate(objective, Subspace.random(cnn), Grid.square(5), path=path)
    evaluate(objective, Subspace.random(cnn), Grid.square(5), path=path, overwrite=True)
    assert not journal_path(path).exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda model: model.__setitem__(2, nn.ReLU()), "objective.model_structure"),
        (lambda model: model[1].weight.data.add_(1), "objective.frozen_parameters"),
        (lambda model: model[3].weight.data.add_(1), "subspace.parameters_sha256"),
    ],
)
def test_a_changed_model_does_not_go_on(images, tmp_path, change, named):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Tanh(), nn.Linear(8, 5))
    model[1].requires_grad_(False)
    path = tmp_path / "x.nc"
    interrupted(path, model, images, 6, subspace=Subspace.random(model), grid=Grid.square(4))
    change(model)
    with pytest.raises(LossLandscapeError, match=f"its {named} is not the same \\("):
        interrupted(path, model, images, 6, subspace=Subspace.random(model), grid=Grid.square(4))


def test_overwriting_goes_on_with_the_same_run(cnn, images, tmp_path):
    path = tmp_path / "x.nc"
    options = {"subspace": Subspace.random(cnn), "grid": Grid.square(4)}
    interrupted(path, cnn, images, 6, **options)
    interrupted(path, cnn, images, 6, overwrite=True, **options)
    opened, records = Journal.resume(journal_path(path))
    opened.__exit__()
    assert len(records) >= 12
