"""precision="auto" from beginning to end, with bfloat16 that any processor can compute.

The times of the trial are not those of a test's machine: what it decides is tested in
test_fast_type.py, and here it is made to decide for bfloat16.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.adaptive.two_precisions import SHARE, TwoPrecisions
from losslandscape.cli import info
from losslandscape.run import fast_type
from losslandscape.run.storing import Store
from losslandscape.study.datasets import digits, stratified_subset

FLOAT32, BFLOAT16 = 24, 8


@pytest.fixture(autouse=True)
def always_worthwhile(monkeypatch):
    monkeypatch.setattr(fast_type, "WORTHWHILE", np.inf)
    monkeypatch.setattr(fast_type, "_HOPELESS", np.inf)


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def tanh():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Tanh(), nn.Linear(24, 10))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def trained(build, seed, epochs=60):
    images, labels = stratified_subset(*digits(size=8, channels=1), 120)
    torch.manual_seed(seed)
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval(), (images, labels)


@pytest.fixture(scope="module")
def problem():
    return trained(perceptron, 0)


def measured(problem, precision="auto", grid=17, **options):
    model, data = problem
    objective = Objective(model, "cross_entropy", data, precision=precision, batch_size=120)
    plane = Subspace.random(model, seed=0)
    return evaluate(objective, plane, Grid.square(grid), quiet=True, **options)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("build", [perceptron, tanh, convolutional])
@pytest.mark.parametrize("tolerance", [None, 0.01])
def test_true_errors_against_float64_are_within_the_stated_ones(build, seed, tolerance):
    problem = trained(build, seed)
    grid = 17 if tolerance is None else 31
    found = measured(problem, grid=grid, tolerance=tolerance)
    truth = measured(problem, "float64", grid).values()
    stated = found.provenance["precision"]
    assert stated["type"] == "bfloat16"
    bits = found.values("precision_bits")
    fast = bits == BFLOAT16
    errors = np.abs(found.values() - truth)
    of_type = found.values("loss_precision_error")
    rounding = 1e-5 * truth  # of float32 itself
    assert (errors[bits == FLOAT32] <= rounding[bits == FLOAT32]).all()
    assert (errors[fast] <= of_type[fast] + rounding[fast]).mean() >= 0.95
    assert errors[fast].max() > 10 * rounding.max()  # and it is bfloat16
    interpolation = found.fields.get("loss_interpolation_error", np.zeros(grid))
    total = np.hypot(of_type, interpolation)
    assert (errors <= total + rounding).mean() >= 0.95
    scale = np.log10 if stated["scale"] == "log" else np.asarray
    shares = np.abs(scale(found.values()) - scale(truth)) / np.ptp(scale(truth))
    assert shares.max() <= 0.01
    assert stated["largest_difference"] <= SHARE * 0.01
    assert (shares[fast] <= stated["difference_95"]).mean() >= 0.95
    assert shares[fast].max() <= 1.5 * stated["largest_difference"]


def test_each_point_has_the_bits_of_its_type(problem):
    found = measured(problem)
    bits = found.values("precision_bits")
    assert set(np.unique(bits)) == {BFLOAT16, FLOAT32}
    for number, name in ((BFLOAT16, "bfloat16"), (FLOAT32, "float32")):
        alone = measured(problem, name)
        for field in ("loss", "accuracy", "loss_standard_error"):
            np.testing.assert_array_equal(
                found.values(field)[bits == number], alone.values(field)[bits == number]
            )
        np.testing.assert_array_equal(
            found.samples["loss_samples"][bits == number],
            alone.samples["loss_samples"][bits == number],
        )
    losses = found.values()
    assert bits.flat[losses.argmin()] == bits.flat[losses.argmax()] == FLOAT32
    error = found.values("loss_precision_error")
    assert (error[bits == FLOAT32] == 0).all()
    assert (error[bits == BFLOAT16] > 0).all()
    exact = measured(problem, "float32")
    others = found.provenance["precision"]["others"]["accuracy"]
    fast = measured(problem, "bfloat16")
    largest = np.abs(exact.values("accuracy") - fast.values("accuracy")).max()
    assert 0 <= others["largest_found"] <= largest


def test_an_adaptive_landscape_has_the_whole_tolerance_and_both_errors(problem):
    found = measured(problem, grid=41, tolerance=0.02)
    adaptive, stated = found.provenance["adaptive"], found.provenance["precision"]
    assert adaptive["tolerance"] == stated["tolerance"] == 0.02
    assert adaptive["interpolation_tolerance"] == pytest.approx(0.02 * np.sqrt(1 - SHARE**2))
    together = np.hypot(adaptive["estimated_error"], stated["largest_difference"])
    assert stated["together"] == pytest.approx(together)
    assert together <= 0.02
    bits = found.values("precision_bits")
    assert np.isnan(bits[found.status == 2]).all()
    assert np.isfinite(bits[found.status == 1]).all()
    assert np.isfinite(found.values("loss_precision_error")).all()
    assert stated["fast_points"] == (bits == BFLOAT16).sum()
    assert stated["exact_points"] == (bits == FLOAT32).sum()


@pytest.mark.parametrize("tolerance", [None, 0.02])
def test_neither_workers_nor_interruptions_change_a_bit(problem, tolerance, tmp_path, monkeypatch):
    grid = 13 if tolerance is None else 31
    whole = measured(problem, grid=grid, tolerance=tolerance)
    with ThreadPoolExecutor(1) as executor:
        same(measured(problem, grid=grid, tolerance=tolerance, executor=executor), whole)
    add, path = Store.add, tmp_path / "x.nc"
    counts = {"added": 0, "fast": 0}

    def interrupted(self, number, record, under=None):
        add(self, number, record, under)
        counts["added"] += 1
        counts["fast"] += under is not None
        if counts["added"] % 53 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "add", interrupted)
    stops = []
    for _ in range(20):
        try:
            found = measured(problem, grid=grid, tolerance=tolerance, path=path)
            break
        except KeyboardInterrupt:
            stops.append(counts["fast"])
            # the trial is not repeated: another time would decide otherwise
            monkeypatch.setattr(fast_type, "WORTHWHILE", 0)
    assert len(stops) >= 2
    # each point of each kind once; one of the interruptions came among those in float32
    assert counts["added"] == counts["fast"] + (found.values("precision_bits") == FLOAT32).sum()
    assert stops[-1] == counts["fast"] > stops[0]
    same(found, whole)
    same(Landscape.open(path), whole)


def same(one, other):
    for name, values in other.fields.items():
        np.testing.assert_array_equal(one.values(name), values, err_msg=name)
    np.testing.assert_array_equal(one.status, other.status)
    for name, values in other.samples.items():
        np.testing.assert_array_equal(one.samples[name], values)
    ours, theirs = (dict(x.provenance["precision"]) for x in (one, other))
    for timed in ("speed_up", "seconds"):
        ours.pop(timed), theirs.pop(timed)
    assert ours == theirs


def test_a_part_of_the_samples_is_the_same_in_both_types():
    torch.manual_seed(0)
    count = 16_384
    inputs = torch.randn(count, 6)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    labels = model(inputs).argmax(1)
    objectives = {
        name: Objective(
            model, "cross_entropy", (inputs, labels), precision=name, batch_size=512,
            dataset_samples=count,
        )
        for name in ("auto", "float64")
    }  # fmt: skip
    plane, grid = Subspace.random(model, seed=0), Grid.square(21)
    found = evaluate(objectives["auto"], plane, grid, tolerance=0.05, quiet=True)
    stated, adaptive = found.provenance["precision"], found.provenance["adaptive"]
    assert stated["type"] == "bfloat16"
    counts = found.values("loss_sample_count")[found.status == 1]
    assert (counts < count).any()
    left = np.sqrt(1 - SHARE**2 - 0.25)
    assert adaptive["interpolation_tolerance"] == pytest.approx(0.05 * left)
    sampling = adaptive["allotment"]["error"] / stated["range"]
    terms = stated["largest_difference"], adaptive["estimated_error"], sampling
    assert stated["together"] == pytest.approx(np.sqrt(np.square(terms).sum()))
    # differences of two sampling errors would be some 2% of the range
    assert stated["largest_found"] < 0.003
    truth = evaluate(objectives["float64"], plane, grid, quiet=True, keep_samples=False).values()
    scale = np.log10 if stated["scale"] == "log" else np.asarray
    assert np.abs(scale(found.values()) - scale(truth)).max() <= 0.05 * np.ptp(scale(truth))


@pytest.mark.parametrize("tolerance", [None, 0.02])
def test_where_two_types_do_not_do_everything_is_that_of_float32(problem, tolerance, monkeypatch):
    def gives_up(self, exact):
        if self.drawn.any():
            self.fallen_back = "the reason"
            return np.empty(0, int)
        return next_round(self, exact)

    next_round = TwoPrecisions.next_round
    monkeypatch.setattr(TwoPrecisions, "next_round", gives_up)
    grid = 13 if tolerance is None else 31
    found = measured(problem, grid=grid, tolerance=tolerance)
    exact = measured(problem, "float32", grid, tolerance=tolerance)
    known = (exact.status == 1) & (found.status == 1)
    np.testing.assert_array_equal(found.values()[known], exact.values()[known])
    assert (found.status == 1).sum() >= (exact.status == 1).sum()
    assert set(np.unique(found.values("precision_bits")[found.status == 1])) == {FLOAT32}
    assert found.provenance["precision"]["reason"] == "bfloat16 was tried, and the reason"
    assert "loss_precision_error" not in found.fields
    if tolerance is None:
        np.testing.assert_array_equal(found.values(), exact.values())
        np.testing.assert_array_equal(found.samples["loss_samples"], exact.samples["loss_samples"])
    else:
        assert "interpolation_tolerance" not in found.provenance["adaptive"]


def test_a_network_that_bfloat16_makes_rough_is_measured_in_float32():
    torch.manual_seed(0)
    inputs = torch.randn(64, 8)
    model = nn.Linear(8, 1)
    with torch.no_grad():
        model.bias.fill_(300.0)  # outputs in bfloat16 are multiples of 2
    targets = model(inputs).detach() + 0.1 * torch.randn(64, 1)
    objective = Objective(model, "mse", (inputs, targets), precision="auto", batch_size=64)
    plane = Subspace.random(model, seed=0)
    found = evaluate(objective, plane, Grid.square(13), quiet=True)
    assert found.provenance["precision"]["type"] == "float32"
    assert "differ from those in float32" in found.provenance["precision"]["reason"]
    exact = Objective(model, "mse", (inputs, targets), precision="float32", batch_size=64)
    expected = evaluate(exact, plane, Grid.square(13), quiet=True)
    np.testing.assert_array_equal(found.values(), expected.values())


def test_a_machine_without_a_faster_type_measures_in_float32(problem, monkeypatch, tmp_path):
    monkeypatch.setattr(fast_type, "_HOPELESS", 0.0)
    found = measured(problem, grid=5, path=tmp_path / "x.nc")
    np.testing.assert_array_equal(found.values(), measured(problem, "float32", 5).values())
    assert (found.values("precision_bits") == FLOAT32).all()
    lines = "\n".join(info._lines(Landscape.open(tmp_path / "x.nc")))
    assert "precision   float32 at all points: bfloat16 is slower than float32" in lines


def test_info_says_what_is_in_which_type(problem, tmp_path):
    found = measured(problem, path=tmp_path / "x.nc")
    lines = "\n".join(info._lines(Landscape.open(tmp_path / "x.nc")))
    fast = int((found.values("precision_bits") == BFLOAT16).sum())
    assert f"precision   bfloat16 at {fast} points" in lines
    assert "a third of the tolerance, 1% as none was given" in lines
    assert found.provenance["objective"]["precision"] == "auto"


def test_derivatives_trajectories_and_models_are_in_float32(problem, monkeypatch):
    model, data = problem
    # between two minima, most of the range is the noise of bfloat16's small losses
    monkeypatch.setattr("losslandscape.run.task.DEFAULT_TOLERANCE", 0.1)
    other = trained(perceptron, 1)[0]
    objective = Objective(model, "cross_entropy", data, precision="auto", batch_size=120)
    line = Subspace.between(model, other)
    found = evaluate(objective, line, Grid.line(151), quiet=True)
    exact = Objective(model, "cross_entropy", data, precision="float32", batch_size=120)
    expected = evaluate(exact, line, Grid.line(151), quiet=True)
    assert found.provenance["precision"]["type"] == "bfloat16"
    assert [m.loss for m in found.models] == [m.loss for m in expected.models]
    assert objective.arithmetic == exact.arithmetic
    stated = found.provenance["determinism"]["origin_loss"]
    assert stated == expected.provenance["determinism"]["origin_loss"]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_auto_computes_in_the_model_s_own_type_or_float32(dtype, expected):
    model = nn.Linear(3, 2).to(dtype)
    data = torch.randn(8, 3).to(dtype), torch.randint(0, 2, (8,))
    objective = Objective(model, "cross_entropy", data, precision="auto")
    assert objective.auto
    assert objective.dtype == expected
    assert objective.to_json()["precision"] == "auto"
    narrow = objective.in_precision("bfloat16")
    assert not narrow.auto
    assert narrow.arithmetic.autocast == torch.bfloat16
    assert narrow.to_json()["precision"] == "bfloat16"
