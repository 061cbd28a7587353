"""The hash of a loss's code: equal in every process, different if it computes something else."""

import dataclasses
import functools
import hashlib
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape
from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.problem.code_hash import code_hash, is_code_of


def of_module(text, **variables):
    """The function ``loss`` of a module with this source."""
    module = types.ModuleType("users_losses")
    vars(module).update(variables)
    exec(text, vars(module))
    return module.loss


def closure(k):
    def loss(model, batch):
        return (model(batch[0]) - batch[1]).abs().pow(k).mean(1)

    return loss


class Power:
    calls = 0

    def __init__(self, k):
        self.k = k

    def __call__(self, model, batch):
        self.calls += 1
        return (model(batch[0]) - batch[1]).abs().pow(self.k).mean(1)

    def loss(self, model, batch):
        return self(model, batch)


@dataclasses.dataclass(frozen=True)
class Problem:
    power: tuple[float, ...]

    def loss(self, model, batch):
        return model(batch[0]) ** self.power[0]


def default(k):
    def loss(model, batch, power=k):
        return model(batch[0]) ** power

    return loss


def keyword(k):
    def loss(model, batch, *, power=k):
        return model(batch[0]) ** power

    return loss


def through_a_helper(k):
    return of_module(f"def half(x):\n return x * {k}\ndef loss(model, batch):\n return half(1.0)")


def of_a_criterion(**options):
    criterion = nn.CrossEntropyLoss(reduction="none", **options)
    return lambda model, batch: criterion(model(batch[0]), batch[1])


PAIRS = {
    "names": lambda: [
        of_module(f"def loss(model, batch):\n return F.{name}(model(batch[0]), batch[1])")
        for name in ("mse_loss", "l1_loss")
    ],
    "names of an inner function": lambda: [
        of_module(f"def loss(model, batch):\n return [(lambda x: F.{name}(x))(y) for y in batch]")
        for name in ("relu", "gelu")
    ],
    "closure": lambda: [closure(1), closure(2)],
    "closure over a tensor": lambda: [closure(torch.tensor(float(k))) for k in (1, 2)],
    "closure over a function": lambda: [
        (lambda g: lambda model, batch: g(model, batch))(closure(k)) for k in (1, 2)
    ],
    "type of a constant": lambda: [closure(1), closure(1.0)],
    "default": lambda: [default(1), default(2)],
    "keyword": lambda: [keyword(1), keyword(2)],
    "variable of the module": lambda: [
        of_module("def loss(model, batch):\n return model(batch[0]) ** k", k=k) for k in (1, 2)
    ],
    "function of the module": lambda: [through_a_helper(1), through_a_helper(2)],
    "partial": lambda: [functools.partial(default(1), power=k) for k in (1, 2)],
    "callable object": lambda: [Power(1), Power(2)],
    "method": lambda: [Power(1).loss, Power(2).loss],
    "frozen dataclass": lambda: [closure(Problem((k,))) for k in (1, 2)],
    "method of a frozen dataclass": lambda: [
        (lambda problem: lambda model, batch: problem.loss(model, batch))(Problem((k,)))
        for k in (1.0, 2.0)
    ],
    "criterion": lambda: [of_a_criterion(label_smoothing=k) for k in (0.1, 0.2)],
    "weights of a criterion": lambda: [
        of_a_criterion(weight=torch.tensor([1.0, k])) for k in (1.0, 2.0)
    ],
}


@pytest.mark.parametrize("pair", PAIRS)
def test_functions_that_compute_different_things_have_different_hashes(pair):
    (one, other), (again, _) = PAIRS[pair](), PAIRS[pair]()
    assert code_hash(one) == code_hash(again)
    assert code_hash(one) != code_hash(other)


def test_the_hash_leaves_out_what_changes_while_the_loss_runs():
    calls, count, model = [], 0, nn.Linear(2, 1)

    def loss(given, batch):
        nonlocal count
        count += 1
        calls.append(count)
        penalty = sum(p.square().sum() for p in model.parameters())
        return given(batch[0]).square().mean(1) + penalty

    counts = of_module("n = 0\ndef loss(model, batch):\n global n\n n += 1\n return batch[0]")
    power = Power(2)
    losses = [loss, counts, power, power.loss]
    before = [code_hash(one) for one in losses]
    for one in losses:
        one(model, (torch.ones(3, 2), torch.ones(3, 1)))
    with torch.no_grad():
        model.weight.add_(1)
    assert (count, power.calls, counts.__globals__["n"]) == (1, 2, 1)
    assert [code_hash(one) for one in losses] == before


def test_functions_that_call_each_other_have_a_hash():
    text = "def loss(m, n):\n return 1 if n < 1 else other(m, n)\ndef other(m, n):\n return loss"
    assert code_hash(of_module(text + "(m, n - 1)")) != code_hash(of_module(text + "(m, n - 2)"))


def test_the_hash_is_the_same_in_another_process():
    """There, sets of strings and addresses have another order."""
    text = """
def loss(model, batch, names=frozenset({"a", "b", "c", "d"}), kind=int):
    inner = lambda x: x in {"e", "f", "g", "h"}
    return F.mse_loss(*batch) + weights.sum() + inner(kind) + object().__hash__()
"""
    here = code_hash(of_module(text, F=functional, weights=torch.arange(3.0)))
    program = f"""
import types, torch
from losslandscape.problem.code_hash import code_hash
module = types.ModuleType("another")
module.F, module.weights = torch.nn.functional, torch.arange(3.0)
exec({text!r}, vars(module))
print(code_hash(module.loss))
"""
    path = str(Path(losslandscape.__file__).parents[1])
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": path, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().strip() == here


def old_hash(function):
    """The hash in older files: bytecode and constants alone."""
    code = function.__code__
    return hashlib.sha256(code.co_code + repr(list(code.co_consts)).encode()).hexdigest()


def test_hashes_of_older_files_and_of_other_pythons():
    one, other = PAIRS["names"]()
    assert is_code_of(code_hash(one), one)
    assert not is_code_of(code_hash(one), other)
    assert is_code_of(old_hash(one), one)
    assert is_code_of(old_hash(one), other)  # the reason for the new hash
    assert not is_code_of(old_hash(one), closure(1))
    assert is_code_of("python3.1:0123", one)  # the bytecode of another Python
    assert is_code_of(None, Power(1))  # older files have no hash for it
    assert not is_code_of(None, one)


@pytest.fixture
def measured(tmp_path, record_trajectory):
    """A file measured with the mean squared error, and a function to add a trajectory to it."""
    torch.manual_seed(0)
    model, data = nn.Linear(8, 2), (torch.randn(32, 8), torch.randn(32, 2))
    plane = Subspace.random(model)
    path = tmp_path / "x.nc"
    mse, l1 = (
        of_module(
            f"def loss(m, b):\n return F.{name}(m(b[0]), b[1], reduction='none').mean(1)",
            F=functional,
        )
        for name in ("mse_loss", "l1_loss")
    )
    evaluate(Objective(model, mse, data), plane, Grid.square(3), path=path, quiet=True)
    trajectory = record_trajectory(model, [plane.parameters_at((0.0, 0.0))])

    def add(loss, altered=None):
        landscape = Landscape.open(path)
        if altered is not None:
            landscape.provenance["objective"]["loss_code"] = altered(mse)
            landscape.save(path, overwrite=True)
        objective = Objective(model, loss, data)
        return landscape, landscape.add_trajectory(trajectory, None, objective, plane, True)

    return add, mse, l1


def test_a_trajectory_of_another_loss_is_refused(measured):
    add, mse, l1 = measured
    with pytest.raises(LossLandscapeError, match=r"its loss_code differs \(the code of the loss"):
        add(l1)
    landscape, trajectory = add(mse)
    assert trajectory.loss[0] == landscape.values()[1, 1]


def test_a_file_with_an_old_hash_is_checked_by_its_loss_at_the_origin(measured):
    add, mse, l1 = measured
    with pytest.raises(LossLandscapeError, match=r"x\.nc: at the origin the loss is .* was the"):
        add(l1, old_hash)
    landscape, trajectory = add(mse, old_hash)
    assert trajectory.loss[0] == landscape.values()[1, 1]


def test_a_global_that_an_inner_function_sets_is_no_part_of_the_hash():
    text = (
        "def loss(model, batch):\n"
        " def count():\n"
        "  global calls\n"
        "  calls += 1\n"
        " count()\n"
        " return model(batch[0]) * (calls > 0)\n"
    )
    one, other = (of_module(text, calls=k) for k in (1, 2))
    assert code_hash(one) == code_hash(other)
    assert code_hash(one).startswith(f"python{sys.version_info.major}.{sys.version_info.minor}:")
