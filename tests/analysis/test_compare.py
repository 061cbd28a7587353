"""Comparison of landscapes, and distances between diagrams against a slow reference."""

import csv
import itertools
import json
import sys

import numpy as np
import pytest

pytest.importorskip("gudhi")

from losslandscape import Grid, Landscape
from losslandscape.analysis.comparison import compare
from losslandscape.analysis.diagrams import (
    bottleneck_distance,
    finite_points,
    total_persistence,
    wasserstein_distance,
)
from losslandscape.analysis.flatness import flat_region
from losslandscape.analysis.roughness import roughness
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.formats.report import loss_sha256
from losslandscape.landscape.landscape import INTERPOLATED
from losslandscape.topology import persistence_pairs


def wells(barrier, grid=None, **provenance):
    grid = grid or Grid.rectangle((25, 17), ((-1.5, 1.5), (-1, 1)))
    x, y = grid.points().T
    values = (barrier * ((x**2 - 1) ** 2 + 2 * y**2) + 0.1 * x + 1).reshape(grid.shape)
    return Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), np.eye(2), provenance)


def reference_distance(one, other, combine):
    """The best of all matchings, including the diagonal; feasible only for a few points."""

    def points(pairs, kind):
        kept = (pairs["IsFinite"] == 1) & (pairs["PairType"] == kind) & (pairs["Persistence"] > 0)
        births = pairs["Birth"][kept]
        return list(zip(births, births + pairs["Persistence"][kept]))

    total = [abs(one["Birth"].min() - other["Birth"].min())]
    for kind in (0, 1):
        first, second = points(one, kind), points(other, kind)
        best = np.inf
        # None stands for the diagonal
        left = first + [None] * len(second)
        for order in set(itertools.permutations(second + [None] * len(first))):
            costs = [0.0]
            for p, q in zip(left, order):
                if p and q:
                    costs.append(max(abs(p[0] - q[0]), abs(p[1] - q[1])))
                elif p or q:
                    birth, death = p or q
                    costs.append((death - birth) / 2)
            best = min(best, combine(costs))
        total.append(best)
    return combine(total)


@pytest.mark.parametrize("seed", range(4))
def test_distances_equal_the_best_of_all_matchings(seed):
    rng = np.random.default_rng(seed)
    one, other = (persistence_pairs(rng.standard_normal(8)) for _ in range(2))
    expected = reference_distance(one, other, max)
    assert bottleneck_distance(one, other) == pytest.approx(expected)
    expected = reference_distance(one, other, sum)
    assert wasserstein_distance(one, other) == pytest.approx(expected, rel=2e-3)


def test_total_persistence_is_twice_the_distance_to_an_empty_diagram(rng):
    pairs = persistence_pairs(rng.standard_normal((6, 7)))
    empty = {name: values[:1] for name, values in pairs.items()}  # the global minimum alone
    assert wasserstein_distance(pairs, empty) == pytest.approx(
        total_persistence(pairs) / 2, rel=2e-3
    )


def test_roughness_counts_bumps_not_heights(rng):
    x, y = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    assert roughness(x + 2 * y) == pytest.approx(1.0)
    assert roughness(x**2 + y**2) == pytest.approx(2.0)
    assert roughness(7 * (x**2 + y**2) + 3) == pytest.approx(2.0)
    assert roughness(x**2 + y**2 + 0.1 * rng.standard_normal(x.shape)) > 2.3
    with_hole = x**2 + y**2
    with_hole[3, 4] = np.nan
    assert roughness(with_hole) == pytest.approx(2.0)


def test_the_table_holds_flatness_topology_and_roughness():
    found = compare([wells(1.0), wells(3.0)], ["flat", "steep"])
    flat, steep = found.rows
    assert flat["flat_size"] > steep["flat_size"]
    assert flat["significant_minima"] == steep["significant_minima"] == 2
    assert steep["total_persistence"] > flat["total_persistence"]
    assert found.wasserstein[0, 1] > 0
    np.testing.assert_array_equal(found.bottleneck, found.bottleneck.T)
    assert found.scale == "linear"
    assert not found.spread


def test_several_files_of_a_label_have_a_spread():
    found = compare([wells(1.0), wells(1.2), wells(3.0)], ["a", "a", "b"])
    spread = {(row["label"], row["quantity"]): row for row in found.spread}
    assert {label for label, _ in spread} == {"a"}
    sizes = [row["flat_size"] for row in found.rows[:2]]
    assert spread["a", "flat_size"]["mean"] == pytest.approx(np.mean(sizes))
    assert spread["a", "flat_size"]["standard_deviation"] == pytest.approx(np.std(sizes, ddof=1))


def test_coordinates_of_different_normalizations_are_not_compared():
    filtered = wells(1.0, subspace={"kind": "random", "normalization": "filter"})
    pca = wells(1.0, subspace={"kind": "pca", "explained_variance": [0.7, 0.2]})
    found = compare([filtered, pca])
    assert found.rows[0]["flat_size"] is None
    assert found.rows[0]["flat_parameter_size"] > 0
    assert found.rows[1]["explained_variance"] == pytest.approx(0.9)
    assert any("not in coordinates" in note for note in found.notes)


def test_differences_that_limit_the_comparison_are_noted():
    found = compare(
        [
            wells(1.0, objective={"batch_norm": "fixed"}),
            wells(1.0, Grid.square(17, 2.0), objective={"batch_norm": "reestimated"}),
        ]
    )
    text = " ".join(found.notes)
    assert "batch-norm modes" in text
    assert "windows" in text


def test_samples_are_compared_by_their_values_not_by_their_description():
    def of(name, sha256, **more):
        return wells(1.0, objective={"sets": {name: {"samples": 9, "sha256": sha256, **more}}})

    one = of("train", "a", source="tuple", dataset_samples=1797)
    words = "different samples"
    assert words not in " ".join(compare([one, of("data", "a")]).notes)
    assert words in " ".join(compare([one, of("train", "b", source="tuple")]).notes)


def test_volumes_are_compared_without_topology():
    grid = Grid.cube(9)
    values = (grid.points() ** 2).sum(axis=1).reshape(grid.shape) + 1
    volume = Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), np.eye(3))
    found = compare([volume, volume])
    assert "significant_minima" not in found.rows[0]
    assert np.isnan(found.wasserstein).all()


@pytest.mark.parametrize(
    ("landscapes", "labels", "message"),
    [
        (lambda: [wells(1.0)], None, "two landscapes"),
        (lambda: [wells(1.0), wells(1.0)], ["a"], "1 labels"),
        (
            lambda: [
                wells(1.0),
                Landscape(
                    Grid.line(3), {"loss": np.array([1.0, 0, 1])}, np.ones(3, np.int8), np.eye(1)
                ),
            ],
            None,
            "different dimensions",
        ),
    ],
)
def test_incomparable_landscapes_are_refused(landscapes, labels, message):
    with pytest.raises(LossLandscapeError, match=message):
        compare(landscapes(), labels)


def test_the_command_prints_and_saves(tmp_path, capsys):
    files = []
    for name, barrier in (("a", 1.0), ("b", 2.0)):
        files.append(str(tmp_path / f"{name}.nc"))
        wells(barrier).save(files[-1])
    folder = tmp_path / "a_flatness"
    folder.mkdir()
    measured = {
        "sharpness": {"value": 12.5},
        "loss_sha256": loss_sha256(Landscape.open(files[0])),
    }
    (folder / "flatness.json").write_text(json.dumps(measured))
    output = tmp_path / "out"
    assert main(["compare", *files, "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "Wasserstein" in printed
    assert "12.5" in printed
    report = json.loads((output / "comparison.json").read_text())
    assert [row["sharpness"] for row in report["landscapes"]] == [12.5, None]
    with (output / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["a", "b"]
    assert (output / "distances.csv").exists()
    assert main(["compare", *files, "--output", str(output)]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_files_of_one_name_are_labeled_by_their_folders(tmp_path):
    landscapes = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        landscapes.append(wells(1.0))
        landscapes[-1].save(tmp_path / name / "landscape.nc")
    assert [row["label"] for row in compare(landscapes).rows] == ["first", "second"]


def test_without_gudhi_the_table_is_complete_and_a_note_states_what_is_missing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "gudhi.hera", None)  # as if it were not installed
    files = [str(tmp_path / f"{name}.nc") for name in "ab"]
    for file in files:
        wells(1.0).save(file)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "distances.csv").write_text("of another comparison")
    command = ["compare", *files, "--output", str(tmp_path / "out"), "--overwrite"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "flat region: size in parameter space" in printed
    assert "need GUDHI: pip install gudhi" in printed
    assert "Wasserstein distance" not in printed
    assert (tmp_path / "out" / "comparison.csv").exists()
    assert not (tmp_path / "out" / "distances.csv").exists()


def test_roughness_is_that_of_a_loop_over_lines_of_unequal_axes(rng):
    field = rng.random((3, 4, 6))
    field[0, 1, 2] = np.nan
    ratios = []
    for axis in range(3):
        for line in np.moveaxis(field, axis, 0).reshape(field.shape[axis], -1).T:
            if np.isfinite(line).all():
                steps = sum(abs(b - a) for a, b in itertools.pairwise(line))
                ratios.append(steps / (max(line) - min(line)))
    assert len(ratios) == 24 + 18 + 12 - 3
    assert roughness(field) == pytest.approx(np.mean(ratios))
    field = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 0.0]])  # a constant line has none
    assert roughness(field) == pytest.approx(np.mean([2.0, 1.0, 1.0, 1.0]))
    assert np.isnan(roughness(np.ones((3, 3))))


def line_of(values, errors=None, **options):
    values = np.asarray(values, dtype=float)
    fields = {"loss": values}
    if errors is not None:
        fields["loss_standard_error"] = np.full(values.shape, errors)
    return Landscape(
        Grid.line(values.size), fields, options.pop("status", np.ones(values.shape, np.int8)),
        np.eye(1), **options,
    )  # fmt: skip


LINE = [9.0, 1.0, 3.0, 0.5, 6.0, 5.5, 8.0, 7.0]


def test_topology_of_a_line_is_what_is_read_off_it():
    measured = line_of(LINE, errors=1e-3)
    row, _ = compare([measured, measured], ["a", "b"], scale="linear").rows
    assert 0.005 < row["threshold"] < 0.4
    assert row["noise_method"] == "standard_error"
    assert row["significant_minima"] == 3
    assert row["boundary_minima"] == 1
    assert row["significant_maxima"] == 3
    assert row["boundary_maxima"] == 0
    assert row["total_persistence"] == pytest.approx(2.0 + 0.5 + 1.0)
    assert row["significant_persistence"] == pytest.approx(3.5)
    noisier = compare([line_of(LINE, errors=0.12)] * 2, ["a", "b"], scale="linear").rows[0]
    assert 0.5 < noisier["threshold"] < 1
    assert noisier["total_persistence"] == pytest.approx(3.5)
    assert noisier["significant_persistence"] == pytest.approx(3.0)
    assert noisier["significant_minima"] == 2


def test_rows_hold_what_each_quantity_gives_alone():
    first, second = wells(1.0), wells(3.0)
    found = compare([first, second], ["a", "b"], epsilon=0.2, sharpness=[None, 4.0])
    for landscape, row, sharpness in zip((first, second), found.rows, (None, 4.0)):
        region = flat_region(landscape, 0.2, scale="linear")
        assert row["flat_size"] == region.size
        assert row["flat_parameter_size"] == region.parameter_size
        assert row["flat_lower_bound"] == region.lower_bound
        assert row["flat_resolved"] == region.resolved
        assert row["minimum_loss"] == landscape.values().min()
        assert row["roughness"] == roughness(landscape.values())
        assert row["sharpness"] == sharpness
        assert row["explained_variance"] is None
        assert row["file"] == ""
        assert "interpolated_points" not in row
    assert found.epsilon == 0.2


def test_the_matrices_of_distances_are_symmetric_with_each_pair_in_its_place():
    landscapes = [line_of(np.array(LINE) * factor) for factor in (1.0, 2.0, 4.0)]
    found = compare(landscapes, list("abc"), scale="linear")
    diagrams = [persistence_pairs(one.values()) for one in landscapes]
    for matrix, distance in (
        (found.wasserstein, wasserstein_distance),
        (found.bottleneck, bottleneck_distance),
    ):
        for i, j in itertools.product(range(3), repeat=2):
            expected = distance(diagrams[max(i, j)], diagrams[min(i, j)]) if i != j else 0.0
            assert matrix[i, j] == pytest.approx(expected)
    assert found.wasserstein[0, 1] < found.wasserstein[0, 2]


@pytest.mark.parametrize(
    ("others", "scale"),
    [
        ([1.0, 2.0, 3.0], "log"),  # one spans more than two decades
        ([0.0, 2.0, 3.0], "linear"),
        ([-1.0, 2.0, 3.0], "linear"),
        ([1.0, 2.0, np.nan], "log"),
    ],
)
def test_the_common_scale_is_log_where_one_is_and_all_can_be(others, scale):
    wide = line_of([1e-4, 1.0, 2.0])
    assert compare([line_of(others), wide], ["a", "b"]).scale == scale
    assert compare([wide, line_of(others)], ["a", "b"]).scale == scale


def test_the_spread_has_every_number_of_a_label_and_nothing_else():
    found = compare([wells(1.0), wells(1.2), wells(3.0)], ["a", "a", "b"])
    rows = {row["quantity"]: row for row in found.spread}
    assert {"minimum_loss", "flat_size", "roughness", "threshold"} <= rows.keys()
    assert not {"label", "file", "flat_resolved", "sharpness", "noise_method"} & rows.keys()
    values = [row["roughness"] for row in found.rows[:2]]
    assert rows["roughness"]["files"] == 2
    assert rows["roughness"]["least"] == min(values) < max(values) == rows["roughness"]["greatest"]
    assert found.to_json()["spread"] == found.spread


def notes_of(*landscapes):
    return " ".join(compare(landscapes, list("abc")[: len(landscapes)], scale="linear").notes)


def test_what_is_the_same_is_not_noted_and_what_differs_is():
    given = {"subspace": {"kind": "random", "normalization": "filter"}}
    measured = line_of(LINE, provenance=given)
    assert notes_of(measured, measured) == ""
    assert "different losses" in notes_of(
        measured, line_of(LINE, provenance={**given, "objective": {"loss": "mse"}})
    )
    other = Landscape(Grid.line(8, 2.0), measured.fields, measured.status, np.eye(1), given)
    assert "different windows" in notes_of(measured, other)
    assert "grids" not in notes_of(measured, other)
    shorter = line_of(LINE[:-1], provenance=given)
    assert "different grids" in notes_of(measured, shorter)
    assert "windows" not in notes_of(measured, shorter)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (
            {"loss_code": "python3.11:a"},
            {"loss_code": "python3.11:b"},
            "one name and different code",
        ),
        (
            {"loss_code": {"a": "python3.11:a"}},
            {"loss_code": {"a": "python3.11:b"}},
            "one name and",
        ),
        (
            {"terms": {"a": {"factor": 1.0}}},
            {"terms": {"a": {"factor": 10.0}}},
            "different factors",
        ),
        ({"loss_call": {"output": "a"}}, {"loss_call": {"output": "b"}}, "different outputs"),
        ({"precision": "float64"}, {"precision": "bfloat16"}, "different reduced precisions"),
        ({}, {"training_modules": ["1"]}, "different modules in train mode"),
        (
            {"batch_norm": "reestimated", "reestimation_samples": 8},
            {"batch_norm": "reestimated", "reestimation_samples": 50},
            "different samples or batches for re-estimated statistics",
        ),
    ],
)
def test_losses_of_one_name_that_are_measured_in_other_ways_are_noted(one, other, words):
    pair = [line_of(LINE, provenance={"objective": {"loss": "x", **each}}) for each in (one, other)]
    assert words in notes_of(*pair)
    assert notes_of(*pair).count("different") == 1
    assert notes_of(pair[0], pair[0]) == notes_of(pair[1], pair[1]) == ""


def test_ways_to_measure_that_give_the_same_loss_are_not_noted():
    same = [
        {"loss_code": "python3.11:a", "precision": "float32", "training_modules": []},
        {"loss_code": "python3.12:b", "precision": "float64", "loss_call": {"known_by": "trial"}},
        {"loss_code": None, "reestimation_samples": 8},
    ]
    assert notes_of(*(line_of(LINE, provenance={"objective": one}) for one in same)) == ""


def test_directions_of_other_lengths_or_that_move_biases_are_noted():
    def line(length, **plane):
        landscape = line_of(LINE, provenance={"subspace": plane})
        landscape.gram_matrix = np.array([[length**2]])
        return landscape

    pair = line(1.0, kind="between"), line(3.0, kind="between")
    assert "the directions have different lengths" in notes_of(*pair)
    assert "lengths" not in notes_of(pair[0], pair[0])
    assert "lengths" not in notes_of(line(1.0, kind="random"), line(3.0, kind="random"))
    moved = line(1.0, kind="random", zero_vectors=False)
    assert "biases and normalization weights" in notes_of(line(1.0, kind="random"), moved)
    assert "biases" not in notes_of(
        line(1.0, kind="random", zero_vectors=True), line(1.0, kind="random")
    )


def test_directions_that_are_not_normalized_are_noted():
    none = line_of(LINE, provenance={"subspace": {"kind": "random", "normalization": "none"}})
    assert "not normalized" in notes_of(none, none)
    layer = line_of(LINE, provenance={"subspace": {"kind": "random", "normalization": "layer"}})
    assert "not normalized" not in notes_of(layer, layer)
    assert "not in coordinates" in notes_of(none, layer)


def test_thresholds_of_different_methods_are_noted():
    assert "noise_method" in notes_of(line_of(LINE, errors=0.01), line_of(LINE))
    assert "noise_method" not in notes_of(line_of(LINE), line_of(LINE))


def test_interpolated_points_are_counted_for_all_if_any_has_them():
    status = np.ones(8, np.int8)
    status[2] = INTERPOLATED
    found = compare([line_of(LINE), line_of(LINE, status=status)], ["a", "b"], scale="linear")
    assert [row["interpolated_points"] for row in found.rows] == [0, 1]
    text = " ".join(found.notes)
    assert "b: " in text
    assert "a: " not in text


def test_names_of_landscapes_without_a_file_and_of_files(tmp_path):
    assert [row["label"] for row in compare([wells(1.0), wells(1.0)]).rows] == [
        "landscape 0", "landscape 1",
    ]  # fmt: skip
    landscapes = [wells(1.0), wells(2.0)]
    for name, one in zip("xy", landscapes):
        one.save(tmp_path / f"{name}.nc")
    assert [row["label"] for row in compare(landscapes).rows] == ["x", "y"]


def test_the_wasserstein_distance_of_many_points_is_within_a_thousandth(rng):
    from scipy.optimize import linear_sum_assignment

    one, other = (persistence_pairs(rng.standard_normal(120)) for _ in range(2))
    total = abs(one["Birth"].min() - other["Birth"].min())
    for kind in (0, 1):
        first, second = finite_points(one, kind), finite_points(other, kind)
        n, m = len(first), len(second)
        # to each other, or to the diagonal, where all others stay
        cost = np.zeros((n + m, n + m))
        cost[:n, :m] = abs(first[:, None] - second[None]).max(axis=2)
        cost[:n, m:] = np.diff(first, axis=1) / 2
        cost[n:, :m] = np.diff(second, axis=1).T / 2
        total += cost[linear_sum_assignment(cost)].sum()
    assert wasserstein_distance(one, other) == pytest.approx(total, rel=1e-3)


def test_planes_of_other_parts_and_of_inputs_are_told_apart():
    def plane(**recipe):
        return wells(0.5, subspace=recipe)

    whole, part = plane(kind="random"), plane(kind="random", parameters=["head"])
    found = compare([whole, part], draws=20)
    assert "the landscapes have different moving parts" in found.notes
    assert compare([part, part], draws=20).notes == []
    inputs = plane(kind="inputs", directions=["gradient_sign", "random_sign"])
    found = compare([whole, inputs], draws=20)
    assert any(note.startswith("some landscapes move the inputs") for note in found.notes)
    assert found.rows[0]["flat_size"] is None
    other = plane(kind="inputs", directions=["gradient", "random"])
    assert compare([inputs, other], draws=20).rows[0]["flat_size"] is None
    assert compare([inputs, inputs], draws=20).rows[0]["flat_size"] is not None
