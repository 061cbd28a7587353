"""The whole of `trust`: what it needs, its verdict, and what it writes."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, curvature, evaluate, trust
from losslandscape.errors import LossLandscapeError


@pytest.fixture(scope="module")
def problem():
    torch.manual_seed(0)
    model = nn.Linear(3, 1).double()
    inputs = torch.randn(16, 3).double()
    objective = Objective(model, "mse", (inputs, model(inputs).detach()))
    plane = Subspace.random(model, seed=0)
    return objective, plane, evaluate(objective, plane, Grid.square(9), quiet=True)


def test_three_sentences_follow_from_the_numbers(problem):
    objective, plane, landscape = problem
    found = trust(landscape, objective, plane, spread=True, most_directions=6)
    first, second, third = found.verdict
    assert first.startswith("Nothing is known of how the training moved")
    mean = found.lines.quantities["curvature"].mean
    assert f"the curvature {mean:.3g}" in second
    assert f"{len(found.failed)} of" in third or "passes all" in third
    assert found.summary()[:3] == [first, second, third]


def test_json_holds_everything(problem):
    objective, plane, landscape = problem
    found = trust(landscape, objective, plane, spread=True, most_directions=3)
    text = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert text["verdict"] == list(found.verdict)
    assert np.allclose(text["random_directions"]["profiles"], found.lines.profiles)
    assert [check["name"] for check in text["checks"]] == [check.name for check in found.checks]


def test_curvature_has_its_place_in_the_second_sentence(problem):
    objective, plane, landscape = problem
    curved = curvature(objective, top=2, density_probes=0)
    found = trust(landscape, objective, plane, curvature=curved)
    assert found.curvature.eigenvalues == pytest.approx(curved.eigenvalues[:2].tolist())
    assert found.verdict[1].startswith("The plane holds ")
    assert "of the trace" in found.verdict[1]
    assert found.to_json()["curvature"]["top"]["value"] == found.curvature.top.value
    with pytest.raises(LossLandscapeError, match="curvature is given without the plane"):
        trust(landscape, curvature=curved)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda o, p: {"objective": o}, "give both objective= and subspace="),
        (lambda o, p: {"subspace": p}, "give both objective= and subspace="),
        (lambda o, p: {"spread": True}, "spread=True measures the network"),
        (
            lambda o, p: {"objective": o, "subspace": Subspace.random(o.model, seed=5)},
            "the given subspace is not the landscape's",
        ),
    ],
)
def test_what_is_missing_or_of_another_landscape_is_refused(problem, options, words):
    objective, plane, landscape = problem
    with pytest.raises(LossLandscapeError, match=words):
        trust(landscape, **options(objective, plane))


def test_a_file_that_is_judged_again_stays_a_landscape(problem, tmp_path):
    landscape = problem[2]
    landscape.provenance["trust"] = trust(landscape).to_json()
    landscape.save(tmp_path / "a.nc")
    there = Landscape.open(tmp_path / "a.nc")
    assert there.provenance["trust"]["verdict"] == list(trust(there).verdict)
