"""Trajectories of checkpoints that a training script saved."""

import json
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.training.checkpoint_list import checkpoint_paths, find_steps, natural_order


def perceptron():
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))


@pytest.fixture
def states():
    """Twelve states of one model: parameters, statistics, counters."""
    torch.manual_seed(3)
    model, found = perceptron(), []
    for _ in range(12):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        model.train()(torch.randn(20, 5))
        found.append({name: value.clone() for name, value in model.state_dict().items()})
    return found


def opened(paths, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return ll.Trajectory.of_checkpoints(paths, perceptron(), **options)


def assert_is(trajectory, states):
    """Every value of every checkpoint, read as a whole and in blocks."""
    assert len(trajectory) == len(states)
    for i, state in enumerate(states):
        found = {**trajectory.parameters(i), **trajectory.buffers(i)}
        assert found.keys() == state.keys()
        for name, value in state.items():
            assert torch.equal(found[name], value), name
            assert found[name].dtype == value.dtype, name
    for name, start, stop, values in trajectory.blocks(max_bytes=8 * len(states) * 4):
        expected = np.array([state[name].double().reshape(-1)[start:stop] for state in states])
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(trajectory.block(name, start, stop, -1), expected[-1])


def save_all(folder, states, name="epoch_{}.pt", wrap=lambda state, epoch: state):
    for epoch, state in enumerate(states, 1):
        file = folder / name.format(epoch)
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(wrap(state, epoch), file)


# ---- which files, in which order -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pattern", "folder", "glob", "list"])
def test_patterns_folders_and_lists(tmp_path, states, kind):
    save_all(tmp_path, states)
    files = list(tmp_path.glob("*.pt"))
    random.Random(1).shuffle(files)
    given = {
        "pattern": f"{tmp_path}/epoch_*.pt",
        "folder": tmp_path,
        "glob": tmp_path.glob("epoch_*.pt"),
        "list": files,
    }
    trajectory = opened(given[kind])
    assert trajectory.steps.tolist() == list(range(1, 13))  # 9 before 10
    assert_is(trajectory, states)
    assert trajectory.path == tmp_path
    assert "the number after 'epoch'" in repr(trajectory)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("model-{}.pth", "the number in the names"),
        ("epoch={0}-step={0}00.ckpt", "the number after 'step'"),
        ("run7_{}/weights.pt", "the number in the names"),
        ("e{}.pt", "the number after 'e'"),
        ("net2_it{}.pt", "the number after 'it'"),
    ],
)
def test_steps_in_names(tmp_path, states, name, source):
    save_all(tmp_path, states, name)
    pattern = name.replace("{0}00", "*").replace("{0}", "*").replace("{}", "*")
    trajectory = opened(f"{tmp_path}/{pattern}")
    assert source in trajectory.step_source
    assert_is(trajectory, states)


def test_steps_in_the_files(tmp_path, states):
    letters = "lkjihgfedcba"  # the first is the last by name
    for letter, (number, state) in zip(letters, enumerate(states)):
        torch.save({"net": state, "step": 7, "epoch": np.int64(number)}, tmp_path / f"{letter}.pt")
    trajectory = opened(tmp_path)
    assert trajectory.steps.tolist() == list(range(12))
    assert trajectory.step_source == "the entry 'epoch' in the files"
    assert_is(trajectory, states)
    np.testing.assert_array_equal(trajectory.numbers("step"), np.full(12, 7.0))


def test_the_step_of_an_optimizer_is_none(tmp_path, states):
    model = perceptron()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 5)).sum().backward()
    for number, (name, state) in enumerate(zip("ab", states)):
        for _ in range(3 - number):  # fewer steps later, as after a restart
            optimizer.step()
        content = {"optimizer": optimizer.state_dict(), "model": state, "step": number}
        torch.save(content, tmp_path / f"{name}.pt")
        optimizer = torch.optim.Adam(model.parameters())
    trajectory = opened(tmp_path)
    assert trajectory.steps.tolist() == [0, 1]
    assert_is(trajectory, states[:2])


def test_a_list_without_steps_is_in_its_order(tmp_path, states):
    names = ("start", "middle", "end")
    for name, state in zip(names, states):
        torch.save(state, tmp_path / f"{name}.pt")
    trajectory = opened([tmp_path / f"{name}.pt" for name in names])
    assert trajectory.step_source == "the order of the list"
    assert_is(trajectory, states[:3])
    # in the order of a folder's listing, "end" would come first
    for given in (tmp_path, f"{tmp_path}/*.pt", tmp_path.iterdir()):
        with pytest.raises(LossLandscapeError, match="no steps were found"):
            opened(given)


def test_given_steps(tmp_path, states):
    save_all(tmp_path, states[:3])
    files = [tmp_path / f"epoch_{n}.pt" for n in (1, 2, 3)]
    trajectory = opened(files, steps=[0.5, 0.25, 4])
    assert trajectory.steps.tolist() == [0.25, 0.5, 4]
    assert_is(trajectory, [states[1], states[0], states[2]])
    with pytest.raises(LossLandscapeError, match="2 steps were given for 3"):
        opened(files, steps=[1, 2])
    with pytest.raises(LossLandscapeError, match="not one of 'name', 'global_step'"):
        opened(files, steps="batch")
    with pytest.raises(LossLandscapeError, match="no step 'epoch' in all"):
        opened(files, steps="epoch")
    with pytest.raises(LossLandscapeError, match="must be a finite number"):
        opened(files, steps=[0, 1, float("nan")])


def test_the_same_step_twice_is_refused(tmp_path, states):
    torch.save(states[0], tmp_path / "epoch_1.pt")
    torch.save(states[1], tmp_path / "epoch_01.pt")
    with pytest.raises(LossLandscapeError, match=r"epoch_0?1\.pt and .*: both have step 1"):
        opened(tmp_path)


def save_as_lightning(folder, states, last):
    for epoch, state in enumerate(states):
        content = {"state_dict": state, "epoch": epoch, "global_step": 28 * (epoch + 1)}
        torch.save(content, folder / f"epoch={epoch}-step={28 * (epoch + 1)}.ckpt")
    torch.save({**content, "state_dict": last}, folder / "last.ckpt")


def test_a_copy_of_the_last_one_is_left_out(tmp_path, states):
    save_as_lightning(tmp_path, states[:3], last=states[2])
    for paths in (tmp_path, str(tmp_path / "*.ckpt"), sorted(tmp_path.iterdir())):
        with pytest.warns(UserWarning, match=r"last\.ckpt: left out, .* as .*epoch=2-step=84"):
            found = ll.Trajectory.of_checkpoints(paths, perceptron())
        assert found.steps.tolist() == [28, 56, 84]
        assert_is(found, states[:3])


def test_a_last_one_with_other_weights_is_refused_and_a_pattern_helps(tmp_path, states):
    save_as_lightning(tmp_path, states[:3], last=states[3])
    with pytest.raises(LossLandscapeError, match=r"both have step 84 .*'ckpts/epoch=\*\.ckpt'"):
        opened(tmp_path)
    assert_is(opened(tmp_path / "epoch=*.ckpt"), states[:3])


def test_the_best_one_beside_the_others_is_refused(tmp_path, states):
    save_all(tmp_path, states[:3])
    torch.save(states[1], tmp_path / "best.pt")
    with pytest.raises(LossLandscapeError, match=r"best\.pt: has no step.*'run/epoch_\*\.pt'"):
        opened(tmp_path)
    save_all(tmp_path, states[:3], wrap=lambda state, epoch: {"model": state, "epoch": epoch})
    torch.save({"model": states[1], "epoch": 2}, tmp_path / "best.pt")
    with pytest.raises(LossLandscapeError, match=r"(best|epoch_2)\.pt and .* step 2"):
        opened(tmp_path)


def test_names_and_entries_that_contradict_are_refused(tmp_path, states):
    save_all(tmp_path, states, wrap=lambda state, epoch: {"model": state, "epoch": 20 - epoch})
    with pytest.raises(LossLandscapeError, match=r"epoch_1\.pt and .*epoch_2\.pt: .*'epoch'"):
        opened(tmp_path)
    assert_is(opened(tmp_path, steps="name"), states)
    reversed_steps = opened(tmp_path, steps="epoch")
    assert reversed_steps.steps.tolist() == list(range(8, 20))
    assert_is(reversed_steps, states[::-1])


def test_a_step_that_orders_otherwise_is_said(tmp_path, states):
    save_all(tmp_path, states[:3], wrap=lambda state, epoch: {"model": state, "step": 9 - epoch})
    with pytest.warns(UserWarning, match="'step' in the files orders them differently"):
        trajectory = ll.Trajectory.of_checkpoints(tmp_path, perceptron())
    assert_is(trajectory, states[:3])
    assert_is(opened(tmp_path, steps="step"), states[2::-1])


def test_a_buffer_called_step_is_no_step(tmp_path):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(2, 1)
            self.register_buffer("step", torch.zeros(()))

    model = Counting()
    for number, name in enumerate("cab"):
        model.step.fill_(-number)
        torch.save(model.state_dict(), tmp_path / f"{name}.pt")
    with pytest.raises(LossLandscapeError, match="no steps were found"):
        ll.Trajectory.of_checkpoints(tmp_path, model)
    found = ll.Trajectory.of_checkpoints([tmp_path / f"{name}.pt" for name in "cab"], model)
    assert [float(found.buffers(i)["step"]) for i in range(3)] == [0, -1, -2]


def test_numbers_that_begin_with_zero_or_one_agree(tmp_path, states):
    save_all(tmp_path, states, wrap=lambda state, epoch: {"model": state, "epoch": epoch - 1})
    assert opened(tmp_path).steps.tolist() == list(range(1, 13))


def test_natural_order():
    names = ["a2/b10", "a10/b1", "a2/b9", "a1.5", "a"]
    assert sorted(names, key=lambda name: natural_order(Path(name))) == [
        "a", "a1.5", "a2/b9", "a2/b10", "a10/b1",
    ]  # fmt: skip


def test_one_checkpoint(tmp_path, states):
    torch.save(states[0], tmp_path / "model.pt")
    assert opened(tmp_path / "model.pt").steps.tolist() == [0]
    assert find_steps([Path("x/epoch_3.pt")], [{}]).steps == [3]


def test_what_is_no_checkpoint(tmp_path, recorded):
    with pytest.raises(LossLandscapeError, match="no checkpoint has this name"):
        opened(f"{tmp_path}/nothing_*.pt")
    with pytest.raises(LossLandscapeError, match="no such file; a checkpoint is expected"):
        opened([tmp_path / "nothing.pt"])
    with pytest.raises(LossLandscapeError, match="the list of paths is empty"):
        opened([])
    for wrong in (5, [None]):
        with pytest.raises(LossLandscapeError, match=r"a pattern such as .* is expected"):
            opened(wrong)
    with pytest.raises(LossLandscapeError, match="a Module is expected: build the model"):
        ll.Trajectory.of_checkpoints(tmp_path, {})
    with pytest.raises(LossLandscapeError, match=r"open it with Trajectory\.open"):
        opened(recorded)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LossLandscapeError, match="holds no checkpoint"):
        opened(tmp_path / "empty")


# ---- formats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["safetensors", "bin", "shards", "bin shards"])
def test_folders_of_hugging_face(tmp_path, states, kind):
    for number, state in zip((500, 1000, 1500), states):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        torch.save({"state": {0: {"step": 3}}}, folder / "optimizer.pt")
        (folder / "trainer_state.json").write_text("{}")
        if kind == "safetensors":
            save_file(state, folder / "model.safetensors")
        elif kind == "bin":
            torch.save(state, folder / "pytorch_model.bin")
        else:
            names = list(state)
            parts = names[:3], names[3:]
            ending = "safetensors" if kind == "shards" else "bin"
            stem = "model" if kind == "shards" else "pytorch_model"
            places = {}
            for i, part in enumerate(parts, 1):
                file = f"{stem}-0000{i}-of-00002.{ending}"
                places.update(dict.fromkeys(part, file))
                (save_file if kind == "shards" else torch.save)(
                    {name: state[name] for name in part}, folder / file
                )
            index = folder / f"{stem}.{ending}.index.json"
            index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    save_file(states[5], tmp_path / "model.safetensors")  # of the whole run, without a step
    for given in (tmp_path, f"{tmp_path}/checkpoint-*"):
        trajectory = opened(given)
        assert trajectory.steps.tolist() == [500, 1000, 1500]
        assert_is(trajectory, states[:3])
    trajectory.verify()


def test_checkpoints_of_lightning(tmp_path, states):
    def wrap(state, epoch):
        return {
            "epoch": epoch - 1,
            "global_step": 10 * epoch,
            "pytorch-lightning_version": "2.4",
            "state_dict": {f"net.{name}": value for name, value in state.items()},
            "optimizer_states": [{"state": {}, "param_groups": []}],
            "hparams": {"rate": 0.1},
        }

    save_all(tmp_path / "checkpoints", states, "epoch={}.ckpt", wrap)
    with pytest.warns(UserWarning, match=r"a prefix .* is removed: 'net\.'"):
        trajectory = ll.Trajectory.of_checkpoints(tmp_path / "checkpoints", perceptron())
    assert_is(trajectory, states)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module."])
def test_names_of_wrapped_models(tmp_path, states, prefix):
    save_all(
        tmp_path,
        states,
        wrap=lambda state, epoch: {
            (prefix if epoch > 4 else "") + name: value for name, value in state.items()
        },
    )
    assert_is(opened(tmp_path), states)


def test_a_file_from_before_zip_archives(tmp_path, states):
    torch.save(states[0], tmp_path / "epoch_0.pt", _use_new_zipfile_serialization=False)
    torch.save(states[1], tmp_path / "epoch_1.pt")
    assert_is(opened(tmp_path), states[:2])


def test_kernels_in_channels_last_order(tmp_path):
    torch.manual_seed(0)
    model = nn.Conv2d(3, 4, 3)
    states = []
    for epoch in range(2):
        state = {n: torch.randn_like(p) for n, p in model.state_dict().items()}
        state["weight"] = state["weight"].to(memory_format=torch.channels_last)
        torch.save(state, tmp_path / f"epoch_{epoch}.pt")
        states.append(state)
    assert_is(ll.Trajectory.of_checkpoints(tmp_path, model), states)


def test_one_of_several_state_dicts(tmp_path, states):
    averages = states[::-1]
    save_all(
        tmp_path, states, wrap=lambda state, epoch: {"model": state, "ema": averages[epoch - 1]}
    )
    with pytest.raises(LossLandscapeError, match="several state dicts, 'model', 'ema'"):
        opened(tmp_path)
    assert_is(opened(tmp_path, key="model"), states)
    assert_is(opened(tmp_path, key="ema"), averages)
    assert opened(tmp_path, key="ema").identity != opened(tmp_path, key="model").identity


def test_weights_under_changing_keys_are_refused(tmp_path, states):
    torch.save({"model": states[0]}, tmp_path / "epoch_0.pt")
    torch.save({"ema": states[1]}, tmp_path / "epoch_1.pt")
    with pytest.raises(LossLandscapeError, match=r"epoch_1\.pt: its weights are under 'ema', but"):
        opened(tmp_path)


# ---- checkpoints that do not fit -----------------------------------------------------------------


def test_a_truncated_file_is_named(tmp_path, states):
    save_all(tmp_path, states)
    damaged = tmp_path / "epoch_7.pt"
    damaged.write_bytes(damaged.read_bytes()[:-300])
    with pytest.raises(LossLandscapeError, match=r"epoch_7\.pt: "):
        opened(tmp_path)
    flipped = bytearray((tmp_path / "epoch_8.pt").read_bytes())
    place = flipped.find(states[7]["0.weight"].numpy().tobytes())
    flipped[place + 9] ^= 1
    damaged.write_bytes(bytes(flipped))
    with pytest.raises(LossLandscapeError, match=r"epoch_7\.pt: damaged.*checksum"):
        opened(tmp_path)


def test_a_file_that_changes_later_is_noticed(tmp_path, states):
    save_all(tmp_path, states[:3])
    trajectory = opened(tmp_path)
    torch.save(states[8], tmp_path / "epoch_2.pt")
    with pytest.raises(LossLandscapeError, match=r"epoch_2\.pt: .* has changed"):
        trajectory.parameters(1)
    with pytest.raises(LossLandscapeError, match=r"epoch_2\.pt: .* has changed"):
        trajectory.verify()


def test_missing_tensors_are_named(tmp_path, states):
    save_all(tmp_path, states)
    for missing in ("0.weight", "1.running_var"):
        short = {name: value for name, value in states[4].items() if name != missing}
        torch.save(short, tmp_path / "epoch_5.pt")
        with pytest.raises(LossLandscapeError, match=rf"epoch_5\.pt: tensor '{missing}'"):
            opened(tmp_path)


def test_counters_of_batches_may_be_missing(tmp_path, states):
    counter = "1.num_batches_tracked"
    for number, state in enumerate(states[:3]):
        kept = {name: value for name, value in state.items() if number or name != counter}
        torch.save(kept, tmp_path / f"epoch_{number}.pt")
        state.pop(counter)
    assert_is(opened(tmp_path), states[:3])


def test_different_types_are_said(tmp_path, states):
    save_all(tmp_path, states)
    halves = {n: v.half() if v.is_floating_point() else v for n, v in states[4].items()}
    torch.save(halves, tmp_path / "epoch_5.pt")
    with pytest.warns(UserWarning, match=r"float32 in epoch_1\.pt, float16 in epoch_5\.pt"):
        trajectory = ll.Trajectory.of_checkpoints(tmp_path, perceptron())
    states[4] = {n: v.float() if v.dtype == torch.half else v for n, v in halves.items()}
    assert_is(trajectory, states)


def test_types_wider_than_the_models_are_kept(tmp_path, states):
    wide = [{n: v.double() if v.is_floating_point() else v for n, v in s.items()} for s in states]
    wide[1]["0.bias"] = wide[1]["0.bias"] + 1e-12
    save_all(tmp_path, wide)
    assert_is(opened(tmp_path), wide)


def test_integers_for_weights_are_refused(tmp_path, states):
    states[0]["0.weight"] = (100 * states[0]["0.weight"]).to(torch.int8)
    torch.save(states[0], tmp_path / "epoch_1.pt")
    with pytest.raises(LossLandscapeError, match=r"'0\.weight' has type torch\.int8.*quantized"):
        opened(tmp_path)
    with pytest.raises(LossLandscapeError, match=r"'0\.weight' has type torch\.int8.*quantized"):
        ll.load_weights(perceptron(), tmp_path / "epoch_1.pt")


def test_a_whole_module_is_refused_with_the_line_that_converts_it(tmp_path):
    torch.save(perceptron(), tmp_path / "epoch_1.pt")
    with pytest.raises(LossLandscapeError, match=r"whole pickled module.*python -c"):
        opened(tmp_path)


# ---- adapters ------------------------------------------------------------------------------------


class Adapted(nn.Module):
    """A frozen layer and a low-rank adapter, named as PEFT names them."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(6, 4)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(6, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 4, bias=False)})
        self.base.requires_grad_(False)

    def forward(self, x):
        return self.base(x) + self.lora_B["default"](self.lora_A["default"](x))


def moved(model, count=4):
    torch.manual_seed(1)
    states = []
    for _ in range(count):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += torch.randn_like(parameter)
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    return states


def test_adapters_alone(tmp_path):
    model = Adapted()
    states = moved(model)
    for number, state in enumerate(states):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        adapters = {n.replace(".default", ""): v for n, v in state.items() if "lora" in n}
        save_file(adapters, folder / "adapter_model.safetensors")
    with pytest.warns(UserWarning, match=r"2 frozen parameters .* from the model: 'base\.weight'"):
        trajectory = ll.Trajectory.of_checkpoints(tmp_path, model)
    assert trajectory.parameter_names == ["lora_A.default.weight", "lora_B.default.weight"]
    assert_is(trajectory, [{n: v for n, v in s.items() if "lora" in n} for s in states])
    x, y = torch.randn(30, 6), torch.randint(0, 4, (30,))
    objective = ll.Objective(model, "cross_entropy", (x, y))
    plane = ll.Subspace.pca(trajectory)
    found = ll.evaluate(objective, plane, plane.default_grid(3), trajectory=trajectory, quiet=True)
    expected = []
    for state in states:
        model.load_state_dict(state)
        expected.append(nn.functional.cross_entropy(model(x), y).item())
    assert found.trajectories[0].checkpoint_loss == pytest.approx(expected, rel=1e-5)


def test_a_trainable_parameter_may_not_be_missing(tmp_path):
    model = Adapted().requires_grad_(True)
    torch.save({n: v for n, v in model.state_dict().items() if "lora" in n}, tmp_path / "e1.pt")
    with pytest.raises(LossLandscapeError, match=r"'base\.weight' of the model Adapted is missing"):
        ll.Trajectory.of_checkpoints(tmp_path, model)


def test_what_is_frozen_and_the_same_everywhere(tmp_path):
    model = Adapted()
    states = moved(model)
    for number, state in enumerate(states):
        torch.save(state, tmp_path / f"epoch_{number}.pt")
    assert ll.Trajectory.of_checkpoints(tmp_path, model).frozen == {"base.weight", "base.bias"}
    states[2]["base.bias"] += 1  # frozen now, but not then
    torch.save(states[2], tmp_path / "epoch_2.pt")
    trajectory = ll.Trajectory.of_checkpoints(tmp_path, model)
    assert trajectory.frozen == {"base.weight"}
    assert_is(trajectory, states)


def test_a_frozen_base_of_another_type(tmp_path):
    """In bfloat16, as PEFT leaves it, beside adapters in float32: no part of the plane."""
    model = Adapted()
    model.base.to(torch.bfloat16)
    model.forward = lambda x: (
        model.base(x.bfloat16()).float() + model.lora_B["default"](model.lora_A["default"](x))
    )
    states = moved(model)
    for number, state in enumerate(states):
        torch.save(state, tmp_path / f"epoch_{number}.pt")
    trajectory = ll.Trajectory.of_checkpoints(tmp_path, model)
    plane = ll.Subspace.pca(trajectory)
    assert plane.origin.dtype == torch.float32
    assert plane.fixed.keys() == {"base.weight", "base.bias"}
    x, y = torch.randn(30, 6), torch.randint(0, 4, (30,))
    objective = ll.Objective(model, "cross_entropy", (x, y))
    found = ll.evaluate(objective, plane, plane.default_grid(3), trajectory=trajectory, quiet=True)
    expected = []
    for state in states:
        model.load_state_dict(state)
        expected.append(nn.functional.cross_entropy(model(x), y).item())
    assert found.trajectories[0].checkpoint_loss == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        model.base.bias += 1  # another base
    with pytest.raises(LossLandscapeError, match=r"'base\.bias' was frozen in the training"):
        ll.evaluate(objective, plane, plane.default_grid(3), quiet=True)


# ---- measured ------------------------------------------------------------------------------------


def test_losses_are_those_of_the_checkpoints(tmp_path, states):
    save_all(tmp_path, states)
    x, y = torch.randn(40, 5), torch.randint(0, 3, (40,))
    model, expected = perceptron().eval(), []
    for state in states:
        model.load_state_dict(state)
        expected.append(nn.functional.cross_entropy(model(x), y).item())
    trajectory = opened(tmp_path)
    plane = ll.Subspace.pca(trajectory)
    objective = ll.Objective(model, "cross_entropy", (x, y))
    found = ll.evaluate(objective, plane, plane.default_grid(3), trajectory=trajectory, quiet=True)
    assert found.trajectories[0].checkpoint_loss == pytest.approx(expected, rel=1e-5)
    assert found.trajectories[0].step.tolist() == list(range(1, 13))


def test_the_plane_is_that_of_the_recorded_trajectory(tmp_path, states):
    model = perceptron()
    with ll.TrajectoryRecorder(model, tmp_path / "recorded") as recorder:
        for epoch, state in enumerate(states, 1):
            model.load_state_dict(state)
            recorder.record(epoch)
    save_all(tmp_path / "files", states)
    one = ll.Subspace.pca(ll.Trajectory.open(tmp_path / "recorded"))
    other = ll.Subspace.pca(opened(tmp_path / "files"))
    assert one.identity == other.identity


def test_listing_needs_no_order_of_the_folder(tmp_path, states):
    save_all(tmp_path, states)
    paths, is_list = checkpoint_paths(tmp_path)
    assert [path.name for path in paths][:3] == ["epoch_1.pt", "epoch_2.pt", "epoch_3.pt"]
    assert not is_list
    assert checkpoint_paths(paths)[1]
