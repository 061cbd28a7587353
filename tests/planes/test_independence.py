"""Directions that are zero, not finite or parallel are refused, and others are not."""

import math

import pytest
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.independence import check_directions

SIZE = 1000


def drawn(seed, dtype=torch.float32):
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(
        dtype
    )


def at_angle(sine, dtype):
    """Two vectors whose angle has this sine, before the second is rounded."""
    first = drawn(0, dtype)
    across = drawn(1, torch.float64)
    wide = first.double()
    across -= (across @ wide) / (wide @ wide) * wide
    across *= wide.norm() / across.norm()
    return [first, (math.sqrt(1 - sine**2) * wide + sine * across).to(dtype)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("factor", [3.0, -0.7, 1e-3])
def test_multiples_are_parallel_in_each_type(dtype, factor):
    direction = drawn(0, dtype)
    rounded = (direction.double() * factor).to(dtype)
    with pytest.raises(
        LossLandscapeError, match=r"direction 1 \(beta\) is parallel to direction 0"
    ):
        check_directions([direction, rounded])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_limit_is_four_roundings_of_the_type(dtype):
    eps = torch.finfo(dtype).eps
    check_directions(at_angle(6 * eps, dtype))
    with pytest.raises(LossLandscapeError, match="within the rounding"):
        check_directions(at_angle(2 * eps, dtype))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_lengths_do_not_matter(scale):
    one, other = drawn(0, torch.float64), drawn(1, torch.float64)
    check_directions([one * scale, other])
    with pytest.raises(LossLandscapeError, match="parallel"):
        check_directions([one * scale, one / 3])


def test_a_third_direction_in_the_plane_of_the_others():
    one, other = drawn(0), drawn(1)
    with pytest.raises(LossLandscapeError, match=r"2 \(gamma\) lies in the plane of direction 0"):
        check_directions([one, other, 0.3 * one - 2 * other])
    check_directions([one, other, 0.3 * one - 2 * other + 1e-4 * drawn(2)])


@pytest.mark.parametrize(
    ("value", "words"),
    [(math.nan, "1 of 1000 values that are NaN"), (-math.inf, "NaN or infinite"), (0.0, "is zero")],
)
def test_what_is_no_direction(value, words):
    bad = torch.zeros(SIZE)
    bad[7] = value
    with pytest.raises(LossLandscapeError, match=rf"direction 1 \(beta\) .*{words}"):
        check_directions([drawn(0), bad])
