"""Losses of PyTorch: the mean over samples is PyTorch's own value, or the loss is refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.problem.losses import resolve
from losslandscape.problem.torch_losses import as_torch_loss


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def measured(loss, model, x, y):
    """The landscape's value at the origin, in batches that are smaller than the set."""
    objective = ll.Objective(model.eval(), loss, (x, y), batch_size=7)
    plane = ll.Subspace.random(model, dimensions=1, seed=0)
    landscape = ll.evaluate(objective, plane, ll.Grid.line(3, half_width=0.1), quiet=True)
    assert landscape.fields["loss_standard_error"][1] > 0
    return float(landscape.values("loss")[1])


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.CrossEntropyLoss(ignore_index=7), functional.cross_entropy, nn.MultiMarginLoss(),
    ],
)  # fmt: skip
def test_classes(loss):
    model, x, y = nn.Linear(4, 3), torch.randn(20, 4), torch.randint(0, 3, (20,))
    assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(beta=0.3), nn.HuberLoss(delta=0.5),
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0, 0.5])), nn.SoftMarginLoss(),
        nn.BCEWithLogitsLoss(weight=torch.tensor([3.0, 0.5])), nn.PoissonNLLLoss(),
        nn.MultiLabelSoftMarginLoss(weight=torch.tensor([3.0, 0.5])), functional.huber_loss,
    ],
)  # fmt: skip
def test_numbers(loss):
    model, x, y = nn.Linear(4, 2), torch.randn(20, 4), (torch.randn(20, 2) > 0).float()
    assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "batchmean"])
def test_divergences(reduction):
    model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1))
    x, y = torch.randn(20, 4), torch.randn(20, 3).softmax(1)
    loss = nn.KLDivLoss(reduction=reduction)
    assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)


def test_probabilities_and_negative_log_likelihoods():
    model, x = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1)), torch.randn(20, 4)
    loss, y = nn.CrossEntropyLoss(), torch.randn(20, 3).softmax(1)
    assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)
    labels = torch.randint(0, 3, (20,))
    for own in (nn.NLLLoss(), functional.nll_loss):
        assert measured(own, model, x, labels) == pytest.approx(own(model(x), labels).item())


def test_positions_of_which_as_many_count_in_each_sample():
    model, x = nn.Conv2d(2, 3, 1), torch.randn(9, 2, 4, 4)
    y, loss = torch.randint(0, 3, (9, 4, 4)), nn.CrossEntropyLoss(ignore_index=255)
    y[:, 0] = 255  # a margin
    assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)
    found = resolve(loss)(model, (x, y))
    right = model(x).argmax(1)[:, 1:] == y[:, 1:]
    assert found["accuracy"].tolist() == right.flatten(1).sum(1).tolist()
    assert found["accuracy/weight"].tolist() == [12] * 9


WEIGHTS = torch.tensor([1.0, 5.0, 0.2])


@pytest.mark.parametrize("places", [(), (6,), (4, 4)])
@pytest.mark.parametrize(
    "options",
    [
        {"weight": WEIGHTS}, {"ignore_index": 2}, {"weight": WEIGHTS, "ignore_index": 1},
        {"weight": WEIGHTS, "label_smoothing": 0.2}, {"ignore_index": 255, "label_smoothing": 0.2},
        {"weight": torch.tensor([0.0, 1.0, 2.0]), "label_smoothing": 0.2},
        {"weight": WEIGHTS, "ignore_index": 255, "label_smoothing": 0.2},
    ],
)  # fmt: skip
def test_weighted_means(options, places):
    """Samples of different weights; one of them has no target that counts."""
    model = (nn.Linear(4, 3), nn.Conv1d(4, 3, 1), nn.Conv2d(4, 3, 1))[len(places)]
    x, y, loss = torch.randn(20, 4, *places), torch.randint(0, 3, (20, *places)), None
    if "ignore_index" in options:
        y[5] = options["ignore_index"]
        y.reshape(20, -1)[7, :3] = options["ignore_index"]
    loss = nn.CrossEntropyLoss(**options)
    assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)
    options.pop("label_smoothing", None)
    loss, model = nn.NLLLoss(**options), nn.Sequential(model, nn.LogSoftmax(1))
    if options:
        y[y == 255] = options.get("ignore_index", 0)
        assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)


def test_class_weights_with_probabilities_do_not_weigh_samples():
    model, x, y = nn.Linear(4, 3), torch.randn(20, 4), torch.randn(20, 3).softmax(1)
    loss = nn.CrossEntropyLoss(weight=WEIGHTS)
    assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)


def test_the_accuracy_leaves_out_what_is_ignored():
    model, x, y = nn.Linear(4, 3).eval(), torch.randn(20, 4), torch.randint(0, 3, (20,))
    y[::3] = 9
    loss = nn.CrossEntropyLoss(ignore_index=9)
    plane = ll.Subspace.random(model, dimensions=1, seed=0)
    landscape = ll.evaluate(
        ll.Objective(model, loss, (x, y)), plane, ll.Grid.line(3, half_width=0.1), quiet=True
    )
    right = (model(x).argmax(1) == y)[y != 9].float().mean().item()
    assert landscape.values("accuracy")[1] == pytest.approx(right)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (nn.MSELoss(reduction="sum"), 'MSELoss: reduction="sum"'),
        (nn.CTCLoss(), "CTCLoss: this loss of torch takes more than outputs and targets"),
    ],
)
def test_what_is_no_mean_over_samples_is_refused(loss, message):
    with pytest.raises(LossLandscapeError, match=message):
        resolve(loss)


def test_shapes_that_would_be_broadcast_are_refused():
    with pytest.raises(LossLandscapeError, match=r"L1Loss.*\[:, None\]"):
        resolve(nn.L1Loss())(nn.Linear(4, 1), (torch.randn(5, 4), torch.randn(5)))


def test_the_options_are_in_the_name():
    def name(value):
        return resolve(nn.BCEWithLogitsLoss(pos_weight=torch.tensor([value]))).name

    assert name(1.0) == name(1.0) != name(2.0)
    smooth = resolve(nn.CrossEntropyLoss(label_smoothing=0.1)).name
    assert smooth != resolve(functional.cross_entropy).name == resolve(nn.CrossEntropyLoss()).name
    assert "label_smoothing=0.1" in smooth
    mine = nn.MSELoss()
    resolve(mine)
    assert mine.reduction == "mean"  # the caller's own stays as it was


@pytest.mark.parametrize("ignored", [0, 2])
def test_the_accuracy_of_a_sequence_is_the_share_of_its_counted_places(ignored):
    loss = as_torch_loss(nn.CrossEntropyLoss(ignore_index=255))
    outputs, targets = torch.randn(6, 3, 5), torch.randint(0, 3, (6, 5))
    targets[:, :ignored] = 255
    right = (outputs.argmax(1) == targets)[:, ignored:]
    found = loss.accuracy(outputs, targets)
    assert found.numerators.tolist() == [sum(row) for row in right.tolist()]
    assert found.weights.tolist() == [5 - ignored] * 6
    assert loss(outputs, targets).numerators.shape == (6,)


def test_the_accuracy_of_single_labels_and_of_probabilities():
    loss = as_torch_loss(nn.CrossEntropyLoss())
    outputs = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    labels = torch.tensor([1, 1, 1])
    assert loss.accuracy(outputs, labels).tolist() == [True, False, True]
    shares = torch.tensor([[0.4, 0.6], [0.9, 0.1], [0.8, 0.2]])
    assert loss.accuracy(outputs, shares).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("outputs", "targets", "advised"),
    [
        ((5, 1), (5,), True),
        ((5, 2), (5,), False),
        ((5,), (5, 1), False),
        ((5, 2, 1), (5, 2), False),
    ],
)
def test_a_column_is_advised_where_it_is_what_is_missing(outputs, targets, advised):
    with pytest.raises(LossLandscapeError, match="must agree") as caught:
        as_torch_loss(nn.MSELoss())(torch.zeros(outputs), torch.zeros(targets))
    assert ("targets[:, None]" in str(caught.value)) == advised


def test_what_is_no_loss_of_torch_is_not_taken_for_one():
    class Own(nn.MSELoss):
        pass

    class WithoutHash:
        __hash__ = None

        def __call__(self, model, batch):
            return batch

    for other in (Own(), WithoutHash(), lambda model, batch: batch, "mse"):
        assert as_torch_loss(other) is None


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "message"),
    [
        (nn.MultiLabelSoftMarginLoss(), (14, 1), (14,), r"\(14, 1\).*\(14,\).*\[:, None\]"),
        (nn.MultiLabelSoftMarginLoss(), (7, 2), (1, 2), r"\(7, 2\).*\(1, 2\); they must agree"),
        (nn.MultiLabelSoftMarginLoss(), (7,), (7,), r"\(7,\).*\(7,\); it needs \(n, classes\)"),
        (nn.MultiLabelMarginLoss(), (7, 2), (7,), r"\(7, 2\).*\(7,\); they must agree"),
        (nn.MultiMarginLoss(), (7, 3), (7, 1), r"\(7, 3\).*\(7, 1\); it needs outputs"),
        (nn.MultiMarginLoss(), (7, 3), (1,), r"\(7, 3\).*\(1,\); it needs outputs"),
        (nn.MultiMarginLoss(), (7,), (7,), r"\(7,\).*\(7,\); it needs outputs"),
    ],
)
def test_shapes_that_would_pair_the_wrong_samples_are_refused(loss, outputs, targets, message):
    with pytest.raises(LossLandscapeError, match=message):
        as_torch_loss(loss)(torch.zeros(outputs), torch.zeros(targets, dtype=torch.int64))


def test_single_outputs_of_several_labels():
    model, x, y = nn.Linear(6, 1), torch.randn(14, 6), (torch.randn(14) > 0).float()
    loss = nn.MultiLabelSoftMarginLoss()
    with pytest.raises(LossLandscapeError, match="must agree"):
        measured(loss, model, x, y)
    right = loss(model(x), y[:, None]).item()
    assert measured(loss, model, x, y[:, None]) == pytest.approx(right, rel=1e-6)


def test_several_labels_by_margin():
    model, x = nn.Linear(4, 3), torch.randn(20, 4)
    y = torch.tensor([[0, -1, 0], [2, 1, -1]]).repeat(10, 1)
    loss = nn.MultiLabelMarginLoss()
    assert measured(loss, model, x, y) == pytest.approx(loss(model(x), y).item(), rel=1e-6)


@pytest.mark.parametrize("kind", [nn.BCELoss, nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss])
@pytest.mark.parametrize("shape", [(8, 2), (8, 1), (1, 8, 2)])
def test_weights_by_position_in_the_batch_are_refused(kind, shape):
    outputs, targets = torch.full((8, 2), 0.5), torch.ones(8, 2)
    with pytest.raises(LossLandscapeError, match=r"weight has shape .*position.*loss of your own"):
        as_torch_loss(kind(weight=torch.ones(shape)))(outputs, targets)
    as_torch_loss(kind(weight=torch.ones(1, 2)))(outputs, targets)


def test_weights_of_half_of_the_samples_are_refused():
    model, x, y = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), torch.randn(64, 4), torch.ones(64)
    for option in ("weight", "pos_weight"):
        objective = ll.Objective(
            model, nn.BCEWithLogitsLoss(**{option: torch.rand(32)}), (x, y), batch_size=32
        )
        plane = ll.Subspace.random(model, dimensions=1, seed=0)
        with pytest.raises(LossLandscapeError, match=f"{option} has shape \\(32,\\)"):
            ll.evaluate(objective, plane, ll.Grid.line(3, half_width=0.1), quiet=True)


@pytest.mark.parametrize(
    "kind", [nn.MultiMarginLoss, nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss]
)
def test_weights_take_the_type_of_the_outputs(kind):
    mine = kind(weight=torch.tensor([3.0, 0.5]))
    loss = as_torch_loss(mine)
    outputs = torch.randn(6, 2, dtype=torch.float64)
    targets = (torch.randn(6, 2) > 0).double()
    if kind is nn.MultiMarginLoss:
        targets = targets[:, 0].long()
    expected = kind(weight=mine.weight.double())(outputs, targets)
    assert loss(outputs, targets).dtype == torch.float64
    assert loss(outputs, targets).mean().item() == pytest.approx(expected.item(), rel=1e-12)
    assert mine.weight.dtype == loss.module.weight.dtype == torch.float32


def test_a_class_in_place_of_a_loss():
    class Own(nn.Module):
        pass

    with pytest.raises(LossLandscapeError, match=r"pass an instance: nn.CrossEntropyLoss\(\)"):
        resolve(nn.CrossEntropyLoss)
    with pytest.raises(LossLandscapeError, match=r"pass an instance: Own\(\)"):
        resolve(Own)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_scripted_losses_are_refused():
    def square(outputs: torch.Tensor, targets: torch.Tensor):
        return (outputs - targets) ** 2

    for scripted, name in (
        (torch.jit.script(nn.MSELoss()), "MSELoss"),
        (torch.jit.script(square), "square"),
    ):
        with pytest.raises(LossLandscapeError, match=f"loss {name}: made by torch.jit.script"):
            resolve(scripted)


def test_weights_first_used_in_inference_mode_take_gradients_later():
    loss = as_torch_loss(nn.BCEWithLogitsLoss(weight=torch.tensor([3.0, 0.5])))
    outputs, targets = torch.randn(6, 2, dtype=torch.float64), torch.ones(6, 2).double()
    with torch.inference_mode():
        loss(outputs, targets)
    loss(outputs.requires_grad_(), targets).sum().backward()
    assert outputs.grad.abs().min() > 0
