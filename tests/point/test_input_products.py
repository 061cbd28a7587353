"""Products kept between points are held against plain forward passes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from losslandscape import Objective, Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.input_products import InputProducts


class Network(nn.Sequential):
    def __init__(self, bias=True):
        super().__init__(
            nn.Flatten(), nn.Linear(300, 8, bias=bias), nn.ReLU(inplace=True), nn.Linear(8, 5)
        )


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(23, 3, 10, 10, generator=generator)
    return inputs, torch.randint(0, 5, (23,), generator=generator)


def plain(model, plane, point, data):
    """The losses of a model with the point's parameters, by functional_call."""
    with torch.no_grad():
        outputs = functional_call(model, plane.parameters_at(point), (data[0],))
        return nn.functional.cross_entropy(outputs, data[1], reduction="none").numpy()


@settings(max_examples=20, deadline=None)
@given(
    points=st.lists(st.tuples(*(st.floats(-3, 3),) * 3), min_size=1, max_size=3),
    dimensions=st.integers(1, 3),
    bias=st.sampled_from([None, "moving", "frozen"]),
    batch_size=st.sampled_from([23, 10]),
)
def test_losses_are_those_of_plain_passes(points, dimensions, bias, batch_size):
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(23, 300, generator=generator), torch.randint(0, 5, (23,))
    torch.manual_seed(0)
    model = Network(bias=bias is not None)
    if bias == "frozen":
        model[1].bias.requires_grad_(False)
    space = Subspace.random(model, dimensions, zero_vectors=False)
    objective = Objective(model, "cross_entropy", data, batch_size=batch_size)
    with Evaluator(objective, space) as evaluator:
        assert evaluator.shortcuts.used(InputProducts) is not None
        for point in points:
            point = point[:dimensions]
            found = evaluator.measure(point)["train"]["loss"]
            expected = plain_moved(evaluator, objective, point, data)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert "forward" not in vars(model[1])


def plain_moved(evaluator, objective, point, data):
    evaluator.move(point)
    evaluator.shortcuts.used(InputProducts).coordinates = None
    with torch.no_grad():
        return objective.loss(objective.model, data)["loss"].numpy()


def test_products_are_used_and_independent_of_the_model_code(data):
    torch.manual_seed(0)
    model = Network()
    plane = Subspace.random(model)
    with Evaluator(Objective(model, "cross_entropy", data), plane) as evaluator:
        first = evaluator.measure((0.3, -0.7))["train"]["loss"].copy()
        assert evaluator.shortcuts.used(InputProducts)._products  # they were
        evaluator.measure((2.0, 1.0))
        again = evaluator.measure((0.3, -0.7))["train"]["loss"]
    np.testing.assert_array_equal(first, again)
    expected = plain(model, plane, (0.3, -0.7), data)
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-5)


def rows(outputs, dimensions):
    """A network of a layer with products, a space, and points of two rows of a grid."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, outputs), nn.ReLU(), nn.Linear(outputs, 5))
    points = [(0.1 * i, 0.3, -0.2 * i)[:dimensions] for i in range(5)]
    points += [(0.1 * i, -1.1, 0.7)[:dimensions] for i in range(5)]
    return model, Subspace.random(model, dimensions, zero_vectors=False), points


@pytest.mark.parametrize("outputs", [5, 9])  # room for the sum of a row, and none
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_sum_of_a_row_does_not_show_in_which_order_points_came(data, dimensions, outputs):
    model, space, points = rows(outputs, dimensions)

    def measured(order):
        with Evaluator(Objective(model, "cross_entropy", data), space) as evaluator:
            losses = {i: evaluator.measure(points[i])["train"]["loss"].copy() for i in order}
            (products,) = evaluator.shortcuts.used(InputProducts)._products.values()
            assert products._keep_row == (8 * (dimensions + 2) * outputs <= 300)
        return [losses[i] for i in range(len(points))]

    in_rows = measured(range(len(points)))
    for order in (range(9, -1, -1), [0, 5, 1, 6, 2, 7, 3, 8, 4, 9]):
        np.testing.assert_array_equal(measured(order), in_rows)


def test_a_row_that_was_interrupted_is_not_used(data, monkeypatch):
    model, space, points = rows(5, 3)
    with Evaluator(Objective(model, "cross_entropy", data), space) as evaluator:
        expected = evaluator.measure(points[7])["train"]["loss"].copy()
        evaluator.measure(points[0])
        add = torch.add

        def interrupted(*arguments, **options):
            add(*arguments, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr("losslandscape.point.input_products.torch.add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            evaluator.measure(points[7])
        monkeypatch.undo()
        found = evaluator.measure(points[7])["train"]["loss"]
    np.testing.assert_array_equal(found, expected)


def test_rows_of_inference_mode_can_be_read_outside(data):
    model, space, points = rows(5, 2)
    with Evaluator(Objective(model, "cross_entropy", data), space) as evaluator:
        expected = [evaluator.measure(point)["train"]["loss"].copy() for point in points]
        with torch.inference_mode():
            evaluator.measure(points[0])
        found = [evaluator.measure(point)["train"]["loss"].copy() for point in points]
    np.testing.assert_array_equal(found, expected)


class OwnInputs(nn.Module):
    """Linear layers whose input depends on the parameters, or is written to."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.ones(300))
        self.first = nn.Linear(300, 8)
        self.last = nn.Linear(8, 5)

    def forward(self, inputs):
        if self.kind == "scaled":
            inputs = inputs * self.scale
        elif self.kind == "written":
            inputs.mul_(self.scale[0])
        elif self.kind == "clamped":
            self.first.weight.data.clamp_(min=0.01)
        elif self.kind == "noisy":
            with torch.no_grad():
                self.first.weight.add_(self.scale[0])
        return self.last(self.first(inputs).relu())


@pytest.mark.parametrize("kind", ["scaled", "written", "clamped", "noisy"])
def test_layers_that_cannot_have_kept_products_run_themselves(kind):
    torch.manual_seed(0)
    model = OwnInputs(kind)
    data = torch.randn(6, 300), torch.randint(0, 5, (6,))
    plane = Subspace.random(model, zero_vectors=False)
    found = []
    for loss in ("cross_entropy", own_cross_entropy):  # the second never keeps products
        given = data[0].clone(), data[1]
        with Evaluator(Objective(model, loss, given, batch_size=6), plane) as evaluator:
            evaluator.move((0.0, 0.0))
            given[0].copy_(data[0])
            found.append(evaluator.measure((0.5, 0.5))["train"]["loss"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)


def own_cross_entropy(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def test_calls_with_other_parameters_or_for_autograd_are_plain(data):
    torch.manual_seed(0)
    model = Network()
    other = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    with torch.no_grad():
        expected = functional_call(model, other, (data[0],))
    products = InputProducts(model, Subspace.random(model))
    products.use()
    products.at_batches([data])
    products.at_point([1.0, 1.0])
    with torch.no_grad():
        assert torch.equal(functional_call(model, other, (data[0],)), expected)
    assert model(data[0]).requires_grad
    products.undo()


def test_layers_with_many_outputs_are_left_alone():
    model = nn.Sequential(nn.Linear(30, 8), nn.Linear(8, 5))
    objective = Objective(model, "mse", (torch.zeros(4, 30), torch.zeros(4, 5)))
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        assert evaluator.shortcuts.used(InputProducts) is None
        assert "forward" not in vars(model[0])


def test_measuring_other_parameters_is_plain(data):
    torch.manual_seed(0)
    model = Network()
    plane = Subspace.random(model)
    with Evaluator(Objective(model, "cross_entropy", data), plane) as evaluator:
        evaluator.measure((1.0, 1.0))
        parameters = plane.parameters_at((0.3, -0.7))
        found = evaluator.measure_parameters(parameters, {})["train"]["loss"]
    np.testing.assert_allclose(found, plain(model, plane, (0.3, -0.7), data), rtol=1e-5)


def test_weights_that_products_replace_move_when_they_are_read(data):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, 80), nn.ReLU(), nn.Linear(80, 5))
    wide = (torch.randn(23, 3, 10, 100), data[1])
    model[1] = nn.Linear(3000, 80)
    plane = Subspace.random(model)
    objective = Objective(model, "cross_entropy", wide, batch_size=23)
    point = (0.7, -0.4)
    with Evaluator(objective, plane) as evaluator:
        assert evaluator.shortcuts.used(InputProducts).left == {"1.weight"}
        evaluator.measure((0.1, 0.1))
        found = evaluator.measure(point)["train"]["loss"]
        moved = plane.parameters_at(point)["1.weight"]
        assert not torch.equal(model[1].weight, moved)  # the products stand for it
        with torch.no_grad():
            other = model(wide[0] + 0.0)  # not the data's own memory: a plain pass
        assert torch.equal(model[1].weight, moved)
        expected = nn.functional.cross_entropy(other, wide[1], reduction="none").numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("inputs", [300, 3000])
def test_a_model_that_reads_the_weight_itself_is_measured_plainly(inputs):
    class Penalised(nn.Sequential):
        def forward(self, batch):
            return super().forward(batch) + 1e-9 * self[0].weight.mean()  # below any tolerance

    torch.manual_seed(0)
    model = Penalised(nn.Linear(inputs, 80 if inputs > 300 else 8), nn.ReLU())
    data = torch.randn(23, inputs), torch.arange(23) % 5
    plane = Subspace.random(model)
    objective = Objective(model, "cross_entropy", data, batch_size=23)
    point = (0.7, -0.4)
    with Evaluator(objective, plane) as evaluator:
        assert evaluator.shortcuts.used(InputProducts) is None
        evaluator.measure((0.1, 0.1))
        found = evaluator.measure(point)["train"]["loss"]
        assert torch.equal(model[0].weight, plane.parameters_at(point)["0.weight"])
    np.testing.assert_allclose(found, plain(model, plane, point, data), rtol=1e-5, atol=1e-6)


class TiedAutoencoder(nn.Module):
    """Its decoder reads the encoder's weight, which kept products leave where it was."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(2048, 16, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        decoded = nn.functional.linear(self.encoder(inputs), self.encoder.weight.t())
        return decoded * torch.sqrt(0.3 - self.gate)


@pytest.mark.parametrize("gate", [0.0, 1.0])  # 1: no finite loss half way to a corner
def test_a_tied_weight_is_read_where_it_is(gate):
    torch.manual_seed(0)
    model = TiedAutoencoder()
    inputs = torch.randn(32, 2048)
    direction = {
        "encoder.weight": 0.01 * torch.randn(16, 2048),
        "gate": torch.full((1,), gate),
    }
    line = Subspace(dict(model.named_parameters()), [direction])
    with Evaluator(Objective(model, "mse", (inputs, inputs), batch_size=32), line) as evaluator:
        assert evaluator.shortcuts.used(InputProducts) is None
        evaluator.measure((-1.0,))
        found = evaluator.measure((0.2,))["train"]["loss"]
    with torch.no_grad():
        outputs = functional_call(model, line.parameters_at((0.2,)), (inputs,))
    np.testing.assert_allclose(found, (outputs - inputs).square().mean(1), rtol=1e-4)


def test_products_are_kept_where_finite_losses_agree(data):
    class Diverges(Network):
        def forward(self, inputs):
            return super().forward(inputs) * torch.sqrt(self.edge - self[3].bias[0])

    torch.manual_seed(0)
    model = Diverges()
    plane = Subspace.random(model, zero_vectors=False)
    with torch.no_grad():
        model[3].bias[0] = 0.0
    plane = Subspace(
        dict(model.named_parameters()), [plane.layout.views(d) for d in plane.directions]
    )
    for direction in plane.directions:
        plane.layout.views(direction)["3.bias"].fill_(1.0)
    for edge, kept in ((0.3, True), (-1.0, False)):
        model.edge = edge
        with Evaluator(Objective(model, "cross_entropy", data), plane) as evaluator:
            assert (evaluator.shortcuts.used(InputProducts) is not None) is kept


class Patches(nn.Module):
    """Patches of images as tokens."""

    def __init__(self, patch=4, bias=True, **options):
        super().__init__()
        self.patches = nn.Conv2d(3, 6, patch, **{"stride": patch, **options}, bias=bias)
        self.head = nn.Linear(6, 5)

    def forward(self, images):
        return self.head(torch.tanh(self.patches(images)).flatten(2).mean(2))


def of_images(patch=4, samples=20, **options):
    torch.manual_seed(0)
    model = Patches(patch, **options)
    images = torch.randn(samples, 3, 9, 8), torch.randint(0, 5, (samples,))
    return model, Objective(model, "cross_entropy", images, batch_size=8), images


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("execution", ["channels_last", "contiguous"])
@pytest.mark.parametrize("patch", [4, 2, (3, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_products_of_patches_are_kept(dimensions, execution, patch, bias):
    model, objective, images = of_images(patch, bias=bias)
    objective.execution = execution
    space = Subspace.random(model, dimensions, zero_vectors=False)
    with Evaluator(objective, space) as evaluator:
        products = evaluator.shortcuts.used(InputProducts)
        assert products is not None
        calls = []
        convolve = model.patches._conv_forward
        model.patches._conv_forward = lambda *given: calls.append(1) or convolve(*given)
        for point in ((0.5, -0.5, 0.25), (-1.0, -0.5, 0.25), (0.3, 0.2, 0.1)):
            found = evaluator.measure(point[:dimensions])["train"]["loss"]
            expected = plain(model, space, point[:dimensions], images)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        measured = 3 * (dimensions + 1)  # three batches: the origin's kernel and the directions'
        assert len(calls) - 3 == measured  # three plain passes of the expected values
        assert products.taken


def test_products_of_patches_that_take_much_memory_are_not_kept(monkeypatch):
    model, objective, _ = of_images()
    results = 20 * 6 * 4 * (2 + 2) * 4  # samples, channels, patches, arrays, bytes
    for limit, kept in ((results, True), (results - 1, False)):
        monkeypatch.setattr("losslandscape.point.input_products._CONVOLUTION_BYTES", limit)
        with Evaluator(objective, Subspace.random(model)) as evaluator:
            assert (evaluator.shortcuts.used(InputProducts) is not None) is kept


@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"padding": 1}, {"dilation": 2}, {"patch": 1, "stride": 1}]
)
def test_other_convolutions_have_no_kept_products(options):
    model, objective, _ = of_images(**options)
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        assert evaluator.shortcuts.used(InputProducts) is None
