"""Order of vertices, ties and domain against Python's own sort, and what is refused."""

import numpy as np
import pytest

from losslandscape.topology.scalar_field import FieldError, scalar_field


@pytest.mark.parametrize("shape", [(7,), (3, 4), (20, 30)])
@pytest.mark.parametrize("values", [2, 5, 10_000])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_vertices_are_ordered_by_value_then_number(rng, shape, values, holes):
    field = rng.integers(0, values, shape).astype(float)
    field[rng.random(shape) < holes] = np.nan
    field.ravel()[:2] = 0, 1
    found = scalar_field(field)
    flat = field.ravel()
    inside = [i for i in range(flat.size) if not np.isnan(flat[i])]
    expected = sorted(inside, key=lambda i: (flat[i], i))
    assert found.by_rank().tolist() == expected
    assert found.size == len(inside)
    assert found.has_holes == (len(inside) < flat.size)
    np.testing.assert_array_equal(found.domain.ravel(), ~np.isnan(flat))
    assert found.dimension == len(shape)
    assert (found.order.ravel()[np.isnan(flat)] == len(inside)).all()
    upside_down = found.inverted()
    assert upside_down.by_rank().tolist() == expected[::-1]
    np.testing.assert_array_equal(upside_down.domain, found.domain)


def test_infinite_values_are_ordered_and_other_types_converted():
    found = scalar_field(np.array([np.inf, 0.0, -np.inf, np.nan]))
    assert found.by_rank().tolist() == [2, 1, 0]
    assert scalar_field(np.array([True, False])).by_rank().tolist() == [1, 0]
    assert scalar_field([3, 1, 2]).values.dtype == np.float64


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (np.zeros((2, 2, 2)), r"3-D, shape \(2, 2, 2\)"),
        (np.zeros((2, 2, 2, 2)), r"\(2, 2, 2, 2\)"),
        (np.float64(3.0), r"\(\)"),
        (np.zeros((1, 5)), "fewer than 2"),
        (np.zeros((5, 1)), "fewer than 2"),
        (np.zeros(1), "fewer than 2"),
        (np.array([1 + 2j, 0]), "complex"),
        (np.full((2, 3), np.nan), "all 6 values"),
        (np.full((2, 3), 7.0), "7 at each of its 6"),
        (np.array([np.nan, 2.0, 2.0]), "2 at each of its 2"),
    ],
)
def test_fields_that_cannot_be(field, words):
    with pytest.raises(FieldError, match=words):
        scalar_field(field)
