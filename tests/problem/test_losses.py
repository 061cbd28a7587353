"""Named losses against loops over samples, and what is refused."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.losses import NAMES, name_taken, resolve
from losslandscape.problem.outputs import forward
from losslandscape.problem.samples import SampleSet


class Same(nn.Module):
    """The outputs are the inputs."""

    def forward(self, inputs):
        return inputs


def values(loss, outputs, targets, **options):
    return resolve(loss, **options)(Same(), (outputs, targets))


@pytest.fixture
def outputs():
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def negative_log_softmax(row, target):
    return math.log(sum(math.exp(x) for x in row)) - row[target]


def test_cross_entropy_and_accuracy_are_those_of_a_loop(outputs):
    targets = torch.tensor([0, 2, 1, 1, 0])
    found = values("cross_entropy", outputs, targets)
    expected = [negative_log_softmax(o.tolist(), t) for o, t in zip(outputs, targets)]
    torch.testing.assert_close(found["loss"], torch.tensor(expected))
    right = [o.tolist().index(max(o.tolist())) == t for o, t in zip(outputs, targets)]
    assert found["accuracy"].tolist() == right
    assert 0 < sum(right) < 5
    assert list(found) == ["loss", "accuracy"]


def test_cross_entropy_against_probabilities(outputs):
    shares = torch.softmax(3 * outputs.flip(0), 1)
    found = values("cross_entropy", outputs, shares)
    for i in range(5):
        expected = sum(
            float(shares[i, k]) * negative_log_softmax(outputs[i].tolist(), k) for k in range(3)
        )
        assert float(found["loss"][i]) == pytest.approx(expected, rel=1e-5)
    assert found["accuracy"].tolist() == (outputs.argmax(1) == shares.argmax(1)).tolist()


@pytest.mark.parametrize("classes_last", [True, False])
def test_positions_that_do_not_count_are_left_out_of_the_mean(classes_last):
    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([[0, -100, 2, 1], [1, 1, -100, -100]])
    found = values("cross_entropy", logits if classes_last else logits.movedim(-1, 1), targets)
    for i in range(2):
        counted = [j for j in range(4) if targets[i, j] != -100]
        losses = [negative_log_softmax(logits[i, j].tolist(), targets[i, j]) for j in counted]
        right = [int(logits[i, j].argmax()) == int(targets[i, j]) for j in counted]
        assert float(found["loss"][i]) == pytest.approx(sum(losses), rel=1e-5)
        assert float(found["accuracy"][i]) == sum(right)
        assert found["loss/weight"][i] == found["accuracy/weight"][i] == len(counted)


def test_probabilities_at_positions_all_count(outputs):
    logits, shares = torch.randn(2, 3, 4), torch.randn(2, 3, 4).softmax(1)
    found = values("cross_entropy", logits, shares)
    expected = functional.cross_entropy(logits, shares)
    assert found["loss"].mean().item() == pytest.approx(expected.item(), rel=1e-6)
    assert "loss/weight" not in found


def test_as_many_positions_as_classes_cannot_be_told_apart():
    with pytest.raises(LossLandscapeError, match=r"\(2, 3, 3\).*\(2, 3\)"):
        values("cross_entropy", torch.zeros(2, 3, 3), torch.zeros(2, 3, dtype=torch.long))


def test_mse_is_the_mean_of_squares_over_all_outputs_of_a_sample():
    outputs, targets = torch.randn(2, 4, 3, 2), torch.randn(2, 4, 3, 2)
    [loss] = values("mse", outputs, targets).values()
    expected = [((o - t) ** 2).mean() for o, t in zip(outputs, targets)]
    torch.testing.assert_close(loss, torch.stack(expected))
    [loss] = values("mse", torch.tensor([1.0, 4.0]), torch.tensor([3.0, 1.0])).values()
    assert loss.tolist() == [4.0, 9.0]


@pytest.mark.parametrize(
    ("outputs", "targets", "remedy"),
    [((4, 1), (4,), True), ((4, 2), (4,), False), ((4, 2, 1), (4, 2), False)],
)
def test_the_remedy_of_a_missing_column_is_given_where_it_is_one(outputs, targets, remedy):
    with pytest.raises(LossLandscapeError, match="shape") as caught:
        values("mse", torch.zeros(outputs), torch.zeros(targets))
    assert ("[:, None]" in str(caught.value)) == remedy


def test_softmax_mse_is_the_mean_over_classes(outputs):
    targets = torch.tensor([0, 2, 1, 1, 0])
    found = values("softmax_mse", outputs, targets)
    for i in range(5):
        shares = torch.softmax(outputs[i], 0).tolist()
        squares = [(p - float(k == targets[i])) ** 2 for k, p in enumerate(shares)]
        assert float(found["loss"][i]) == pytest.approx(sum(squares) / 3, rel=1e-5)
    assert "accuracy" in found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_of_coarse_outputs_are_computed_in_float32(outputs, dtype):
    coarse = outputs.to(dtype)
    targets = torch.tensor([0, 2, 1, 1, 0])
    found = values("cross_entropy", coarse, targets)["loss"]
    assert found.dtype == torch.float32
    assert torch.equal(found, values("cross_entropy", coarse.float(), targets)["loss"])
    double = values("cross_entropy", outputs.double(), targets)["loss"]
    assert double.dtype == torch.float64


@pytest.mark.parametrize("key", ["labels", "label", "targets", "target", "y"])
def test_targets_of_a_dict_are_under_their_key_and_the_rest_are_arguments(key):
    def model(a, b):
        return SimpleNamespace(logits=10 * a + b)

    batch = {"a": torch.ones(2), "b": torch.zeros(2), key: torch.arange(2)}
    outputs, targets = forward(model, batch)
    assert outputs.tolist() == [10, 10]
    assert targets.tolist() == [0, 1]
    assert key in batch  # it stays as it was
    with pytest.raises(LossLandscapeError, match=r"no targets.*\['a', 'b'\].*labels"):
        forward(model, {"a": torch.ones(2), "b": torch.zeros(2)})


def test_of_a_tuple_the_last_are_the_targets():
    outputs, targets = forward(
        lambda a, b: 10 * a + b, (torch.ones(2), torch.zeros(2), torch.arange(2))
    )
    assert outputs.tolist() == [10, 10]
    assert targets.tolist() == [0, 1]
    with pytest.raises(LossLandscapeError, match=r"\(2, 3\)"):
        forward(Same(), (torch.ones(2, 3),))


@pytest.mark.parametrize(
    "name",
    ["", " a", "a ", "a/b", "a\nb", 3, "loss", "alpha", "gamma", "status", "step", "model_x",
     "trajectory_x", "loss_samples", "test_loss_standard_error", "x_interpolation_error",
     "loss_sample_count"],
)  # fmt: skip
def test_names_that_no_metric_can_have(name):
    assert name_taken(name)
    with pytest.raises(LossLandscapeError, match="metric"):
        resolve("mse", {name: lambda outputs, targets: targets})


@pytest.mark.parametrize("name", ["a", "top 5", "ä", "2nd", "model", "a-b", "losses", "samples"])
def test_names_that_a_metric_can_have(name):
    assert (name_taken(name) == "") == (name != "model")


def test_metrics_stand_beside_the_loss(outputs):
    found = values(
        "mse", outputs, outputs + 1, metrics={"error": lambda o, t: (t - o).abs().sum(1)}
    )
    assert list(found) == ["loss", "error"]
    torch.testing.assert_close(found["error"], torch.full((5,), 3.0))
    with pytest.raises(LossLandscapeError, match="pass metrics with a named loss only"):
        resolve(lambda model, batch: batch[0], {"error": torch.abs})


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda model, batch: torch.zeros(()), r"shape \(\).*\(4,\).*reduction"),
        (lambda model, batch: torch.zeros(4, 1), r"shape \(4, 1\)"),
        (lambda model, batch: torch.zeros(3), r"shape \(3,\)"),
        (lambda model, batch: 1.0, "float"),
        (lambda model, batch: {"error": torch.zeros(4)}, "no entry 'loss'"),
        (lambda model, batch: {"loss": torch.zeros(4), "step": torch.zeros(4)}, "'step'"),
        (lambda model, batch: {"loss": torch.zeros(4), "e": torch.zeros(())}, r"'e' .*\(4,\)"),
    ],
)
def test_what_is_not_a_number_a_sample_is_refused(function, message):
    with pytest.raises(LossLandscapeError, match=message) as caught:
        resolve(function)(Same(), (torch.zeros(4, 2), torch.zeros(4)))
    assert ("reduction" in str(caught.value)) == ("()" in str(caught.value))


def test_a_dict_of_losses_keeps_its_order():
    loss = resolve(lambda model, batch: {"error": torch.ones(4), "loss": torch.zeros(4)})
    assert list(loss(Same(), (torch.zeros(4),))) == ["error", "loss"]


@pytest.mark.parametrize("kind", ["tuple", "dict"])
def test_samples_without_a_target_weigh_nothing(kind, outputs):
    targets = torch.tensor([0, -100, 1, -100, 2])
    data = (outputs, targets) if kind == "tuple" else {"inputs": outputs, "labels": targets}
    loss = resolve("cross_entropy").fitted([SampleSet(data, "some")])
    found = loss(Same(), data)
    assert found["loss/weight"].tolist() == found["accuracy/weight"].tolist() == [1, 0, 1, 0, 1]
    mean = found["loss"].sum() / found["loss/weight"].sum()
    assert mean.item() == pytest.approx(functional.cross_entropy(outputs, targets).item())
    assert list(resolve("cross_entropy")(Same(), (outputs, targets.abs() % 3))) == [
        "loss",
        "accuracy",
    ]


@pytest.mark.parametrize(
    ("loss", "label"), [("cross_entropy", -100), (nn.CrossEntropyLoss(ignore_index=1), 1)]
)
def test_a_set_without_any_target_is_refused(loss, label):
    sets = [
        SampleSet((torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)), "train"),
        SampleSet((torch.zeros(4, 3), torch.full((4,), label)), "test"),
    ]
    resolve(loss).fitted(sets[:1])
    with pytest.raises(LossLandscapeError, match=f"test: all targets are ignored .label {label}"):
        resolve(loss).fitted(sets)


@pytest.mark.parametrize(("label", "offered"), [(255, 255), (3, 3), (-1, -1)])
@pytest.mark.parametrize("loss", ["cross_entropy", "softmax_mse", nn.CrossEntropyLoss()])
def test_a_label_that_is_no_class_is_named_with_its_sample(label, offered, loss):
    x, y = torch.zeros(8, 3), torch.randint(0, 3, (8,))
    y[5] = label
    samples = [SampleSet((x[:6], y[:6] * 0), "train"), SampleSet((x, y), "test")]
    loss = resolve(loss).fitted(samples)
    with pytest.raises(LossLandscapeError, match=rf"test: sample 5 has the label {label}.*0 to 2"):
        loss(Same(), (x[:2], y[:2]))


def test_a_loss_function_may_say_how_much_samples_weigh():
    losses, weights = torch.tensor([1.0, float("nan"), 3.0]), torch.tensor([2.0, 0.0, 1.0])
    x = (torch.zeros(3),)
    found = resolve(lambda model, batch: (losses, weights))(Same(), x)
    assert found["loss"].tolist() == [2, 0, 3]  # what weighs nothing may have any loss
    assert found["loss/weight"].tolist() == [2, 0, 1]
    both = resolve(lambda model, batch: {"loss": losses, "error": (losses, weights)})(Same(), x)
    assert list(both) == ["loss", "error", "error/weight"]
    with pytest.raises(LossLandscapeError, match=r"the weights of a batch of 3 .*\(2,\)"):
        resolve(lambda model, batch: (losses, weights[:1].expand(2)))(Same(), x)
    with pytest.raises(LossLandscapeError, match=r"weights .* have shape float"):
        resolve(lambda model, batch: (losses, 2.0))(Same(), x)


def test_named_losses_have_no_code_and_functions_have():
    def own(model, batch):
        return batch[0].sum(1)

    assert NAMES == ("cross_entropy", "mse", "softmax_mse", "own")
    named, function = resolve("mse"), resolve(own)
    assert named.code_hash() is None
    assert named.may_have_code(None)
    assert not named.may_have_code("a hash")
    assert function.may_have_code(function.code_hash())
    assert not function.may_have_code("a hash")
    assert function.name.endswith("own")
    with pytest.raises(LossLandscapeError, match="'hinge' is not one of cross_entropy"):
        resolve("hinge")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (tuple, r"tuple \(0 of shape \(2, 3\), 1 of shape \(2,\)\).*model\(batch\[0\]\)\[0\]"),
        (
            lambda two: {"out": two[0], "n": 3},
            r"dict \('out' of shape \(2, 3\), 'n' \(int\)\).*\['out'\]",
        ),
        (
            lambda two: SimpleNamespace(boxes=two[0]),
            r"\.boxes of shape.*model\(batch\[0\]\)\.boxes",
        ),
    ],
)
def test_several_outputs_are_named(made, words):
    def model(inputs):
        return made([inputs, inputs.sum(1)])

    for loss in ("cross_entropy", nn.CrossEntropyLoss()):
        with pytest.raises(LossLandscapeError, match=words):
            resolve(loss)(model, (torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)))


def test_labels_that_are_the_inputs_must_be_shifted():
    tokens = torch.tensor([[1, 2, 3], [3, 1, 2]])
    labels = tokens.clone()
    labels[1, 2] = -100  # padding
    for loss in ("cross_entropy", nn.CrossEntropyLoss()):
        with pytest.raises(LossLandscapeError, match="shift"):
            resolve(loss).fitted([SampleSet({"input_ids": tokens, "labels": labels}, "train")])
    shifted = {"input_ids": tokens, "labels": tokens.roll(-1, 1)}
    resolve("cross_entropy").fitted([SampleSet(shifted, "train")])
