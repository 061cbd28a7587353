"""Recording a trajectory and opening it again, the files under it, and their errors."""

import hashlib
import json
import math
import os
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

import losslandscape as ll
from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.files.atomic_files import make_folder, replace_file
from losslandscape.progress import Progress
from losslandscape.run.projected_trajectory import measure_trajectory
from losslandscape.training.trajectory import _aligned_ranges
from losslandscape.training.weights import (
    buffer_tensors,
    load_into,
    parameter_tensors,
    read_weights,
    save_weights,
)


class TiedNetwork(nn.Module):
    """Tied, channels-last, scalar and bfloat16 parameters, and batch norm's integer counter."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(4)
        self.encoder = nn.Linear(5, 7, bias=False)
        self.decoder = nn.Linear(5, 7, bias=False)
        self.decoder.weight = self.encoder.weight
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.brain = nn.Parameter(torch.arange(6.0).reshape(2, 3).to(torch.bfloat16))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)

    def shift(self, amount):
        with torch.no_grad():
            for parameter in self.parameters():
                parameter += amount
            self.norm.running_mean += 10 * amount
            self.norm.num_batches_tracked += 1


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TiedNetwork()


@pytest.fixture
def recorded(model, tmp_path):
    with ll.TrajectoryRecorder(model, tmp_path / "run" / "trajectory") as recorder:
        for step in range(3):
            recorder.record(step / 2, loss=1 / (step + 1))
            model.shift(1.0)
    return tmp_path / "run" / "trajectory"


# --- recording and opening


def test_parameters_and_buffers_come_back(model, tmp_path):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with ll.TrajectoryRecorder(model, tmp_path / "t") as recorder:
        recorder.record(0)
        model.shift(0.5)
        recorder.record(1)
    trajectory = ll.Trajectory.open(tmp_path / "t")

    assert len(trajectory) == 2
    assert trajectory.path == tmp_path / "t"
    assert trajectory.steps.dtype == np.float64
    assert trajectory.steps.tolist() == [0, 1]
    assert trajectory.parameter_names == [name for name, _ in model.named_parameters()]
    assert "decoder.weight" not in trajectory.parameter_names
    assert trajectory.shapes == {n: tuple(p.shape) for n, p in model.named_parameters()}
    for name, value in trajectory.parameters(0).items():
        assert torch.equal(value, before[name])
        assert value.dtype == before[name].dtype
        assert value.is_contiguous()
    for name, value in trajectory.parameters(-1).items():
        assert torch.equal(value, dict(model.named_parameters())[name])
    buffers = trajectory.buffers(1)
    assert set(buffers) == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert buffers["norm.num_batches_tracked"].dtype == torch.int64
    assert buffers["norm.num_batches_tracked"].item() == 1
    assert torch.equal(buffers["norm.running_mean"], model.norm.running_mean)


def test_checkpoints_load_into_a_fresh_model(model, recorded):
    trajectory = ll.Trajectory.open(recorded)
    fresh = TiedNetwork()
    load_into(fresh, {**trajectory.parameters(2), **trajectory.buffers(2)})
    model.shift(-1.0)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, dict(fresh.named_parameters())[name])
    assert fresh.decoder.weight is fresh.encoder.weight


def test_numbers_may_be_missing_or_not_finite(model, tmp_path):
    with ll.TrajectoryRecorder(model, tmp_path / "t") as recorder:
        recorder.record(0, loss=torch.tensor(1.5))
        recorder.record(1, loss=math.inf, accuracy=0.5)
        recorder.record(2, loss=math.nan)
    trajectory = ll.Trajectory.open(tmp_path / "t")
    np.testing.assert_array_equal(trajectory.numbers("loss"), [1.5, math.inf, math.nan])
    np.testing.assert_array_equal(trajectory.numbers("accuracy"), [math.nan, 0.5, math.nan])
    with pytest.raises(LossLandscapeError, match="'los' was recorded; recorded: accuracy, loss"):
        trajectory.numbers("los")
    # The list is JSON that any program reads, without Python's bare NaN.
    json.loads((tmp_path / "t" / "trajectory.json").read_text(), parse_constant=pytest.fail)


def test_the_list_has_each_files_checksum(recorded):
    manifest = json.loads((recorded / "trajectory.json").read_text())
    for entry in manifest["checkpoints"]:
        content = (recorded / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
    ll.Trajectory.open(recorded).verify()


def test_equal_models_give_equal_files(model, tmp_path):
    save_weights(model, tmp_path / "a.safetensors")
    save_weights(model, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


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


@pytest.mark.parametrize(
    ("step", "message"),
    [(1, "is not after step 1"), (0.5, "is not after"), (math.nan, "not a finite")],
)
def test_steps_ascend(model, tmp_path, step, message):
    with ll.TrajectoryRecorder(model, tmp_path / "t") as recorder:
        recorder.record(1)
        with pytest.raises(LossLandscapeError, match=message):
            recorder.record(step)


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


def test_no_checkpoint_is_a_trajectory_too(model, tmp_path):
    ll.TrajectoryRecorder(model, tmp_path / "t")
    trajectory = ll.Trajectory.open(tmp_path / "t")
    assert len(trajectory) == 0
    assert list(trajectory.blocks()) == []


# --- errors on opening


def test_missing_folder(tmp_path):
    with pytest.raises(FileFormatError, match="no such folder"):
        ll.Trajectory.open(tmp_path / "nowhere")


def test_missing_list(tmp_path):
    with pytest.raises(FileFormatError, match=r"trajectory.json is missing"):
        ll.Trajectory.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"format": "other", "format_version": 1}', "expected format"),
        ('{"format": "losslandscape trajectory", "format_version": 99}', "version 99.*update"),
    ],
)
def test_damaged_list(tmp_path, text, message):
    (tmp_path / "trajectory.json").write_text(text)
    with pytest.raises(FileFormatError, match=message):
        ll.Trajectory.open(tmp_path)


def test_missing_checkpoint_is_named(recorded):
    (recorded / "checkpoint_000001.safetensors").unlink()
    with pytest.raises(FileFormatError, match=r"000001.*step 0.5 is missing"):
        ll.Trajectory.open(recorded)


def test_truncated_checkpoint_is_named(recorded):
    file = recorded / "checkpoint_000002.safetensors"
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(FileFormatError, match=r"000002.*is damaged"):
        ll.Trajectory.open(recorded)


def test_overwritten_header_is_named(recorded):
    file = recorded / "checkpoint_000002.safetensors"
    content = bytearray(file.read_bytes())
    content[8:40] = b"\0" * 32
    file.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"000002.*damaged"):
        ll.Trajectory.open(recorded)


@pytest.mark.parametrize("name", ["../weights.safetensors", "/etc/passwd", "C:\\x", "..\\x", 3, ""])
def test_a_list_that_names_files_elsewhere_is_refused(recorded, name):
    shutil.copy(recorded / "checkpoint_000000.safetensors", recorded.parent / "weights.safetensors")
    manifest = json.loads((recorded / "trajectory.json").read_text())
    del manifest["sha256"]
    manifest["checkpoints"][0]["file"] = name
    (recorded / "trajectory.json").write_text(json.dumps(manifest))
    with pytest.raises(FileFormatError, match="outside its folder"):
        ll.Trajectory.open(recorded)


def test_a_damaged_number_in_the_list_is_told(recorded):
    text = (recorded / "trajectory.json").read_text()
    changed = text.replace('"step": 0.5', '"step": 0.25')
    assert changed != text
    (recorded / "trajectory.json").write_text(changed)
    with pytest.raises(FileFormatError, match="checksum differs"):
        ll.Trajectory.open(recorded)


def test_damaged_values_are_not_given_out(recorded):
    file = recorded / "checkpoint_000001.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    trajectory = ll.Trajectory.open(recorded)
    trajectory.parameters(0)
    for read in (lambda: trajectory.parameters(1), lambda: list(trajectory.blocks())):
        with pytest.raises(FileFormatError, match=r"000001.*has changed"):
            read()


def test_changed_values_are_found_by_verify(recorded):
    file = recorded / "checkpoint_000001.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    trajectory = ll.Trajectory.open(recorded)
    with pytest.raises(FileFormatError, match=r"000001.*has changed"):
        trajectory.verify()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, r"'weight' has shape \(3, 2\)"),
        ({"weight": torch.zeros(2, 3)}, "'bias' is missing"),
    ],
)
def test_foreign_checkpoint_is_named(tmp_path, tensors, message):
    with ll.TrajectoryRecorder(nn.Linear(3, 2), tmp_path) as recorder:
        recorder.record(0)
    file = tmp_path / "checkpoint_000000.safetensors"
    save_weights(tensors, file)
    manifest = json.loads((tmp_path / "trajectory.json").read_text())
    manifest["checkpoints"][0]["bytes"] = file.stat().st_size
    del manifest["sha256"]  # as older versions wrote it
    (tmp_path / "trajectory.json").write_text(json.dumps(manifest))
    with pytest.raises(FileFormatError, match=message):
        ll.Trajectory.open(tmp_path)


def test_index_out_of_range(recorded):
    with pytest.raises(IndexError, match="no checkpoint 3; there are 3"):
        ll.Trajectory.open(recorded).parameters(3)


# --- blocks


@pytest.mark.parametrize("max_bytes", [1, 100, 1000, 2**20])
def test_blocks_cover_every_parameter_once(recorded, max_bytes):
    trajectory = ll.Trajectory.open(recorded)
    pieces = {name: [] for name in trajectory.parameter_names}
    for block in trajectory.blocks(max_bytes):
        assert block.values.dtype == np.float64
        assert block.values.shape == (3, block.stop - block.start)
        assert block.values.nbytes <= max(max_bytes, 3 * 8)
        assert block.start == sum(piece.shape[1] for piece in pieces[block.name])
        pieces[block.name].append(block.values)
    for index in range(3):
        for name, tensor in trajectory.parameters(index).items():
            joined = np.concatenate([piece[index] for piece in pieces[name]])
            np.testing.assert_array_equal(joined, tensor.double().reshape(-1).numpy())


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_block_is_that_range_of_the_flattened_tensor(tmp_path_factory, data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=4)))
    size = math.prod(shape)
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    model = nn.Module()
    model.weight = nn.Parameter(torch.arange(float(size)).reshape(shape))
    folder = tmp_path_factory.mktemp("trajectory")
    with ll.TrajectoryRecorder(model, folder) as recorder:
        recorder.record(0)
    values = ll.Trajectory.open(folder).block("weight", start, stop, 0)
    np.testing.assert_array_equal(values, np.arange(start, stop, dtype=float))


@given(st.lists(st.integers(0, 6), max_size=4).map(tuple), st.integers(1, 50))
def test_ranges_are_whole_rows_and_cover_the_tensor(shape, most):
    places = []
    for start, stop in _aligned_ranges(shape, most):
        assert 0 < stop - start <= most
        places += range(start, stop)
    assert places == list(range(math.prod(shape)))


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (-1, 2), (3, 36), (5, 4)])
def test_ranges_outside_are_refused(recorded, start, stop):
    with pytest.raises(LossLandscapeError, match="not inside parameter"):
        ll.Trajectory.open(recorded).block("encoder.weight", start, stop, 0)


def test_unknown_parameter_is_refused(recorded):
    with pytest.raises(LossLandscapeError, match="no parameter 'wieght'"):
        ll.Trajectory.open(recorded).block("wieght", 0, 1, 0)


# --- weights


@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
def test_torch_files_are_read(model, tmp_path, key):
    content = model.state_dict() if key is None else {"epoch": 3, key: model.state_dict()}
    torch.save(content, tmp_path / "weights.pt")
    fresh = TiedNetwork()
    model.shift(0.0)
    load_into(fresh, read_weights(tmp_path / "weights.pt"))
    assert torch.equal(fresh.encoder.weight, model.encoder.weight)


def test_a_run_folder_stands_for_its_weights(model, tmp_path):
    save_weights(model, tmp_path / "weights.safetensors")
    assert torch.equal(read_weights(tmp_path)["conv.weight"], model.conv.weight)


def in_shards(model, folder, **changes):
    """Two shards and their list, laid out as Hugging Face's save_pretrained does."""
    tensors = {**parameter_tensors(model), **buffer_tensors(model)}
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    names = list(tensors)
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
        places.update(dict.fromkeys(part, file))
    size = sum(tensor.nbytes for tensor in tensors.values())
    content = {"metadata": {"total_size": size}, "weight_map": {**places, **changes}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))
    return tensors


@pytest.mark.parametrize("name", [".", "model.safetensors.index.json"])
def test_checkpoints_in_shards_are_read(model, tmp_path, name):
    tensors = in_shards(model, tmp_path)
    found = read_weights(tmp_path / name)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    fresh = TiedNetwork()
    load_into(fresh, found)
    assert torch.equal(fresh.conv.weight, model.conv.weight)


def test_what_the_hub_client_writes_is_read(model, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    hub.save_torch_state_dict(model.state_dict(), tmp_path, max_shard_size=200)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    fresh = TiedNetwork()
    model.shift(0.0)
    load_into(fresh, read_weights(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), model.parameters()))


def test_a_folder_of_one_whole_file_is_read(model, tmp_path):
    save_weights(model, tmp_path / "model.safetensors")
    assert torch.equal(read_weights(tmp_path)["conv.weight"], model.conv.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"other": "model-00001-of-00002.safetensors"}, "00001-of-00002.*lacks tensor 'other'"),
        ({"other": "model-00003-of-00002.safetensors"}, "00003-of-00002"),
        ({"other": "../elsewhere.safetensors"}, "outside its folder"),
        ({"other": ["x"]}, "outside its folder"),
    ],
)
def test_shards_that_do_not_fit_their_list(model, tmp_path, changes, message):
    in_shards(model, tmp_path, **changes)
    with pytest.raises(FileFormatError, match=message):
        read_weights(tmp_path)


def test_a_list_without_shards(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": []}')
    with pytest.raises(FileFormatError, match="no weight_map"):
        read_weights(tmp_path)


class Payload:
    """What a malicious pickle does: run code when it is loaded."""

    def __reduce__(self):
        return (os.mkdir, ("executed",))


def test_pickles_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Payload()}, "weights.pt")
    with pytest.raises(FileFormatError, match="could execute arbitrary code, so it was not read"):
        read_weights("weights.pt")
    assert not os.path.exists("executed")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"hello, this is a text"])
def test_damaged_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=name):
        read_weights(tmp_path / name)


def test_truncated_torch_file(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    os.truncate(tmp_path / "weights.pt", 700)
    with pytest.raises(FileFormatError, match="damaged, or not a PyTorch file"):
        read_weights(tmp_path / "weights.pt")


def test_missing_weights(tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        read_weights(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "named tensors .* are expected"),
        ({}, "named tensors .* are expected"),
        ({"epoch": 3}, "'epoch' is int"),
    ],
)
def test_files_of_something_else(tmp_path, content, message):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(FileFormatError, match=message):
        read_weights(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("norm.bias"), r"'norm.bias' of the model TiedNetwork is missing"),
        (lambda w: w.update(extra=torch.zeros(1)), "'extra' is unknown"),
        (
            lambda w: w.update({"conv.bias": torch.zeros(5)}),
            r"'conv.bias' has shape \(5,\).*\(4,\)",
        ),
        (  # it could be broadcast
            lambda w: w.update({"conv.bias": torch.zeros(1)}),
            r"'conv.bias' has shape \(1,\).*\(4,\)",
        ),
    ],
)
def test_the_first_differing_tensor_is_named(model, change, message):
    weights = {name: value.clone() + 1 for name, value in model.state_dict().items()}
    change(weights)
    before = model.scale.item()
    with pytest.raises(LossLandscapeError, match=rf"(?s)w\.pt: tensor {message}"):
        load_into(model, weights, source="w.pt")
    assert model.scale.item() == before


def test_either_name_of_a_tied_weight_will_do(model):
    weights = dict(model.state_dict())
    del weights["encoder.weight"]
    weights["decoder.weight"] = torch.ones(7, 5)
    load_into(model, weights)
    assert torch.equal(model.encoder.weight, torch.ones(7, 5))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_prefixes_are_taken_off(model, prefix):
    load_into(model, {prefix + name: torch.ones_like(t) for name, t in model.state_dict().items()})
    assert torch.equal(model.norm.weight, torch.ones(4))


def test_a_counter_of_batches_may_be_missing(model):
    weights = dict(model.state_dict())
    del weights["norm.num_batches_tracked"]
    load_into(model, weights)


def test_views_of_one_buffer_are_saved(tmp_path):
    flat = torch.arange(6.0)
    model = nn.Linear(2, 2)
    model.weight.data = flat[:4].view(2, 2)
    model.bias.data = flat[4:]
    save_weights(model, tmp_path / "w.safetensors")
    assert load_file(tmp_path / "w.safetensors")["bias"].tolist() == [4, 5]
    assert load_file(tmp_path / "w.safetensors")["weight"].tolist() == [[0, 1], [2, 3]]


# --- atomic files


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail_half_way():
        with replace_file(file) as temporary:
            temporary.write_text("half of the n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with replace_file(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_new_files_have_the_usual_permissions(tmp_path):
    with replace_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("")
    (tmp_path / "b.txt").write_text("")
    save_weights(nn.Linear(1, 1), tmp_path / "c.safetensors")
    assert len({file.stat().st_mode for file in tmp_path.iterdir()}) == 1


def test_missing_folder_and_folder_in_the_way(tmp_path):
    with pytest.raises(LossLandscapeError, match="does not exist"), replace_file(tmp_path / "x/a"):
        pass
    with pytest.raises(LossLandscapeError, match="is a folder"), replace_file(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(LossLandscapeError, match="a file has this name"):
        make_folder(tmp_path / "file" / "folder")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_for_real(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(LossLandscapeError, match="cannot write into"), replace_file(tmp_path / "a"):
        pass


def test_read_only_folder(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LossLandscapeError, match="cannot write into"), replace_file(tmp_path / "a"):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_full_disk(tmp_path):
    with (
        pytest.raises(LossLandscapeError, match="no space left"),
        replace_file(tmp_path / "a"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"1")
    assert list(tmp_path.iterdir()) == []


# --- progress


def test_progress_writes_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr("losslandscape.progress._LINE_INTERVAL", 0.0)
    with Progress(4, "measuring", done=1) as progress:
        progress.note = "loss 0.5"
        for _ in range(3):
            progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("measuring: 2/4, ")
    assert "left, loss 0.5" in lines[0]
    assert lines[-1].startswith("measuring: 4/4, ")
    assert "took" in lines[-1]


def test_progress_says_little_and_can_be_silent(capsys):
    with Progress(100_000, "fast") as progress:
        for _ in range(100_000):
            progress.advance()
    assert len(capsys.readouterr().err.splitlines()) == 1
    with Progress(3, "quiet", quiet=True) as progress:
        progress.advance(3)
    assert capsys.readouterr().err == ""


def test_progress_draws_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress(2, "drawing") as progress:
        progress.advance(2)
    assert "2/2" in capsys.readouterr().err


class SharedStatistics(nn.Module):
    """Two batch norms over the same statistics, which are registered under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
        self.second.running_mean = self.first.running_mean
        self.head = nn.Linear(4, 3)

    def forward(self, inputs):
        return self.head(self.second(self.first(inputs)))


def test_a_buffer_under_two_names_is_that_of_the_checkpoint(tmp_path):
    torch.manual_seed(0)
    model = SharedStatistics()
    inputs, targets = torch.randn(32, 4), torch.randint(0, 3, (32,))
    expected = []
    with ll.TrajectoryRecorder(model, tmp_path / "trajectory") as recorder:
        for step in range(3):
            model.train()
            model(inputs + 3 * step)
            recorder.record(step)
            with torch.no_grad():
                outputs = model.eval()(inputs)
            expected.append(float(nn.functional.cross_entropy(outputs, targets)))
    assert np.ptp(expected) > 0.01
    found = measure_trajectory(
        ll.Objective(model, "cross_entropy", (inputs, targets)),
        ll.Subspace.random(model),
        ll.Trajectory.open(tmp_path / "trajectory"),
        quiet=True,
    )
    np.testing.assert_allclose(found.checkpoint_loss, expected, rtol=1e-5)


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
