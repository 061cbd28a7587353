"""A run has one configuration: recorded, and the same after a restart and in every worker."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate, refine
from losslandscape.cli import main
from losslandscape.files.journal import Journal, journal_path
from losslandscape.point import evaluator as evaluators
from losslandscape.point.convolution_trial import Formats
from losslandscape.point.evaluator import Evaluator
from losslandscape.problem.configuration import UNTRIED
from losslandscape.run.executors import process_pool

GRID = Grid.square(3, 0.5)
TRIED = Formats(True, {"0": "row_major", "2": "products"})
OTHER = Formats(False, {})


class Stopping(nn.Sequential):
    """Is interrupted, as by Ctrl-C, at the call after so many away from the origin."""

    calls_left = 10**9

    def forward(self, images):
        if float(self[0].bias.detach()[0]) != 0.25:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise KeyboardInterrupt
        return super().forward(images)


@pytest.fixture
def model():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.AvgPool2d(4), nn.Conv2d(4, 5, 2), nn.Flatten()
    found = Stopping(*layers)
    nn.init.constant_(found[0].bias, 0.25)
    return found


@pytest.fixture
def finds(monkeypatch):
    """``finds(formats)``: what trials find from now on; None: there must be none."""

    def finds(formats):
        found = None if formats is None else lambda *_: formats
        monkeypatch.setattr(evaluators, "fastest_formats", found)

    monkeypatch.setattr(evaluators, "_WORTH_TRIALS", 0.0)
    monkeypatch.setattr(evaluators, "_CERTAINLY_WORTH", 0.0)
    return finds


def surface(model, images, **options):
    execution = options.pop("execution", "auto")
    objective = Objective(model, "cross_entropy", images, execution=execution)
    # zero_vectors: the bias shows whether the point is the origin
    plane = Subspace.random(model, seed=0, zero_vectors=False)
    return evaluate(objective, plane, GRID, batch_size=40, quiet=True, **options)


def losses(landscape):
    return landscape.samples["loss_samples"]


def test_the_configuration_is_in_the_file_and_shown(model, images, finds, tmp_path, capsys):
    finds(TRIED)
    surface(model, images, path=tmp_path / "x.nc")
    recorded = Landscape.open(tmp_path / "x.nc").provenance["objective"]["configuration"]
    assert recorded["memory_format"] == "channels_last"
    assert recorded["convolutions"] == TRIED.convolutions
    assert set(recorded["shortcuts"]) >= {"row_major_convolutions", "pixel_convolutions"}
    assert main(["info", str(tmp_path / "x.nc")]) == 0
    shown = capsys.readouterr().out
    assert "computed    channels-last; of the convolutions, 1 as products and 1 row-major" in shown


@pytest.mark.parametrize("first", [TRIED, OTHER])
def test_a_run_that_goes_on_is_the_same_to_the_bit_without_a_trial(
    model, images, finds, tmp_path, first
):
    finds(first)
    whole = surface(model, images)
    model.calls_left = 6  # those of the opening, and of some points
    with pytest.raises(KeyboardInterrupt):
        surface(model, images, path=tmp_path / "x.nc")
    begun = Journal.header_of(journal_path(tmp_path / "x.nc"))["settings"]
    assert begun["configuration"] == whole.provenance["objective"]["configuration"]
    model.calls_left = 10**9
    finds(None)
    resumed = surface(model, images, path=tmp_path / "x.nc")
    assert np.array_equal(losses(resumed), losses(whole))
    assert resumed.provenance["objective"] == whole.provenance["objective"]


def test_a_journal_without_a_configuration_goes_on_as_it_was_begun(
    model, images, finds, tmp_path, monkeypatch
):
    objective = Objective(model, "cross_entropy", images)
    plane = Subspace.random(model, seed=0, zero_vectors=False)
    with Evaluator(objective, plane, 40, UNTRIED) as evaluator:
        expected = [evaluator.measure(point)["train"]["loss"] for point in GRID.points()]
    finds(OTHER)
    model.calls_left = 6
    with pytest.raises(KeyboardInterrupt):
        surface(model, images, path=tmp_path / "x.nc")
    journal = journal_path(tmp_path / "x.nc")
    header = Journal.header_of(journal)
    del header["settings"]["configuration"]
    journal.unlink()
    with Journal.create(journal, header):
        pass
    model.calls_left = 10**9
    finds(None)
    resumed = surface(model, images, path=tmp_path / "x.nc")
    assert np.array_equal(losses(resumed).reshape(9, -1), np.stack(expected))


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, process_pool])
def test_workers_compute_as_the_run_does(model, images, finds, pool):
    finds(TRIED)
    alone = surface(model, images)
    opened = []
    with pytest.MonkeyPatch.context() as patch, pool(2) as executor:
        enter = Evaluator.__enter__
        patch.setattr(
            Evaluator, "__enter__", lambda self: opened.append(self._wanted) or enter(self)
        )
        found = surface(model, images, executor=executor)
    assert np.array_equal(losses(found), losses(alone))
    recorded = alone.provenance["objective"]["configuration"]
    assert not opened[0].decided
    assert [one.to_json() for one in opened[1:]] == [recorded] * len(opened[1:])
    assert len(opened) > 1 or pool is process_pool


def test_a_run_opens_one_evaluator(model, images, finds, monkeypatch):
    finds(TRIED)
    opened = []
    enter = Evaluator.__enter__
    monkeypatch.setattr(Evaluator, "__enter__", lambda self: opened.append(self) or enter(self))
    surface(model, images)
    assert len(opened) == 1


def test_a_finer_grid_is_computed_as_the_coarse_one(model, images, finds):
    finds(TRIED)
    coarse = surface(model, images)
    finds(None)
    objective = Objective(model, "cross_entropy", images)
    plane = Subspace.random(model, seed=0, zero_vectors=False)
    fine = refine(coarse, objective, plane, [(-0.5, 0.5)] * 2, factor=2, quiet=True)
    assert fine.provenance["refined"]["equal"] == fine.provenance["refined"]["points"] == 9
    assert (
        fine.provenance["objective"]["configuration"]
        == coarse.provenance["objective"]["configuration"]
    )


def test_executions_agree_up_to_rounding(model, images, finds):
    finds(TRIED)
    tried = losses(surface(model, images))
    for execution in ("channels_last", "contiguous", "plain"):
        found = losses(surface(model, images, execution=execution))
        np.testing.assert_allclose(found, tried, rtol=1e-5, atol=1e-6)
