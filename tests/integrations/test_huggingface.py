"""With the Trainer of Transformers and a network that needs no download."""

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape as ll

transformers = pytest.importorskip("transformers", reason="pip install transformers accelerate")
pytest.importorskip("accelerate", reason="pip install accelerate")

from losslandscape.integrations.huggingface import TrajectoryCallback  # noqa: E402
from losslandscape.training.weights import load_into  # noqa: E402

TOKENS = torch.randint(0, 16, (24, 6), generator=torch.Generator().manual_seed(0))
LABELS = (TOKENS == 3).any(1).long()
DATA = [{"input_ids": tokens, "labels": label} for tokens, label in zip(TOKENS, LABELS)]


def build():
    torch.manual_seed(1)
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=8, num_labels=2,
        )
    )  # fmt: skip


def train(callback, folder, resume=None, callbacks=(), model=None, **settings):
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        per_device_eval_batch_size=24,
        learning_rate=0.01,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        **{"save_strategy": "no", "logging_strategy": "no", **settings},
    )
    trainer = transformers.Trainer(
        model or build(),
        arguments,
        train_dataset=DATA,
        eval_dataset=DATA,
        callbacks=[*callbacks, callback],
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


class ByHand(transformers.TrainerCallback):
    """The weights after every step."""

    def __init__(self):
        self.weights_at = {}

    def on_train_begin(self, args, state, control, model, **kwargs):
        self.keep(state, model)

    def on_step_end(self, args, state, control, model, **kwargs):
        self.keep(state, model)

    def keep(self, state, model):
        self.weights_at[state.global_step] = model.classifier.weight.detach().clone()


def assert_same_weights(trajectory, by_hand):
    for i, step in enumerate(trajectory.steps):
        found = trajectory.parameters(i)["classifier.weight"]
        assert torch.equal(found, by_hand.weights_at[int(step)]), step


def per_sample_loss(model, batch):
    tokens, labels = batch
    return nn.functional.cross_entropy(model(input_ids=tokens).logits, labels, reduction="none")


def test_every_epoch_with_the_evaluation_of_these_weights(tmp_path):
    by_hand = ByHand()
    trainer = train(
        TrajectoryCallback(tmp_path / "run"), tmp_path, callbacks=[by_hand], num_train_epochs=2,
        eval_strategy="epoch", logging_strategy="epoch",
    )  # fmt: skip
    trajectory = ll.Trajectory.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 3, 6]
    assert_same_weights(trajectory, by_hand)
    losses = trajectory.numbers("eval_loss")
    assert np.isnan(losses[0])
    for i in (1, 2):
        model = trainer.model.eval()
        load_into(model, {**trajectory.parameters(i), **trajectory.buffers(i)})
        expected = per_sample_loss(model, (TOKENS, LABELS)).mean().item()
        assert losses[i] == pytest.approx(expected, rel=1e-4)
    logged = {e["step"]: e["loss"] for e in trainer.state.log_history if "loss" in e}
    assert trajectory.numbers("loss")[1:].tolist() == [logged[3], logged[6]]
    with pytest.raises(ll.LossLandscapeError, match="no scalar"):
        trajectory.numbers("train_loss")  # the mean over the whole training is of no checkpoint


def test_every_n_steps_with_the_last_one(tmp_path):
    by_hand = ByHand()
    train(
        TrajectoryCallback(tmp_path / "run", every_n_steps=2), tmp_path, callbacks=[by_hand],
        max_steps=5, logging_strategy="steps", logging_steps=1,
    )  # fmt: skip
    trajectory = ll.Trajectory.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 2, 4, 5]
    assert_same_weights(trajectory, by_hand)
    assert np.isfinite(trajectory.numbers("loss")).tolist() == [False, True, True, True]


def test_accumulated_gradients_make_one_step_of_several_batches(tmp_path):
    train(
        TrajectoryCallback(tmp_path / "run", every_n_steps=1), tmp_path, num_train_epochs=1,
        gradient_accumulation_steps=3,
    )  # fmt: skip
    assert ll.Trajectory.open(tmp_path / "run").steps.tolist() == [0, 1]


def test_resumed_training_goes_on_with_its_trajectory(tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 3, "num_train_epochs": 3}
    settings |= {"logging_strategy": "steps", "logging_steps": 3}
    run = tmp_path / "run"
    train(TrajectoryCallback(run, every_n_steps=1), tmp_path / "out", **settings)
    before = ll.Trajectory.open(run)
    steps, weights = before.steps.tolist(), [before.parameters(i) for i in range(len(before))]
    losses = before.numbers("loss")
    assert steps == list(range(10))
    # as if it had been killed after step 9, with the state of step 6 on disk
    train(
        TrajectoryCallback(run, every_n_steps=2), tmp_path / "out",
        resume=str(tmp_path / "out/checkpoint-6"), **settings,
    )  # fmt: skip
    trajectory = ll.Trajectory.open(run)
    assert trajectory.steps.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    for i, step in enumerate(trajectory.steps.astype(int)):
        for name, tensor in trajectory.parameters(i).items():
            torch.testing.assert_close(tensor, weights[step][name])
    assert trajectory.numbers("loss")[[3, 6]].tolist() == losses[[3, 6]].tolist()


def test_it_ends_with_the_last_weights_where_the_best_are_loaded(tmp_path):
    """Evaluation asks to stop early; before ``on_train_end`` the best weights are put in place."""
    by_hand = ByHand()
    callback = TrajectoryCallback(tmp_path / "run", every_n_epochs=100)
    trainer = train(
        callback, tmp_path, callbacks=[by_hand, transformers.EarlyStoppingCallback(1)],
        num_train_epochs=20, eval_strategy="epoch", save_strategy="epoch",
        load_best_model_at_end=True, metric_for_best_model="eval_loss",
        greater_is_better=True,  # so that the first evaluation is the best
    )  # fmt: skip
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-3")
    trajectory = ll.Trajectory.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 6]
    assert_same_weights(trajectory, by_hand)


def test_training_anew_does_not_replace_a_trajectory(tmp_path):
    train(TrajectoryCallback(tmp_path / "run"), tmp_path, max_steps=1)
    with pytest.raises(ll.LossLandscapeError, match="overwrite=True"):
        train(TrajectoryCallback(tmp_path / "run"), tmp_path, max_steps=2)
    assert ll.Trajectory.open(tmp_path / "run").steps.tolist() == [0, 1]
    train(TrajectoryCallback(tmp_path / "run", overwrite=True), tmp_path, max_steps=2)
    assert ll.Trajectory.open(tmp_path / "run").steps.tolist() == [0, 2]


def test_other_ranks_write_nothing(tmp_path):
    callback = TrajectoryCallback(tmp_path / "run", every_n_steps=1)
    state = transformers.TrainerState(is_world_process_zero=False, global_step=1, epoch=1.0)
    control = transformers.TrainerControl(should_training_stop=True)
    arguments = transformers.TrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    callback.on_train_begin(arguments, state, control, model=build())
    callback.on_step_end(arguments, state, control)
    callback.on_epoch_end(arguments, state, control)
    callback.on_log(arguments, state, control, logs={"loss": 1.0})
    callback.on_train_end(arguments, state, control)
    assert not (tmp_path / "run").exists()


def test_its_landscape_on_the_plane_of_its_principal_components(tmp_path):
    trainer = train(
        TrajectoryCallback(tmp_path / "run"), tmp_path, num_train_epochs=3, eval_strategy="epoch"
    )
    trajectory = ll.Trajectory.open(tmp_path / "run")
    plane = ll.Subspace.pca(trajectory)
    objective = ll.Objective(trainer.model, per_sample_loss, (TOKENS, LABELS))
    landscape = ll.evaluate(
        objective, plane, plane.default_grid(5), trajectory=trajectory, quiet=True
    )
    assert np.isfinite(landscape.values("loss")).all()
    (way,) = landscape.trajectories
    assert way.step.tolist() == [0, 3, 6, 9]
    assert way.checkpoint_loss[1:] == pytest.approx(trajectory.numbers("eval_loss")[1:], rel=1e-4)
