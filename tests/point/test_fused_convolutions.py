from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from losslandscape import Objective, Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.fused_convolutions import FusedConvolutions, _keeps_nan
from losslandscape.study.networks import build_network

pytestmark = pytest.mark.skipif(
    not _keeps_nan(), reason="this PyTorch has no fused convolutions of oneDNN that keep NaN"
)
_COUNT = 24


class Block(nn.Module):
    """A convolution and any of what may follow it."""

    def __init__(self, geometry: dict, norm: bool, summed: bool, rectifier: str):
        super().__init__()
        self.convolution = nn.Conv2d(4, 8, **geometry)
        self.norm = nn.BatchNorm2d(8, affine=rectifier != "method") if norm else None
        self.shortcut = nn.Conv2d(4, 8, **geometry) if summed else None
        self.rectifier = rectifier
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        result = self.convolution(images)
        if self.norm is not None:
            result = self.norm(result)
        if self.shortcut is not None:
            result += self.shortcut(images)
        if self.rectifier == "module":
            return self.relu(result)
        if self.rectifier == "function":
            return nn.functional.relu(result, inplace=True)
        return result.relu() if self.rectifier == "method" else result


def statistics(model: nn.Module) -> nn.Module:
    """Batch norm with statistics and factors that matter."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.3, 3)
            if module.affine:
                nn.init.uniform_(module.weight, -2, 2)
                nn.init.uniform_(module.bias, -1, 1)
    return model.eval().to(memory_format=torch.channels_last)


def images(count: int = _COUNT, channels: int = 4, size: int = 9) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(count, channels, size, size).contiguous(memory_format=torch.channels_last)


@settings(max_examples=80, deadline=None)
@given(
    geometry=st.fixed_dictionaries(
        {
            "kernel_size": st.tuples(st.integers(1, 3), st.integers(1, 3)),
            "stride": st.tuples(st.integers(1, 2), st.integers(1, 3)),
            "padding": st.integers(0, 2),
            "dilation": st.integers(1, 2),
            "groups": st.sampled_from([1, 2, 4]),
            "bias": st.booleans(),
        }
    ),
    norm=st.booleans(),
    summed=st.booleans(),
    rectifier=st.sampled_from(["module", "function", "method", "none"]),
)
def test_any_sequence_is_the_models(geometry, norm, summed, rectifier):
    torch.manual_seed(0)
    model = statistics(Block(geometry, norm, summed, rectifier))
    fused = FusedConvolutions(model)
    expected_layers = int(norm or summed or rectifier != "none")
    assert len(fused.layers) == expected_layers
    if not expected_layers:
        assert fused.called is None
        return
    with torch.no_grad():
        expected, found = model(images()), fused.called(images())
        assert fused.layers[0].folded is not None  # it took the fused way
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "layers"), [("resnet50", 53), ("vgg11", 8), ("small_resnet", 6)])
def test_the_studys_networks_are_fused_whole(name, layers):
    model = build_network(name).eval()
    fused = FusedConvolutions(model)
    assert len(fused.layers) == layers
    left = [n for n in fused.called.graph.nodes if "bn" in str(n.target)]
    assert left == []


def landscape_values(objective: Objective, plane: Subspace, points, fuse: bool) -> np.ndarray:
    with Evaluator(objective, plane) as evaluator:
        assert evaluator.shortcuts.used(FusedConvolutions) is not None
        with nullcontext() if fuse else evaluator.shortcuts.unwrapped():
            return np.array([evaluator.measure(point)["train"]["loss"] for point in points])


@pytest.mark.parametrize("mode", ["fixed", "reestimated"])
def test_points_of_a_landscape_are_those_of_the_model(mode):
    torch.manual_seed(0)
    model = statistics(build_network("small_resnet"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    objective = Objective(
        model,
        "cross_entropy",
        (torch.randn(_COUNT, 3, 32, 32), torch.randint(0, 10, (_COUNT,))),
        batch_norm=mode,
        batch_size=_COUNT // 2,
    )
    plane = Subspace.random(model, seed=0)
    points = [(0.0, 0.0), (0.5, -0.25), (0.0, 0.0), (-1.0, 1.0)]
    found = landscape_values(objective, plane, points, fuse=True)
    np.testing.assert_allclose(
        found, landscape_values(objective, plane, points, fuse=False), rtol=2e-4, atol=1e-6
    )
    assert np.array_equal(found[0], found[2])  # folded anew, whatever came before
    assert not np.allclose(found[0], found[1])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("layer", [0, 1])
def test_what_is_not_finite_is_what_the_model_says(number, layer):
    """oneDNN's own rectifier would make 0 of NaN, and a wrong finite loss of a diverged one."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    )
    data = (torch.randn(_COUNT, 3, 8, 8), torch.randint(0, 3, (_COUNT,)))
    model(data[0])
    direction = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    direction[f"{2 * layer}.weight"][1, 1] = number
    other = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    plane = Subspace(
        dict(model.named_parameters()), [other, {n: torch.randn_like(v) for n, v in other.items()}]
    )
    plane.directions[1].copy_(plane.layout.flatten(direction))  # a plane refuses to be made of it
    objective = Objective(model, "cross_entropy", data, batch_size=8)
    points = [(0.1, 1.0), (0.1, 1e-38)]
    with Evaluator(objective, Subspace.random(model, seed=0)) as evaluator:
        assert evaluator.shortcuts.used(FusedConvolutions) is not None
        evaluator.parameters.assign(plane.parameters_at(points[0]))
        found = evaluator._measure()["train"]["loss"]
    with torch.no_grad():
        for name, value in plane.parameters_at(points[0]).items():
            model.get_parameter(name).copy_(value)
        expected = nn.functional.cross_entropy(model(data[0]), data[1], reduction="none").numpy()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


class Keeps(nn.Sequential):
    """Keeps what it computes, as many research models do."""

    def forward(self, images: Tensor) -> Tensor:
        self.features = self[0](images)
        return self[1](self.features).mean((2, 3))


def test_following_a_model_leaves_nothing_in_it():
    model = Keeps(nn.Conv2d(4, 8, 3), nn.ReLU()).eval()
    fused = FusedConvolutions(model)
    assert fused.called is not None
    assert "features" not in vars(model)


class Branches(nn.Sequential):
    def forward(self, images: Tensor) -> Tensor:
        result = self[1](self[0](images))
        return result if result.sum() > 0 else -result


def test_models_that_cannot_be_fused():
    def layers() -> tuple[nn.Module, nn.Module]:
        return nn.Conv2d(4, 8, 3), nn.ReLU()

    hooked = nn.Sequential(*layers())
    hooked[0].register_forward_hook(lambda *_: None)
    assert FusedConvolutions(hooked).called is None
    assert FusedConvolutions(Branches(*layers())).called is None
    assert FusedConvolutions(nn.Sequential(nn.Linear(2, 2), nn.ReLU())).called is None
    read_twice = FusedConvolutions(Keeps(nn.Conv2d(4, 8, 3), nn.Sigmoid()))
    assert read_twice.called is None


class AddsInPlace(nn.Module):
    """A sum that is written over its first part, which the head reads; NaN where gate^2 > 0.2.

    Following the model, the sum is fused with the convolution and nothing is written.
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.convolution = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.stem(images))
        features.add_(self.convolution(features))
        return self.head(features.mean((2, 3))) * torch.sqrt(0.2 - self.gate.square())


@pytest.mark.parametrize("gate", [0.0, 1.0])  # 1: no finite loss half way to a corner
@pytest.mark.parametrize("still", [False, True])  # True: the fault does not show at the origin
def test_a_fusion_that_is_wrong_is_not_used(gate, still):
    torch.manual_seed(1)
    model = AddsInPlace().eval()
    if still:
        nn.init.zeros_(model.convolution.weight)
        nn.init.zeros_(model.convolution.bias)
    assert FusedConvolutions(model).called is not None
    data = torch.randn(_COUNT, 3, 8, 8), torch.randint(0, 4, (_COUNT,))
    direction = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    direction["gate"] = torch.full((1,), gate)
    line = Subspace(dict(model.named_parameters()), [direction])
    with Evaluator(Objective(model, "cross_entropy", data, batch_size=8), line) as evaluator:
        assert evaluator.shortcuts.used(FusedConvolutions) is None
        found = evaluator.measure((0.1,))["train"]["loss"]
    with torch.no_grad():
        outputs = functional_call(model, line.parameters_at((0.1,)), (data[0],))
    expected = nn.functional.cross_entropy(outputs, data[1], reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(("edge", "fused"), [(0.3, True), (0.0, False)])
def test_a_fusion_is_compared_where_losses_are_finite_or_not_used(edge, fused):
    class Diverges(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images).mean((2, 3)) * torch.log(edge - self.gate.abs())

    torch.manual_seed(0)
    model = Diverges(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    model.gate = nn.Parameter(torch.zeros(1))
    data = torch.randn(_COUNT, 3, 8, 8), torch.randint(0, 4, (_COUNT,))
    plane = Subspace.random(model, zero_vectors=False)
    for direction in plane.directions:
        plane.layout.views(direction)["gate"].fill_(1.0)
    with Evaluator(Objective(model, "cross_entropy", data), plane) as evaluator:
        assert (evaluator.shortcuts.used(FusedConvolutions) is not None) is fused


def test_a_rectified_infinity_is_taken_from_the_model():
    """A rectifier makes 0 of a bias of minus infinity; the fused, leaky one leaves infinity."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    )
    data = (torch.randn(_COUNT, 3, 8, 8), torch.randint(0, 3, (_COUNT,)))
    model(data[0])
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
    parameters["0.bias"][1] = -torch.inf
    objective = Objective(model, "cross_entropy", data, batch_size=8)
    with Evaluator(objective, Subspace.random(model, seed=0)) as evaluator:
        assert evaluator.shortcuts.used(FusedConvolutions) is not None
        with torch.no_grad():
            outputs = functional_call(model, parameters, (data[0],))
            evaluator.parameters.assign(parameters)
            shortcut = evaluator.shortcuts.used(FusedConvolutions)
            shortcut.before_batches()
            fused = shortcut.called(evaluator.batches.sets["train"][0][0])
        assert not fused.isfinite().all()
        found = evaluator.measure_parameters(parameters, {})["train"]["loss"]
    expected = nn.functional.cross_entropy(outputs, data[1], reduction="none")
    assert expected.isfinite().all()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_function_of_the_users_gets_the_model_itself():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3)).eval()
    seen = []

    def loss(called, batch):
        seen.append(called)
        return called(batch[0]).square().mean(1)

    data = (torch.randn(4, 3, 8, 8), torch.zeros(4))
    with Evaluator(Objective(model, loss, data), Subspace.random(model, seed=0)) as evaluator:
        evaluator.measure((0.1, 0.2))
    assert set(map(id, seen)) == {id(model)}


def test_fused_kernels_are_not_held_together_in_a_trial():
    layers = [nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    model = nn.Sequential(*layers).eval().to(memory_format=torch.channels_last)
    fused = FusedConvolutions(model)
    images = torch.randn(2, 8, 8, 8).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        with fused.checking():
            fused.called(images)
            assert all(layer.folded is None for layer in fused.layers)
        fused.called(images)
        assert fused.layers
        assert all(layer.folded is not None for layer in fused.layers)


def test_large_kernels_are_not_kept():
    small, large = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8320, 1)
    layers = [small, nn.BatchNorm2d(8), nn.ReLU(), large, nn.BatchNorm2d(8320), nn.ReLU()]
    model = nn.Sequential(*layers).eval().to(memory_format=torch.channels_last)
    fused = FusedConvolutions(model)
    images = torch.randn(2, 8, 8, 8).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found, expected = fused.called(images), model(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert [layer.folded is not None for layer in fused.layers] == [True, False]


class AddsOther(nn.Module):
    """Adds what has another shape, type or memory order than the maps."""

    def __init__(self, change):
        super().__init__()
        self.convolution, self.other = nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 3)
        self.change = change

    def forward(self, images: Tensor) -> Tensor:
        return (self.convolution(images) + self.change(self.other(images))).relu()


@pytest.mark.parametrize(
    "change",
    [
        lambda maps: maps.mean(dim=(2, 3), keepdim=True),
        lambda maps: maps[:1],
        lambda maps: maps.mean(dim=1, keepdim=True),
        lambda maps: maps.double(),
        lambda maps: maps.contiguous(memory_format=torch.contiguous_format),
    ],
)
def test_summands_of_another_shape_type_or_order_are_added_by_the_model(change):
    torch.manual_seed(0)
    model = statistics(AddsOther(change))
    fused = FusedConvolutions(model)
    assert fused.called is not None
    with torch.no_grad():
        expected, found = model(images()), fused.called(images())
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
