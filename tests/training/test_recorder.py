"""Recording a training trajectory: overwriting, resuming, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape as ll
from losslandscape.errors import LossLandscapeError, OutputExistsError


def test_existing_trajectory_is_not_overwritten(model, recorded):
    with pytest.raises(OutputExistsError, match="already contains a trajectory"):
        ll.TrajectoryRecorder(model, recorded)
    assert len(ll.Trajectory.open(recorded)) == 3


def test_overwrite_starts_anew(model, recorded):
    (recorded / "notes.txt").write_text("mine")
    with ll.TrajectoryRecorder(model, recorded, overwrite=True) as recorder:
        recorder.record(7)
    assert ll.Trajectory.open(recorded).steps.tolist() == [7]
    assert sorted(p.name for p in recorded.iterdir()) == [
        "checkpoint_000000.safetensors",
        "notes.txt",
        "trajectory.json",
    ]


def test_resume_drops_what_training_repeats(model, recorded):
    kept = ll.Trajectory.open(recorded).parameters(0)["conv.weight"].clone()
    with ll.TrajectoryRecorder(model, recorded, resume=True) as recorder:
        recorder.record(0.5, loss=9)
        recorder.record(4)
    trajectory = ll.Trajectory.open(recorded)
    assert trajectory.steps.tolist() == [0, 0.5, 4]
    assert trajectory.numbers("loss")[1] == 9
    assert torch.equal(trajectory.parameters(0)["conv.weight"], kept)
    assert torch.equal(trajectory.parameters(1)["conv.weight"], model.conv.weight)
    trajectory.verify()


def test_resume_from_a_step_between(model, recorded):
    with ll.TrajectoryRecorder(model, recorded, resume=True) as recorder:
        recorder.resume_from(0.75)
    assert ll.Trajectory.open(recorded).steps.tolist() == [0, 0.5]
    assert len(list(recorded.glob("*.safetensors"))) == 2


def test_resume_starts_where_there_is_nothing(model, tmp_path):
    with ll.TrajectoryRecorder(model, tmp_path / "t", resume=True) as recorder:
        recorder.record(0)
    assert len(ll.Trajectory.open(tmp_path / "t")) == 1


def test_resume_after_a_kill_cleans_up(model, recorded):
    (recorded / "checkpoint_000003.safetensors").write_bytes(b"not listed yet")
    (recorded / ".checkpoint_000004.safetensors.0a.partial").write_bytes(b"half")
    assert len(ll.Trajectory.open(recorded)) == 3
    ll.TrajectoryRecorder(model, recorded, resume=True)
    assert len(list(recorded.iterdir())) == 4


def test_resume_refuses_another_model(recorded):
    with pytest.raises(LossLandscapeError, match=r"'scale' of the trajectory is missing"):
        ll.TrajectoryRecorder(nn.Linear(2, 2), recorded, resume=True)


def test_overwrite_and_resume_exclude_each_other(model, tmp_path):
    with pytest.raises(LossLandscapeError, match="exclude each other"):
        ll.TrajectoryRecorder(model, tmp_path, overwrite=True, resume=True)


def test_a_parameter_that_changed_shape_is_named(tmp_path):
    model = nn.Linear(2, 2)
    with ll.TrajectoryRecorder(model, tmp_path / "t") as recorder:
        recorder.record(0)
        model.weight = nn.Parameter(torch.zeros(2, 3))
        with pytest.raises(LossLandscapeError, match=r"'weight' has shape \[2, 3\] in the model"):
            recorder.record(1)
    assert len(ll.Trajectory.open(tmp_path / "t")) == 1


def test_record_after_the_block_is_refused(model, tmp_path):
    with ll.TrajectoryRecorder(model, tmp_path / "t") as recorder:
        recorder.record(0)
    with pytest.raises(LossLandscapeError, match="recorder is closed"):
        recorder.record(1)


@pytest.mark.parametrize("checkpoints", [0, 1])
def test_an_interrupted_recording_says_what_is_kept(tmp_path, checkpoints):
    def train():
        with ll.TrajectoryRecorder(nn.Linear(2, 1), tmp_path / "way") as recorder:
            for step in range(checkpoints):
                recorder.record(step)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        train()
    said = str(caught.value)
    if checkpoints:
        assert said.startswith(f"{tmp_path / 'way'} contains 1 checkpoint; ")
        assert "resume=True" in said
    else:
        assert said == ""


def test_numbers_are_added_to_the_last_checkpoint_alone(model, tmp_path):
    with ll.TrajectoryRecorder(model, tmp_path / "t") as recorder:
        with pytest.raises(LossLandscapeError, match="has no checkpoint yet"):
            recorder.add_numbers(loss=1.0)
        for step in range(3):
            recorder.record(step, loss=float(step))
        recorder.add_numbers(loss=7.0, accuracy=0.5)
    trajectory = ll.Trajectory.open(tmp_path / "t")
    assert trajectory.numbers("loss").tolist() == [0, 1, 7]
    assert [bool(np.isnan(x)) for x in trajectory.numbers("accuracy")] == [True, True, False]
    with pytest.raises(LossLandscapeError, match="is closed"):
        recorder.add_numbers(loss=1.0)


def test_parameters_that_are_not_finite_are_recorded_with_a_warning(model, tmp_path):
    name = next(iter(dict(model.named_parameters())))
    with ll.TrajectoryRecorder(model, tmp_path / "run") as recorder:
        recorder.record(0)
        with torch.no_grad():
            dict(model.named_parameters())[name].view(-1)[0] = float("nan")
        with pytest.warns(UserWarning, match=f"step 1: parameter '{name}' is not finite") as found:
            recorder.record(1)
    assert found[0].filename == __file__
    assert len(ll.Trajectory.open(tmp_path / "run")) == 2


OTHER = "something else has written or removed its list of checkpoints"


@pytest.mark.parametrize("how", [{"overwrite": True}, {"resume": True}])
def test_of_two_recorders_of_a_folder_one_goes_on(model, tmp_path, how):
    first = ll.TrajectoryRecorder(model, tmp_path / "t")
    first.record(0)
    second = ll.TrajectoryRecorder(model, tmp_path / "t", **how)
    second.record(1, loss=0.5)
    before = {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()}
    for work in (lambda: first.record(2), lambda: first.add_numbers(loss=1.0),
                 lambda: first.resume_from(0)):  # fmt: skip
        with pytest.raises(LossLandscapeError, match=OTHER):
            work()
    assert {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()} == before
    second.record(3)
    ll.Trajectory.open(tmp_path / "t").verify()


def test_two_recorders_that_begin_together(model, tmp_path):
    """As two processes of distributed training that record into one folder."""
    both = [ll.TrajectoryRecorder(model, tmp_path / "t", overwrite=True) for _ in range(2)]
    both[0].record(0)
    with pytest.raises(LossLandscapeError, match="rank 0"):
        both[1].record(0, loss=1.0)
    both[0].record(1)
    assert len(ll.Trajectory.open(tmp_path / "t")) == 2


def test_a_list_that_was_copied_back_is_the_recorders_own(model, tmp_path):
    recorder = ll.TrajectoryRecorder(model, tmp_path / "t")
    recorder.record(0)
    content = (tmp_path / "t" / "trajectory.json").read_bytes()
    (tmp_path / "t" / "trajectory.json").unlink()
    with pytest.raises(LossLandscapeError, match=OTHER):
        recorder.record(1)
    (tmp_path / "t" / "trajectory.json").write_bytes(content)
    recorder.record(1)
    assert len(ll.Trajectory.open(tmp_path / "t")) == 2
