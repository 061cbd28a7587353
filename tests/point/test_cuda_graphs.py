"""The logic of captured passes, with a capture that needs no GPU; and on one where there is one."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.point.cuda_graphs import CudaGraphs, GraphedRun
from losslandscape.point.evaluator import Evaluator


class Recorder:
    """Captures as CUDA does: a replay runs the same operations into the same outputs."""

    def __init__(self):
        self.captures = self.replays = 0

    def __call__(self, function):
        self.captures += 1
        outputs = function()

        def replay():
            self.replays += 1
            for name, value in function().items():
                outputs[name].copy_(value)

        return replay, outputs


def double(batch):
    return {"loss": 2 * batch[0]}


def test_a_shape_is_captured_once_and_values_do_not_overwrite_each_other():
    recorder = Recorder()
    run = GraphedRun(double, recorder)
    batches = [(torch.full((n,), float(i)),) for i, n in enumerate((4, 4, 3, 4, 3))]
    found = [run(batch)["loss"] for batch in batches]
    for batch, values in zip(batches, found):
        assert torch.equal(values, 2 * batch[0])
    assert recorder.captures == 2
    assert recorder.replays == 2 + 5  # each graph is held against the function once
    assert run.failure is None


def test_dicts_are_captured_by_name():
    run = GraphedRun(lambda batch: {"loss": batch["x"] - batch["y"]}, Recorder())
    batch = {"x": torch.ones(3), "y": torch.zeros(3)}
    assert torch.equal(run(batch)["loss"], torch.ones(3))


def test_a_capture_that_fails_leaves_the_function_itself():
    def refuse(function):
        raise RuntimeError("operation not permitted when stream is capturing")

    run = GraphedRun(double, refuse)
    batch = (torch.ones(3),)
    for _ in range(2):
        assert torch.equal(run(batch)["loss"], torch.full((3,), 2.0))
    assert "not permitted" in run.failure


def test_a_replay_with_other_values_is_given_up():
    calls = []

    def restless(batch):
        calls.append(1)
        return {"loss": batch[0] * len(calls)}

    run = GraphedRun(restless, Recorder())
    run((torch.ones(3),))
    assert run.failure == "the replay gave other values"


def test_errors_of_the_function_are_its_own():
    def broken(batch):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        GraphedRun(broken, Recorder())((torch.ones(3),))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_values_are_those_of_the_processor(cnn, images):
    plane = Subspace.random(cnn)
    points = [(0.0, 0.0), (0.5, -0.7), (0.0, 0.0)]
    found = {}
    for device in ("cpu", "cuda"):
        objective = Objective(cnn, "cross_entropy", images, batch_size=16, device=device)
        with Evaluator(objective, plane) as evaluator:
            found[device] = [evaluator.measure(p)["train"]["loss"] for p in points]
            if device == "cuda":
                assert evaluator.shortcuts.used(CudaGraphs).graphed.failure is None
    np.testing.assert_array_equal(found["cuda"][0], found["cuda"][2])
    np.testing.assert_allclose(found["cuda"], found["cpu"], rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_a_model_that_waits_for_the_device_runs_uncaptured(images):
    class Waits(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(192, 5)

        def forward(self, inputs):
            outputs = self.head(inputs.flatten(1))
            return outputs if outputs.sum().item() else outputs + 1

    model = Waits()
    objective = Objective(model, "cross_entropy", images, batch_size=16, device="cuda")
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        assert evaluator.measure((0.1, 0.1))["train"]["loss"].shape == (40,)
        assert evaluator.shortcuts.used(CudaGraphs).graphed.failure is not None
