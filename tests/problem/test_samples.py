"""Batches, parts and orders of samples against slices of the tensors."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from losslandscape.errors import LossLandscapeError
from losslandscape.problem import batches
from losslandscape.problem.samples import SampleSet, _ranges

INPUTS, TARGETS = torch.arange(30.0).view(10, 3), torch.arange(10)


def set_of(kind, hold=1 << 20):
    data = {
        "tuple": (INPUTS, TARGETS),
        "dataset": TensorDataset(INPUTS, TARGETS),
        "streamed": TensorDataset(INPUTS, TARGETS),
    }[kind]
    return SampleSet(data, "some", 1 if kind == "streamed" else hold)


KINDS = pytest.mark.parametrize("kind", ["tuple", "dataset", "streamed"])


@KINDS
@pytest.mark.parametrize(
    ("size", "lengths"), [(3, [3, 3, 2, 2]), (4, [4, 3, 3]), (10, [10]), (99, [10])]
)
def test_batches_are_of_nearly_equal_size_in_order(kind, size, lengths):
    samples = set_of(kind)
    found = list(samples.batches(size))
    assert [len(batch[0]) for batch in found] == lengths
    assert torch.equal(torch.cat([batch[0] for batch in found]), INPUTS)
    assert torch.equal(torch.cat([batch[1] for batch in found]), TARGETS)
    assert samples.streamed == (kind == "streamed")
    assert not samples.ragged


@KINDS
@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_subsets_are_evenly_spaced(kind, count):
    [(inputs, targets)] = set_of(kind).subset(count).batches(99)
    expected = [i * 10 // count for i in range(count)]
    assert targets.tolist() == expected
    assert torch.equal(inputs, INPUTS[expected])


@KINDS
def test_a_subset_of_all_is_the_set_and_the_first_are_the_first(kind):
    samples = set_of(kind)
    assert samples.subset(10) is samples
    assert samples.subset(11) is samples
    assert torch.equal(samples.first(4)[0], INPUTS[:4])
    assert len(samples.first(99)[0]) == 10


@KINDS
def test_the_description_is_of_the_values_and_kept_in_another_order(kind):
    samples = set_of(kind)
    described = samples.to_json()
    assert described["samples"] == 10
    assert described["sha256"] == set_of("tuple").to_json()["sha256"]
    other = samples.shuffled(4)
    assert other.to_json() == described
    [(inputs, targets)] = other.batches(99)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
    assert torch.equal(targets, order)
    assert torch.equal(inputs, INPUTS[order])


def test_floats_take_the_type_and_images_the_order_that_is_asked_for():
    images = torch.randn(4, 3, 5, 5)
    samples = SampleSet((images, torch.arange(4)))
    [(found, targets)] = samples.batches(9, dtype=torch.float64)
    assert (found.dtype, targets.dtype) == (torch.float64, torch.int64)
    assert found.is_contiguous()
    [(found, _)] = samples.batches(9, channels_last=True)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, images)
    samples.lay_out(True)
    assert samples.stored()[0][0].is_contiguous(memory_format=torch.channels_last)
    samples.lay_out(False)
    assert samples.stored()[0][0].is_contiguous()
    volume = torch.randn(2, 3, 4, 4, 4)
    [(found,)] = SampleSet((volume,)).batches(9, channels_last=True)
    assert found.is_contiguous()


def ragged():
    parts = [(torch.ones(2, 3), torch.zeros(2)), (torch.full((1, 5), 2.0), torch.zeros(1))]
    return SampleSet(DataLoader(parts, batch_size=None), "words")


def test_batches_of_unequal_shapes_are_kept_as_they_are():
    samples = ragged()
    assert samples.ragged
    assert len(samples) == 3
    assert [tuple(batch[0].shape) for batch in samples.batches(1)] == [(2, 3), (1, 5)]
    assert samples.first(1)[0].shape == (1, 3)
    assert samples.subset(3) is samples
    for call in (lambda: samples.subset(2), lambda: samples.shuffled(0)):
        with pytest.raises(LossLandscapeError, match=r"words: .*different shapes"):
            call()
    samples.lay_out(True)
    assert len(samples.stored()) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((torch.zeros(3), torch.zeros(2)), "2, 3 samples"),
        ((torch.zeros(0, 2),), "no samples"),
        ((torch.zeros(3), 5.0), "float"),
        ((torch.zeros(()),), "scalar"),
        (iter([1]), "only once"),
        (5, "int is neither"),
        ([], "no samples"),
    ],
)
def test_what_are_no_samples_is_refused_with_the_name_of_the_set(data, message):
    with pytest.raises(LossLandscapeError, match=f"^some: .*{message}"):
        SampleSet(data, "some")


def test_a_loader_whose_batches_are_of_unequal_lengths_within_is_refused():
    parts = [(torch.zeros(2, 3), torch.zeros(2)), (torch.zeros(2, 4), torch.zeros(1))]
    with pytest.raises(LossLandscapeError, match="1, 2 samples"):
        SampleSet(DataLoader(parts, batch_size=None), "words")


def test_a_shuffling_loader_says_so_and_repeats_its_order():
    def of(shuffle):
        return SampleSet(DataLoader(TensorDataset(INPUTS, TARGETS), 3, shuffle=shuffle))

    assert "shuffled" in of(True).source
    assert of(False).source == "DataLoader"
    assert of(True).to_json() == of(True).to_json()
    assert of(True).to_json()["sha256"] != of(False).to_json()["sha256"]


@pytest.mark.parametrize(("count", "parts"), [(10, 3), (10, 4), (9, 3), (2, 2), (7, 1)])
def test_ranges_are_the_cuts_of_tensor_split(count, parts):
    expected = torch.tensor_split(torch.arange(count), parts)
    assert [list(range(*ends)) for ends in _ranges(count, parts)] == [e.tolist() for e in expected]


def test_bytes_shapes_and_joins_of_batches():
    batch = {"a": torch.zeros(2, 3), "b": torch.zeros(2, dtype=torch.int64)}
    assert batches.batch_bytes(batch) == 2 * 3 * 4 + 2 * 8
    assert batches.batch_length(batch) == 2
    assert batches.sample_shapes(batch) == ((3,), ())
    assert batches.describe(batch) == "a (2, 3), b (2,)"
    assert batches.describe((torch.zeros(2, 3), torch.zeros(2))) == "(2, 3), (2,)"
    joined = batches.join([batch, batch])
    assert joined["a"].shape == (4, 3)
    pair = batches.join([(torch.ones(2), torch.zeros(2, 1))] * 3)
    assert [tuple(one.shape) for one in pair] == [(6,), (6, 1)]
    [alone] = batches.map_batch(lambda one: one + 1, torch.zeros(2))
    assert alone.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1.0, np.nan], [1.0, np.nan], True),
        ([1.0, np.nan], [1.0, 2.0], False),
        ([1.0, 2.0], [1.0, np.nan], False),
        ([np.inf, 0.0], [np.inf, -0.0], True),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
    ],
)
def test_nan_is_the_same_as_nan(one, other, same):
    assert batches.same_values(torch.tensor(one), torch.tensor(other)) == same


def test_memory_that_begins_off_a_boundary_is_copied_once():
    array = np.zeros(100, dtype=np.uint8)
    offset = (-array.ctypes.data) % 64 + 4
    off = torch.from_numpy(array[offset : offset + 32].view(np.float32))
    assert off.untyped_storage().data_ptr() % 64 == 4
    copies = {}
    one, other = batches.aligned(off, copies), batches.aligned(off[2:], copies)
    assert one.untyped_storage().data_ptr() % 64 == 0
    assert len(copies) == 1
    assert other.data_ptr() == one.data_ptr() + 8
    assert torch.equal(one, off)
    assert other.shape == (6,)
    own = torch.zeros(64)
    assert batches.aligned(own) is own
    assert batches.aligned(own[1:]).data_ptr() == own.data_ptr() + 4  # its storage begins on one


def test_arrays_become_tensors_without_their_history():
    data = (np.arange(6.0).reshape(3, 2), torch.ones(3, requires_grad=True))
    inputs, targets = batches.as_batch(data, "some")
    assert isinstance(inputs, torch.Tensor)
    assert not targets.requires_grad


def test_a_list_of_samples_is_a_data_set():
    x, y = torch.randn(5, 3), torch.arange(5)
    [found] = SampleSet(list(zip(x, y.tolist()))).batches(9)
    assert torch.equal(found[0], x)
    assert torch.equal(found[1], y)
    [found] = SampleSet([{"a": a, "labels": b} for a, b in zip(x.numpy(), y)]).batches(9)
    assert torch.equal(found["a"], x)
    assert torch.equal(found["labels"], y)
    assert SampleSet(list(zip(x, y))).source == "list"


def test_a_list_of_batches_is_not_taken_for_samples():
    batches = [(torch.randn(4, 3), torch.arange(4)) for _ in range(4)]
    with pytest.raises(LossLandscapeError, match=r"samples or batches.*torch\.stack.*torch\.cat"):
        SampleSet(batches)


def test_texts_of_one_length_are_samples_as_hugging_face_lists_them():
    """Tokens, mask and labels agree in their only dimension; those of a batch have two."""
    ids = torch.arange(12).reshape(4, 3)
    rows = [{"input_ids": row, "attention_mask": row > 0, "labels": row} for row in ids]

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(rows)

    for data in (rows, Stream()):
        found = SampleSet(data)
        assert len(found) == 4
        [batch] = found.batches(9)
        assert torch.equal(batch["input_ids"], ids)
    halves = [{"input_ids": ids[:2], "labels": ids[:2]}, {"input_ids": ids[2:], "labels": ids[2:]}]
    with pytest.raises(LossLandscapeError, match="samples or batches"):
        SampleSet(halves)
