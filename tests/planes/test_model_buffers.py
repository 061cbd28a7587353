"""Buffers of the models that a plane goes through."""

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape as ll
from losslandscape.planes.model_buffers import differing, of_norm_layers


class Masked(nn.Module):
    def __init__(self, mask, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("mask", mask)


def test_names_of_the_buffers_that_differ():
    one = {"a": torch.tensor([1.0, torch.nan]), "b": torch.ones(2), "c": torch.ones(2)}
    assert differing([one]) == differing([one, one, one]) == frozenset()
    assert differing([one, {**one, "b": torch.zeros(2)}, one]) == {"b"}
    assert differing([one, one, {**one, "a": torch.tensor([torch.nan, 1.0])}]) == {"a"}
    assert differing([one, {"a": one["a"], "d": torch.ones(1), "c": torch.ones(2, 1)}]) == {
        "b", "c", "d",
    }  # fmt: skip
    assert differing([one, {**one, "c": torch.ones(2, dtype=torch.int64)}]) == {"c"}


def test_norm_layers_have_statistics_and_counters():
    model = nn.Sequential(Masked(torch.ones(1)), nn.InstanceNorm1d(2, track_running_stats=True))
    assert of_norm_layers(model) == {
        "0.norm.running_mean", "0.norm.running_var", "0.norm.num_batches_tracked",
        "1.running_mean", "1.running_var", "1.num_batches_tracked",
    }  # fmt: skip
    assert of_norm_layers(nn.BatchNorm1d(2)) == {
        "running_mean", "running_var", "num_batches_tracked",
    }  # fmt: skip


def test_a_plane_between_models_keeps_their_buffers():
    a, b = Masked(torch.ones(2), 0), Masked(torch.zeros(2), 1)
    b.norm.running_mean += 1
    line = ll.Subspace.between(a, b)
    assert line.differing_buffers == {"mask", "norm.running_mean"}
    assert [buffers["mask"].tolist() for buffers in line.model_buffers] == [[1, 1], [0, 0]]
    b.mask += 5
    assert line.model_buffers[1]["mask"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("mask", "words"), [(torch.ones(3), r"of shape \(3,\) in second"), (None, "missing in second")]
)
def test_buffers_of_other_shapes_or_none_are_refused(mask, words):
    a, b = Masked(torch.ones(2), 0), Masked(mask, 1)
    with pytest.raises(
        ll.LossLandscapeError, match=rf"'mask' is of shape \(2,\) in first and {words}"
    ):
        ll.Subspace.between(a, b, labels=["first", "second"])


def test_buffers_that_follow_from_no_weights_are_part_of_the_plane():
    a, b, c = (Masked(torch.full((2,), float(i)), seed=i) for i in range(3))
    one = ll.Subspace.between(a, b, c).part_hashes
    assert one == ll.Subspace.between(a, b, c).part_hashes
    c.norm.running_mean += 1
    assert one == ll.Subspace.between(a, b, c).part_hashes  # re-estimated at each point
    c.mask += 1
    other = ll.Subspace.between(a, b, c).part_hashes
    assert {key for key in one if one[key] != other[key]} == {"model_buffers_sha256"}
    b.mask, c.mask = a.mask, a.mask
    assert "model_buffers_sha256" not in ll.Subspace.between(a, b, c).part_hashes


def test_shares_of_the_models_are_1_at_each_and_affine_between():
    plane = ll.Subspace.between(*(Masked(torch.ones(1), seed=i) for i in range(3)))
    places = [point.coordinates for point in plane.points]
    shares = np.array([plane.model_shares(place) for place in places])
    np.testing.assert_allclose(shares, np.eye(3), atol=1e-12)
    middle = np.mean(places, axis=0)
    np.testing.assert_allclose(plane.model_shares(middle), np.full(3, 1 / 3), atol=1e-12)


def test_a_trajectory_says_which_buffers_changed(tmp_path):
    model = Masked(torch.ones(2))
    with ll.TrajectoryRecorder(model, tmp_path) as recorder:
        for step in range(3):
            recorder.record(step)
            with torch.no_grad():
                model.layer.weight += torch.randn(2, 2)
                model.mask *= 2 if step == 0 else 1
    plane = ll.Subspace.pca(ll.Trajectory.open(tmp_path))
    assert plane.differing_buffers == {"mask"}
    assert plane.model_buffers == ()


def test_buffers_outside_of_the_state_dict_may_have_other_shapes():
    models = [Masked(torch.ones(2), seed) for seed in range(3)]
    for length, model in zip((4, 4, 6), models):
        model.register_buffer("cache", torch.ones(length), persistent=False)
        model.register_buffer("same", torch.full((1,), float(length)), persistent=False)
    with pytest.warns(UserWarning, match=r"of 'cache', which is not in .*: model a's is used"):
        plane = ll.Subspace.between(*models)
    assert plane.differing_buffers == {"same"}
    assert [set(buffers) & {"cache", "same"} for buffers in plane.model_buffers] == [{"same"}] * 3
