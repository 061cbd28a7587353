"""Components of sublevel sets against sizes known by geometry."""

import numpy as np
import pytest

from losslandscape import Grid
from losslandscape.analysis.sublevel_set import PiecewiseLinearField, Region


def region_of(points, simplices):
    return Region(
        np.array(points, float), np.zeros(len(points)), np.array(simplices), np.empty(0), False
    )


@pytest.mark.parametrize(
    ("points", "size"),
    [
        ([[1.0], [4.0]], 3.0),
        ([[0, 0], [4, 0], [0, 3]], 6.0),
        ([[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 4]], 4.0),
    ],
)
def test_sizes_of_single_simplices(points, size):
    region = region_of(points, [range(len(points))])
    assert region.size == pytest.approx(size)
    assert region.sizes.shape == (1,)
    assert len(region.outline) == len(points)  # every facet


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_semi_axes_of_a_box_follow_from_its_second_moments(dimensions):
    sides = np.array([2.0, 4.0, 6.0])[:dimensions]
    counts = (3, 4, 5)[:dimensions]
    grid = Grid.rectangle(counts, [(0, side) for side in sides])
    values = np.zeros(grid.shape)
    whole = PiecewiseLinearField(grid.points(), values).component(1.0, 0)
    assert whole.size == pytest.approx(sides.prod())
    unit = np.array([0.5, 2.0, 1.0])[:dimensions]
    # a side a has the variance a^2 / 12; an ellipsoid's semi-axis s has s^2 / (dimensions + 2)
    expected = np.sort(np.sqrt((dimensions + 2) * (sides / unit) ** 2 / 12))
    np.testing.assert_allclose(whole.semi_axes(unit), expected)
    np.testing.assert_allclose(whole.semi_axes(100 * unit), expected / 100)
    assert whole.touches_edge
    assert whole.vertices.all()


def test_a_region_of_no_size_has_semi_axes_of_zero():
    flat = region_of([[0, 0], [1, 1], [2, 2]], [[0, 1, 2]])
    np.testing.assert_array_equal(flat.semi_axes(np.ones(2)), [0, 0])


def reference_size(points, values, level, cells=12):
    """Length, area or volume of {field <= level}: each simplex cut into many small ones."""
    field = PiecewiseLinearField(points, values)
    total = 0.0
    rng = np.random.default_rng(0)
    dimensions = points.shape[1]
    shares = rng.dirichlet(np.ones(dimensions + 1), size=4000)
    for simplex in field.simplices:
        corners = points[simplex]
        size = abs(np.linalg.det(corners[1:] - corners[0])) / [1, 1, 2, 6][dimensions]
        total += size * (shares @ values.ravel()[simplex] <= level).mean()
    return total


@pytest.mark.parametrize("shape", [(9,), (4, 6), (3, 4, 3)])
def test_a_clipped_field_has_the_size_of_its_points_below_the_level(rng, shape):
    grid = Grid.rectangle(shape[::-1], [(0, n - 1) for n in shape[::-1]])
    values = rng.random(shape)
    field = PiecewiseLinearField(grid.points(), values)
    values.ravel()[0] = field.values[0] = 0.0
    level = 0.6
    inside = values.ravel() <= level
    # all components: each point below the level once
    left, total, regions = set(np.flatnonzero(inside)), 0.0, 0
    while left:
        region = field.component(level, min(left))
        members = set(np.flatnonzero(region.vertices))
        assert min(left) in members
        assert members <= left
        left -= members
        total += region.size
        regions += 1
        assert region.values.max() <= level
        on_contour = region.values == level
        assert on_contour.sum() == len(region.points) - len(members)
    assert total == pytest.approx(reference_size(grid.points(), values, level), rel=0.02)


def test_the_domain_is_split_by_the_diagonal_from_right_to_left():
    field = PiecewiseLinearField(Grid.square(2).points(), np.zeros((2, 2)))
    assert sorted(map(sorted, field.simplices.tolist())) == [[0, 1, 2], [1, 2, 3]]
    # opposite corners of the diagonal (1, 2) are not neighbours
    values = np.array([[0.0, 1.0], [1.0, 0.0]])
    field = PiecewiseLinearField(Grid.square(2).points(), values)
    assert field.component(0.5, 0).vertices.sum() == 1
    along = PiecewiseLinearField(Grid.square(2).points(), 1 - values)
    assert along.component(0.5, 1).vertices.sum() == 2


def test_where_the_contour_crosses_an_edge_is_linear():
    points = np.array([[0.0], [2.0], [10.0]])
    region = PiecewiseLinearField(points, np.array([5.0, 1.0, 9.0])).component(3.0, 1)
    np.testing.assert_allclose(np.sort(region.points.ravel()), [1.0, 2.0, 4.0])
    np.testing.assert_array_equal(np.sort(region.values), [1.0, 3.0, 3.0])
    assert not region.touches_edge
    assert region.size == pytest.approx(3.0)


def test_a_vertex_on_the_level_belongs_to_the_region_and_one_above_has_none():
    points = np.arange(5.0)[:, None]
    field = PiecewiseLinearField(points, np.array([2.0, 1.0, 0.0, 1.0, 2.0]))
    assert field.component(1.0, 2).vertices.tolist() == [False, True, True, True, False]
    assert field.component(1.0, 2).size == pytest.approx(2.0)
    assert not len(field.component(1.0, 0).simplices)
    assert field.component(2.0, 2).touches_edge
    assert not field.component(1.9, 2).touches_edge


def test_points_without_a_value_end_the_domain():
    points = np.arange(6.0)[:, None]
    field = PiecewiseLinearField(points, np.array([0.0, 0.0, 0.0, np.nan, 0.0, 0.0]))
    region = field.component(1.0, 1)
    assert region.size == pytest.approx(2.0)
    assert region.touches_edge
    assert region.vertices.tolist() == [True, True, True, False, False, False]
    inside = PiecewiseLinearField(points, np.array([9.0, 0.0, 0.5, np.nan, 0.0, 9.0]))
    assert inside.component(1.0, 1).touches_edge  # 2 lies beside the point without a value
    alone = PiecewiseLinearField(points, np.array([9.0, 9.0, np.nan, 0.0, np.nan, 9.0]))
    assert not len(alone.component(1.0, 3).simplices)
