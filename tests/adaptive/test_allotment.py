"""Each point uses only as many samples as its sampling error needs."""

import copy
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kurtosis

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.adaptive.allotment import (
    Allotment,
    _needed,
    least,
    may_be_worthwhile,
    tried,
    worthwhile,
)
from losslandscape.adaptive.refinement import Adaptive
from losslandscape.errors import LossLandscapeError
from losslandscape.files.journal import Journal, journal_path
from losslandscape.landscape.sampling_errors import summary
from losslandscape.point.evaluator import Evaluator
from losslandscape.problem.samples import SampleSet

COUNT = 20_000
GRID = Grid.square(21, 1.0)


def large_problem(count=COUNT):
    """Many samples of three overlapping classes, sorted by class as in many files."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(count) * 3 // count
    inputs = torch.randn(count, 4, generator=generator)
    inputs[:, 0] += 2.0 * targets
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    objective = Objective(model, "cross_entropy", (inputs, targets), batch_size=500)
    return objective, Subspace.random(model, seed=1)


@pytest.fixture(scope="module")
def allotted():
    return evaluate(*large_problem(), GRID, tolerance=0.05, quiet=True)


@given(
    st.integers(0, 2**32), st.floats(0.001, 1), st.sampled_from([2048, 3000, 6250, 9000]),
    st.sampled_from(["log", "linear"]), st.sampled_from([1.0, 2.0]), st.booleans(),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_suffices_follows_the_formula(seed, error, count, scale, factor, heavy):
    of = 100_000
    random = np.random.default_rng(seed)
    losses = random.lognormal(0, 2 if heavy else 0.2, count)
    variance = losses.var(ddof=1) * (1 + np.sqrt((kurtosis(losses, fisher=False) - 1) / count))
    standard_error = factor * np.sqrt(variance / count * (1 - count / of))
    wanted = 2 * standard_error / (losses.mean() * np.log(10) if scale == "log" else 1.0)
    if abs(wanted - error) < 1e-9 * error:
        return
    assert Allotment(scale, error, factor=factor).suffices(losses, of) == (
        wanted <= error and count >= 6250
    )


def test_few_samples_never_suffice_and_all_always_do():
    allotment = Allotment("linear", 1e9)
    assert not allotment.suffices(np.ones(2047), 10_000)
    assert allotment.suffices(np.ones(2048), 10_000)
    assert not allotment.suffices(np.ones(9_999), 160_000)
    assert Allotment("linear", 1e-9).suffices(np.arange(10_000.0), 10_000)
    assert allotment.suffices(np.array([1.0, np.nan]), 10_000)
    assert allotment.suffices(np.array([1.0, np.inf]), 10_000)


def misclassified(count, share, random):
    """Losses at a minimum: most are small, and a few samples are misclassified."""
    wrong = np.where(random.random(count) < share, random.exponential(6, count), 0)
    return random.exponential(0.01, count) + wrong


def stops_at(allotment, losses, batch_size):
    ends = np.cumsum([len(x) for x in np.array_split(losses, -(-len(losses) // batch_size))])
    return next(end for end in ends if allotment.suffices(losses[:end], len(losses)))


@pytest.mark.parametrize(("share", "error"), [(0.01, 0.02), (0.002, 0.01)])
def test_a_few_large_losses_do_not_stop_the_drawing_early(share, error):
    """With the plain deviation of the drawn losses, 20% and 41% would be off, not 5%."""
    random = np.random.default_rng(1)
    losses = misclassified(50_000, share, random)
    allotment = Allotment("linear", error)
    off = []
    for _ in range(100):
        order = random.permutation(losses)
        off.append(abs(order[: stops_at(allotment, order, 512)].mean() - losses.mean()))
    assert (np.array(off) > error).mean() <= 0.08


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_the_trial_applies_the_stopping_rule_in_random_orders(scale):
    losses = misclassified(9_000, 0.01, np.random.default_rng(2))
    allotment = Allotment(scale, 0.05 if scale == "log" else 0.006, seed=5)
    found = tried(allotment, losses, 400)
    assert found is not None
    random = np.random.default_rng(5)
    within = 0
    for _ in range(100):
        order = losses[random.permutation(len(losses))]
        mean = order[: stops_at(found, order, 400)].mean()
        off = np.log10(mean / losses.mean()) if scale == "log" else mean - losses.mean()
        within += abs(off) <= found.error
    assert found.within == within >= 95


def test_a_rule_that_fails_the_trial_becomes_stricter_or_is_dropped():
    random = np.random.default_rng(0)
    losses = np.zeros(100_000)
    # two samples hold a third of the mean: no part of the data determines it
    losses[:2] = 5_000.0
    losses[2:] = random.exponential(0.2, 99_998)
    assert tried(Allotment("log", 0.02), losses, 512) is None
    losses = np.full(60_000, 1e-4)
    # rare losses of very different sizes
    losses[:300] = np.random.default_rng(0).exponential(1.0, 300) ** 4
    stricter = tried(Allotment("log", 0.2), losses, 512)
    assert stricter is not None
    assert stricter.factor > 1
    assert tried(Allotment("log", 0.1), np.full(20_000, np.nan), 512) is None
    assert tried(Allotment("log", 0.1), np.zeros(20_000), 512) is None


def test_an_allotment_is_worthwhile_for_large_data_sets_of_similar_losses():
    means, deviations = np.array([0.5, 1.0, 2.0]), np.array([0.5, 0.7, 0.9])
    assert worthwhile(means, deviations, 1438, 0.01, None) is None
    found = worthwhile(means, deviations, 10_000_000, 0.01, None)
    assert found == Allotment("linear", 0.5 * 0.01 * 1.5)
    assert worthwhile(means, 1000 * deviations, 100_000, 0.01, None) is None
    assert worthwhile([1.0, np.nan], [1.0, np.nan], 10_000_000, 0.01, None) is None
    assert worthwhile([1.0, 1.0], [1.0, 1.0], 10_000_000, 0.01, None) is None


def test_the_total_error_is_within_the_tolerance_at_a_fraction_of_the_cost(allotted):
    dense = evaluate(*large_problem(), GRID, quiet=True).values("loss")
    done = allotted.provenance["adaptive"]
    assert done["allotment"]["passes"] < 0.5 * done["evaluated"]
    scale = np.log10 if done["scale"] == "log" else np.asarray
    error = np.abs(scale(allotted.values("loss")) - scale(dense))
    assert error.max() <= 0.05 * np.ptp(scale(dense))
    assert done["tolerance"] == 0.05
    assert done["interpolation_tolerance"] == pytest.approx(0.05 * np.sqrt(0.75))


def test_each_point_states_its_own_sampling_error(allotted):
    dense = evaluate(*large_problem(), GRID, quiet=True).values("loss")
    evaluated = allotted.status == 1
    counts = allotted.values("loss_sample_count")
    assert counts.min() >= least(COUNT)
    assert np.unique(counts).size > 1
    against = allotted.standard_error(against="dataset")[evaluated]
    population = allotted.standard_error()[evaluated]
    # at least that of the allotted error, since s is too small where drawing stopped too early
    least_error = 1.5 * allotted.provenance["adaptive"]["allotment"]["error"] / 2
    formula = population * np.sqrt(1 - counts[evaluated] / COUNT)
    np.testing.assert_allclose(against, np.maximum(formula, least_error))
    error = np.abs(allotted.values("loss") - dense)[evaluated]
    assert (error <= 3 * against).mean() > 0.95
    assert "loss_samples" not in allotted.samples


def test_a_field_of_equal_sample_counts_has_a_known_error(allotted):
    alike = copy.deepcopy(allotted)
    alike.fields["loss_sample_count"][:] = 3000.0
    least_error = 1.5 * alike.provenance["adaptive"]["allotment"]["error"] / 2
    expected = np.maximum(alike.standard_error() * np.sqrt(1 - 3000 / COUNT), least_error)
    np.testing.assert_allclose(alike.standard_error(against="dataset"), expected)
    found = summary(alike)
    assert found.samples == 3000
    assert found.dataset_samples == COUNT
    median = np.median(expected[alike.status == 1])
    assert found.rows[1]["median"] == pytest.approx(median)
    assert any("at least 0.75 of the error that was allotted" in note for note in found.notes)
    alike.fields["loss_sample_count"][:] = COUNT
    assert (alike.standard_error(against="dataset") == 0).all()  # all of it was measured
    various = summary(allotted)
    assert various.rows[1]["median"] > 0
    assert any("n is their median" in note for note in various.notes)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_stated_error_covers_where_drawing_stopped(scale):
    """With s / sqrt(n) alone it covers too seldom: drawing stops where s is too small."""
    count, orders = 20_000, 200
    random = np.random.default_rng(3)
    losses = misclassified(count, 0.0005, random)
    error = 0.6 * losses.mean() if scale == "linear" else 0.2
    allotment = tried(Allotment(scale, error), losses, 512)
    drawn = [random.permutation(losses) for _ in range(orders)]
    drawn = [order[: stops_at(allotment, order, 512)] for order in drawn]
    sizes = np.array([len(part) for part in drawn], float)
    assert (sizes < count).mean() > 0.9
    fields = {
        "loss": np.array([part.mean() for part in drawn]),
        "loss_standard_error": np.array([part.std(ddof=1) / np.sqrt(len(part)) for part in drawn]),
        "loss_sample_count": sizes,
    }
    provenance = {
        "objective": {"sets": {"train": {"samples": count, "dataset_samples": count}}},
        "adaptive": {"allotment": allotment.to_json()},
    }
    line = Landscape(
        Grid.line(orders), fields, np.ones(orders, np.int8), np.eye(1), provenance=provenance
    )
    off = np.abs(line.values() - losses.mean())
    stated = line.standard_error(against="dataset")
    bound = binom.ppf(1e-4, orders, 0.95)
    assert (off <= 2 * stated).sum() >= bound
    alone = fields["loss_standard_error"]
    plain = alone * np.sqrt(1 - sizes / count)
    assert (off <= 2 * plain).sum() < bound
    unit = line.values() * np.log(10) if scale == "log" else 1.0
    allotted = np.where(sizes < count, 1.5 * error / 2 * unit, 0)
    np.testing.assert_allclose(stated, np.maximum(plain, allotted))
    # of a larger data set, the error of this one is added to the stated one
    larger = line.standard_error(against="dataset", dataset_samples=2 * count)
    beyond = alone * np.sqrt(sizes / (2 * count))
    expected = np.maximum(alone * np.sqrt(1 - sizes / (2 * count)), np.hypot(stated, beyond))
    np.testing.assert_allclose(larger[stated > plain], expected[stated > plain])
    # no error is smaller against the population than against a data set drawn from it
    population = line.standard_error()
    assert (population >= stated).all()
    expected = np.maximum(alone, np.hypot(allotted, alone * np.sqrt(sizes / count)))
    np.testing.assert_allclose(population[allotted > 0], expected[allotted > 0])


def test_the_total_error_holds_if_few_samples_make_up_the_loss():
    count = 50_000
    losses = misclassified(count, 0.002, np.random.default_rng(1)).astype(np.float32)

    class Bowl(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(2))

        def forward(self, x):
            r = self.w.square().sum()
            return x[:, 0] * (1 + 10 * r) + r * x[:, 1]

    model = Bowl()
    data = torch.stack([torch.from_numpy(losses), torch.ones(count)], 1), torch.zeros(count)
    objective = Objective(model, lambda model, batch: model(batch[0]), data, batch_size=512)
    axes = [{"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 1.0])}]
    plane = Subspace(dict(model.named_parameters()), axes)
    grid = Grid.square(17)
    true = evaluate(objective, plane, grid, quiet=True, keep_samples=False).values()
    plan = Adaptive(0.01, seed=5, scale="linear")
    found = evaluate(objective, plane, grid, tolerance=plan, quiet=True)
    assert found.provenance["adaptive"]["allotment"]["within"] >= 95
    assert np.abs(found.values() - true).max() <= 0.01 * np.ptp(true)


def test_shuffled_samples_are_in_random_order_and_have_the_same_hash():
    objective, _ = large_problem()
    shuffled = objective.shuffled(3)
    assert shuffled.to_json() == objective.to_json()
    before, after = (next(iter(o.sets.values())).stored()[0] for o in (objective, shuffled))
    assert not torch.equal(before[1], after[1])
    assert torch.equal(before[1], after[1].sort().values)
    classes = after[1][:1000].bincount() / 1000  # sorted data would begin with one class
    np.testing.assert_allclose(classes, 1 / 3, atol=0.06)
    again = objective.shuffled(3)
    assert torch.equal(next(iter(again.sets.values())).stored()[0][0], after[0])


def test_batches_of_different_shapes_keep_their_order():
    batches = [(torch.zeros(2, 3), torch.zeros(2)), (torch.zeros(2, 4), torch.zeros(2))]
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    assert not SampleSet(batches[0]).ragged
    assert SampleSet(loader).ragged
    with pytest.raises(LossLandscapeError, match="order"):
        SampleSet(loader).shuffled(0)


def test_only_as_many_batches_run_as_needed():
    objective, plane = large_problem()
    with Evaluator(objective, plane, 500) as evaluator:
        whole = evaluator.measure((0.3, 0.2))["train"]["loss"]
        part = evaluator.measure((0.3, 0.2), Allotment("linear", 0.05))["train"]["loss"]
        assert least(COUNT) <= part.size < whole.size
        assert part.size % 500 == 0
        np.testing.assert_array_equal(part, whole[: part.size])
        shorter = part[: part.size - 500]
        # one batch fewer would not suffice
        assert not Allotment("linear", 0.05).suffices(shorter.astype(np.float64), COUNT)


def test_a_small_data_set_is_used_fully():
    landscape = evaluate(*large_problem(2000), GRID, tolerance=0.05, quiet=True)
    assert "allotment" not in landscape.provenance["adaptive"]
    assert (landscape.values("loss_sample_count") == 2000).all()


def test_per_sample_losses_are_kept_on_request_for_all_samples():
    landscape = evaluate(
        *large_problem(), Grid.square(9), tolerance=0.05, keep_samples=True, quiet=True
    )
    assert "allotment" not in landscape.provenance["adaptive"]
    assert landscape.samples["loss_samples"].shape == (9, 9, COUNT)


def same(a, b):
    for name in a.fields:
        np.testing.assert_array_equal(a.fields[name], b.fields[name])
    assert a.provenance["adaptive"] == b.provenance["adaptive"]


def test_the_same_bits_through_an_executor(allotted):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        same(allotted, evaluate(*large_problem(), GRID, tolerance=0.05, executor=pool, quiet=True))


def test_an_interrupted_run_resumes_without_another_pilot(allotted, tmp_path, monkeypatch):
    path = tmp_path / "x.nc"
    whole = []
    append = Journal.append

    def keep(journal, number, payload):
        append(journal, number, payload)
        whole.append(journal.path.read_bytes())

    monkeypatch.setattr(Journal, "append", keep)
    same(allotted, evaluate(*large_problem(), GRID, tolerance=0.05, path=path, quiet=True))
    monkeypatch.setattr("losslandscape.run.pilot.worthwhile", None)  # not called again
    path.unlink()
    journal_path(path).write_bytes(whole[90])
    same(allotted, evaluate(*large_problem(), GRID, tolerance=0.05, path=path, quiet=True))


def test_the_size_of_the_data_set_is_recorded_and_checked():
    objective, plane = large_problem(100)
    told = Objective(
        objective.model, "cross_entropy", next(iter(objective.sets.values())).stored()[0],
        dataset_samples=400,
    )  # fmt: skip
    landscape = evaluate(told, plane, Grid.square(3), quiet=True)
    np.testing.assert_allclose(
        landscape.standard_error(against="dataset"), landscape.standard_error() * np.sqrt(0.75)
    )
    landscape.check_objective(objective)  # the size is not part of the measurement
    with pytest.raises(LossLandscapeError, match="cannot be smaller"):
        Objective(objective.model, "cross_entropy", told.sets["train"].stored()[0],
                  dataset_samples=99)  # fmt: skip


@pytest.mark.parametrize(
    ("size", "fewest"),
    [(1, 1), (2047, 2047), (2048, 2048), (32_768, 2048), (32_784, 2049), (160_000, 10_000)],
)
def test_the_fewest_samples_are_2048_or_a_sixteenth(size, fewest):
    assert least(size) == fewest


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_samples_that_a_mean_needs_solve_the_equation_of_its_error(scale):
    mean, deviation, of = np.array([0.5, 2.0, 4.0]), np.array([3.0, 5.0, 9.0]), 1_000_000
    needed = _needed(mean, deviation, Allotment(scale, 0.02), of)
    error = 2 * deviation / np.sqrt(needed) * np.sqrt(1 - needed / of)
    unit = mean * np.log(10) if scale == "log" else 1.0
    inside = needed > least(of)
    assert inside.any()
    np.testing.assert_allclose((error / unit)[inside], 0.02)
    assert _needed(np.array([1.0]), np.array([0.0]), Allotment(scale, 0.1), of) == least(of)
    if scale == "log":
        assert _needed(np.array([-1.0]), np.array([1.0]), Allotment(scale, 0.1), of) == of


def test_a_pilot_is_spent_on_8192_samples_and_more():
    assert not may_be_worthwhile(8191)
    assert may_be_worthwhile(8192)


@pytest.mark.parametrize(("deviation", "worth"), [(0.10, True), (0.11, False)])
def test_it_is_worthwhile_below_45_percent_of_the_samples(deviation, worth):
    # span 1, tolerance 0.02: an error of 0.01; 2 s / sqrt(n) sqrt(1 - n/N) = 0.01
    of = 10_000
    means, deviations = [1.0, 2.0], [4.5 * deviation] * 2
    expected = of / (1 + of / (2 * 4.5 * deviation / 0.01) ** 2) / of
    assert (expected < 0.45) == worth
    found = worthwhile(means, deviations, of, 0.02, "linear")
    assert (found == Allotment("linear", 0.01)) == worth
    assert (found is None) == (not worth)


def test_on_the_log_scale_the_span_is_in_decades_of_positive_means():
    found = worthwhile([0.1, 10.0, -1.0], [1e-3] * 3, 10_000_000, 0.05, "log")
    assert found == Allotment("log", 0.5 * 0.05 * 2)
    chosen = worthwhile([0.01, 10.0], [1e-3] * 2, 10_000_000, 0.05, None)
    assert chosen == Allotment("log", 0.5 * 0.05 * 3)
    assert worthwhile([1.0, -1.0], [1e-3] * 2, 10_000_000, 0.05, "log") is None
    assert worthwhile([-1.0, -2.0], [1e-3] * 2, 10_000_000, 0.05, "log") is None
