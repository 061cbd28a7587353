"""Reading a recorded training trajectory: its values, blocks, and damaged files."""

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
from torch import nn

import losslandscape as ll
from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.training.trajectory import _aligned_ranges
from losslandscape.training.weights import load_into, save_weights


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


def test_checkpoints_load_into_a_fresh_model(model, recorded, fresh):
    trajectory = ll.Trajectory.open(recorded)
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


@pytest.mark.parametrize(
    ("step", "message"),
    [(1, "is not after step 1"), (0.5, "is not after"), (math.nan, "must be a finite")],
)
def test_steps_ascend(model, tmp_path, step, message):
    with ll.TrajectoryRecorder(model, tmp_path / "t") as recorder:
        recorder.record(1)
        with pytest.raises(LossLandscapeError, match=message):
            recorder.record(step)


def test_no_checkpoint_is_a_trajectory_too(model, tmp_path):
    ll.TrajectoryRecorder(model, tmp_path / "t")
    trajectory = ll.Trajectory.open(tmp_path / "t")
    assert len(trajectory) == 0
    assert list(trajectory.blocks()) == []


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
    with pytest.raises(LossLandscapeError, match="no checkpoint 3; there are 3"):
        ll.Trajectory.open(recorded).parameters(3)


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
