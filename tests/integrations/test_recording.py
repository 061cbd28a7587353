import pytest
import torch
from torch import nn

from losslandscape import LossLandscapeError, Trajectory
from losslandscape.integrations.recording import Schedule, TrainingRecorder


@pytest.mark.parametrize(
    "arguments",
    [
        {"every_n_epochs": 1, "every_n_steps": 1},
        {"every_n_epochs": 0},
        {"every_n_steps": -3},
        {"every_n_steps": 2.5},
    ],
)
def test_schedules_that_make_no_sense_are_refused(arguments):
    with pytest.raises(LossLandscapeError, match="every_n_"):
        Schedule(**arguments)


def test_a_step_is_recorded_once_and_keeps_every_number_of_it(tmp_path):
    model = nn.Linear(2, 1)
    recorder = TrainingRecorder(model, tmp_path / "run", 0)
    recorder.record(0)
    recorder.record(3, {"loss": torch.tensor(0.5), "words": "no number", "matrix": torch.eye(2)})
    weight = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    recorder.record(3, {"eval_loss": 0.25})  # already there: the weights of its first event stay
    recorder.add_numbers(4, {"eval_loss": 9.0})  # of a step that is not recorded
    trajectory = Trajectory.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 3]
    assert torch.equal(trajectory.parameters(1)["weight"], weight)
    assert trajectory.numbers("loss")[1] == 0.5
    assert trajectory.numbers("eval_loss")[1] == 0.25
    with pytest.raises(LossLandscapeError, match="recorded: eval_loss, loss"):
        trajectory.numbers("words")


def test_parameters_cut_up_among_processes_are_refused(tmp_path):
    model = nn.Linear(2, 1)
    model.bias.ds_id = 0  # as DeepSpeed ZeRO-3 marks its shards
    with pytest.raises(LossLandscapeError, match="'bias' is sharded across processes"):
        TrainingRecorder(model, tmp_path / "run", 0)
    assert not (tmp_path / "run").exists()


def test_pytorchs_own_shards_are_refused(tmp_path):
    from torch import distributed
    from torch.distributed.fsdp import fully_shard

    distributed.init_process_group(
        "gloo", store=distributed.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1
    )
    try:
        model = nn.Linear(2, 1)
        fully_shard(model, mesh=distributed.device_mesh.init_device_mesh("cpu", (1,)))
        with pytest.raises(LossLandscapeError, match="'weight' is sharded across processes"):
            TrainingRecorder(model, tmp_path / "run", 0)
    finally:
        distributed.destroy_process_group()


def test_a_training_that_starts_anew_does_not_replace_a_trajectory(tmp_path):
    TrainingRecorder(nn.Linear(2, 1), tmp_path / "run", 0).record(0)
    with pytest.raises(
        LossLandscapeError, match="pass overwrite=True to replace it, or choose another"
    ):
        TrainingRecorder(nn.Linear(2, 1), tmp_path / "run", 0)
    assert len(Trajectory.open(tmp_path / "run")) == 1
    TrainingRecorder(nn.Linear(2, 1), tmp_path / "run", 0, overwrite=True)
    assert len(Trajectory.open(tmp_path / "run")) == 0
