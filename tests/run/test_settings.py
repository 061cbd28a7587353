"""What a run finds out before its first point."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace
from losslandscape.errors import LossLandscapeError
from losslandscape.point.evaluator import Evaluator
from losslandscape.run.settings import Settings, find_settings
from losslandscape.run.task import Task


class Drops(nn.Linear):
    def forward(self, inputs):
        return nn.functional.dropout(super().forward(inputs), 0.5)


def found(model, **options):
    data = torch.ones(6, 3), torch.zeros(6, 2)
    objective = Objective(model, "mse", {"train": data, "test": data}, batch_size=4, **options)
    subspace = Subspace.random(model)
    with Evaluator(objective, subspace) as evaluator:
        return find_settings(Task(objective, subspace, Grid.square(3)), evaluator)


def test_settings_are_those_of_the_evaluator():
    settings, origin = found(nn.Linear(3, 2))
    assert (settings.batch_size, settings.passes) == (4, 4)
    assert settings.threads == torch.get_num_threads()
    assert settings.names == [
        f"{prefix}{name}"
        for prefix in ("", "test_")
        for name in ("loss", "loss_standard_error", "loss_sample_count")
    ]
    assert settings.deviation is None
    assert settings.allotment is None
    assert not settings.draws
    assert origin["train"]["loss"].shape == (6,)


def test_reduced_precision_has_a_deviation():
    settings, _ = found(nn.Linear(3, 2), precision="bfloat16")
    assert settings.deviation["points"][1] == [-0.5, -0.5]


@pytest.mark.parametrize(
    ("bounds", "precision", "refused"),
    [
        ((-1.0, 1.0), None, False),
        ((-1e-10, 1e-10), None, True),
        ((-1e-10, 1e-10), "float64", False),
        ((0.0, 1e-300), "float64", True),
        ((1e6, 1e6 + 0.01), None, True),  # the origin's digits are not the only ones
        ((1e6, 1e6 + 1.0), None, False),
        ((-1e-10, 1e-10), "bfloat16", True),  # parameters move in float32
    ],
)
def test_neighboring_points_that_coincide(bounds, precision, refused):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    objective = Objective(
        model, "mse", (torch.ones(6, 3), torch.zeros(6, 2)), batch_size=4, precision=precision
    )
    plane = Subspace.random(model)
    task = Task(objective, plane, Grid.rectangle((3, 3), ((-1, 1), bounds)))
    with Evaluator(objective, plane) as evaluator:
        moved = evaluator.subspace.parameters_at
        far = max(bounds, key=abs)
        places = (0, far), (0, far - np.sign(far) * (bounds[1] - bounds[0]) / 2)
        one, other = (torch.cat([p.ravel() for p in moved(at).values()]) for at in places)
        assert torch.equal(one, other) == refused
        if refused:
            with pytest.raises(LossLandscapeError, match=r"points along beta, .* coincide in"):
                find_settings(task, evaluator)
        else:
            find_settings(task, evaluator)


def test_random_numbers_are_refused_or_observed():
    with pytest.raises(LossLandscapeError, match="generator of torch"):
        found(Drops(3, 2))
    settings, _ = found(Drops(3, 2), nondeterminism="stated")
    assert settings.draws
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_older_journals_lack_some_settings_and_later_ones_have_more():
    header = {"batch_size": 8, "threads": 2, "names": ["loss"], "of_a_later_version": 1}
    assert Settings.from_json(header) == Settings(8, 2, ["loss"])
    assert Settings(8, 2, ["loss"]).passes == 0
