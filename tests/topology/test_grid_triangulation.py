"""Cells of a grid against geometry written out."""

import numpy as np
import pytest

from losslandscape.topology.grid_triangulation import GridTriangulation, midpoints

ORIGIN, SPACING = (10.0, -5.0, 2.0), (3.0, 4.0, 1.0)
GRID = GridTriangulation((3, 4), ORIGIN, SPACING)  # 4 along x, 3 along y
# sums of float32 within a few of its last bits
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def place(vertex):
    j, i = divmod(vertex, 4)
    return np.array([10.0 + 3 * i, -5.0 + 4 * j, 2.0])


def test_counts_are_those_of_the_squares():
    assert GRID.vertex_count == 12
    assert GRID.edge_count == 3 * 3 + 4 * 2 + 3 * 2
    assert GRID.triangle_count == 2 * 3 * 2
    # Euler: a disc
    assert GRID.vertex_count - GRID.edge_count + GRID.triangle_count == 1


def test_vertices_and_edges_lie_on_the_grid():
    np.testing.assert_allclose(
        GRID.vertex_points(np.arange(12)), [place(v) for v in range(12)], **CLOSE
    )
    edges = np.arange(GRID.edge_count)
    first, second = GRID.edge_vertices(edges)
    np.testing.assert_allclose(
        GRID.edge_points(edges),
        [(place(a) + place(b)) / 2 for a, b in zip(first.tolist(), second.tolist())],
        **CLOSE,
    )
    steps = {tuple(place(b) - place(a)) for a, b in zip(first.tolist(), second.tolist())}
    assert steps == {(3, 0, 0), (0, 4, 0), (-3, 4, 0)}


def test_a_triangle_lies_at_its_incenter():
    triangles = np.arange(GRID.triangle_count)
    for point, corners in zip(
        GRID.triangle_points(triangles),
        zip(*(v.tolist() for v in GRID.triangle_vertices(triangles))),
    ):
        places = [place(v) for v in corners]
        # the point at one distance from all three sides
        distances = []
        for k in range(3):
            along = places[k - 1] - places[k - 2]
            away = point - places[k - 2]
            distances.append(np.linalg.norm(np.cross(along, away)) / np.linalg.norm(along))
        area = np.linalg.norm(np.cross(places[1] - places[0], places[2] - places[0])) / 2
        perimeter = sum(np.linalg.norm(places[k] - places[k - 1]) for k in range(3))
        np.testing.assert_allclose(distances, 2 * area / perimeter, rtol=1e-4)
        assert point[2] == 2.0


def test_edges_and_triangles_know_each_other():
    edges = np.arange(GRID.edge_count)
    first, second = GRID.edge_vertices(edges)
    corners = np.stack(GRID.triangle_vertices(np.arange(GRID.triangle_count)), axis=1)
    of_edge = np.stack(GRID.edge_triangles(edges), axis=1)
    for edge in edges:
        around = {
            t for t, c in enumerate(corners.tolist()) if {first[edge], second[edge]} <= set(c)
        }
        assert set(of_edge[edge].tolist()) - {-1} == around
    for kind in range(3):
        triangles = np.arange(GRID.triangle_count)
        own = GRID.triangle_edge(triangles, np.full(triangles.shape, kind))
        for triangle, edge in zip(triangles, own):
            assert triangle in of_edge[edge]
            assert GRID.edge_position(np.array([edge]))[0] == kind
        np.testing.assert_allclose(
            GRID.triangle_edge_points(triangles, np.full(triangles.shape, kind)),
            GRID.edge_points(own),
            **CLOSE,
        )


def test_an_edge_leads_to_the_ring_neighbor():
    first, second = GRID.edge_vertices(np.arange(GRID.edge_count))
    ends = [frozenset(pair) for pair in zip(first.tolist(), second.tolist())]
    middle = 5  # of 4 x 3, inside
    for number, step in enumerate(GRID.steps().tolist()):
        edge = GRID.edge_towards(np.array([middle]), np.array([number]))[0]
        assert ends[edge] == {middle, middle + step}


def test_by_default_vertex_0_lies_at_0_and_steps_are_1():
    plain = GridTriangulation((2, 2))
    np.testing.assert_array_equal(
        plain.vertex_points(np.arange(4)), [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    )
    short = GridTriangulation((1, 3), (5.0,), (2.0,))
    np.testing.assert_array_equal(
        short.vertex_points(np.arange(3)), [[5, 0, 0], [7, 0, 0], [9, 0, 0]]
    )


@pytest.mark.parametrize("one", [0.1, 16777217.0])
def test_midpoints_are_computed_in_double_precision(one):
    values = np.array([one], np.float32), np.array([3.0], np.float32)
    expected = np.float32((float(values[0][0]) + 3.0) / 2)
    assert midpoints(*values)[0] == expected
