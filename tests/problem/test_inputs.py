"""Landscapes over the inputs, against direct calls of the network at the moved inputs."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.analysis.critical_points import find_critical_points
from losslandscape.analysis.verification import verify
from losslandscape.errors import LossLandscapeError
from losslandscape.point.plane_derivatives import PlaneDerivatives

GRID = Grid.rectangle((5, 4), ((-0.4, 0.3), (-0.2, 0.5)))


def vectors(plane):
    return [plane.layout.views(direction)["inputs"] for direction in plane.directions]


@pytest.mark.parametrize("clip", [None, (-3.0, 3.0)])
@torch.no_grad()
def test_every_point_is_the_loss_of_the_network_at_the_moved_inputs(cnn, images, clip):
    inputs, targets = images
    inputs = inputs.clamp(-3, 3)
    over = Objective(cnn, "cross_entropy", (inputs, targets)).over_inputs(clip, clip=bool(clip))
    plane = Subspace.inputs(over)
    found = evaluate(over, plane, GRID, quiet=True)
    cnn.eval()
    first, second = vectors(plane)
    for number, (a, b) in enumerate(GRID.points()):
        moved = inputs + float(a) * first + float(b) * second
        fed = moved.clamp(-3, 3) if clip else moved
        losses = nn.functional.cross_entropy(cnn(fed), targets, reduction="none")
        stored = found.samples["loss_samples"].reshape(-1, len(targets))[number]
        torch.testing.assert_close(torch.tensor(stored), losses, rtol=1e-4, atol=1e-5)
        assert found.values("accuracy").ravel()[number] == pytest.approx(
            float((cnn(fed).argmax(1) == targets).float().mean())
        )
        if clip:
            share = float((moved.abs() > 3).float().mean())
            assert found.values("outside_range").ravel()[number] == pytest.approx(share, abs=1e-6)
    assert ("outside_range" in found.fields) == bool(clip)
    assert found.provenance["subspace"]["clipped"] is bool(clip)
    assert found.provenance["direction_names"] == ["gradient sign", "random signs"]


def test_the_network_stays_as_it_was(cnn, images):
    cnn.train()
    before = {name: value.clone() for name, value in cnn.state_dict().items()}
    over = Objective(cnn, "cross_entropy", images).over_inputs()
    evaluate(over, Subspace.inputs(over), GRID, quiet=True)
    assert all(parameter.requires_grad for parameter in cnn.parameters())
    assert cnn.training
    assert cnn.norm.training
    for name, value in cnn.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_range_that_is_not_clipped_is_measured_alone(cnn, images):
    inputs, targets = images
    inputs = inputs.clamp(-1, 1)
    plain = Objective(cnn, "cross_entropy", (inputs, targets))
    over = plain.over_inputs((-1.0, 1.0))
    found = evaluate(over, Subspace.inputs(over), GRID, quiet=True)
    bare = plain.over_inputs()
    reference = evaluate(bare, Subspace.inputs(bare), GRID, quiet=True)
    np.testing.assert_array_equal(found.values("loss"), reference.values("loss"))
    assert found.values("outside_range").max() > 0.1


def test_a_loss_of_the_users_gets_the_inputs_themselves(cnn, images):
    seen = []

    def reconstruction(model, batch):
        pictures, _ = batch
        seen.append(pictures.dtype)
        return (model(pictures) - pictures.flatten(1)[:, :5]).square().mean(1)

    over = Objective(cnn, reconstruction, images).over_inputs()
    plane = Subspace.inputs(over, ["random_sign"])
    found = evaluate(over, plane, Grid.line(3, 0.1), quiet=True)
    cnn.eval()
    inputs, (direction,) = images[0], vectors(plane)
    with torch.no_grad():
        expected = reconstruction(cnn, (inputs + 0.1 * direction, images[1])).mean()
    assert found.values("loss")[2] == pytest.approx(float(expected), rel=1e-5)
    assert set(seen) == {torch.float32}


def test_batches_of_keywords(images):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(192, 5)

        def forward(self, mask, pixels):
            return self.layer(pixels.flatten(1)) * mask[:, None]

    model, (inputs, targets) = Named(), images
    data = {"mask": torch.ones(40, dtype=torch.long), "pixels": inputs, "labels": targets}
    over = Objective(model, "cross_entropy", data).over_inputs()
    plane = Subspace.inputs(over, ["gradient_sign"])
    found = evaluate(over, plane, Grid.line(3, 0.1), quiet=True)
    with torch.no_grad():
        moved = inputs + 0.1 * vectors(plane)[0]
        expected = nn.functional.cross_entropy(model(data["mask"], moved), targets)
    assert found.values("loss")[2] == pytest.approx(float(expected), rel=1e-5)


def test_tolerance_topology_and_verification(cnn, images):
    over = Objective(cnn, "cross_entropy", images, batch_size=40).over_inputs()
    plane = Subspace.inputs(over, ["gradient", "random"], seed=3)
    grid = Grid.square(15, 3.0)
    full = evaluate(over, plane, grid, quiet=True)
    some = evaluate(over, plane, grid, tolerance=0.02, quiet=True)
    evaluated = some.status == 1
    assert 0 < evaluated.sum() < grid.size
    np.testing.assert_array_equal(some.values()[evaluated], full.values()[evaluated])
    found = find_critical_points(full, draws=50)
    checked = verify(full, found, over, plane)
    assert len(checked.table()) == len(found.table())


def test_the_gradient_in_the_plane_is_that_of_the_inputs(cnn, images):
    over = Objective(cnn.double(), "cross_entropy", (images[0].double(), images[1])).over_inputs()
    plane = Subspace.inputs(over, ["gradient", "random"])
    with PlaneDerivatives(over, plane) as loss:
        gradient = loss.gradient((0.0, 0.0))
    cnn.eval()
    inputs = images[0].double().requires_grad_()
    total = nn.functional.cross_entropy(cnn(inputs), images[1])
    (own,) = torch.autograd.grad(total, inputs)
    # along each sample's own unit gradient the mean loss rises by the mean of the norms
    assert gradient[0] == pytest.approx(float(own.flatten(1).norm(dim=1).sum()), rel=1e-6)
    assert gradient[1] == pytest.approx(0, abs=1e-12)


def test_an_interrupted_run_continues_and_another_batch_is_refused(cnn, images, tmp_path):
    calls = [0, 10**9]

    def loss(model, batch):
        calls[0] += 1
        if calls[0] > calls[1]:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    def run(inputs):
        over = Objective(cnn, loss, (inputs, images[1]), batch_size=40).over_inputs()
        plane = Subspace.inputs(over)
        calls[0] = 0
        return evaluate(over, plane, GRID, path=tmp_path / "x.nc", quiet=True)

    calls[1] = 12
    with pytest.raises(KeyboardInterrupt, match=r"points are in .*journal"):
        run(images[0])
    calls[1] = 10**9
    with pytest.raises(LossLandscapeError, match="an unfinished run lies there"):
        run(images[0] + 1)
    found = run(images[0])
    assert calls[0] < GRID.size
    (tmp_path / "x.nc").unlink()
    np.testing.assert_array_equal(found.values(), run(images[0]).values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: {"data": {"a": (x, y), "b": (x, y)}}, "one set of samples"),
        (lambda x, y: {"batch_norm": "reestimated"}, "batch_norm='fixed'"),
        (lambda x, y: {"compile": True}, "compile=True"),
        (lambda x, y: {"loss": "mse", "data": (y, y)}, "only floating-point inputs"),
    ],
)
def test_what_cannot_move_is_refused(cnn, images, change, words):
    arguments = {"loss": "cross_entropy", "data": images, **change(*images)}
    loss, data = arguments.pop("loss"), arguments.pop("data")
    with pytest.raises(LossLandscapeError, match=words):
        Objective(cnn, loss, data, **arguments).over_inputs()


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((), {"clip": True}, "needs the range"),
        (((1.0, 0.0),), {}, "runs from 1 to 0; the first is the lower"),
        ((3,), {}, r"pass a pair \(low, high\)"),
        (((0.0, 1.0),), {}, "lie outside of valid_range 0 to 1 before anything moves"),
        ((), {"place": 7}, "no inputs at 7"),
    ],
)
def test_arguments_are_checked(cnn, images, arguments, options, words):
    with pytest.raises(LossLandscapeError, match=words):
        Objective(cnn, "cross_entropy", images).over_inputs(*arguments, **options)


def test_class_weights_count_as_in_the_loss_of_torch(cnn, images):
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0])
    over = Objective(cnn, nn.CrossEntropyLoss(weight=weights), images).over_inputs()
    plane = Subspace.inputs(over, ["gradient_sign"])
    found = evaluate(over, plane, Grid.line(3, 0.1), quiet=True)
    cnn.eval()
    with torch.no_grad():
        moved = images[0] + 0.1 * vectors(plane)[0]
        expected = nn.functional.cross_entropy(cnn(moved), images[1], weight=weights)
    assert found.values("loss")[2] == pytest.approx(float(expected), rel=1e-5)
