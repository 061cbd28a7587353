"""With the Trainers of both packages that Lightning comes in."""

import importlib
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import losslandscape as ll

NAMES = {"lightning": "lightning.pytorch", "pytorch_lightning": "pytorch_lightning"}
if not any(importlib.util.find_spec(name) for name in NAMES):
    pytest.skip("Lightning is not installed: pip install lightning", allow_module_level=True)

from losslandscape.integrations.lightning import TrajectoryCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*")  # Lightning's, of workers and logging


@pytest.fixture(params=list(NAMES))
def lightning(request):
    pytest.importorskip(request.param, reason=f"pip install {request.param}")
    return importlib.import_module(NAMES[request.param])


def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(24, 4, generator=generator)
    return TensorDataset(inputs, (inputs.sum(1) > 0).long())


@pytest.fixture
def make(lightning, tmp_path):
    class Classifier(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
            self.weights_at = {}  # by hand, what the callback should have recorded

        def forward(self, inputs):
            return self.network(inputs)

        def _loss(self, batch):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def training_step(self, batch, index):
            self.weights_at[self.trainer.global_step] = self.network[0].weight.detach().clone()
            loss = self._loss(batch)
            self.log("train_loss", loss)
            self.log("epoch_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch, index):
            self.log("val_loss", self._loss(batch))

        def on_train_end(self):
            self.weights_at[self.trainer.global_step] = self.network[0].weight.detach().clone()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def run(callback, model=None, ckpt_path=None, validation=True, **settings):
        torch.manual_seed(0)
        model = model or Classifier()
        trainer = lightning.Trainer(
            callbacks=[callback],
            logger=False,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            default_root_dir=tmp_path,
            **{"enable_checkpointing": False, **settings},
        )
        loaders = [DataLoader(data(), 8)] + [DataLoader(data(), 24)] * validation
        trainer.fit(model, *loaders, ckpt_path=ckpt_path)
        return model, trainer

    return run


def assert_weights_are_those_of_training(trajectory, model, name="network.0.weight"):
    for i, step in enumerate(trajectory.steps):
        assert torch.equal(trajectory.parameters(i)[name], model.weights_at[int(step)]), step


def test_every_epoch_from_the_start_to_the_end(make, tmp_path):
    model, _ = make(TrajectoryCallback(tmp_path / "run"), max_epochs=3)
    trajectory = ll.Trajectory.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 3, 6, 9]  # 24 samples in batches of 8
    assert_weights_are_those_of_training(trajectory, model)
    losses = trajectory.numbers("val_loss")
    assert np.isnan(losses[0])
    for i in (1, 2, 3):  # the number is that of these weights
        model.load_state_dict({**trajectory.parameters(i), **trajectory.buffers(i)})
        model.eval()
        inputs, targets = data().tensors
        expected = nn.functional.cross_entropy(model(inputs), targets).item()
        assert losses[i] == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(trajectory.numbers("epoch_loss")[1:]).all()


def test_every_n_steps_with_the_last_one_and_no_number_of_another_step(make, tmp_path):
    model, _ = make(
        TrajectoryCallback(tmp_path / "run", every_n_steps=4, module="network"),
        max_steps=10,
        max_epochs=-1,
    )
    trajectory = ll.Trajectory.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 4, 8, 10]
    assert trajectory.parameter_names[0] == "0.weight"
    assert_weights_are_those_of_training(trajectory, model, "0.weight")
    assert np.isfinite(trajectory.numbers("train_loss")[1:3]).all()
    # epochs end, and validate, at steps 3, 6 and 9: none of them was recorded
    for name in ("val_loss", "epoch_loss"):
        with pytest.raises(ll.LossLandscapeError, match="no scalar"):
            trajectory.numbers(name)


def test_a_validation_in_the_middle_of_an_epoch_counts_at_its_step_alone(make, tmp_path):
    make(TrajectoryCallback(tmp_path / "run", every_n_steps=1), max_epochs=2, val_check_interval=2)
    trajectory = ll.Trajectory.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert np.isfinite(trajectory.numbers("val_loss")).tolist() == [
        False, False, True, False, False, True, False,
    ]  # fmt: skip
    assert np.isfinite(trajectory.numbers("epoch_loss")).nonzero()[0].tolist() == [3, 6]


def test_accumulated_gradients_make_one_step_of_several_batches(make, tmp_path):
    model, _ = make(
        TrajectoryCallback(tmp_path / "run", every_n_steps=1),
        max_epochs=1,
        accumulate_grad_batches=3,
    )
    trajectory = ll.Trajectory.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 1]
    assert torch.equal(trajectory.parameters(1)["network.0.weight"], model.weights_at[1])


def test_resumed_training_goes_on_with_its_trajectory(make, tmp_path, lightning):
    callback = TrajectoryCallback(tmp_path / "run", every_n_steps=2)
    _, trainer = make(callback, max_epochs=2)  # steps 0 to 6
    trainer.save_checkpoint(tmp_path / "at_6.ckpt")
    make(TrajectoryCallback(tmp_path / "whole", every_n_steps=2), max_epochs=4)
    # a run that went on to step 12 and was lost: its later checkpoints are dropped
    make(callback, ckpt_path=tmp_path / "at_6.ckpt", max_epochs=4)
    make(callback, ckpt_path=tmp_path / "at_6.ckpt", max_epochs=3)
    trajectory, whole = ll.Trajectory.open(tmp_path / "run"), ll.Trajectory.open(tmp_path / "whole")
    assert trajectory.steps.tolist() == [0, 2, 4, 6, 8, 9]
    for i in range(5):
        expected = whole.parameters(i)
        assert all(torch.equal(expected[n], t) for n, t in trajectory.parameters(i).items())


def test_training_anew_does_not_replace_a_trajectory(make, tmp_path):
    make(TrajectoryCallback(tmp_path / "run"), max_epochs=1)
    with pytest.raises(ll.LossLandscapeError, match="overwrite=True"):
        make(TrajectoryCallback(tmp_path / "run"), max_epochs=2)
    assert len(ll.Trajectory.open(tmp_path / "run")) == 2
    make(TrajectoryCallback(tmp_path / "run", overwrite=True), max_epochs=2)
    assert len(ll.Trajectory.open(tmp_path / "run")) == 3


def test_a_part_that_is_not_there_is_named(make, tmp_path):
    with pytest.raises(ll.LossLandscapeError, match=r"no submodule 'net' .*it has network"):
        make(TrajectoryCallback(tmp_path / "run", module="net"), max_epochs=1)
    assert not (tmp_path / "run").exists()


def test_other_ranks_write_nothing(tmp_path):
    class Rank1:
        is_global_zero, global_step, sanity_checking, current_epoch = False, 0, False, 0
        callback_metrics = MappingProxyType({})

    callback = TrajectoryCallback(tmp_path / "run", every_n_steps=1)
    callback.on_train_start(Rank1, nn.Linear(2, 1))
    callback.on_train_batch_end(Rank1, None, None, None, 0)
    callback.on_validation_start(Rank1, None)
    callback.on_validation_end(Rank1, None)
    callback.on_train_epoch_end(Rank1, None)
    callback.on_train_end(Rank1, None)
    assert not (tmp_path / "run").exists()


def test_its_landscape_on_the_plane_of_its_principal_components(make, tmp_path):
    model, _ = make(TrajectoryCallback(tmp_path / "run", module="network"), max_epochs=3)
    trajectory = ll.Trajectory.open(tmp_path / "run")
    plane = ll.Subspace.pca(trajectory)
    objective = ll.Objective(model.network, "cross_entropy", data().tensors)
    landscape = ll.evaluate(
        objective, plane, plane.default_grid(5), trajectory=trajectory, quiet=True
    )
    model.eval()
    assert np.isfinite(landscape.values("loss")).all()
    (way,) = landscape.trajectories
    assert way.step.tolist() == [0, 3, 6, 9]
    np.testing.assert_allclose(way.coordinates[-1], 0, atol=1e-6)
    # the number that Lightning logged is the loss measured here, where the statistics are the same
    assert way.checkpoint_loss[-1] == pytest.approx(trajectory.numbers("val_loss")[-1], rel=1e-4)
