"""Streamed samples give the same results as held samples."""

import pickle
import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.input_products import InputProducts
from losslandscape.problem.samples import SampleSet

COUNT = 100
IMAGES = torch.randn(COUNT, 3, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(COUNT) % 5


def shuffling():
    return DataLoader(
        TensorDataset(IMAGES, LABELS),
        batch_size=16,
        shuffle=True,
        generator=torch.Generator().manual_seed(3),
    )


class Words(Dataset):
    """Sequences of different lengths, which the loader pads."""

    def __len__(self):
        return 30

    def __getitem__(self, index):
        return torch.arange(2 + index % 4, dtype=torch.float32) + index, index


def padded(items):
    words = nn.utils.rnn.pad_sequence([word for word, _ in items], batch_first=True)
    return {"x": words, "y": torch.tensor([number for _, number in items])}


SOURCES = {
    "tensors": lambda: (IMAGES, LABELS),
    "dict": lambda: {"x": IMAGES, "labels": LABELS},
    "dataset": lambda: TensorDataset(IMAGES, LABELS),
    "loader": lambda: DataLoader(TensorDataset(IMAGES, LABELS), batch_size=7),
    "shuffling loader": shuffling,
    "shuffling without a generator": lambda: DataLoader(
        TensorDataset(IMAGES, LABELS), batch_size=16, shuffle=True
    ),
    "incomplete batch dropped": lambda: DataLoader(
        TensorDataset(IMAGES, LABELS), batch_size=16, drop_last=True
    ),
    "padded": lambda: DataLoader(Words(), batch_size=4, collate_fn=padded),
}


def pair(source):
    held = SampleSet(SOURCES[source](), "train")
    streamed = SampleSet(SOURCES[source](), "train", hold_bytes=100)
    assert not held.streamed
    assert streamed.streamed
    return held, streamed


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = one.values(), other.values()
    return all(torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(one, other))


@pytest.mark.parametrize("source", SOURCES)
def test_batches_are_the_same_each_time(source):
    held, streamed = pair(source)
    assert len(held) == len(streamed)
    assert held.ragged == streamed.ragged == (source == "padded")
    assert held.to_json() == streamed.to_json()
    for last in (False, True):
        batches = held.batches(9, channels_last=last)
        lazy = streamed.batches(9, channels_last=last)
        assert len(batches) == len(lazy)
        for _ in range(2):
            read = list(lazy)
            assert len(read) == len(batches)
            assert all(map(same, batches, read))
        assert all(map(same, batches[::-1], lazy[::-1]))
        assert same(batches[1], lazy[1])
    assert same(held.first(5), streamed.first(5))


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "padded"])
def test_subsets_and_shuffled_samples_are_the_same(source):
    held, streamed = pair(source)
    assert same(held.subset(7).first(7), streamed.subset(7).first(7))
    one, other = held.shuffled(5), streamed.shuffled(5)
    assert other.streamed
    assert one.to_json() == other.to_json() == held.to_json()
    assert all(map(same, one.batches(30), other.batches(30)))


def test_a_small_subset_of_streamed_samples_is_held():
    streamed = SampleSet((IMAGES, LABELS), "train", hold_bytes=10 * 4 * 3 * 36)
    assert streamed.streamed
    assert not streamed.subset(5).streamed
    assert streamed.subset(50).streamed


def network():
    torch.manual_seed(2)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("batch_norm", ["fixed", "reestimated"])
@pytest.mark.parametrize("source", ["tensors", "dataset", "shuffling loader"])
def test_a_landscape_has_the_same_bits(source, batch_norm):
    found = []
    for hold in (1 << 30, 100):
        model = network()
        objective = Objective(
            model,
            "cross_entropy",
            {"train": SOURCES[source](), "test": (IMAGES[:9], LABELS[:9])},
            batch_size=32,
            batch_norm=batch_norm,
            hold_bytes=hold,
        )
        plane = Subspace.random(model, seed=1)
        found.append(evaluate(objective, plane, Grid.square(3), quiet=True))
        described = found[-1].provenance["objective"]
        assert described.get("streamed", []) == (["train", "test"] if hold == 100 else [])
    held, streamed = found
    for name in held.fields:
        assert np.array_equal(held.fields[name], streamed.fields[name]), name
    # the file accepts the data whether they are held or streamed
    streamed.check_objective(Objective(network(), "cross_entropy", {
        "train": SOURCES[source](), "test": (IMAGES[:9], LABELS[:9])
    }, batch_norm=batch_norm))  # fmt: skip


def test_products_are_kept_for_held_samples_alone():
    """A multilayer perceptron: a batch read later may reuse the memory of another one."""
    model = nn.Sequential(nn.Linear(200, 3), nn.ReLU(), nn.Linear(3, 2))
    data = torch.randn(90, 200), torch.zeros(90, dtype=torch.int64)
    values = []
    for hold in (1 << 30, 100):
        objective = Objective(model, "cross_entropy", data, batch_size=20, hold_bytes=hold)
        with Evaluator(objective, Subspace.random(model, seed=1)) as evaluator:
            assert (evaluator.shortcuts.used(InputProducts) is None) == (hold == 100)
            values.append(evaluator.measure((0.5, 0.25))["train"]["loss"])
    assert np.allclose(*values, rtol=1e-4)


class Noisy(Dataset):
    """Augmented at random by torch's generator."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.rand(3) + index, 0


def test_random_augmentation_repeats_and_the_generator_is_restored():
    state = torch.get_rng_state()
    samples = SampleSet(Noisy(), "train", hold_bytes=100)
    batches = samples.batches(16)
    first = list(batches)
    torch.rand(3)
    torch.set_rng_state(state)
    assert all(map(same, first, list(batches)))
    assert torch.equal(torch.get_rng_state(), state)


class Drawn(Dataset):
    """Items with numbers from all three generators that a data set may use."""

    opened = 0.0

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        numbers = [float(torch.rand(())), np.random.rand(), random.random(), self.opened]  # noqa: NPY002
        return torch.tensor(numbers), index


def opens(_):
    torch.utils.data.get_worker_info().dataset.opened = 7.0


def test_worker_processes_read_the_same():
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=16, num_workers=1)
    batches = SampleSet(loader, "train", hold_bytes=100).batches(30)
    held = SampleSet((IMAGES, LABELS), "train").batches(30)
    state = torch.get_rng_state()
    for _ in range(2):
        assert all(map(same, held, list(batches)))
    assert next(iter(batches))[0].shape[0] == 25  # stopped early, as an allotment does
    assert all(map(same, held, list(batches)))
    assert torch.equal(torch.get_rng_state(), state)


def test_random_numbers_in_data_are_the_same_each_time_and_in_each_process():
    found = []
    for workers in (0, 2):  # two workers take turns and persist from pass to pass
        random.seed(workers), np.random.seed(workers), torch.manual_seed(workers)  # noqa: NPY002
        states = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002
        loader = DataLoader(Drawn(), batch_size=16, num_workers=workers)
        samples = SampleSet(loader, "train", hold_bytes=100)
        batches = samples.batches(30)
        passes = [list(batches) for _ in range(3)]
        assert all(all(map(same, passes[0], again)) for again in passes[1:])
        assert same(batches[2], passes[0][2])
        after = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002
        assert after == states
        found.append((samples.to_json()["sha256"], passes[0]))
    (digest, alone), (other, shared) = found
    assert digest == other
    assert all(map(same, alone, shared))
    numbers = torch.cat([batch[0] for batch in alone])
    assert all(len(column.unique()) == COUNT for column in numbers.T[:3])


def test_a_worker_sees_the_users_data_set():
    loader = DataLoader(Drawn(), batch_size=16, num_workers=1, worker_init_fn=opens)
    samples = SampleSet(loader, "train", hold_bytes=100)
    assert all((batch[0][:, 3] == 7).all() for batch in samples.batches(30))
    reading = samples._streamed.loader([(0, 5)]).dataset
    again = pickle.loads(pickle.dumps(reading))  # as for spawned workers
    assert len(again) == COUNT
    assert again.opened == 0
    assert torch.equal(again.__getitems__([3, [1]])[0][0], reading.__getitems__([3, [1]])[0][0])


@pytest.mark.parametrize("hold", [100, 1 << 30])
@pytest.mark.parametrize("place", ["loader", "sampler"])
def test_the_order_of_a_loader_with_a_generator_is_fixed(hold, place):
    """Earlier draws from the generator do not matter, and its state is restored."""
    generator = torch.Generator().manual_seed(3)
    data = TensorDataset(IMAGES, LABELS)
    if place == "loader":
        loader = DataLoader(data, batch_size=16, shuffle=True, generator=generator)
    else:
        sampler = RandomSampler(data, generator=generator)
        loader = DataLoader(data, batch_size=16, sampler=sampler)
    hashes = set()
    for drawn in range(3):
        torch.rand(drawn, generator=generator)
        state = generator.get_state()
        samples = SampleSet(loader, "train", hold_bytes=hold)
        hashes.add(samples.to_json()["sha256"])
        assert torch.equal(generator.get_state(), state)
        order = torch.cat([batch[1] for batch in samples.batches(30)])
        assert not torch.equal(order, LABELS)
    assert len(hashes) == 1


class Broken(TensorDataset):
    def __getitem__(self, index):
        if index == 60:
            raise OSError("the disk is gone")
        return super().__getitem__(index)

    __getitems__ = None


def test_the_message_names_what_a_data_set_raises():
    with pytest.raises(LossLandscapeError, match=r"train: reading the .* failed: .*disk is gone"):
        SampleSet(DataLoader(Broken(IMAGES, LABELS), batch_size=8), "train", hold_bytes=100)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(torch.zeros(3), 0)] * 50)


def test_an_iterable_data_set_is_held():
    samples = SampleSet(DataLoader(Stream(), batch_size=8), "train", hold_bytes=100)
    assert not samples.streamed
    assert len(samples) == 50


def test_memory_stays_bounded(tmp_path):
    """A process reads a file of 256 MiB and holds a tenth of it at most."""
    program = f"""
        import numpy as np, torch
        from torch import nn
        from losslandscape import Grid, Objective, Subspace, evaluate

        class Mapped(torch.utils.data.Dataset):
            shape = (65536, 1024)

            def __init__(self):
                self.values = np.memmap({str(tmp_path / "data")!r}, np.float32, "r",
                                        shape=self.shape)

            def __len__(self):
                return self.shape[0]

            def __getitems__(self, index):
                return [(torch.tensor(self.values[i]), i % 2) for i in index]

            def __getitem__(self, index):
                return self.__getitems__([index])[0]

        def memory():
            for line in open("/proc/self/status"):
                if line.startswith("RssAnon"):
                    return int(line.split()[1]) / 1024

        model = nn.Linear(1024, 2)
        peak = 0
        def look(*_):
            global peak
            peak = max(peak, memory())
        small = (torch.zeros(512, 1024), torch.zeros(512, dtype=torch.int64))
        evaluate(Objective(model, "cross_entropy", small, batch_size=512),
                 Subspace.random(model), Grid.square(2), quiet=True)  # what is made once
        start = memory()
        objective = Objective(model, "cross_entropy", Mapped(), batch_size=512, hold_bytes=2**26)
        model.register_forward_hook(look)
        found = evaluate(objective, Subspace.random(model, dimensions=1), Grid.line(2), quiet=True)
        assert (found.fields["loss_sample_count"] == 65536).all()
        assert peak > 0
        print(peak - start)
    """
    size = 65536 * 1024 * 4
    with open(tmp_path / "data", "wb") as file:
        file.truncate(size)
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) < 0.1 * size / 2**20
