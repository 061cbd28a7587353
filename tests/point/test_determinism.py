"""Values that are not the same each time are refused, or stated: each test is of one cause."""

# The legacy generator of NumPy is the one that is tested.
# ruff: noqa: NPY002

import os
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.adaptive.refinement import Adaptive
from losslandscape.errors import LossLandscapeError
from losslandscape.files.journal import Journal, journal_path
from losslandscape.point.determinism import (
    check_origin_loss,
    largest_difference,
    refuse_empty_samples,
    require_one_value,
    stated,
)
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.generators import seed_generators
from losslandscape.point.plane_derivatives import PlaneDerivatives


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(24, 4, generator=generator), torch.arange(24) % 3


class Net(nn.Module):
    """A linear model that does something more in its forward pass."""

    def __init__(self, more=lambda model, outputs: outputs):
        super().__init__()
        torch.manual_seed(1)
        self.linear = nn.Linear(4, 3)
        self.register_buffer("seen", torch.zeros(()))
        self.more = more

    def forward(self, inputs):
        return self.more(self, self.linear(inputs))


def measured(model, data, grid=None, path=None, executor=None, tolerance=None, **options):
    options = {"batch_size": 8, **options}
    objective = Objective(model, "cross_entropy", data, **options)
    return evaluate(
        objective, Subspace.random(model), grid or Grid.square(3), path=path, quiet=True,
        executor=executor, tolerance=tolerance,
    )  # fmt: skip


# --- train mode


def test_a_model_in_train_mode_as_a_whole_is_evaluated_in_eval_mode(data):
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3)).train()
    with_dropout = measured(model, data)
    assert [module.training for module in model.modules()] == [True] * 3
    without = measured(nn.Sequential(nn.Identity(), model[1]), data)
    np.testing.assert_array_equal(with_dropout.values(), without.values())
    assert with_dropout.provenance["objective"]["training_modules"] == []


def test_a_module_left_in_train_mode_is_refused_unless_asked_for(data):
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3)).eval()
    model[0].train()
    with pytest.raises(LossLandscapeError, match=r"is in eval mode, but '0' \(Dropout\) in train"):
        measured(model, data)
    off = measured(model, data, modes="eval")
    on = measured(model, data, modes="own")
    assert model[0].training
    assert off.provenance["objective"]["training_modules"] == []
    assert on.provenance["objective"]["training_modules"] == ["0"]
    assert (off.values() != on.values()).all()
    # the drop is what was asked for, and how much it matters is in the file
    assert on.provenance["determinism"]["random_numbers"] == ["torch"]
    assert on.provenance["determinism"]["seed_difference"] > 0
    with pytest.raises(LossLandscapeError, match="training_modules differs"):
        on.check_objective(Objective(model, "cross_entropy", data, modes="eval"))
    objective = Objective(model, "cross_entropy", data, modes="own")
    with pytest.raises(LossLandscapeError, match="has derivatives in eval mode alone"):
        PlaneDerivatives(objective, Subspace.random(model))


class AlwaysDrops(nn.Dropout):
    def train(self, mode=True):
        return super().train(True)


def test_a_module_that_does_not_obey_eval_is_found(data):
    model = nn.Sequential(AlwaysDrops(0.5), nn.Linear(4, 3)).train()
    with pytest.raises(LossLandscapeError, match=r"was put into eval mode, but '0' \(AlwaysDrops"):
        measured(model, data)
    with (
        pytest.raises(LossLandscapeError, match="AlwaysDrops"),
        PlaneDerivatives(Objective(model, "cross_entropy", data), Subspace.random(model)),
    ):
        pass
    assert all(module.training for module in model.modules())


def test_batch_norm_in_train_mode_has_no_statistics_to_gather(data):
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).train()
    options = {"batch_norm": "reestimated", "modes": "own"}
    with pytest.raises(LossLandscapeError, match="'1' is batch norm in train mode"):
        Objective(model, "cross_entropy", data, **options)
    Objective(model.eval(), "cross_entropy", data, **options)


@pytest.mark.parametrize("argument", [{"modes": "train"}, {"nondeterminism": "ignored"}])
def test_unknown_names(data, argument):
    with pytest.raises(LossLandscapeError, match="is not one of"):
        measured(Net(), data, **argument)


# --- buffers


def count(model, outputs):
    model.seen += 1
    return outputs


def drift(model, outputs):
    model.seen += 1
    return outputs * (1 + model.seen)


def test_a_counter_is_named_in_the_file(data, tmp_path):
    found = measured(Net(count), data, path=tmp_path / "x.nc")
    stated = Landscape.open(tmp_path / "x.nc").provenance["determinism"]
    assert stated["altered_buffers"] == ["seen"]
    assert stated["order_difference"] == 0
    assert stated["bit_equal"]
    np.testing.assert_array_equal(found.values(), measured(Net(), data).values())


def test_a_buffer_that_the_next_batches_read_is_refused(data):
    with pytest.raises(LossLandscapeError, match=r"depends on the batches before it .* seen\."):
        measured(Net(drift), data)
    stated = measured(Net(drift), data, nondeterminism="stated").provenance["determinism"]
    assert stated["order_difference"] > 0
    # in one batch every sample has the same past
    assert "order_difference" not in measured(
        Net(drift), data, batch_size=24
    ).provenance["determinism"]  # fmt: skip


def count_through_data(model, outputs):
    model.seen.data.add_(1)  # which PyTorch does not count as a write
    return outputs * (1 + model.seen)


def count_by_replacing(model, outputs):
    model.seen = model.seen + 1
    return outputs * (1 + model.seen)


@pytest.mark.parametrize("write", [count_through_data, count_by_replacing])
def test_a_buffer_is_put_back_however_it_was_written(data, write):
    model = Net(write)
    objective = Objective(model, "cross_entropy", data, batch_size=24)
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        first, second, third = (
            evaluator.measure((0.0, 0.0))["train"]["loss"].copy() for _ in range(3)
        )
    with torch.no_grad():
        outputs = 2 * model.linear(data[0])  # counted once
    expected = nn.functional.cross_entropy(outputs, data[1], reduction="none")
    np.testing.assert_allclose(first, expected, rtol=1e-5)
    np.testing.assert_array_equal(second, first)
    np.testing.assert_array_equal(third, first)
    stated = measured(model, data, batch_size=24).provenance["determinism"]
    assert stated["altered_buffers"] == ["seen"]
    assert stated["bit_equal"]
    assert model.seen == 0


class WritesItsInputs(nn.Module):
    def __init__(self, write):
        super().__init__()
        torch.manual_seed(1)
        self.linear, self.write = nn.Linear(4, 3), write

    def forward(self, inputs):
        self.write(inputs)
        return self.linear(inputs)


@pytest.mark.parametrize(
    "write",
    [lambda inputs: inputs.relu_(), lambda inputs: inputs.mul_(2), lambda x: x.data.mul_(2)],
)
def test_a_model_that_writes_to_its_inputs_gets_copies(data, write):
    model = WritesItsInputs(write)
    inputs, targets = data[0].clone(), data[1]
    grid, plane = Grid.square(3), Subspace.random(model)
    objective = Objective(model, "cross_entropy", (inputs, targets), batch_size=8)
    found = evaluate(objective, plane, grid, quiet=True)
    with PlaneDerivatives(objective, plane) as derivatives:
        derivatives.gradient((0.1, 0.1))
    assert torch.equal(inputs, data[0])
    assert found.provenance["determinism"]["bit_equal"]
    write(inputs)
    written = evaluate(
        Objective(model.linear, "cross_entropy", (inputs, targets), batch_size=8),
        Subspace.random(model.linear), grid, quiet=True,
    )  # fmt: skip
    assert found.values()[1, 1] == pytest.approx(written.values()[1, 1], rel=1e-6)
    with torch.no_grad():
        outputs = torch.func.functional_call(
            model.linear,
            {n.removeprefix("linear."): p for n, p in plane.parameters_at((1.0, 1.0)).items()},
            (inputs,),
        )
    expected = nn.functional.cross_entropy(outputs, targets).item()
    assert found.values()[2, 2] == pytest.approx(expected, rel=1e-5)


def test_statistics_that_are_reestimated_are_meant_to_change(data):
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    stated = measured(model, data, batch_norm="reestimated").provenance["determinism"]
    assert stated["altered_buffers"] == []


# --- random numbers


@pytest.mark.parametrize(
    ("draw", "generator"),
    [
        (lambda _, outputs: nn.functional.dropout(outputs, 0.5), "torch"),
        (lambda _, outputs: outputs * np.random.uniform(), "numpy"),
        (lambda _, outputs: outputs * random.random(), "python"),
    ],
)
def test_random_numbers_in_eval_mode_are_refused(data, draw, generator):
    with pytest.raises(
        LossLandscapeError, match=rf"generator of {generator}\).*dropout without training="
    ):
        measured(Net(draw), data)


def test_random_numbers_may_be_stated(data):
    model = Net(lambda _, outputs: nn.functional.dropout(outputs, 0.5))
    found = measured(model, data, nondeterminism="stated")
    provenance = found.provenance["determinism"]
    assert provenance["random_numbers"] == ["torch"]
    assert provenance["bit_equal"]  # the same numbers are drawn at each point
    with Evaluator(
        Objective(model, "cross_entropy", data, batch_size=8), Subspace.random(model)
    ) as evaluator:
        one = evaluator.measure((0.0, 0.0))
        evaluator.seed = 1
        other = evaluator.measure((0.0, 0.0))
    assert provenance["seed_difference"] == largest_difference(one, other) > 0
    with pytest.raises(LossLandscapeError, match="there are no derivatives"):
        require_one_value(found)


def test_random_numbers_that_change_no_loss_are_stated_and_pass(data):
    def draw(_, outputs):
        torch.rand(3)  # as torchvision's detectors choose among one size
        return outputs

    found = measured(Net(draw), data)
    assert found.provenance["determinism"]["random_numbers"] == ["torch"]
    assert found.provenance["determinism"]["seed_difference"] == 0
    assert "no loss depends on them" in " ".join(stated(found.provenance["determinism"]))
    require_one_value(found)


def test_a_rare_draw_is_not_taken_for_harmless(data):
    """Two other seeds change no loss, the third does."""
    with torch.random.fork_rng():
        seed_generators(torch.device("cpu"), 3)
        third = torch.rand(1)

    def draw(_, outputs):
        return outputs * (2 if torch.rand(1) == third else 1)

    with pytest.raises(LossLandscapeError, match="draws random numbers"):
        measured(Net(draw), data)


# --- the origin first and last


class Ageing:
    """Each call adds a little, which nothing but a second evaluation can tell."""

    def __init__(self):
        self.calls = 0

    def __call__(self, model, outputs):
        self.calls += 1
        return outputs * (1 + 1e-3 * self.calls)


def test_a_model_with_a_memory_is_refused_at_the_end_and_its_points_are_kept(data, tmp_path):
    path = tmp_path / "x.nc"
    age = Ageing()
    with pytest.raises(LossLandscapeError, match=r"evaluated twice .*x.nc.journal.*stated"):
        measured(Net(age), data, path=path)
    assert not path.exists()
    journal, records = Journal.resume(journal_path(path))
    journal.__exit__()
    assert len(records) == 10  # nine points and the origin
    before = age.calls
    measured(Net(age), data, path=path, nondeterminism="stated")
    assert age.calls - before <= 6  # no point was measured again; the origin, and a trial
    stated = Landscape.open(path).provenance["determinism"]
    assert not stated["bit_equal"]
    assert stated["first"]["loss"] != stated["last"]["loss"]
    assert stated["largest_sample_difference"] > 0
    assert stated["origin_loss"] == stated["first"]["loss"]


def test_the_check_costs_one_point(data):
    calls = []

    def loss(model, batch):
        calls.append(len(batch[0]))
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    model = Net()
    plane = Subspace.random(model)
    with Evaluator(Objective(model, loss, data, batch_size=24), plane):
        opened = len(calls)
    calls.clear()
    objective = Objective(model, loss, data, batch_size=24)
    evaluate(objective, plane, Grid.square(4), quiet=True)
    # opened once; the origin names the values, and is measured again at the end
    # two more try whether a loss depends on the rest of its batch
    assert len(calls) == opened + 1 + 16 + 1 + 2


def of_this_process(model, outputs):
    return outputs * (1 + 1e-3 * (os.getpid() % 1000))


def test_workers_that_give_other_values_are_found(data):
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(LossLandscapeError, match="evaluated twice"),
    ):
        measured(Net(of_this_process), data, executor=pool)


def test_workers_that_give_the_same_values_pass(data):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = measured(Net(count), data, executor=pool)
    assert found.provenance["determinism"]["bit_equal"]


def test_a_run_that_goes_on_with_other_code_is_refused(data, tmp_path):
    path = tmp_path / "x.nc"
    calls = 0

    def stops(model, outputs):
        nonlocal calls
        calls += 1
        if calls > 20:
            raise KeyboardInterrupt
        return outputs

    with pytest.raises(KeyboardInterrupt):
        measured(Net(stops), data, path=path)
    with pytest.raises(LossLandscapeError, match="evaluated twice"):
        measured(Net(lambda _, outputs: 1.001 * outputs), data, path=path)
    calls = -1000
    measured(Net(stops), data, path=path)
    assert Landscape.open(path).provenance["determinism"]["bit_equal"]


@pytest.mark.parametrize("samples", [24, 20_000])
def test_adaptive_runs_are_checked(samples):
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(samples, 4, generator=generator), torch.arange(samples) % 3
    inputs[:, 0] += 2.0 * targets
    many = inputs, targets
    options = {"grid": Grid.square(21), "batch_size": 500, "tolerance": Adaptive(0.05)}
    stated = measured(Net(), many, **options).provenance
    assert ("allotment" in stated["adaptive"]) == (samples == 20_000)
    assert stated["determinism"]["bit_equal"]
    with pytest.raises(LossLandscapeError, match="evaluated twice"):
        measured(Net(Ageing()), many, **options)


def test_losses_that_are_not_finite_are_equal_to_themselves(data):
    def loss(model, batch):
        moved = (model.linear.weight - weight).abs().sum()
        return torch.log(model(batch[0])[:, 0] * 0 + 1 - 1e9 * moved)

    model = Net()
    weight = model.linear.weight.detach().clone()
    objective = Objective(model, loss, data, batch_size=8)
    found = evaluate(objective, Subspace.random(model), Grid.square(2), quiet=True)
    assert found.provenance["determinism"]["bit_equal"]
    assert (found.status == 3).all()


# --- data


class Augmented(Dataset):
    def __init__(self, data, draw):
        self.data, self.draw = data, draw

    def __len__(self):
        return len(self.data[0])

    def __getitem__(self, index):
        inputs = self.data[0][index]
        return (inputs.flip(0) if self.draw() < 0.5 else inputs), self.data[1][index]


class Reordered:
    """An iterable of batches in another order each time."""

    def __init__(self, data):
        self.data = data

    def __iter__(self):
        order = torch.randperm(len(self.data[0]))
        for part in order.split(6):
            yield self.data[0][part], self.data[1][part]


@pytest.mark.parametrize(
    "make",
    [
        lambda data: Augmented(data, lambda: torch.rand(())),
        lambda data: Augmented(data, np.random.uniform),
        lambda data: Augmented(data, random.random),
        lambda data: DataLoader(Augmented(data, lambda: torch.rand(())), batch_size=4),
        Reordered,
    ],
)
def test_data_that_are_other_each_time_are_refused(data, make):
    with pytest.raises(LossLandscapeError, match="returns different values each time it is read"):
        measured(Net(), make(data))
    found = measured(Net(), make(data), nondeterminism="stated")  # frozen as they were drawn
    assert found.provenance["determinism"]["bit_equal"]


def test_plain_and_shuffled_data_are_fine_and_generators_are_left_alone(data):
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    dataset = TensorDataset(*data)
    plain = measured(Net(), dataset).values()
    shuffled = measured(Net(), DataLoader(dataset, batch_size=4, shuffle=True))
    np.testing.assert_allclose(shuffled.values(), plain, rtol=1e-6)
    assert "shuffled" in shuffled.provenance["objective"]["sets"]["train"]["source"]
    augmented = Augmented(data, np.random.uniform)
    np.random.seed(3)
    kept = np.random.get_state()[1].copy()
    with pytest.raises(LossLandscapeError):
        Objective(Net(), "cross_entropy", augmented)
    np.testing.assert_array_equal(np.random.get_state()[1], kept)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[2]


# --- a file and its model


def test_what_differs_from_the_file_is_named(data, tmp_path):
    path = tmp_path / "x.nc"
    model = Net()
    measured(model, data, path=path)
    landscape = Landscape.open(path)
    objective = Objective(model, "cross_entropy", data)
    from losslandscape.landscape.identity import check_plane

    with pytest.raises(
        LossLandscapeError, match=r"what differs: direction alpha and beta \(another seed"
    ):
        check_plane(landscape, Subspace.random(model, seed=1))
    check_plane(landscape, Subspace.random(model))
    with pytest.raises(
        LossLandscapeError, match=r"its sets of samples differ \(set 'train': samples: 24"
    ):
        landscape.check_objective(Objective(model, "cross_entropy", [t[:20] for t in data]))
    other = (data[0] + 1e-6, data[1])
    with pytest.raises(LossLandscapeError, match=r"\(set 'train': other values\)"):
        landscape.check_objective(Objective(model, "cross_entropy", other))
    with torch.no_grad():
        model.linear.bias += 1e-6
        moved = Subspace.random(model)
        with pytest.raises(LossLandscapeError, match=r"the model's parameters \(other weights"):
            check_plane(landscape, moved)
        model.linear.bias -= 1e-6
    check_origin_loss(landscape, objective, Subspace.random(model))
    model.more = lambda _, outputs: 1.01 * outputs  # code, which no hash of the weights sees
    with pytest.raises(LossLandscapeError, match=r"at the origin the loss is .* the file says"):
        check_origin_loss(landscape, objective, Subspace.random(model))


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([1.0, np.nan, 2.0], "test: sample 1 has the loss NaN"),
        ([1.0, np.nan, np.nan], "test: sample 1 and 1 more have"),
        ([np.nan, np.nan], None),
        ([1.0, np.inf], None),
        ([1.0, 2.0], None),
    ],
)
def test_samples_without_a_loss_are_named(losses, words):
    measured = {"train": {"loss": np.ones(2)}, "test": {"loss": np.array(losses)}}
    if words is None:
        refuse_empty_samples(measured)
    else:
        with pytest.raises(LossLandscapeError, match=words):
            refuse_empty_samples(measured)
