"""A shortcut that exists only here, added through the interface and the list alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from losslandscape import Objective, Subspace
from losslandscape.point import shortcuts
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.input_products import InputProducts
from losslandscape.point.shortcut import Setting, Shortcut

POINTS = [(0.0, 0.0), (0.3, -0.7), (2.0, 1.0)]


class Toy(Shortcut):
    """Replaces a layer's forward; its subclasses say by what."""

    offers = 0
    passes = 0

    def __init__(self, layer):
        self.layer = layer

    @classmethod
    def offer(cls, setting):
        cls.offers += 1
        return cls(setting.model[0])

    def use(self):
        self.layer.forward = self.forward

    def undo(self):
        vars(self.layer).pop("forward", None)

    def forward(self, inputs):
        type(self).passes += 1
        return nn.functional.linear(inputs, self.layer.weight, self.layer.bias)


class Right(Toy):
    pass


class Wrong(Toy):
    """Right at the origin alone."""

    def forward(self, inputs):
        return super().forward(inputs) + (self.layer.weight[0, 0] - ORIGIN)


class Raises(Toy):
    def forward(self, inputs):
        super().forward(inputs)
        raise ArithmeticError("not this way")


class RaisesInUse(Toy):
    def use(self):
        super().use()
        raise ArithmeticError("not this way")


class NotTaken(Toy):
    taken = False


class NotANumber(Toy):
    def forward(self, inputs):
        return torch.full_like(super().forward(inputs), torch.nan)


class ReadsWhatItLeaves(Toy):
    left = frozenset({"0.weight"})


ORIGIN = 0.25


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    nn.init.constant_(model[0].weight, ORIGIN)
    return model


def values(model, kinds, monkeypatch, points=POINTS):
    """Per-sample losses at the points, and the kinds of shortcuts in use there."""
    monkeypatch.setattr(shortcuts, "SHORTCUTS", kinds)
    for kind in kinds:
        monkeypatch.setattr(kind, "offers", 0, raising=False)
        monkeypatch.setattr(kind, "passes", 0, raising=False)
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(20, 6, generator=generator), torch.arange(20) % 3
    plane = Subspace.random(model, seed=0, zero_vectors=False)
    with Evaluator(Objective(model, "cross_entropy", data, batch_size=10), plane) as evaluator:
        used = [kind for kind in kinds if evaluator.shortcuts.used(kind) is not None]
        checked = [kind.passes for kind in kinds]
        found = np.array([evaluator.measure(point)["train"]["loss"] for point in points])
        measured = [kind.passes - before for kind, before in zip(kinds, checked)]
    assert "forward" not in vars(model[0])
    assert all(kind.offers == 1 for kind in kinds if issubclass(kind, Toy))
    return found, used, measured


def test_a_shortcut_that_is_right_is_used(model, monkeypatch):
    plain, _, _ = values(model, (), monkeypatch)
    found, used, passes = values(model, (Right,), monkeypatch)
    assert used == [Right]
    assert passes == [2 * len(POINTS)]
    np.testing.assert_allclose(found, plain, rtol=1e-6)


@pytest.mark.parametrize(
    "kind", [Wrong, NotANumber, Raises, RaisesInUse, NotTaken, ReadsWhatItLeaves]
)
def test_any_other_is_undone(model, monkeypatch, kind):
    plain, _, _ = values(model, (), monkeypatch)
    found, used, passes = values(model, (kind,), monkeypatch)
    assert used == []
    assert passes == [0]
    np.testing.assert_array_equal(found, plain)


class Scaled(Shortcut):
    """Wraps what measures a batch."""

    factor = 1.0

    @classmethod
    def offer(cls, setting):
        return cls()

    def wrap(self, run):
        def scaled(batch):
            return {name: value * self.factor for name, value in run(batch).items()}

        return scaled


class ScaledWrongly(Scaled):
    factor = 1.01


class ScaledUnchecked(ScaledWrongly):
    tolerance = None


def test_a_wrong_shortcut_does_not_take_right_ones_with_it(model, monkeypatch):
    plain, _, _ = values(model, (), monkeypatch)
    kinds = (Scaled, ScaledWrongly, Right, Raises, NotTaken)
    found, used, _ = values(model, kinds, monkeypatch)
    assert used == [Scaled, Right]
    np.testing.assert_allclose(found, plain, rtol=1e-6)


def test_one_without_a_tolerance_is_not_checked(model, monkeypatch):
    plain, _, _ = values(model, (), monkeypatch)
    found, used, _ = values(model, (ScaledUnchecked,), monkeypatch)
    assert used == [ScaledUnchecked]
    np.testing.assert_allclose(found, 1.01 * plain, rtol=1e-6)


def test_one_that_is_not_offered_is_not_used(model, monkeypatch):
    class Nowhere(Right):
        @classmethod
        def offer(cls, setting):
            cls.offers += 1

    _, used, _ = values(model, (Nowhere,), monkeypatch)
    assert used == []


def test_a_shortcut_sees_every_point_and_its_batches(model, monkeypatch):
    seen = []

    class Watches(Scaled):
        def at_point(self, coordinates):
            seen.append(coordinates)

        def at_batches(self, batches):
            seen.append(sum(len(batch[1]) for batch in batches))

    _, used, _ = values(model, (Watches,), monkeypatch)
    assert used == [Watches]
    assert seen[0] == 2
    assert tuple(seen[1]) == (0.0, 0.0)  # the check
    last = [20, *POINTS]  # all samples, then the points
    assert [x if isinstance(x, int) else tuple(x) for x in seen[-len(last) :]] == last


def test_the_check_costs_one_plain_pass_a_point(monkeypatch):
    """And that at the origin is the one that tries the model's input."""
    calls = []

    class Counts(nn.Sequential):
        def forward(self, inputs):
            calls.append(len(inputs))
            return super().forward(inputs)

    torch.manual_seed(0)
    counting = Counts(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    for kinds, expected in (
        (
            (),
            [2, 10, 2],
        ),  # the first samples, a batch of the given size, and the first with autograd
        ((Right,), [2, 10, 2, 2, 2, 2, 2, 2]),  # fast at the origin, and both at two corners
        ((Right, Scaled), [2, 10, 2, 2, 2, 2, 2, 2]),  # together
        ((NotTaken,), [2, 10, 2, 2]),
        ((InputProducts,), [2, 10, 2]),  # no layer of many more inputs than outputs
    ):
        calls.clear()
        values(counting, kinds, monkeypatch, points=[])
        assert calls == expected


def setting(model, loss="mse", counts=(10, 30), **options):
    sets = {f"set{n}": (torch.zeros(n, 6), torch.zeros(n, 3)) for n in counts}
    objective = Objective(model, loss, sets, **options)
    return Setting(objective, model, None, None, False, None)


def own_loss(model, batch):
    return model(batch[0]).sum(dim=1)


@pytest.mark.parametrize(
    ("loss", "precision", "plain"),
    [
        ("mse", None, True),
        ("mse", "float64", True),
        ("mse", "bfloat16", False),
        (own_loss, None, False),
        (own_loss, "bfloat16", False),
    ],
)
def test_only_the_named_losses_in_full_precision_are_plain_calls(model, loss, precision, plain):
    assert setting(model, loss, precision=precision).plain_calls is plain


@pytest.mark.parametrize("compiled", [False, True])
def test_a_compiled_model_is_not_eager(model, compiled):
    assert setting(model, compile=compiled).eager_on_cpu is not compiled


@pytest.mark.parametrize(("size", "largest"), [(None, 30), (20, 20), (30, 30), (50, 30)])
def test_the_largest_batch_is_of_the_largest_set(model, size, largest):
    assert setting(model, batch_size=size).largest_batch == largest


@pytest.mark.parametrize(("length", "largest"), [(6, 2), (5, 7)])
def test_a_ragged_set_is_cut_as_its_loader_cuts_it(model, length, largest):
    batches = [(torch.zeros(n, k), torch.zeros(n, 3)) for n, k in ((4, 6), (3, length))]
    objective = Objective(model, own_loss, DataLoader(batches, batch_size=None), batch_size=2)
    assert Setting(objective, model, None, None, False, None).largest_batch == largest


def test_a_shortcut_says_itself_what_it_is_offered_for(model):
    with pytest.raises(NotImplementedError):
        Shortcut.offer(setting(model))
