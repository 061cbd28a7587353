"""A model's weights in files."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.training.weights import (
    buffer_tensors,
    load_into,
    parameter_tensors,
    read_weights,
    save_weights,
)


def test_equal_models_give_equal_files(model, tmp_path):
    save_weights(model, tmp_path / "a.safetensors")
    save_weights(model, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
def test_torch_files_are_read(model, tmp_path, key, fresh):
    content = model.state_dict() if key is None else {"epoch": 3, key: model.state_dict()}
    torch.save(content, tmp_path / "weights.pt")
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
def test_checkpoints_in_shards_are_read(model, tmp_path, name, fresh):
    tensors = in_shards(model, tmp_path)
    found = read_weights(tmp_path / name)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    load_into(fresh, found)
    assert torch.equal(fresh.conv.weight, model.conv.weight)


def test_what_the_hub_client_writes_is_read(model, tmp_path, fresh):
    hub = pytest.importorskip("huggingface_hub")
    hub.save_torch_state_dict(model.state_dict(), tmp_path, max_shard_size=200)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
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
