"""The model's place and the lowest point, against numbers computed from the samples."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.landscape.overlays import ProjectedTrajectory
from losslandscape.landscape.places import describe_places


def line(losses, status=None, **provenance):
    losses = np.asarray(losses, float)
    kept = losses.ndim == 2
    values = losses.mean(1) if kept else losses
    provenance = {"subspace": {"kind": "random"}, **provenance}
    return Landscape(
        Grid.line(len(values)), {"loss": values},
        np.ones(len(values), np.int8) if status is None else np.array(status, np.int8), np.eye(1),
        provenance, {"loss_samples": losses} if kept else {},
    )  # fmt: skip


def test_the_difference_has_its_paired_error():
    rng = np.random.default_rng(0)
    common = rng.gamma(2.0, size=200)
    losses = np.stack([common + 1, common - 0.2 + 0.1 * rng.normal(size=200), common, common + 2,
                       common + 0.5])  # fmt: skip
    own, low = describe_places(line(losses))
    difference = losses[2] - losses[1]
    assert own == f"the model, at (0): loss {losses[2].mean():.6g}"
    assert low.startswith(f"lowest evaluated point, at (-0.5): loss {losses[1].mean():.6g}, which")
    assert f"is {difference.mean():.4g} below the model" in low
    assert f"(standard error {difference.std(ddof=1) / 200**0.5:.2g}, 95.4% interval" in low


def test_the_model_is_the_lowest():
    assert describe_places(line([3.0, 1.0, 2.0])) == [
        "the model, at (0): loss 1",
        "lowest evaluated point: the model",
    ]


def test_a_model_beside_the_grid_and_a_lower_interpolated_point():
    found = describe_places(
        line([3.0, 2.0, 1.5, 4.0], [1, 1, 2, 1], determinism={"origin_loss": 2.5})
    )
    assert found[0] == "the model, at (0), which is not a grid point: loss 2.5"
    assert found[1].endswith(
        "2, which is 0.5 below the model; the error of the difference is not known, because no "
        "per-sample losses are kept"
    )
    assert found[2].startswith("lowest interpolated point, at (0.3333): loss 1.5, which is not")


def test_without_the_origin_on_the_grid_the_difference_has_no_error():
    losses = np.array([[3.0, 4.0], [2.0, 3.0], [1.0, 2.0], [4.0, 5.0]])
    found = describe_places(line(losses, determinism={"origin_loss": 2.5}))
    assert found[1].endswith(
        "1 below the model; the error of the difference is not known, because the per-sample "
        "losses are those of grid points, and the model is not one"
    )


@pytest.mark.parametrize("kind", ["between", "imported"])
def test_without_one_model_there_is_the_lowest_point_alone(kind):
    (low,) = describe_places(line([3.0, 1.0, 2.0], subspace={"kind": kind}))
    assert low == "lowest evaluated point, at (0): loss 1"


def test_nothing_finite_has_no_place():
    assert describe_places(line([np.nan, np.nan], [3, 3])) == []


def test_older_files_have_the_model_at_the_end_of_the_trajectory():
    found = line([3.0, 2.0, 4.0, 5.0], subspace={"kind": "pca"})
    losses = np.array([9.0, 2.5])
    found.trajectories = [
        ProjectedTrajectory("run", np.arange(2), np.array([[0.9], [1e-9]]), losses, losses,
                            np.zeros(2))
    ]  # fmt: skip
    assert describe_places(found)[0] == "the model, at (0), which is not a grid point: loss 2.5"
    found.trajectories[0].coordinates[-1] = 0.1
    assert len(describe_places(found)) == 1
