"""The recipe: what is measured as JSON, where two differ, and one that the last version stored."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace
from losslandscape.adaptive.refinement import Adaptive
from losslandscape.files.journal import Journal
from losslandscape.run import recipe as recipes
from losslandscape.run.recipe import difference, kept_sets, recipe_of
from losslandscape.run.task import Task

# written by the version before this folder had its files, from `stored_task`
STORED = Path(__file__).parent / "data" / "surface.nc.journal"


def stored_task(**changes):
    """The task of the stored journal; its numbers are exact in binary, so alike on any machine."""
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 0.5)
    data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.zeros(3, 1)
    directions = [{"weight": torch.tensor([row])} for row in ([1.0, 0.0], [0.0, 1.0])]
    subspace = Subspace(dict(model.named_parameters()), directions)
    task = {
        "objective": Objective(model, "mse", data),
        "subspace": subspace,
        "grid": Grid.square(3),
    }
    return Task(**{**task, **changes})


def test_the_stored_recipe_is_that_of_the_same_task_but_for_the_computer():
    found = Journal.header_of(STORED)["recipe"]
    wanted = recipe_of(stored_task())
    assert list(found) == list(wanted)
    del found["computer"], wanted["computer"]
    assert difference(found, wanted) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"grid": Grid.square(5)}, "grid.shape"),
        ({"grid": Grid.square(3, 2.0)}, "grid.bounds"),
        ({"adaptive": Adaptive(0.01)}, "adaptive"),
        ({"keep_samples": False}, "keep_samples"),
    ],
)
def test_what_differs_from_the_stored_recipe_is_named(changes, named):
    found = Journal.header_of(STORED)["recipe"]
    assert difference(found, recipe_of(stored_task(**changes))) == named


def test_other_weights_and_samples_are_named():
    found = recipe_of(stored_task())
    task = stored_task()
    with torch.no_grad():
        task.objective.model.weight.add_(1)
    moved = Subspace(
        dict(task.objective.model.named_parameters()),
        [{"weight": torch.eye(2)[:1]}, {"weight": torch.eye(2)[1:]}],
    )
    assert difference(found, recipe_of(stored_task(subspace=moved))).startswith("subspace.")
    data = torch.ones(3, 2), torch.zeros(3, 1)
    other = Objective(task.objective.model, "mse", data)
    assert difference(found, recipe_of(stored_task(objective=other))) == (
        "objective.sets.train.sha256"
    )


def test_the_first_difference_is_in_the_order_of_the_wanted_recipe():
    wanted = {"a": {"x": 1, "y": 2}, "b": 3}
    assert difference(copy.deepcopy(wanted), wanted) is None
    assert difference({"b": 4, "a": {"x": 0, "y": 0}}, wanted) == "a.x"
    assert difference({"a": {"x": 1}, "b": 0}, wanted) == "a.y"
    assert difference({"a": 5, "b": 3}, wanted) == "a"
    assert difference({**wanted, "c": 1}, wanted) == "c"


def test_a_recipe_is_json_and_one_of_its_copy_is_no_other(cnn, images):
    task = Task(Objective(cnn, "cross_entropy", images), Subspace.random(cnn), Grid.square(3))
    recipe = recipe_of(task)
    assert difference(json.loads(json.dumps(recipe)), recipe) is None


def test_samples_are_kept_within_the_budget_and_whatever_it_is_on_request(monkeypatch):
    data = {name: (torch.zeros(n, 2), torch.zeros(n, 1)) for name, n in (("a", 10), ("b", 5))}
    objective = Objective(nn.Linear(2, 1), "mse", data)
    grid = Grid.square(2)
    monkeypatch.setattr(recipes, "KEEP_SAMPLES_BYTES", 4 * 4 * 10 + 1)
    assert kept_sets(objective, grid, None) == ["a"]
    assert kept_sets(objective, grid, True) == ["a", "b"]
    assert kept_sets(objective, grid, False) == []
    monkeypatch.setattr(recipes, "KEEP_SAMPLES_BYTES", 4 * 4 * 10)
    assert kept_sets(objective, grid, None) == ["b"]


@pytest.mark.parametrize(("shape", "kept"), [((1024, 1023), ["a"]), ((1024, 1024), [])])
def test_samples_are_kept_while_they_take_less_than_64_mebibytes(shape, kept):
    objective = Objective(nn.Linear(2, 1), "mse", {"a": (torch.zeros(16, 2), torch.zeros(16, 1))})
    assert kept_sets(objective, Grid(shape, ((-1, 1), (-1, 1))), None) == kept
