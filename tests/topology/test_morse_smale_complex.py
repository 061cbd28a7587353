"""Properties of every Morse-Smale complex, with ties, with holes and in one dimension."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from losslandscape import topology
from losslandscape.topology.grid_triangulation import GridTriangulation


@st.composite
def fields(draw, holes=True, dimensions=(1, 2), distinct=False):
    if draw(st.sampled_from(dimensions)) == 1:
        shape = (draw(st.integers(2, 12)),)
    else:
        shape = (draw(st.integers(2, 8)), draw(st.integers(2, 8)))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    if distinct:
        values = rng.permutation(int(np.prod(shape))).reshape(shape).astype(float)
    else:
        values = rng.integers(0, draw(st.sampled_from([2, 5, 1000])), shape).astype(float)
    if holes and draw(st.booleans()):
        values[rng.random(shape) < draw(st.sampled_from([0.1, 0.4]))] = np.nan
    finite = values[~np.isnan(values)]
    assume(finite.size > 0 and finite.min() < finite.max())
    return values


def names_that_hold_values(dictionary):
    values = ("loss", "Persistence", "persistence", "Birth")
    return {n for n in dictionary if n in values or n.startswith("SeparatrixFunction")}


@given(values=fields())
@settings(max_examples=300, deadline=None)
def test_counts_of_critical_points_give_the_euler_characteristic(slow, values):
    dimension = topology.morse_smale_complex(values).critical_points["CellDimension"]
    count = np.bincount(dimension, minlength=3)
    assert count[0] - count[1] + count[2] == slow.euler_characteristic(values)


@given(values=fields(holes=False))
@settings(max_examples=100, deadline=None)
def test_a_domain_without_holes_has_euler_characteristic_1(values):
    complex_ = topology.morse_smale_complex(values)
    count = np.bincount(complex_.critical_points["CellDimension"], minlength=3)
    assert count[0] - count[1] + count[2] == 1
    assert not complex_.has_holes
    assert complex_.domain.all()


@given(values=fields(), persistence=st.sampled_from([0.0, 0.0, 1.0, 3.0, 200.0]))
@settings(max_examples=300, deadline=None)
def test_each_critical_point_is_in_exactly_one_pair(values, persistence):
    complex_ = topology.morse_smale_complex(values, persistence=persistence)
    points, pairs = complex_.critical_points, complex_.persistence_pairs
    pair_count = pairs["Birth"].size
    members = np.bincount(points["pair"], minlength=pair_count)
    np.testing.assert_array_equal(members, 1 + pairs["IsFinite"])
    for number in range(pair_count):
        at = np.flatnonzero(points["pair"] == number)
        assert points["CellDimension"][at[0]] == pairs["PairType"][number]
        assert points["ttkVertexScalarField"][at[0]] == pairs["birth_vertex"][number]
        assert points["loss"][at[0]] == pairs["Birth"][number]
        if pairs["IsFinite"][number]:
            assert points["CellDimension"][at[1]] == pairs["PairType"][number] + 1
            assert points["ttkVertexScalarField"][at[1]] == pairs["death_vertex"][number]
            assert (points["persistence"][at] == pairs["Persistence"][number]).all()
        else:
            assert np.isinf(points["persistence"][at[0]])


@given(values=fields(distinct=True), persistence=st.sampled_from([0.0, 0.0, 7.0]))
@settings(max_examples=150, deadline=None)
def test_an_increasing_map_changes_only_values(values, persistence):
    # Affine if there is a threshold, which scales with it; powers of 2 are exact.
    stretched = 4 * values + 8 if persistence else np.exp(values / 16)
    one = topology.morse_smale_complex(values, persistence=persistence)
    other = topology.morse_smale_complex(stretched, persistence=4 * persistence)
    for part in ("critical_points", "separatrices", "segmentation", "persistence_pairs"):
        first, second = getattr(one, part), getattr(other, part)
        for name in first.keys() - names_that_hold_values(first):
            np.testing.assert_array_equal(first[name], second[name], err_msg=f"{part} {name}")


@given(values=fields(dimensions=(2,)))
@settings(max_examples=150, deadline=None)
def test_separatrices_are_v_paths(slow, values):
    complex_ = topology.morse_smale_complex(values)
    paths, grid = slow.VPaths(values), GridTriangulation(values.shape)
    points = complex_.critical_points
    saddles = points["CellId"][points["CellDimension"] == 1].tolist()
    expected = []
    for saddle in saddles:
        for vertex in paths.cells[1, saddle]:
            expected.append([(1, saddle), *paths.descending(vertex)])
    for saddle in saddles:
        for (triangle,) in grid.edge_triangles(np.array([saddle])):
            if (2, triangle) in paths.cells:
                path = paths.ascending(slow.Cell(2, int(triangle)))
                if path[-1] in paths.critical:
                    expected.append([(1, saddle), *path])
    lines = complex_.separatrices
    cells = list(zip(lines["CellDimension"].tolist(), lines["CellId"].tolist()))
    ends = np.flatnonzero(lines["ttkMaskScalarField"] == 0).reshape(-1, 2)
    mine = [cells[start : end + 1] for start, end in ends.tolist()]
    assert mine == [[tuple(cell) for cell in path] for path in expected]


@given(values=fields())
@settings(max_examples=150, deadline=None)
def test_segmentation_follows_v_paths(slow, values):
    assert_segmentation_follows_v_paths(slow, values)


@pytest.mark.parametrize("seed", range(40))
def test_segmentation_beside_holes_follows_v_paths(slow, seed):
    rng = np.random.default_rng(seed)
    values = rng.permutation(42).astype(float).reshape(7, 6)
    values[rng.random((7, 6)) < 0.2] = np.nan
    for turned in (values, values.T):
        assert_segmentation_follows_v_paths(slow, turned)


def assert_segmentation_follows_v_paths(slow, values):
    complex_ = topology.morse_smale_complex(values)
    points, paths = complex_.critical_points, slow.VPaths(values)
    labels = {name: array.ravel() for name, array in complex_.segmentation.items()}
    top = values.ndim
    minima = points["CellId"][points["CellDimension"] == 0].tolist()
    maxima = points["CellId"][points["CellDimension"] == top].tolist()
    stars = {}
    for cell, vertices in paths.cells.items():
        if cell.dimension == top:
            for vertex in vertices:
                stars.setdefault(vertex, []).append(cell)
    regions = {}
    for vertex, inside in enumerate(complex_.domain.ravel().tolist()):
        basin, region = labels["DescendingManifold"][vertex], labels["AscendingManifold"][vertex]
        cell = labels["MorseSmaleManifold"][vertex]
        if not inside:
            assert (basin, region, cell) == (-1, -1, -1)
            continue
        assert paths.descending(vertex)[-1].id == minima[basin]
        ends = [paths.ascending(cell)[-1] for cell in stars.get(vertex, [])]
        above = {maxima.index(end.id) if end in paths.critical else -1 for end in ends}
        assert region in (above or {-1})
        both = (basin, region) if region >= 0 else "no region"
        assert regions.setdefault(cell, both) == both
    assert len(set(regions.values())) == len(regions)
    for name, sizes in (
        ("DescendingManifold", points["ManifoldSize"][: len(minima)]),
        ("AscendingManifold", points["ManifoldSize"][points["CellId"].size - len(maxima) :]),
    ):
        assert sizes.tolist() == [np.count_nonzero(labels[name] == k) for k in range(sizes.size)]


def test_a_line_has_minima_and_maxima_alone():
    complex_ = topology.morse_smale_complex(
        [3.0, 0.0, 2.0, 5.0, 1.0, 4.0], origin=(10.0,), spacing=(2.0,)
    )
    points = complex_.critical_points
    assert points["CellDimension"].tolist() == [0, 0, 1]
    assert points["points"][:, 0].tolist() == [12.0, 18.0, 15.0]
    assert points["IsOnBoundary"].tolist() == [0, 0, 0]
    assert complex_.segmentation["DescendingManifold"].tolist() == [0, 0, 0, 1, 1, 1]
    assert complex_.segmentation["AscendingManifold"].tolist() == [-1, -1, 0, 0, 0, -1]
    assert complex_.separatrices["lines"].shape == (0, 2)
    assert complex_.persistence_pairs["Persistence"].tolist() == [5.0, 4.0]


def test_a_hole_is_surrounded_by_a_cycle_that_never_dies():
    j, i = np.mgrid[:7, :7]
    values = (i + 0.1 * j).astype(float)
    values[3, 3] = np.nan
    complex_ = topology.morse_smale_complex(values)
    assert complex_.has_holes
    assert np.count_nonzero(~complex_.domain) == 1
    pairs = complex_.persistence_pairs
    assert pairs["PairType"].tolist() == [0, 1]
    assert pairs["IsFinite"].tolist() == [0, 0]
    assert complex_.segmentation["DescendingManifold"][3, 3] == -1
    assert complex_.segmentation["MorseSmaleManifold"][3, 3] == -1


def test_infinite_values_are_in_the_domain_and_ordered_like_others():
    values = np.array([[np.inf, 1, np.inf], [0, 5, -np.inf], [np.inf, 2, np.inf]])
    finite = np.nan_to_num(values, posinf=100.0, neginf=-100.0)
    one, other = topology.morse_smale_complex(values), topology.morse_smale_complex(finite)
    assert one.domain.all()
    for name in ("CellId", "pair"):
        np.testing.assert_array_equal(one.critical_points[name], other.critical_points[name])
    assert not np.isnan(one.persistence_pairs["Persistence"]).any()
    assert not np.isnan(one.separatrices["SeparatrixFunctionDifference"]).any()


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, bool])
def test_number_types(dtype):
    values = np.array([[0, 1, 0], [1, 0, 1]], dtype=dtype)
    complex_ = topology.morse_smale_complex(values)
    expected = topology.morse_smale_complex(values.astype(float))
    np.testing.assert_array_equal(
        complex_.critical_points["CellId"], expected.critical_points["CellId"]
    )
    assert complex_.values.dtype == np.float64


def test_the_input_is_not_changed():
    values = np.array([[0.0, 3.0, 1.0], [2.0, 4.0, 2.5]])
    values.setflags(write=False)
    topology.morse_smale_complex(values, persistence=10.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 3)), "is 0 at each of its 9 points"),
        (np.full((3, 4), np.nan), "all 12 values of the field are NaN"),
        (np.array([[1.0, np.nan], [np.nan, np.nan]]), "is 1 at each of its 1 points"),
        (np.zeros((1, 5)), "shape (1, 5) has fewer than 2 points along an axis"),
        (np.zeros((5, 1)), "pass a single row or column as a 1-D array"),
        (np.zeros(1), "has fewer than 2 points"),
        (np.zeros((0, 4)), "has fewer than 2 points"),
        (np.zeros((2, 2, 2)), "TTKMorseSmaleComplex"),
        (np.zeros((2, 2, 2, 2)), "must be 1-D or 2-D"),
        (np.float64(3.0), "must be 1-D or 2-D"),
        (np.array([[1j, 0], [0, 1]]), "must hold real numbers"),
        (np.array([["a", "b"], ["c", "d"]]), "must hold real numbers"),
    ],
)
def test_unusable_fields_are_refused(values, message):
    for function in (
        topology.morse_smale_complex,
        topology.persistence_pairs,
        lambda field: topology.simplify(field, 1.0),
    ):
        with pytest.raises(topology.FieldError) as error:
            function(values)
        assert message in str(error.value)
        assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("threshold", [-1.0, np.nan, "much", None])
def test_unusable_thresholds_are_refused(threshold):
    values = np.array([[0.0, 1.0], [2.0, 3.0]])
    with pytest.raises(topology.FieldError, match="persistence threshold"):
        topology.morse_smale_complex(values, persistence=threshold)
    with pytest.raises(topology.FieldError, match="persistence threshold"):
        topology.simplify(values, threshold)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"origin": (0, 0, 0, 0)}, "origin must be 1 to 3 finite numbers"),
        ({"origin": (np.nan, 0)}, "origin must be 1 to 3 finite numbers"),
        ({"spacing": (0.0, 1.0)}, "spacing must be positive"),
        ({"spacing": 1.0}, "spacing must be 1 to 3 finite numbers"),
        ({"spacing": "ab"}, "spacing must be 1 to 3 finite numbers"),
    ],
)
def test_unusable_origins_and_spacings_are_refused(keywords, message):
    with pytest.raises(topology.FieldError, match=message):
        topology.morse_smale_complex(np.array([[0.0, 1.0], [2.0, 3.0]]), **keywords)


@given(values=fields())
@settings(max_examples=100, deadline=None)
def test_the_boundary_is_where_a_neighbor_is_missing(values):
    complex_ = topology.morse_smale_complex(values)
    points, grid = complex_.critical_points, np.atleast_2d(values)
    ny, nx = grid.shape
    ring = ((1, 0), (1, -1), (0, -1), (-1, 0), (-1, 1), (0, 1))
    ring = ring if values.ndim == 2 else ((1, 0), (-1, 0))
    for vertex, found in zip(points["ttkVertexScalarField"], points["IsOnBoundary"]):
        j, i = divmod(int(vertex), nx)
        around = [(i + di, j + dj) for di, dj in ring]
        missing = any(not (0 <= x < nx and 0 <= y < ny) or np.isnan(grid[y, x]) for x, y in around)
        assert found == missing


def test_by_default_vertices_lie_at_their_indices():
    values = np.array([[5.0, 4.0, 5.0], [4.0, 1.0, 4.0], [5.0, 4.0, 6.0]])
    minimum = topology.morse_smale_complex(values).critical_points["points"][0]
    assert minimum.tolist() == [1.0, 1.0, 0.0]
    moved = topology.morse_smale_complex(values, (10.0, 20.0), (2.0, 3.0))
    assert moved.critical_points["points"][0].tolist() == [12.0, 23.0, 0.0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"origin": ()}, "origin"),
        ({"origin": (0, 0, 0, 0)}, "origin"),
        ({"origin": (0, np.inf)}, "origin"),
        ({"origin": "here"}, "origin"),
        ({"spacing": (1, 0)}, "spacing must be positive"),
        ({"spacing": (-1, 1)}, "spacing must be positive"),
        ({"spacing": ((1, 1),)}, "spacing"),
        ({"persistence": -1e-9}, "threshold"),
        ({"persistence": np.nan}, "threshold"),
        ({"persistence": "much"}, "threshold"),
    ],
)
def test_places_and_thresholds_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        topology.morse_smale_complex([[0.0, 1.0], [2.0, 3.0]], **options)
