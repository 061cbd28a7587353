"""Counts, table and errors of critical points against what is read off a small field by hand."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.analysis.critical_points import find_critical_points
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED
from losslandscape.topology import persistence_pairs

# two minima inside beside the lowest, one on each end; barriers at 3, 6 and 8
LINE = np.array([2.5, 3.0, 1.0, 3.5, 0.0, 6.0, 5.5, 8.0, 7.0])


def line_of(values, **options):
    values = np.asarray(values, dtype=float)
    status = options.pop("status", np.full(values.shape, EVALUATED, np.int8))
    grid = Grid((values.size,), ((0.0, values.size - 1.0),))
    return Landscape(
        grid, {"loss": values, **options.pop("fields", {})}, status, np.eye(1), **options
    )


def test_counts_tell_kinds_the_boundary_and_significance_apart():
    found = find_critical_points(line_of(LINE), persistence=0.6, scale="linear")
    assert found.counts == {
        "minimum": {
            "significant": 2,  # 0 and 1, which ends at 3.5
            "not_significant": 1,  # 5.5, which ends at 6
            "boundary_significant": 1,  # 7, which ends at 8
            "boundary_not_significant": 1,  # 2.5, which ends at 3
        },
        "maximum": {
            "significant": 2,
            "not_significant": 2,
            "boundary_significant": 0,
            "boundary_not_significant": 0,
        },
    }
    assert len(found) == 9
    assert found.arrays["loss"][found.global_minimum] == 0.0
    first, minima, maxima = found.summary()
    assert "0.6" in first
    assert minima.startswith("2 minima")
    assert " 1 not; 2 more on the boundary (1 " in minima
    assert maxima.startswith("2 maxima")
    assert "boundary" not in maxima


def test_the_repr_is_short():
    lines = repr(find_critical_points(line_of(LINE), persistence=0.6, scale="linear")).splitlines()
    assert lines[0] == "<CriticalPoints: 5 minima, 4 maxima; 5 of persistence above t"
    assert lines[1].split() == ["number", "kind", "position", "loss", "persistence", "significant"]
    assert len(lines) == 8
    assert lines[-1] == "  ... 4 more: .table()>"


def test_persistence_equal_to_the_threshold_does_not_count():
    below = find_critical_points(line_of(LINE), persistence=2.4999, scale="linear").counts
    equal = find_critical_points(line_of(LINE), persistence=2.5, scale="linear").counts
    assert (below["minimum"]["significant"], equal["minimum"]["significant"]) == (2, 1)


def test_one_of_a_kind_is_named_in_the_singular():
    found = find_critical_points(line_of([3.0, 1.0, 2.0, 0.0, 3.0]), persistence=0.5)
    _, minima, maxima = found.summary()
    assert minima.startswith("2 minima")
    assert maxima.startswith("1 maximum")


def test_the_table_has_the_most_persistent_first_and_of_these_the_lowest():
    found = find_critical_points(line_of(LINE), persistence=0.6, scale="linear")
    rows = found.table()
    assert [row["loss"] for row in rows] == [0.0, 1.0, 3.5, 7.0, 8.0, 2.5, 3.0, 5.5, 6.0]
    assert [row["persistence"] for row in rows] == [np.inf, 2.5, 2.5, 1, 1, 0.5, 0.5, 0.5, 0.5]
    # a maximum of a line is the middle of its highest edge
    assert [row["position"] for row in rows] == [
        [4.0], [2.0], [2.5], [8.0], [7.5], [0.0], [0.5], [6.0], [5.5],
    ]  # fmt: skip
    assert [row["significant"] for row in rows] == [True] * 5 + [False] * 4
    assert [row["on_boundary"] for row in rows] == [r["loss"] in (2.5, 7.0) for r in rows]
    assert {row["kind"] for row in rows if row["loss"] in (0.0, 1.0, 2.5, 5.5, 7.0)} == {"minimum"}
    for row in rows:
        assert found.arrays["loss"][row["number"]] == row["loss"]
    assert found.to_json()["critical_points"] == rows
    assert "interpolated" not in rows[0]
    assert "persistence_standard_error" not in rows[0]


def test_simplifying_removes_what_is_not_above_the_threshold():
    found = find_critical_points(line_of(LINE), persistence=0.6, scale="linear", simplify=True)
    assert sorted(found.arrays["loss"]) == [0.0, 1.0, 3.5, 7.0, 8.0]
    assert found.simplified
    lowest = find_critical_points(line_of(LINE), persistence=2.6, scale="linear", simplify=True)
    assert lowest.arrays["loss"].tolist() == [0.0]
    assert "only critical point" in lowest.summary()[-1]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_error_of_a_persistence_is_that_of_the_difference_of_its_two_points(rng, scale):
    losses = (LINE[:, None] + 1) * rng.gamma(50.0, 0.02, size=(9, 40))
    measured = line_of(losses.mean(1), samples={"loss_samples": losses})
    found = find_critical_points(measured, persistence=0.0, scale=scale)
    # by the delta method, a sample's share in the change of log10 of a mean
    shares = losses / (np.log(10) * losses.mean(1, keepdims=True)) if scale == "log" else losses
    checked = 0
    for row in found.table():
        if row["kind"] != "minimum" or np.isinf(row["persistence"]):
            continue
        value = np.log10(row["loss"]) if scale == "log" else row["loss"]
        [partner] = [
            other
            for other in found.table()
            if other["kind"] == "maximum"
            and (np.log10(other["loss"]) if scale == "log" else other["loss"]) - value
            == pytest.approx(row["persistence"], rel=1e-9)
        ]
        ends = [int(np.flatnonzero(measured.values() == r["loss"])[0]) for r in (partner, row)]
        difference = shares[ends[0]] - shares[ends[1]]
        expected = difference.std(ddof=1) / np.sqrt(40)
        assert row["persistence_standard_error"] == pytest.approx(expected, rel=1e-9)
        assert partner["persistence_standard_error"] == pytest.approx(expected, rel=1e-9)
        checked += 1
    assert checked >= 3
    lowest = found.table()[0]
    assert np.isnan(lowest["persistence_standard_error"])  # nothing ends it


def test_two_samples_have_an_error_and_one_has_none(rng):
    for count, known in ((2, True), (1, False)):
        losses = LINE[:, None] + rng.random((9, count))
        measured = line_of(losses.mean(1), samples={"loss_samples": losses})
        found = find_critical_points(measured, persistence=0.1, scale="linear")
        assert ("persistence_standard_error" in found.arrays) == known


def test_critical_points_at_interpolated_points_are_marked_and_counted():
    status = np.full(9, EVALUATED, np.int8)
    status[[2, 6]] = INTERPOLATED  # 1, which counts, and 5.5, which does not
    measured = line_of(LINE, status=status)
    found = find_critical_points(measured, persistence=0.6, scale="linear")
    assert {row["loss"] for row in found.table() if row["interpolated"]} == {1.0, 5.5}
    assert any("1 of the 5 critical points" in line for line in found.summary())
    status[2] = EVALUATED
    found = find_critical_points(line_of(LINE, status=status), persistence=0.6, scale="linear")
    assert any("no critical point above t" in line for line in found.summary())


def test_threshold_and_noise_are_in_the_json():
    errors = {"loss_standard_error": np.full(9, 0.01)}
    found = find_critical_points(line_of(LINE, fields=errors), scale="linear", confidence=0.9)
    written = found.to_json()
    assert written["threshold"] == found.noise.persistence == written["noise"]["persistence"]
    assert any("90%" in line for line in written["summary"])
    given = find_critical_points(line_of(LINE), persistence=0.25, scale="linear").to_json()
    assert (given["threshold"], given["noise"], given["simplified"]) == (0.25, None, False)
    assert not any("%" in line for line in given["summary"])


def test_on_the_log_scale_persistence_is_in_decades():
    found = find_critical_points(line_of(10.0**LINE), persistence=0.6, scale="log")
    linear = find_critical_points(line_of(LINE), persistence=0.6, scale="linear")
    np.testing.assert_allclose(found.arrays["persistence"], linear.arrays["persistence"])
    assert found.counts == linear.counts
    np.testing.assert_allclose(found.arrays["loss"], 10.0 ** linear.arrays["loss"])
    assert "decades" in found.summary()[0]


def test_positions_are_those_of_the_grid_along_unequal_axes():
    grid = Grid.rectangle((5, 4), ((-1.0, 1.0), (10.0, 40.0)))
    field = np.full(grid.shape, 9.0) + np.arange(20.0).reshape(grid.shape) / 100
    field[1, 3] = 1.0
    measured = Landscape(grid, {"loss": field}, np.ones(grid.shape, np.int8), np.eye(2))
    [row, *_] = find_critical_points(measured, persistence=0.5, scale="linear").table()
    assert row["position"] == [0.5, 20.0]
    assert find_critical_points(measured, persistence=0.5).kinds == ("minimum", "saddle", "maximum")


def test_on_a_line_the_global_minimum_outlives_any_threshold(rng):
    for _ in range(100):
        values = rng.normal(size=rng.integers(3, 30))
        threshold = rng.uniform(0, 4)
        line = Landscape(
            Grid.line(values.size), {"loss": values}, np.ones(values.size, np.int8), np.eye(1)
        )
        found = find_critical_points(line, persistence=threshold, simplify=True, scale="linear")
        minima = found.arrays["CellDimension"] == 0
        assert found.arrays["loss"][minima].min() == values.min()
        pairs = persistence_pairs(values)
        above = (pairs["Persistence"] > threshold) & (pairs["PairType"] == 0)
        assert minima.sum() == 1 + (above & (pairs["IsFinite"] == 1)).sum()
