import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.point.evaluator import Evaluator


@pytest.mark.parametrize("takes", [None, 20])
def test_a_given_size_is_tried_without_a_copy_where_the_model_takes_few_samples(takes):
    class Looking(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.seen = []

        def forward(self, inputs):
            if takes is not None and len(inputs) != takes:
                raise ValueError(f"{len(inputs)} samples")
            self.seen.append((len(inputs), inputs.data_ptr() == data[0].data_ptr()))
            return self.linear(inputs)

    model = Looking()
    data = torch.zeros(40, 3), torch.zeros(40, 2)
    objective = Objective(model, "mse", data, batch_size=20)
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        tried = list(model.seen)
        assert evaluator.measure((0.0, 0.0))["train"]["loss"].shape == (40,)
    assert tried == ([(2, False), (20, True)] if takes is None else [(20, False)])


def test_no_pass_of_the_opening_is_recorded_by_autograd():
    """Shortcuts step aside where autograd records: a trial of them would time the plain way."""

    passes = []

    class Watched(nn.Linear):
        def forward(self, inputs):
            passes.append((len(inputs), torch.is_grad_enabled()))
            return super().forward(inputs)

    model = Watched(3, 2)
    data = torch.zeros(40, 3), torch.zeros(40, 2)
    with Evaluator(Objective(model, "mse", data), Subspace.random(model)):
        pass
    assert {32, 2} <= {count for count, _ in passes}
    assert not any(grad for _, grad in passes)
