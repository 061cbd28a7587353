"""The cache of configurations: used, never needed, and never a reason for another value."""

import copy
import json
import logging

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.point import configuration_cache as cache
from losslandscape.point import evaluator as evaluators
from losslandscape.point.convolution_trial import Formats
from losslandscape.point.evaluator import Evaluator
from losslandscape.problem.configuration import Configuration

FOUND = Configuration("channels_last", ("row_major_convolutions",), {"0": "row_major"}, 20)
POINT = (0.3, -0.2)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / cache.FILE


def network(channels=4):
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(1)
    layers = nn.Conv2d(3, channels, 3), pool, nn.Flatten(), nn.Linear(channels, 5)
    return nn.Sequential(*layers).eval()


@pytest.fixture
def trials(monkeypatch):
    """The formats that trials are asked for; however short they are, they are made and kept."""
    made = []

    def formats(seen, samples, allowed):
        made.append(allowed)
        return Formats(True, {"0": "row_major"})

    for name in ("_WORTH_TRIALS", "_CERTAINLY_WORTH", "_WORTH_KEEPING"):
        monkeypatch.setattr(evaluators, name, 0.0)
    monkeypatch.setattr(evaluators, "fastest_formats", formats)
    return made


def opened(images, model=None, **options):
    model = network() if model is None else model
    objective = Objective(model, "cross_entropy", images, **{"batch_size": 20, **options})
    with Evaluator(objective, Subspace.random(model, seed=0)) as evaluator:
        return evaluator.configuration, evaluator.measure(POINT)["train"]["loss"]


def test_the_second_opening_makes_no_trial_and_computes_the_same(images, place, trials):
    cold, losses = opened(images)
    assert json.loads(place.read_text())
    warm, again = opened(images)
    assert len(trials) == 1
    assert warm == cold
    assert warm.convolutions == {"0": "row_major"}
    assert np.array_equal(losses, again)


@pytest.mark.parametrize("word", ["off", "OFF", "0"])
def test_the_cache_can_be_switched_off(images, trials, monkeypatch, tmp_path, word):
    monkeypatch.setenv(cache.VARIABLE, word)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    opened(images)
    opened(images)
    assert len(trials) == 2
    assert not list(tmp_path.iterdir())


def test_by_default_it_is_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.VARIABLE)
    for system, variable, expected in (
        ("linux", "XDG_CACHE_HOME", tmp_path / "losslandscape"),
        ("win32", "LOCALAPPDATA", tmp_path / "losslandscape"),
        ("linux", "HOME", tmp_path / ".cache" / "losslandscape"),
        ("darwin", "HOME", tmp_path / "Library" / "Caches" / "losslandscape"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(cache.sys, "platform", system)
            patch.delenv("XDG_CACHE_HOME", raising=False)
            patch.setenv(variable, str(tmp_path))
            assert cache.folder() == expected


def test_short_trials_are_not_kept(images, place, trials, monkeypatch):
    monkeypatch.setattr(evaluators, "_WORTH_KEEPING", 3600.0)
    opened(images)
    assert not place.exists()


def keys(images, **options):
    size = options.pop("batch_size", 20)
    objective = Objective(options.pop("model", network()), "cross_entropy", images, **options)
    return cache.key_of(objective, objective.model, 2, size)


def test_values_do_not_change_the_key(images):
    model, (inputs, targets) = network(), images
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight.mul_(2)
    assert keys(images, model=model) == keys((inputs + 1, targets), model=other)


def test_whatever_may_change_the_fastest_way_changes_the_key(images, monkeypatch):
    inputs, targets = images
    found = [
        keys(images),
        keys(images, model=network(8)),
        keys(images, model=network().double()),
        keys(images, model=nn.Sequential(*network(), nn.Identity())),
        keys((inputs[:20], targets[:20])),
        keys((inputs[..., :6], targets)),
        keys(images, precision="float64"),
        keys(images, precision="bfloat16"),
        keys(images, execution="contiguous"),
        keys(images, compile=True),
    ]
    frozen = network()
    frozen[0].weight.requires_grad_(False)
    found.append(keys(images, model=frozen))
    objective = Objective(network(), "cross_entropy", images)
    found.append(cache.key_of(objective, objective.model, 1, None))
    found.append(cache.key_of(objective, objective.model, 2, 16))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found.append(keys(images))
    monkeypatch.setattr(cache, "_processor", lambda: "another")
    found.append(keys(images))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    found.append(keys(images))
    monkeypatch.setattr(cache, "__version__", "another")
    found.append(keys(images))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'"text"', b"\xff\xfe\x00", b"[" * 100_000, b'{"KEY": 3}',
        b'{"KEY": {"configuration": {"memory_format": "diagonal"}}}',
        b'{"KEY": {"configuration": []}}',
    ],
)  # fmt: skip
def test_a_damaged_file_counts_as_empty_and_is_replaced(images, place, trials, content):
    expected, losses = opened(images)
    place.write_bytes(content.replace(b"KEY", keys(images).encode()))
    found, again = opened(images)
    assert len(trials) == 2
    assert found == expected
    assert np.array_equal(losses, again)
    assert cache.kept(keys(images)) == expected


def test_a_file_that_is_too_large_is_not_read(images, place, trials, monkeypatch):
    opened(images)
    monkeypatch.setattr(cache, "_MOST_BYTES", 10)
    assert cache.kept(keys(images)) is None


@pytest.mark.parametrize("there", ["file instead of the folder", "folder instead of the file"])
def test_a_place_that_cannot_be_written_changes_nothing(images, place, trials, there, caplog):
    caplog.set_level(logging.DEBUG, "losslandscape")
    if there == "file instead of the folder":
        place.parent.write_text("")
    else:
        (place / "inside").mkdir(parents=True)
    first, losses = opened(images)
    second, again = opened(images)
    assert len(trials) == 2
    assert first == second
    assert np.array_equal(losses, again)
    assert "not written" in caplog.text


WRONG = [
    Configuration("contiguous", ("pixel_convolutions",), {"0": "products", "9": "products"}, 3),
    Configuration("channels_last", ("kept_products", "fused_convolutions", "unknown"), None, 7),
    Configuration("channels_last", (), {"no": "row_major"}, 10**6),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_an_entry_of_another_problem_never_changes_a_value(images, place, trials, wrong):
    """As if two problems had the same key."""
    exact = opened(images, network().double(), execution="plain")[1]
    cache.keep(keys(images, batch_size=None), wrong)
    found, losses = opened(images, batch_size=None)
    assert not trials
    np.testing.assert_allclose(losses, exact, rtol=1e-5, atol=1e-6)
    assert found.batch_size <= len(images[0])


def test_an_entry_whose_shortcut_gives_other_values_is_not_used(images, place, trials, monkeypatch):
    from losslandscape.point.row_major_convolutions import RowMajorConvolutions

    plain = opened(images, execution="plain")[1]
    cache.keep(keys(images), FOUND)
    monkeypatch.setattr(
        "losslandscape.point.row_major_convolutions.row_major",
        lambda maps, convolve: 3 * convolve(maps),
    )
    assert RowMajorConvolutions(network(), ["0"]).layers
    found, losses = opened(images)
    assert found.shortcuts == ()
    np.testing.assert_allclose(losses, plain, rtol=1e-5, atol=1e-6)


def test_the_oldest_entries_go_first(place, monkeypatch):
    monkeypatch.setattr(cache, "_MOST", 3)
    for key in ("a", "b", "c", "a", "d"):
        cache.keep(key, FOUND)
    assert list(json.loads(place.read_text())) == ["c", "a", "d"]
    assert cache.kept("d") == FOUND
    assert cache.kept("b") is None


def test_no_temporary_files_stay(place):
    cache.keep("a", FOUND)
    assert list(place.parent.iterdir()) == [place]
