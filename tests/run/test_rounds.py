"""Which points come next, and that a resumed run arrives where it was."""

import numpy as np

from losslandscape import Grid
from losslandscape.adaptive.refinement import Adaptive, Refinement, coarse_points
from losslandscape.progress import Progress
from losslandscape.run.rounds import rounds

GRID = Grid.square(21)
X, Y = GRID.points().T
TRUTH = np.sin(3 * X) + Y**2


def played(losses, known=()):
    """The rounds of a refinement, whose losses are filled in, and the points measured for them."""
    taken, measured = [], []
    with Progress(GRID.size, "surface", quiet=True) as progress:
        for numbers in rounds(losses, Refinement(GRID, Adaptive(0.01)), progress):
            taken.append(numbers.tolist())
            measured += [n for n in numbers.tolist() if n not in known]
            losses[numbers] = TRUTH[numbers]
        assert progress.total == sum(map(len, taken))
    return taken, measured


def test_all_points_are_one_round_without_a_tolerance():
    with Progress(9, "surface", quiet=True) as progress:
        found = list(rounds(np.full(9, np.nan), None, progress))
    assert [numbers.tolist() for numbers in found] == [list(range(9))]


def test_the_coarse_grid_comes_first_and_no_point_twice():
    taken, _ = played(np.full(GRID.size, np.nan))
    assert taken[0] == coarse_points(GRID).tolist()
    assert len(taken) > 1
    every = [number for numbers in taken for number in numbers]
    assert len(set(every)) == len(every)


def test_stored_losses_lead_through_the_same_rounds():
    taken, measured = played(np.full(GRID.size, np.nan))
    known = measured[: len(measured) // 2]
    losses = np.full(GRID.size, np.nan)
    losses[known] = TRUTH[known]
    again, further = played(losses, set(known))
    assert again == taken
    assert further == measured[len(known) :]
