"""An objective measures again what a landscape holds, whatever it was made with."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.as_measured import as_measured
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss


def made(**options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).eval()
    data = 2 * torch.randn(40, 4) + 1, torch.randint(0, 3, (40,))
    return Objective(model, "cross_entropy", data, **options)


def test_statistics_are_of_the_landscapes_batches():
    objective = made(batch_norm="reestimated", batch_size=8)
    plane = Subspace.random(objective.model, seed=1)
    landscape = evaluate(objective, plane, Grid.square(3), quiet=True)
    found = []
    for other in (made(batch_norm="reestimated"), as_measured(landscape, made())):
        with Evaluator(other, plane, 8) as evaluator:
            found.append(mean_loss(evaluator.measure((1.0, 1.0))))
    assert found[1] == pytest.approx(landscape.values()[2, 2], rel=1e-6)
    assert abs(found[0] / found[1] - 1) > 1e-4  # those of other batches are another loss
    assert np.isfinite(found).all()


def test_another_loss_is_refused():
    plane = Subspace.random(made().model)
    landscape = evaluate(made(), plane, Grid.square(3), quiet=True)
    with pytest.raises(LossLandscapeError, match="is not the landscape's"):
        as_measured(landscape, made().limited(20))
