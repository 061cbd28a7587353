"""A run measures the origin, its points and the origin again; failures and changes end it."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace
from losslandscape.errors import LossLandscapeError
from losslandscape.files.journal import Journal, journal_path
from losslandscape.point.device_memory import BatchMemoryError
from losslandscape.run.measuring import Points, may_halve
from losslandscape.run.point_records import PointFailure
from losslandscape.run.recipe import recipe_of
from losslandscape.run.resume import Begun
from losslandscape.run.settings import Settings
from losslandscape.run.task import Task

NAMES = ["loss", "loss_standard_error", "loss_sample_count"]
ORIGIN = 15  # the number after the last point


def losses(number):
    """Any losses, other ones at each point."""
    return np.array([number, number + 1.0, 2.0 * number, 4.0], np.float32)


class Source:
    """Gives records; those of ``failures`` fail, and the origin is another the second time."""

    def __init__(self, failures=(), too_large=False, origins=(ORIGIN, ORIGIN)):
        self.failures, self.too_large, self.origins = failures, too_large, list(origins)
        self.asked = []

    def of(self, points):
        def source(numbers):
            self.asked.append(list(numbers))
            for number in numbers:
                if number in self.failures:
                    yield number, PointFailure("why", "this process", self.too_large)
                else:
                    shown = self.origins.pop(0) if number == ORIGIN else number
                    yield number, points.job.packed({"train": {"loss": losses(shown)}})

        return lambda job: nullcontext(source)


@pytest.fixture
def points(tmp_path):
    def build(begun=None, batch_size=None, path=tmp_path / "x.nc", origin=None, **options):
        torch.manual_seed(0)
        model = nn.Linear(2, 1)
        data = torch.zeros(4, 2), torch.zeros(4, 1)
        objective, grid = Objective(model, "mse", data, **options), Grid((5, 3), ((-1, 1), (-2, 2)))
        task = Task(objective, Subspace.random(model), grid, batch_size=batch_size, path=path)
        settings = Settings(4, 1, NAMES, observed={"altered_buffers": []}, passes=1)
        return Points(task, recipe_of(task), settings, begun or Begun(), origin)

    return build


def test_the_origin_comes_first_and_last_and_the_file_states_it(points):
    one, source = points(), Source()
    one.measure(source.of(one))
    assert source.asked == [[ORIGIN], list(range(15)), [ORIGIN]]
    found = one.store.landscape
    means = [float(losses(number).mean()) for number in range(15)]
    assert found.fields["loss"].ravel().tolist() == means
    stated = found.provenance["determinism"]
    assert stated["origin_loss"] == float(losses(ORIGIN).mean())
    assert stated["bit_equal"] is True
    assert stated["altered_buffers"] == []
    one.store.journal.__exit__()
    journal, records = Journal.resume(journal_path(one.task.path))
    journal.__exit__()
    assert sorted(records) == list(range(16))


def test_an_origin_that_was_just_measured_is_not_measured_at_first(points):
    one, source = points(origin={"train": {"loss": losses(ORIGIN)}}), Source(origins=[ORIGIN])
    one.measure(source.of(one))
    assert source.asked == [list(range(15)), [ORIGIN]]


def test_a_resumed_run_measures_what_is_missing(points):
    one = points()
    record = {n: one.job.packed({"train": {"loss": losses(n)}}) for n in (3, 7, ORIGIN)}
    one.store.journal.remove()
    two, source = points(Begun(records=record)), Source(origins=[ORIGIN])
    assert two.store.stored == 2
    two.measure(source.of(two))
    assert source.asked == [[n for n in range(15) if n not in (3, 7)], [ORIGIN]]
    assert np.isfinite(two.store.landscape.fields["loss"]).all()


def test_an_origin_that_changed_is_refused_or_stated(points):
    one, source = points(), Source(origins=[ORIGIN, 1])
    with pytest.raises(LossLandscapeError, match="origin"):
        one.measure(source.of(one))
    one.store.journal.remove()
    two, source = points(nondeterminism="stated"), Source(origins=[ORIGIN, 1])
    two.measure(source.of(two))
    assert two.store.landscape.provenance["determinism"]["bit_equal"] is False


@pytest.mark.parametrize(
    ("too_large", "kind"), [(False, LossLandscapeError), (True, BatchMemoryError)]
)
def test_an_origin_that_fails_ends_the_run(points, too_large, kind):
    one, source = points(path=None), Source([ORIGIN], too_large)
    with pytest.raises(
        LossLandscapeError, match=r"the origin cannot be measured: at \(0, 0\)"
    ) as e:
        one.measure(source.of(one))
    assert type(e.value) is kind


@pytest.mark.parametrize(("failures", "ends"), [(range(9), False), (range(10), True)])
def test_ten_failures_before_any_point_end_the_run(points, failures, ends):
    one, source = points(path=None), Source(failures)
    if ends:
        with pytest.raises(LossLandscapeError, match="the first 10 points all failed; at "):
            one.measure(source.of(one))
    else:
        one.measure(source.of(one))
        assert sorted(one.failures) == list(failures)
        assert one.store.stored == 15 - len(failures)


def test_failures_after_a_point_do_not_end_the_run(points):
    one, source = points(path=None), Source(range(1, 15))
    one.measure(source.of(one))
    assert len(one.failures) == 14


@pytest.mark.parametrize(("batch_size", "begins_anew"), [(None, True), (4, False)])
def test_a_batch_that_memory_does_not_hold_begins_anew_unless_its_size_was_given(
    points, batch_size, begins_anew
):
    one, source = points(path=None, batch_size=batch_size), Source([3], too_large=True)
    if begins_anew:
        with pytest.raises(BatchMemoryError, match="why"):
            one.measure(source.of(one))
    else:
        one.measure(source.of(one))
        assert list(one.failures) == [3]


@pytest.mark.parametrize(
    ("given", "present", "stored", "may"),
    [
        (None, 8, 0, True),
        (None, 8, 9, True),
        (None, 8, 10, False),
        (None, 8, 11, False),
        (None, 2, 0, True),
        (None, 1, 0, False),
        (None, None, 0, False),
        (8, 8, 0, False),
    ],
)
def test_when_a_size_may_be_halved(points, given, present, stored, may):
    assert may_halve(points(path=None, batch_size=given).task, present, stored) is may
