import copy
import hashlib
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import sha256
from losslandscape.point.evaluator import Evaluator
from losslandscape.problem.samples import SampleSet


def losses_at(objective, subspace, coordinates=(0.0, 0.0)):
    with Evaluator(objective, subspace) as evaluator:
        return evaluator.measure(coordinates)["train"]


def test_with_fixed_statistics_the_origin_has_the_models_own_loss(cnn, images):
    inputs, targets = images
    with torch.no_grad():
        own = nn.functional.cross_entropy(cnn.eval()(inputs), targets, reduction="none")
        right = cnn(inputs).argmax(1) == targets
    measured = losses_at(Objective(cnn, "cross_entropy", images), Subspace.random(cnn))
    np.testing.assert_allclose(measured["loss"], own, rtol=2e-5, atol=1e-6)
    np.testing.assert_array_equal(measured["accuracy"], right)


@pytest.mark.parametrize("batch_size", [10, 40])
def test_reestimated_statistics_are_those_of_update_bn(cnn, images, batch_size):
    inputs, targets = images
    reference = copy.deepcopy(cnn)
    update_bn(DataLoader(TensorDataset(*images), batch_size=batch_size), reference)
    with torch.no_grad():
        expected = nn.functional.cross_entropy(reference.eval()(inputs), targets, reduction="none")
    objective = Objective(
        cnn, "cross_entropy", images, batch_norm="reestimated", batch_size=batch_size
    )
    measured = losses_at(objective, Subspace.random(cnn))["loss"]
    np.testing.assert_allclose(measured, expected, rtol=2e-5, atol=1e-6)
    fixed = losses_at(Objective(cnn, "cross_entropy", images), Subspace.random(cnn))["loss"]
    assert abs(fixed - measured).max() > 0.01


def test_reestimation_leaves_dropout_off(images):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 5)
    )
    objective = Objective(model, "cross_entropy", images, batch_norm="reestimated")
    plane = Subspace.random(model)
    np.testing.assert_array_equal(
        losses_at(objective, plane)["loss"], losses_at(objective, plane)["loss"]
    )


def test_values_at_a_point_are_those_of_a_model_with_these_parameters(cnn, images):
    inputs, targets = images
    plane = Subspace.random(cnn)
    moved = copy.deepcopy(cnn)
    with torch.no_grad():
        for name, tensor in plane.parameters_at((0.3, -0.7)).items():
            moved.get_parameter(name).copy_(tensor)
        expected = nn.functional.cross_entropy(moved.eval()(inputs), targets, reduction="none")
    measured = losses_at(Objective(cnn, "cross_entropy", images), plane, (0.3, -0.7))["loss"]
    np.testing.assert_allclose(measured, expected, rtol=1e-4, atol=1e-5)


def test_a_point_has_the_same_bits_whatever_came_before(cnn, images):
    plane = Subspace.random(cnn)
    with Evaluator(
        Objective(cnn, "cross_entropy", images, batch_norm="reestimated"), plane
    ) as evaluator:
        first = evaluator.measure((0.5, 0.5))["train"]["loss"].copy()
        evaluator.measure((-3.0, 2.0))
        again = evaluator.measure((0.5, 0.5))["train"]["loss"]
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("batch_norm", ["fixed", "reestimated"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(cnn, images, batch_norm, fails):
    cnn.train()
    cnn.norm.eval()
    before = {
        name: (t, t.data_ptr(), t.detach().clone())
        for name, t in cnn.state_dict(keep_vars=True).items()
    }
    modes = {name: module.training for name, module in cnn.named_modules()}
    data = (images[0][:, :2], images[1]) if fails else images
    objective = Objective(cnn, "cross_entropy", data, batch_norm=batch_norm, batch_size=40)
    if fails:
        with pytest.raises(LossLandscapeError, match=r"data do not fit .*\(40, 2, 8, 8\)"):
            evaluate(objective, Subspace.random(cnn), Grid.square(2))
    else:
        evaluate(objective, Subspace.random(cnn), Grid.square(2))
    assert {name: module.training for name, module in cnn.named_modules()} == modes
    for name, tensor in cnn.state_dict(keep_vars=True).items():
        own, pointer, value = before[name]
        assert tensor is own
        assert tensor.data_ptr() == pointer
        assert torch.equal(tensor, value)


def test_mse_is_the_mean_over_outputs():
    torch.manual_seed(0)
    model = nn.Linear(3, 4)
    inputs, targets = torch.randn(6, 3), torch.randn(6, 4)
    measured = losses_at(Objective(model, "mse", (inputs, targets)), Subspace.random(model))
    expected = ((model(inputs) - targets) ** 2).mean(1).detach()
    np.testing.assert_allclose(measured["loss"], expected, rtol=1e-5)
    assert set(measured) == {"loss"}


def test_softmax_mse_is_against_one_hot_targets(cnn, images):
    inputs, targets = images
    with torch.no_grad():
        softmax = cnn.eval()(inputs).softmax(1)
    expected = ((softmax - torch.eye(5)[targets]) ** 2).mean(1)
    measured = losses_at(Objective(cnn, "softmax_mse", images), Subspace.random(cnn))
    np.testing.assert_allclose(measured["loss"], expected, rtol=1e-4, atol=1e-6)
    assert "accuracy" in measured


def test_targets_without_the_outputs_column_are_refused_with_a_remedy():
    model = nn.Linear(3, 1)
    targets = torch.randn(6)
    objective = Objective(model, "mse", (torch.randn(6, 3), targets), batch_size=6)
    with pytest.raises(LossLandscapeError, match=r"pass targets\[:, None\]"):
        losses_at(objective, Subspace.random(model))
    given = Objective(model, "mse", (torch.randn(6, 3), targets[:, None]), batch_size=6)
    assert losses_at(given, Subspace.random(model))["loss"].shape == (6,)


def test_mse_of_shapes_that_would_broadcast_is_refused():
    model = nn.Linear(3, 1)
    objective = Objective(model, "mse", (torch.randn(6, 3), torch.randn(6)), batch_size=6)
    with pytest.raises(LossLandscapeError, match=r"\(6, 1\) and targets \(6,\)"):
        losses_at(objective, Subspace.random(model))


def test_a_loss_function_may_give_metrics_too(cnn, images):
    def loss(model, batch):
        outputs = model(batch[0])
        return {"loss": outputs.square().sum(1), "confidence": outputs.softmax(1).amax(1)}

    measured = losses_at(Objective(cnn, loss, images), Subspace.random(cnn))
    assert set(measured) == {"loss", "confidence"}


TAKEN = [
    "alpha", "status", "gram_matrix", "subspace_gram_matrix", "loss_standard_error",
    "loss_sample_count", "sample", "loss_samples", "accuracy_interpolation_error",
    "trajectory_loss", "model_alpha", "a/b", 3,
]  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_metric_cannot_take_the_name_of_another_variable_in_the_file(cnn, images, tmp_path, name):
    def loss(model, batch):
        losses = nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
        return {"loss": losses, name: losses}

    path = tmp_path / "x.nc"
    with pytest.raises(LossLandscapeError, match=rf"loss .*: '?{name}'? beside the loss: "):
        evaluate(Objective(cnn, loss, images), Subspace.random(cnn), Grid.square(2), path=path)
    assert list(tmp_path.iterdir()) == []


def test_clashing_names_of_metrics_and_sets_are_refused(cnn, images):
    with pytest.raises(LossLandscapeError, match="metric 'loss': the file uses this name"):
        Objective(cnn, "mse", images, metrics={"loss": lambda outputs, targets: targets})
    sets = {"train": images, "test": images}
    metrics = {"test_loss": lambda outputs, targets: targets.double()}
    objective = Objective(cnn, "cross_entropy", sets, metrics=metrics)
    with pytest.raises(LossLandscapeError, match="'test_loss' is a quantity of two sets"):
        evaluate(objective, Subspace.random(cnn), Grid.square(2))


def test_a_metric_is_measured_beside_a_named_loss(cnn, images):
    margin = {"margin": lambda outputs, targets: outputs.topk(2).values.diff(dim=1).abs()[:, 0]}
    measured = losses_at(
        Objective(cnn, "cross_entropy", images, metrics=margin), Subspace.random(cnn)
    )
    assert list(measured) == ["loss", "accuracy", "margin"]


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda model, batch: model(batch[0]), r"shape \(40, 5\)"),
        (lambda model, batch: "1.0", "str"),
        (lambda model, batch: {"loss": model(batch[0]).mean()}, r"\(\); .*reduction=\"none\""),
        (lambda model, batch: {"accuracy": model(batch[0])[:, 0]}, "no entry 'loss'"),
    ],
)
def test_a_loss_that_is_not_one_number_per_sample_is_refused(cnn, images, loss, message):
    with pytest.raises(LossLandscapeError, match=message):
        losses_at(Objective(cnn, loss, images, batch_size=40), Subspace.random(cnn))


def test_every_kind_of_data_gives_the_same_losses(cnn, images):
    dataset = TensorDataset(*images)
    kinds = {
        "tuple": images,
        "arrays": tuple(t.numpy() for t in images),
        "dataset": dataset,
        "loader": DataLoader(dataset, batch_size=7),
        "dicts": DataLoader([{"images": x, "labels": y} for x, y in dataset], batch_size=7),
        "one dict": {"images": images[0], "labels": images[1]},
    }
    plane = Subspace.random(cnn)
    expected = losses_at(Objective(cnn, "cross_entropy", images, batch_size=40), plane)["loss"]
    for name, data in kinds.items():
        measured = losses_at(Objective(cnn, "cross_entropy", data, batch_size=40), plane)["loss"]
        np.testing.assert_array_equal(measured, expected, err_msg=name)


def test_a_shuffling_loader_is_read_once(cnn, images):
    loader = DataLoader(TensorDataset(*images), batch_size=8, shuffle=True)
    objective = Objective(cnn, "cross_entropy", loader)
    plane = Subspace.random(cnn)
    np.testing.assert_array_equal(
        losses_at(objective, plane)["loss"], losses_at(objective, plane)["loss"]
    )
    assert "shuffled" in objective.to_json()["sets"]["train"]["source"]


def test_batches_padded_to_different_lengths_are_kept():
    torch.manual_seed(0)
    model = nn.EmbeddingBag(10, 3)
    batches = [(torch.randint(0, 10, (4, n)), torch.randint(0, 3, (4,))) for n in (2, 5)]
    loader = DataLoader(batches, batch_size=None)
    measured = losses_at(Objective(model, "cross_entropy", loader), Subspace.random(model))
    assert measured["loss"].shape == (8,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((torch.zeros(3, 2), torch.zeros(4)), "one batch holds tensors of 3, 4 samples"),
        ((torch.zeros(0, 2), torch.zeros(0)), "no samples"),
        ({}, "the dict is empty"),
        (iter([1]), "only once"),
        (("a", "b"), "holds a str"),
        ((torch.tensor(1.0),), "scalar"),
    ],
)
def test_invalid_data_are_refused(data, message):
    with pytest.raises(LossLandscapeError, match=message):
        Objective(nn.Linear(2, 1), "mse", data)


def test_unknown_names_are_refused(cnn, images):
    with pytest.raises(LossLandscapeError, match="cross_entropy, mse, softmax_mse"):
        Objective(cnn, "crossentropy", images)
    with pytest.raises(LossLandscapeError, match="fixed, reestimated"):
        Objective(cnn, "mse", images, batch_norm="moving")
    with pytest.raises(LossLandscapeError, match="float32, float64"):
        Objective(cnn, "mse", images, precision="half")


def test_float64_is_computed_on_a_copy(cnn, images):
    plane = Subspace.random(cnn)
    single = losses_at(Objective(cnn, "cross_entropy", images), plane)["loss"]
    double = losses_at(Objective(cnn, "cross_entropy", images, precision="float64"), plane)["loss"]
    assert double.dtype == np.float64
    assert 0 < abs(single - double).max() < 1e-4
    assert cnn.head.weight.dtype == torch.float32


def test_ignored_positions_do_not_count_in_a_samples_mean():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(9, 4)

        def forward(self, tokens):
            return self.words(tokens).transpose(1, 2)  # (n, classes, positions)

    torch.manual_seed(0)
    model = Tagger()
    tokens, tags = torch.randint(0, 9, (6, 5)), torch.randint(0, 4, (6, 5))
    tags[:, 3:] = -100
    measured = losses_at(Objective(model, "cross_entropy", (tokens, tags)), Subspace.random(model))
    expected = nn.functional.cross_entropy(
        model(tokens)[:, :, :3], tags[:, :3], reduction="none"
    ).mean(1)
    np.testing.assert_allclose(measured["loss"], expected.detach(), rtol=1e-5)


class Views(nn.Module):
    """A network as in PyTorch's tutorial: ``view`` needs row-major feature maps."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.place = nn.Parameter(torch.randn(1, 4, 8, 8))
        self.head = nn.Linear(256, 5)

    def forward(self, images):
        hidden = self.convolution(images).relu() + self.place.view(1, -1).view(1, 4, 8, 8)
        return self.head(hidden.view(-1, 256))


def test_a_model_that_needs_row_major_feature_maps(images):
    torch.manual_seed(0)
    model = Views()
    with torch.no_grad():
        own = nn.functional.cross_entropy(model(images[0]), images[1], reduction="none")
    plane = Subspace.random(model)
    objective = Objective(model, "cross_entropy", images)
    np.testing.assert_allclose(losses_at(objective, plane)["loss"], own, rtol=2e-5, atol=1e-6)
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for name, tensor in plane.parameters_at((0.3, -0.7)).items():
            moved.get_parameter(name).copy_(tensor)
        own = nn.functional.cross_entropy(moved(images[0]), images[1], reduction="none")
    measured = losses_at(objective, plane, (0.3, -0.7))["loss"]
    np.testing.assert_allclose(measured, own, rtol=1e-4, atol=1e-5)


class Restless(nn.Module):
    """Counts its calls in a buffer, keeps a cache, and draws random numbers in eval mode."""

    def __init__(self):
        super().__init__()
        self.linear = nn.utils.weight_norm(nn.Linear(3, 2))
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("replaced", torch.zeros(1))

    def forward(self, inputs):
        self.calls.add_(1)
        self.replaced = self.replaced + 1
        self.cache = self.linear.weight.detach() * 1
        noise = nn.functional.dropout(torch.ones_like(inputs), 0.5, training=True)
        return self.linear(inputs * noise) * (1 + self.calls + self.replaced)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_a_model_that_changes_itself_has_one_value_per_point_and_is_restored():
    torch.manual_seed(0)
    model = Restless()
    data = torch.randn(6, 3), torch.randn(6, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weight = model.linear.weight.detach().clone()
    state = torch.get_rng_state()
    plane = Subspace.random(model)
    with Evaluator(Objective(model, "mse", data), plane) as evaluator:
        first = evaluator.measure((0.5, 0.5))["train"]["loss"].copy()
        evaluator.measure((-1.0, 2.0))
        np.testing.assert_array_equal(evaluator.measure((0.5, 0.5))["train"]["loss"], first)
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(model.linear.weight, weight)
    (model.cache.requires_grad_() * 2).sum().backward()  # usable in training
    model(data[0]).sum().backward()


def test_parameters_over_the_same_memory_move_together():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = nn.Parameter(model[0].weight.data)
    plane = Subspace.random(model)
    assert len(plane.layout.segments) == 1
    inputs = torch.randn(5, 3)
    measured = losses_at(Objective(model, "mse", (inputs, torch.zeros(5, 3))), plane, (0.5, 0.5))
    weight = plane.parameters_at((0.5, 0.5))["0.weight"]
    expected = ((inputs @ weight.T @ weight.T) ** 2).mean(1)
    np.testing.assert_allclose(measured["loss"], expected, rtol=1e-5)


def test_reestimation_does_not_depend_on_the_batch_size_found_by_trial(cnn, images):
    objective = Objective(cnn, "cross_entropy", images, batch_norm="reestimated")
    found = []
    for size in (7, 40):
        with Evaluator(objective, Subspace.random(cnn), batch_size=size) as evaluator:
            found.append(evaluator.measure((0.1, 0.1))["train"]["loss"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_frozen_bfloat16_layers_may_precede_trainable_float32_layers(images):
    class Adapted(nn.Module):
        def __init__(self):
            super().__init__()
            self.base = nn.Linear(192, 8).to(torch.bfloat16).requires_grad_(False)
            self.adapter = nn.Linear(8, 5)

        def forward(self, images):
            return self.adapter(self.base(images.flatten(1).to(torch.bfloat16)).float())

    model = Adapted()
    objective = Objective(model, "cross_entropy", images)
    assert losses_at(objective, Subspace.random(model))["loss"].shape == (40,)


def test_samples_that_cross_entropy_ignores_weigh_nothing(cnn, images):
    targets = images[1].clone()
    targets[:3] = -100
    plane = Subspace.random(cnn)
    found = losses_at(Objective(cnn, "cross_entropy", (images[0], targets)), plane)
    rest = losses_at(Objective(cnn, "cross_entropy", (images[0][3:], targets[3:])), plane)
    for name in ("loss", "accuracy"):
        assert len(found[name]) == len(targets)
        assert found[name].mean() == pytest.approx(rest[name].mean(), rel=1e-6)


def test_language_models_may_return_classes_last():
    torch.manual_seed(0)
    model = nn.Embedding(9, 4)  # (n, positions) -> (n, positions, classes)
    tokens, tags = torch.randint(0, 9, (6, 5)), torch.randint(0, 4, (6, 5))
    measured = losses_at(Objective(model, "cross_entropy", (tokens, tags)), Subspace.random(model))
    outputs = model(tokens).transpose(1, 2)
    expected = nn.functional.cross_entropy(outputs, tags, reduction="none").mean(1)
    np.testing.assert_allclose(measured["loss"], expected.detach(), rtol=1e-5)
    right = (outputs.argmax(1) == tags).float().mean(1)
    np.testing.assert_allclose(measured["accuracy"], right)


@pytest.mark.parametrize("name", ["status", "val/x", "model"])
def test_names_that_a_file_cannot_hold_are_refused(cnn, images, name):
    with pytest.raises(LossLandscapeError, match="the name is taken"):
        Objective(cnn, "cross_entropy", {name: images})


def test_a_lazy_model_must_run_first():
    with pytest.raises(LossLandscapeError, match="run one batch through"):
        Subspace.random(nn.LazyLinear(3))


@pytest.mark.parametrize("loader", [False, True])
def test_samples_are_in_memory_once_and_keep_their_hash(cnn, images, loader):
    data = tuple(tensor.clone() for tensor in images)
    given = DataLoader(TensorDataset(*data), batch_size=7) if loader else data
    objective = Objective(cnn, "cross_entropy", given, batch_size=16)
    before = objective.to_json()
    with Evaluator(objective, Subspace.random(cnn)) as evaluator:
        (kept,) = objective.sets["train"].stored()
        for batch in evaluator.batches.sets["train"]:
            for mine, whole in zip(batch, kept):
                assert mine.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
        assert kept[0].is_contiguous(memory_format=torch.channels_last)
        evaluator.measure((0.1, 0.1))
    assert objective.to_json() == before
    assert torch.equal(objective.sets["train"].stored()[0][0], images[0])
    assert torch.equal(data[0], images[0])  # the user's own tensors
    assert data[0].is_contiguous()


def test_batches_are_row_major_by_default():
    samples = SampleSet((torch.randn(5, 3, 4, 4),))
    samples.lay_out(channels_last=True)
    assert all(batch[0].is_contiguous() for batch in samples.batches(2))


@given(
    st.lists(st.integers(0, 9), max_size=4),
    st.sampled_from([torch.float32, torch.int64, torch.bool]),
    st.integers(1, 50),
)
def test_the_hash_is_of_the_values_in_row_major_order(shape, dtype, at_once):
    tensor = torch.arange(int(np.prod(shape))).reshape(shape).to(dtype)
    digest = hashlib.sha256(str((tuple(shape), str(dtype))).encode())
    digest.update(tensor.numpy().tobytes())
    elsewhere = tensor.permute(tuple(reversed(range(len(shape))))).contiguous()
    elsewhere = elsewhere.permute(tuple(reversed(range(len(shape)))))
    with mock.patch("losslandscape.planes.parameters._HASHED_AT_ONCE", at_once):
        assert sha256([tensor]) == sha256([elsewhere]) == digest.hexdigest()


def derived(kind):
    """A network whose first weight is computed before each pass and kept as an attribute."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))
    if kind == "spectral norm":
        nn.utils.spectral_norm(model[0])
    elif kind == "weight norm":
        nn.utils.weight_norm(model[0])
    elif kind == "pruned":
        prune.l1_unstructured(model[0], "weight", 0.5)
    elif kind == "keeps its activations":
        model[0].register_forward_hook(lambda layer, _, outputs: setattr(layer, "last", outputs))
    model(torch.randn(5, 12))
    return model


@pytest.mark.filterwarnings("ignore:.*weight_norm.*", "ignore:.*spectral_norm.*")
@pytest.mark.parametrize("precision", [None, "float64"])
@pytest.mark.parametrize(
    "kind", ["spectral norm", "weight norm", "pruned", "keeps its activations"]
)
def test_computed_weights_are_restored(kind, precision):
    model = derived(kind)
    model[2].eval()
    kept = "last" if kind == "keeps its activations" else "weight"
    tensor = getattr(model[0], kept)
    value = tensor.detach().clone()
    state = {name: values.clone() for name, values in model.state_dict().items()}
    data = torch.randn(6, 12), torch.randint(0, 3, (6,))
    plane = Subspace.random(model)
    found = losses_at(
        Objective(model, "cross_entropy", data, precision=precision), plane, (0.5, -0.5)
    )
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
    assert getattr(model[0], kept) is tensor
    assert torch.equal(tensor, value)
    assert all(torch.equal(values, state[name]) for name, values in model.state_dict().items())
    moved = derived(kind)
    with torch.no_grad():
        for name, values in plane.parameters_at((0.5, -0.5)).items():
            moved.get_parameter(name).copy_(values)
        outputs = moved.eval()(data[0])
    expected = nn.functional.cross_entropy(outputs, data[1], reduction="none")
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-4, atol=1e-5)


def test_a_model_that_cannot_be_copied_is_refused():
    model = nn.Linear(3, 2)
    model.kept = [model(torch.ones(1, 3))]
    objective = Objective(model, "mse", (torch.ones(4, 3), torch.ones(4, 2)), precision="float64")
    with pytest.raises(LossLandscapeError, match=r"Linear cannot be copied to cpu as float64"):
        Evaluator(objective, Subspace.random(model))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_devices_generator_is_restored():
    torch.cuda.manual_seed(5)
    states = torch.get_rng_state(), torch.cuda.get_rng_state_all()
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout()).cuda()
    objective = Objective(model, "mse", (torch.ones(4, 3), torch.ones(4, 2)), modes="own")
    losses_at(objective, Subspace.random(model))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert all(map(torch.equal, torch.cuda.get_rng_state_all(), states[1]))


def of(model, **options):
    data = options.pop("data", (torch.zeros(6, 2), torch.zeros(6, 1)))
    return Objective(model, "mse", data, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_type_and_device_are_those_of_the_parameters_that_move(dtype):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1).to(getattr(torch, dtype)))
    model[0].requires_grad_(False)
    objective = of(model)
    assert objective.dtype == getattr(torch, dtype)
    assert objective.device == torch.device("cpu")
    assert objective.to_json()["precision"] == dtype
    assert objective.to_json()["device"] == "cpu"
    frozen = of(nn.Linear(2, 1).double().requires_grad_(False))
    assert frozen.dtype == torch.float32
    asked = of(model, precision="float64")
    assert asked.dtype == asked.precision == torch.float64
    coarse = of(model, precision="bfloat16")
    assert coarse.dtype == torch.float32
    assert coarse.to_json()["precision"] == "bfloat16"
    assert coarse.in_float32().to_json()["precision"] == "float32"
    assert coarse.to_json()["precision"] == "bfloat16"  # it stays as it was


def test_a_device_that_can_be_used_is_taken_and_others_are_refused():
    assert of(nn.Linear(2, 1), device="cpu").device == torch.device("cpu")
    for device in ("meta", "no such device"):
        with pytest.raises(LossLandscapeError, match=f"'{device}' cannot be used"):
            of(nn.Linear(2, 1), device=device)


def test_names_and_prefixes_of_sets():
    data = {name: (torch.zeros(3, 2), torch.zeros(3, 1)) for name in ("train", "test")}
    objective = of(nn.Linear(2, 1), data=data)
    assert objective.prefixes == {"train": "", "test": "test_"}
    assert objective.quantities == {
        "loss": "mean squared error", "test_loss": "test mean squared error",
    }  # fmt: skip
    few = objective.limited(2)
    assert list(few.sets) == ["train"]
    assert len(few.sets["train"]) == 2
    assert len(objective.sets["train"]) == 3
    for names in ([], ["a b"], ["alpha"], ["model"]):
        with pytest.raises(LossLandscapeError, match="set"):
            of(nn.Linear(2, 1), data=dict.fromkeys(names, data["test"]))


def test_sizes_of_data_sets_are_those_of_the_first_set_or_by_name():
    data = {name: (torch.zeros(3, 2), torch.zeros(3, 1)) for name in ("train", "test")}
    assert of(nn.Linear(2, 1), data=data, dataset_samples=3).dataset_samples == {"train": 3}
    by_name = of(nn.Linear(2, 1), data=data, dataset_samples={"test": 9})
    assert by_name.dataset_samples == {"test": 9}
    for sizes, words in ((2, r"'train'.*3 samples"), ({"test": 2}, "'test'"), ({"x": 9}, "'x'")):
        with pytest.raises(LossLandscapeError, match=words):
            of(nn.Linear(2, 1), data=data, dataset_samples=sizes)


def test_samples_that_gather_statistics_are_1024_or_as_many_as_there_are():
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    many = (torch.zeros(1500, 2), torch.zeros(1500, 1))
    objective = of(model, data=many, batch_norm="reestimated")
    assert len(objective.reestimation) == 1024
    assert objective.reestimation_batch_size == 256
    described = objective.to_json()
    assert described["reestimation_samples"] == 1024
    assert described["reestimation_batch_size"] == 256
    chosen = of(model, data=many, reestimation_samples=70, batch_size=32)
    assert len(chosen.reestimation) == 70
    assert chosen.reestimation_batch_size == 32
    assert len(of(model, batch_norm="reestimated").reestimation) == 6
    fixed = of(model, data=many)
    assert "reestimation_samples" not in fixed.to_json()
    assert fixed.with_batch_norm("reestimated").batch_norm == "reestimated"
    assert fixed.batch_norm == "fixed"
    without = of(nn.Linear(2, 1), batch_norm="reestimated")
    assert without.batch_norm == "none"
    assert without.with_batch_norm("fixed").batch_norm == "none"


def test_what_is_measured_is_described():
    model = nn.Sequential(nn.Linear(2, 1), nn.Dropout())
    described = of(model).to_json()
    assert described["model"] == "Sequential"
    assert described["training_modules"] == []
    assert "compile" not in described
    assert "streamed" not in described
    assert of(model, compile=True).to_json()["compile"] is True
    assert not of(model, compile=True).in_float32().compile
    assert of(model, modes="own").to_json()["training_modules"] == ["Sequential", "0", "1"]
    other = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.1))
    assert of(other).to_json()["model_structure"] != described["model_structure"]
    model[0].bias.requires_grad_(False)
    frozen = of(model).to_json()["frozen_parameters"]
    assert frozen != described["frozen_parameters"]
    with torch.no_grad():
        model[0].bias.add_(1)
    assert of(model).to_json()["frozen_parameters"] != frozen
    streamed = of(nn.Linear(2, 1), data=torch.utils.data.TensorDataset(
        torch.zeros(6, 2), torch.zeros(6, 1)), hold_bytes=1)  # fmt: skip
    assert streamed.to_json()["streamed"] == ["train"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_norm": "frozen"}, "'frozen'"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"reestimation_samples": 0}, "reestimation_samples"),
        ({"nondeterminism": "ignored"}, "ignored"),
        ({"precision": "int8"}, "'int8'"),
        ({"precision": "tf32"}, "tf32"),
        ({"modes": "train"}, "'train'"),
    ],
)
def test_arguments_that_are_unknown_are_named(options, words):
    with pytest.raises(LossLandscapeError, match=words):
        of(nn.Linear(2, 1), **options)


def test_data_of_another_type_than_the_model():
    model = nn.Linear(3, 2)
    data = (torch.randn(8, 3).double().numpy(), torch.arange(8).numpy() % 2)
    plane, grid = Subspace.random(model, dimensions=1), Grid.line(3)
    converted = evaluate(Objective(model, "cross_entropy", data), plane, grid, quiet=True)
    about = converted.provenance["objective"]
    assert about["converted_data"] == {"train": "float64 to float32"}
    objective = Objective(model, "cross_entropy", data, precision="float32")
    found = evaluate(objective, plane, grid, quiet=True).values("loss")[1]
    inputs, labels = torch.from_numpy(data[0]).float(), torch.from_numpy(data[1])
    expected = nn.functional.cross_entropy(model(inputs), labels).item()
    assert found == converted.values("loss")[1] == pytest.approx(expected, rel=1e-6)


def test_a_loss_that_differentiates_has_gradients():
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
    points = torch.linspace(0, 1, 9)[:, None]

    def slope(model, batch):
        t = batch[0].clone().requires_grad_(True)
        return torch.autograd.grad(model(t).sum(), t)[0].square().squeeze(1)

    def enabled(model, batch):
        with torch.enable_grad():
            return slope(model, batch).detach()

    plane, grid = Subspace.random(model, dimensions=1), Grid.line(3)
    expected = slope(model, (points,)).mean().item()
    for loss in (slope, enabled):
        objective = Objective(model, loss, (points,))
        assert objective.loss.gradients == (loss is slope)
        found = evaluate(objective, plane, grid, quiet=True)
        assert found.values("loss")[1] == pytest.approx(expected, rel=1e-5)
        assert found.values("loss_standard_error")[1] > 0


@pytest.mark.parametrize("name", ["Brier score", "top-5", "sin"])
def test_a_metric_of_any_name_is_measured_and_kept(cnn, images, tmp_path, name):
    metrics = {name: lambda outputs, targets: outputs.softmax(1).square().sum(1)}
    objective = Objective(cnn, "cross_entropy", images, metrics=metrics)
    line = Subspace.random(cnn, 1)
    found = evaluate(objective, line, Grid.line(3), path=tmp_path / "x.nc", quiet=True)
    again = Landscape.open(tmp_path / "x.nc").values(name)
    np.testing.assert_array_equal(again, found.values(name))
    assert 0 < again.min() < again.max() <= 1
