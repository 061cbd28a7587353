"""Weights files as training scripts leave them: prefixes, wrappers, several sets, other objects."""

import argparse
import collections
import pathlib
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.training.weights import load_into, load_weights, read_weights


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.fixture
def model() -> nn.Sequential:
    return network()


@pytest.fixture
def other() -> nn.Sequential:
    return network(5)


def same(a: nn.Module, b: nn.Module) -> bool:
    found = b.state_dict()
    return all(torch.equal(value, found[name]) for name, value in a.state_dict().items())


def prefixed(model: nn.Module, prefix: str) -> dict:
    return {prefix + name: value for name, value in model.state_dict().items()}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "module._orig_mod."])
def test_wrappers_are_ignored_without_a_word(model, other, prefix):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_into(model, prefixed(other, prefix))
    assert same(model, other)


def test_wrappers_inside_of_names(model, other):
    weights = other.state_dict()
    weights["2._orig_mod.weight"] = weights.pop("2.weight")
    weights["0._checkpoint_wrapped_module.bias"] = weights.pop("0.bias")
    load_into(model, weights)
    assert same(model, other)


def test_wrappers_in_the_model(other):
    wrapped = nn.ModuleDict({"module": network()})
    load_into(wrapped, other.state_dict())
    assert same(wrapped["module"], other)


@pytest.mark.parametrize("prefix", ["net.", "model._orig_mod.", "module.net.body."])
def test_a_common_prefix_is_removed_and_said(model, other, prefix):
    with pytest.warns(UserWarning, match="the prefix '.*' is before every name"):
        load_into(model, prefixed(other, prefix))
    assert same(model, other)


def test_names_beside_the_prefix_are_listed(model, other):
    before = model[0].weight.clone()
    weights = {**prefixed(other, "net."), "criterion.weight": torch.ones(2), "m": torch.ones(1)}
    with pytest.raises(LossLandscapeError, match=r"'criterion.weight' \(and 1 more: 'm'\).*'net.'"):
        load_into(model, weights)
    assert torch.equal(model[0].weight, before)


def test_of_two_prefixes_none_is_chosen(model, other):
    weights = {**prefixed(other, "student."), **prefixed(network(7), "teacher.")}
    with pytest.raises(LossLandscapeError, match=r"'teacher\..*begin with 'student\.'"):
        load_into(model, weights)


def test_a_module_of_the_name_module_is_no_wrapper():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.module = nn.Parameter(torch.zeros(2)), nn.Linear(1, 2, bias=False)

    model = Both()
    load_into(model, {"weight": torch.ones(2), "module.weight": torch.full((2, 1), 2.0)})
    assert model.weight.tolist() == [1.0, 1.0]
    assert model.module.weight.tolist() == [[2.0], [2.0]]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.b.weight = self.a.weight


@pytest.mark.parametrize("order", [("a.weight", "b.weight"), ("b.weight", "a.weight")])
def test_tied_weights_that_disagree_are_refused(order):
    model = Tied()
    before = model.a.weight.clone()
    with pytest.raises(LossLandscapeError, match=f"'{order[0]}' and '{order[1]}'.*tied"):
        load_into(model, {name: torch.full((2, 2), float(i)) for i, name in enumerate(order)})
    assert torch.equal(model.a.weight, before)
    load_into(model, {name: torch.full((2, 2), torch.nan) for name in order})  # they agree
    assert model.b.weight.isnan().all()


def test_of_several_state_dicts_the_key_chooses(model, other, tmp_path):
    content = {"model": network(7).state_dict(), "ema": {"module": other.state_dict(), "n": 3}}
    torch.save(content, tmp_path / "w.pt")
    for read in (read_weights, lambda path: load_weights(model, path)):
        with pytest.raises(LossLandscapeError, match=r"'model', 'ema.module'; choose"):
            read(tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match="no state dict under 'em'; choose from 'model'"):
        load_weights(model, tmp_path / "w.pt", key="em")
    load_weights(model, tmp_path / "w.pt", key="ema.module")
    assert same(model, other)


def test_the_only_one_that_fits_is_taken(model, other, tmp_path):
    optimizer = torch.optim.Adam(other.parameters())
    other(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    content = {
        "generator": nn.Linear(9, 9).state_dict(), "hyper": {"class_weights": torch.ones(2)},
        "net": other.state_dict(), "optimizer": optimizer.state_dict(),
    }  # fmt: skip
    torch.save(content, tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")
    assert same(model, other)


def test_a_key_of_a_safetensors_file_is_refused(model, tmp_path):
    from losslandscape.training.weights import save_weights

    save_weights(model, tmp_path / "w.safetensors")
    with pytest.raises(FileFormatError, match="without keys"):
        load_weights(model, tmp_path / "w.safetensors", key="ema")


def test_numbers_and_containers_beside_the_weights(model, other, tmp_path):
    history = collections.defaultdict(list)
    history["loss"].append(np.float32(0.5))
    content = {
        "state_dict": other.state_dict(), "accuracy": np.float64(0.93), "epoch": np.int64(7),
        "history": history, "args": argparse.Namespace(lr=0.1, out=pathlib.Path("a") / "b"),
        "last": collections.deque([1, 2], maxlen=2), "curve": np.arange(3.0),
    }  # fmt: skip
    torch.save(content, tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")
    assert same(model, other)


def test_numpy_numbers_keep_their_values(tmp_path):
    from losslandscape.training.torch_files import read_content

    numbers = [np.float64(-0.1), np.float32(1.5), np.int16(-3), np.bool_(True), np.complex64(1j)]
    numbers.append(np.array(7, ">i4")[()])
    torch.save(numbers, tmp_path / "n.pt")
    assert read_content(tmp_path / "n.pt") == [one.item() for one in numbers]


def test_a_pickled_module_says_how_to_convert_it(model, other, tmp_path, monkeypatch):
    torch.save(other, tmp_path / "whole.pt")
    with pytest.raises(FileFormatError, match="whole pickled module") as caught:
        load_weights(model, tmp_path / "whole.pt")
    command = str(caught.value).split('python -c "')[1].split('"')[0]
    # the line that the message gives does what it says
    monkeypatch.chdir(tmp_path)
    exec(command)
    load_weights(model, tmp_path / "weights.pt")
    assert same(model, other)


class Settings:
    pass


def test_an_object_is_named(model, tmp_path):
    torch.save({"model": model.state_dict(), "config": Settings()}, tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match=r"other than tensors \(.*Settings\)"):
        load_weights(model, tmp_path / "w.pt")


def test_weights_at_the_top_level_are_not_passed_over(model, other, tmp_path):
    content = {**network(7).state_dict(), "ema": other.state_dict(), "epoch": 3}
    torch.save(content, tmp_path / "w.pt")
    for read in (read_weights, lambda path: load_weights(model, path)):
        with pytest.raises(FileFormatError, match=r"the top level \(key ''\), 'ema'; choose"):
            read(tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt", key="ema")
    assert same(model, other)
    load_weights(model, tmp_path / "w.pt", key="")
    assert same(model, network(7))


def test_a_key_that_begins_like_an_optimizer_is_one_of_several(model, other, tmp_path):
    content = {"last": network(7).state_dict(), "optimal": other.state_dict()}
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match="'last', 'optimal'; choose"):
        load_weights(model, tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt", key="optimal")
    assert same(model, other)


@pytest.mark.parametrize(
    "name", ["optimizer", "optim", "lr_scheduler", "LRSchedulers", "AdamOptimizer2"]
)
def test_optimizers_are_loaded_by_their_key_alone(model, other, tmp_path, name):
    content = {"net": other.state_dict(), name: {"mean": network(7).state_dict()}}
    torch.save(content, tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")
    assert same(model, other)
    load_weights(model, tmp_path / "w.pt", key=f"{name}.mean")
    assert same(model, network(7))


def test_numbers_beside_tensors_do_not_hide_a_state_dict(model, other, tmp_path):
    content = {"state_dict": network(7).state_dict(), "ema": {**other.state_dict(), "decay": 0.9}}
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match="'state_dict', 'ema'; choose"):
        load_weights(model, tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt", key="ema")
    assert same(model, other)
    torch.save({**network(7).state_dict(), "epoch": 3}, tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")
    assert same(model, network(7))


def test_lists_and_numbers_as_keys_are_searched(model, other, tmp_path):
    first = network(7).state_dict()
    for content, keys in (
        ([first, other.state_dict()], ("0", "1")),
        ({3: first, 7: other.state_dict()}, ("3", "7")),
        ({"model": first, "snapshots": [other.state_dict()]}, ("model", "snapshots.0")),
    ):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(FileFormatError, match=f"{keys[0]!r}, {keys[1]!r}; choose"):
            load_weights(model, tmp_path / "w.pt")
        load_weights(model, tmp_path / "w.pt", key=keys[1])
        assert same(model, other)


def test_keys_that_read_the_same_are_refused(model, other, tmp_path):
    content = {"a.b": network(7).state_dict(), "a": {"b": other.state_dict()}}
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match=r"'a.b', 'a.b \(again\)'; choose"):
        load_weights(model, tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match=r"2 entries have the key 'a\.b'"):
        load_weights(model, tmp_path / "w.pt", key="a.b")


def test_a_tensor_of_one_number_beside_is_no_state_dict(model, other, tmp_path):
    content = {"state_dict": other.state_dict(), "best": torch.tensor(0.93)}
    torch.save(content, tmp_path / "w.pt")
    assert read_weights(tmp_path / "w.pt").keys() == other.state_dict().keys()
    load_weights(model, tmp_path / "w.pt")
    assert same(model, other)
    with pytest.raises(LossLandscapeError, match="made for another model"):
        load_weights(nn.Linear(9, 9), tmp_path / "w.pt")


class TiedWithBiases(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        self.b.weight = self.a.weight


@pytest.mark.parametrize("left_out", ["a.weight", "b.weight"])
def test_a_prefix_before_any_name_of_a_tied_tensor(left_out):
    model, other = TiedWithBiases(), TiedWithBiases()
    weights = prefixed(other, "net.")
    del weights[f"net.{left_out}"]
    with pytest.warns(UserWarning, match="the prefix 'net.'"):
        load_into(model, weights)
    assert same(model, other)


def test_an_averaged_model_is_loaded_and_said(model, other):
    averaged = torch.optim.swa_utils.AveragedModel(other)
    averaged.update_parameters(other)
    for weights, name in (
        (averaged.state_dict(), "n_averaged"),
        (prefixed(averaged, "_orig_mod."), "_orig_mod.n_averaged"),
    ):
        load_into(model, network(7).state_dict())
        with pytest.warns(UserWarning, match=f"an average.*= 1.*'{name}' is left out"):
            load_into(model, weights)
        assert same(model, other)
    again = torch.optim.swa_utils.AveragedModel(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_into(again, averaged.state_dict())
    assert again.n_averaged == 1
    with pytest.raises(LossLandscapeError, match="'n_averaged' is unknown"):
        load_into(model, {**other.state_dict(), "n_averaged": torch.tensor(1)})
