"""Data as they are: every kind gives the loss of the plain tensors."""

from collections import UserDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, IterableDataset

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.problem.collate import Collate
from losslandscape.problem.samples import SampleSet


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(6, 3)

    def forward(self, features):
        return self.net(features)


class Rows(Dataset):
    """Like datasets.Dataset: items by number, each a dict of Python's numbers."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


class Stream(IterableDataset):
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


torch.manual_seed(1)
X, Y = torch.randn(40, 6), torch.randint(0, 3, (40,))
DICTS = [{"features": x.tolist(), "labels": int(y)} for x, y in zip(X, Y)]
KINDS = {
    "tensors": (X, Y),
    "arrays": (X.numpy(), Y.numpy()),
    "float64": (X.double().numpy(), Y.numpy()),
    "long double": (X.numpy().astype(np.longdouble), Y.numpy()),
    "another order of bytes": (X.numpy().astype(">f4"), Y.numpy().astype(">i8")),
    "backwards": (X.numpy()[::-1][::-1], np.flip(np.flip(Y.numpy()))),
    "list of pairs": list(zip(X, Y)),
    "list of arrays and numbers": [(x.numpy(), int(y)) for x, y in zip(X, Y)],
    "list of dicts": [{"features": x, "labels": y} for x, y in zip(X, Y)],
    "list of dicts of lists": DICTS,
    "data set of dicts": Rows(DICTS),
    "data set of lists": Rows([[x.tolist(), int(y)] for x, y in zip(X, Y)]),
    "dict of lists": {"features": X.tolist(), "labels": Y.tolist()},
    "dict of another class": UserDict({"features": X, "labels": Y}),
    "stream of samples": Stream(list(zip(X, Y))),
    "stream of dicts": Stream(DICTS),
    "stream of batches": Stream([(X[:15], Y[:15]), (X[15:], Y[15:])]),
    "loader of a stream": DataLoader(Stream(list(zip(X, Y))), batch_size=7),
    "loader": DataLoader(Rows(list(zip(X, Y))), batch_size=7),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data(kind):
    model = Named().eval()
    objective = ll.Objective(model, "cross_entropy", KINDS[kind], batch_size=9)
    plane = ll.Subspace.random(model, dimensions=1, seed=0)
    found = ll.evaluate(objective, plane, ll.Grid.line(3, half_width=0.1), quiet=True)
    expected = functional.cross_entropy(model(X), Y).item()
    assert found.values("loss")[1] == pytest.approx(expected, rel=1e-6)
    assert len(next(iter(objective.sets.values()))) == 40
    assert next(iter(objective.sets)) == "train"


def test_batches_of_different_lengths_weigh_by_their_tokens():
    """A loader that pads each batch: the mean is over all tokens."""
    torch.manual_seed(2)
    model = nn.Embedding(9, 4)
    rows = [torch.randint(0, 9, (n,)) for n in (3, 9, 4, 7, 2, 5, 8)]

    def padded(samples):
        ids = nn.utils.rnn.pad_sequence(samples, batch_first=True)
        labels = nn.utils.rnn.pad_sequence(
            [ids % 4 for ids in samples], batch_first=True, padding_value=-100
        )
        return ids, labels

    loader = DataLoader(rows, batch_size=3, collate_fn=padded)
    objective = ll.Objective(model, "cross_entropy", loader)
    plane = ll.Subspace.random(model, dimensions=1, seed=0)
    found = ll.evaluate(objective, plane, ll.Grid.line(3, half_width=0.1), quiet=True)
    every = torch.cat(rows)
    expected = functional.cross_entropy(model(every), every % 4).item()
    assert found.values("loss")[1] == pytest.approx(expected, rel=1e-6)
    with pytest.raises(LossLandscapeError, match=r"samples differ in shape .* collate_fn"):
        ll.Objective(model, "cross_entropy", [(ids, ids % 4) for ids in rows] + [(rows[0], 0)])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [{"text": "a", "labels": 0}] * 2,
            r"'text' of a sample is str.*remove_columns\(\['text'\]",
        ),
        ([(torch.zeros(2), None)] * 2, "part 1 of a sample is NoneType"),
        ([{"ids": [1, 2]}, {"ids": [1]}], r"'ids' is \(2,\) in one and \(1,\) in another"),
    ],
)
def test_what_makes_no_batch_is_named(rows, words):
    with pytest.raises(LossLandscapeError, match=words):
        Collate("train")(rows)


def test_data_that_cannot_be_read_again_are_refused():
    class Once(IterableDataset):
        def __init__(self):
            self.items = iter([(X[0], Y[0])])

        def __iter__(self):
            return self.items

    for data in ((pair for pair in zip(X, Y)), Once()):
        with pytest.raises(LossLandscapeError, match=r"only once; pass list\(\.\.\.\)"):
            SampleSet(data, "train")


def test_lists_that_make_no_tensor_are_refused():
    batch = {"input_ids": [[1, 2], [3]], "labels": [0, 1]}
    with pytest.raises(LossLandscapeError, match=r"'input_ids' .*padding=True"):
        ll.Objective(nn.Embedding(9, 4), "cross_entropy", batch)
    with pytest.raises(LossLandscapeError, match="type object holds no numbers"):
        SampleSet((np.array([X, None], dtype=object),), "train")


def test_the_types_of_second_sets_are_converted_too():
    model = Named().eval()
    sets = {"train": (X, Y), "test": (X[:20].double().numpy(), Y[:20].numpy())}
    objective = ll.Objective(model, "cross_entropy", sets)
    plane = ll.Subspace.random(model, dimensions=1, seed=0)
    found = ll.evaluate(objective, plane, ll.Grid.line(3, half_width=0.1), quiet=True)
    expected = functional.cross_entropy(model(X[:20]), Y[:20]).item()
    assert found.values("test_loss")[1] == pytest.approx(expected, rel=1e-6)
    assert found.provenance["objective"]["converted_data"] == {"test": "float64 to float32"}
