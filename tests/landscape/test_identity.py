"""What is told apart, and how what differs is named."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.identity import (
    check_objective,
    check_plane,
    described_plane,
    meaning,
    samples_alone,
)


def landscape_of(path=None, **provenance):
    return Landscape(
        Grid.square(2),
        {"loss": np.zeros((2, 2))},
        np.ones((2, 2), np.int8),
        np.eye(2),
        provenance,
        path=path,
    )


def plane_of(origin=0.0, first=1.0, second=2.0, buffer=3.0):
    def vector(value):
        return {"w": torch.tensor([value, 1.0])}

    return Subspace(vector(origin), [vector(first), vector(second)], {"b": torch.tensor([buffer])})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"origin": 9.0}, ["parameters"]),
        ({"buffer": 9.0}, ["buffers"]),
        ({"first": 9.0}, ["direction alpha"]),
        ({"second": 9.0}, ["direction beta"]),
        ({"first": 9.0, "second": 8.0}, ["direction alpha and beta"]),
        ({"origin": 9.0, "buffer": 8.0, "second": 7.0}, ["parameters", "buffers", "beta"]),
    ],
)
def test_the_parts_of_a_plane_that_differ_are_named_and_no_others(change, named):
    measured = landscape_of(subspace=described_plane(plane_of()))
    check_plane(measured, plane_of())
    with pytest.raises(LossLandscapeError) as caught:
        check_plane(measured, plane_of(**change))
    what = str(caught.value).partition("differs: ")[2]
    for words in ("parameters", "buffers", "alpha", "beta"):
        assert (words in what) == any(words in name for name in named), words
    assert all(name in what for name in named)


def test_the_weights_and_the_file_are_in_the_message():
    measured = landscape_of("some.nc", subspace=described_plane(plane_of()))
    with pytest.raises(LossLandscapeError, match=r"^some\.nc: .*weights: other\.pt"):
        check_plane(measured, plane_of(origin=9.0), "other.pt")
    with pytest.raises(LossLandscapeError) as caught:
        check_plane(landscape_of(subspace=described_plane(plane_of())), plane_of(origin=9.0))
    assert "(weights:" not in str(caught.value)


def test_planes_of_another_dimension_and_files_with_the_whole_hash_alone():
    line = Subspace({"w": torch.tensor([0.0, 1.0])}, [{"w": torch.tensor([1.0, 1.0])}])
    measured = landscape_of(subspace=described_plane(plane_of()))
    with pytest.raises(LossLandscapeError, match="2 dimensions and the given subspace 1"):
        check_plane(measured, line)
    old = landscape_of(subspace={"sha256": plane_of().identity})
    check_plane(old, plane_of())
    with pytest.raises(LossLandscapeError, match="its origin or its directions"):
        check_plane(old, plane_of(first=9.0))
    check_plane(landscape_of(), plane_of())  # it does not say
    check_plane(landscape_of(subspace={"kind": "given"}), plane_of())


def objective_of(inputs=0.0, samples=4, scale=1.0, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].weight.data.fill_(scale)
    data = {"train": (torch.full((samples, 2), inputs), torch.zeros(samples, 2))}
    return Objective(model, options.pop("loss", "mse"), data, **options)


def of(objective, **changes):
    return landscape_of(objective={**objective.to_json(), **changes})


def test_the_same_objective_passes_wherever_it_is_computed():
    objective = objective_of()
    check_objective(of(objective), objective)
    check_objective(of(objective, device="cuda", precision="bfloat16"), objective)
    check_objective(of(objective, streamed=["train"]), objective)
    # the parameters that move are the plane's
    check_objective(of(objective), objective_of(scale=5.0))
    check_objective(landscape_of(), objective)  # it does not say
    check_objective(landscape_of(objective={"loss": "mse"}), objective)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: objective_of(loss="softmax_mse"), r"loss differs.*mse in the file.*softmax_mse"),
        (lambda: objective_of(batch_norm="reestimated"), "batch_norm differs.*fixed.*reestimated"),
        (lambda: objective_of(inputs=1.0), "set 'train': other values"),
        (lambda: objective_of(samples=5), "samples: 4, now 5"),
    ],
)
def test_what_differs_of_an_objective_is_named(other, words):
    if "softmax" in words:
        objective, given = objective_of(), objective_of()
        measured = of(objective)
        measured.provenance["objective"]["loss"] = "mse"
        loss = SimpleNamespace(
            name="softmax_mse", code_hash=lambda: None, may_have_code=lambda there: there is None,
            to_json=dict,
        )  # fmt: skip
        given.losses = dict.fromkeys(given.sets, loss)
    else:
        measured, given = of(objective_of()), other()
    with pytest.raises(LossLandscapeError, match=words):
        check_objective(measured, given)


def test_layers_frozen_parameters_and_modes_that_differ_are_explained():
    objective = objective_of()
    for key, words in (
        ("model_structure", "layers"),
        ("frozen_parameters", "requires_grad=False"),
        ("training_modules", "train mode"),
    ):
        with pytest.raises(LossLandscapeError, match=f"{key} differs.*{words}"):
            check_objective(of(objective, **{key: "another"}), objective)


def test_sets_of_other_names_are_listed():
    objective = objective_of()
    with pytest.raises(LossLandscapeError, match="a, b in the file, train given"):
        check_objective(of(objective, sets={"a": {"samples": 1}, "b": {"samples": 1}}), objective)


def test_the_second_set_is_compared_too():
    def two(value):
        data = {
            name: (torch.full((3, 2), v), torch.zeros(3, 2))
            for name, v in (("train", 0.0), ("test", value))
        }
        return Objective(nn.Linear(2, 2), "mse", data)

    torch.manual_seed(0)
    measured = of(two(1.0))
    with pytest.raises(LossLandscapeError, match="set 'test': other values"):
        check_objective(measured, two(2.0))


def test_entries_of_recipes_are_explained():
    assert "values" in meaning("objective.sets.test.sha256")
    assert meaning("objective.sets.test.samples") == ""
    assert meaning("sets.train.sha256") == ""
    assert "machine" in meaning("computer.torch")
    assert "parameters" in meaning("subspace.parameters_sha256")
    assert meaning("objective.computer.torch") == ""


def test_sets_are_told_apart_by_number_and_values_alone():
    described = {"samples": 3, "sha256": "a", "source": "tuple", "dataset_samples": 9}
    assert samples_alone({"x": described, "y": {"source": "list"}}) == {
        "x": {"samples": 3, "sha256": "a"},
        "y": {},
    }
