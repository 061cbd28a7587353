"""Records go into the journal and the landscape; the unfinished file shows what there is."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape, Objective, Subspace
from losslandscape.errors import LossLandscapeError
from losslandscape.files.journal import Journal
from losslandscape.point.measurement import Measurement
from losslandscape.run import storing
from losslandscape.run.measuring import Points
from losslandscape.run.recipe import recipe_of
from losslandscape.run.resume import Begun
from losslandscape.run.settings import Settings
from losslandscape.run.task import Task

NAMES = ["loss", "loss_standard_error", "loss_sample_count"]


@pytest.fixture
def points(cnn, images, tmp_path):
    objective, grid = Objective(cnn, "cross_entropy", images), Grid((3, 2), ((-1, 1), (-1, 1)))
    labels, path = {"title": ""}, tmp_path / "x.nc"
    task = Task(objective, Subspace.random(cnn), grid, labels=labels, path=path)
    return Points(task, recipe_of(task), Settings(40, 1, NAMES, passes=1), Begun())


def record(points, losses):
    measured: Measurement = {"train": {"loss": np.asarray(losses, np.float32)}}
    return points.job.packed(measured)


def test_a_record_lands_at_its_point_and_in_the_journal(points):
    store = points.store
    losses = np.linspace(1, 2, 40)
    store.add(4, record(points, losses))
    store.add(1, record(points, np.full(40, np.inf)))
    assert store.stored == 2
    found = store.landscape
    np.testing.assert_array_equal(found.status, [[0, 3, 0], [0, 1, 0]])
    assert found.values("loss")[1, 1] == pytest.approx(1.5)
    assert np.isnan(found.values("loss")[0, 0])
    np.testing.assert_array_equal(found.samples["loss_samples"][1, 1], losses.astype(np.float32))
    store.journal.__exit__()
    _, records = Journal.resume(store.journal.path)
    assert list(records) == [4, 1]


def test_what_is_kept_is_said_while_the_journal_is_there(points):
    store = points.store
    assert store.kept() == ()
    store.add(0, record(points, np.ones(40)))
    with pytest.raises(KeyboardInterrupt) as caught, store.telling_what_is_kept():
        raise KeyboardInterrupt
    place = store.journal.path
    assert str(caught.value) == f"1 of 6 points are in {place}, and the same call continues"
    with pytest.raises(ArithmeticError, match="other"), store.telling_what_is_kept():
        raise ArithmeticError("other")
    store.journal.remove()
    assert store.kept() == ()


def test_the_unfinished_file_opens_and_costs_little(points, monkeypatch):
    clock = [0.0]
    store = points.store
    monkeypatch.setattr(storing.time, "monotonic", lambda: clock[0])
    store._started = store._written = 0.0
    written = []
    save = store._save_unfinished

    def slowly(path):
        save(path)
        clock[0] += 0.5
        written.append(clock[0])

    monkeypatch.setattr(store, "_save_unfinished", slowly)
    for step in range(1, 400):
        clock[0] += 0.25
        store.add(step % 6, record(points, np.ones(40)))
    # the first after a second; the others when half a second is 2% of the time
    assert written[0] == pytest.approx(1.25 + 0.5)
    assert len(written) * 0.5 <= storing.REWRITE_SHARE * clock[0] + 0.5
    assert 3 <= len(written) <= 5
    seen = Landscape.open(points.task.path)
    assert seen.samples == {}
    assert not np.isnan(seen.values("loss")).all()


def test_an_unfinished_file_that_cannot_be_written_does_not_end_the_run(points, monkeypatch):
    def full(*_, **__):
        raise LossLandscapeError("the disk is full")

    monkeypatch.setattr(Landscape, "save", full)
    monkeypatch.setattr(storing, "REWRITE_SECONDS", -1.0)
    with pytest.warns(UserWarning, match="not written: the disk is full"):
        points.store.add(0, record(points, np.ones(40)))
    assert points.store.stored == 1
