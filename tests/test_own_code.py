"""Errors of the user's own code: what was called, their own last line, and no frame of ours."""

import json
import linecache

import pytest
import torch
from torch import nn

from losslandscape import LossLandscapeError, Objective
from losslandscape.own_code import call_without_arguments, failure, own_code, told
from losslandscape.study.resolve import resolve


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function that imports a user's module from its text."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def module(name, text):
        linecache.clearcache()
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return module


def test_the_users_last_line_is_shown_not_the_librarys(own):
    name = own("own_a", "import json\n\ndef build():\n    return json.loads('{')\n")
    with pytest.raises(LossLandscapeError) as error:
        call_without_arguments("own_a:build", resolve(f"{name}:build"))
    text = str(error.value)
    assert text.startswith("own_a:build: your code raised JSONDecodeError: Expecting property")
    assert text.endswith("(own_a.py:4, in build: return json.loads('{'))")
    assert isinstance(error.value.__cause__, json.JSONDecodeError)


def test_an_error_inside_a_library_alone_shows_no_line():
    try:
        nn.Linear(3, 3)(torch.zeros(2, 4))
    except RuntimeError as error:
        inside = error.with_traceback(error.__traceback__.tb_next)  # without this test's line
    assert told(inside) == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x4 and 3x3)"


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (SystemExit(3), "ended the process with sys.exit(3)"),
        (SystemExit("no"), "ended the process with sys.exit('no')"),
        (RecursionError("deep"), "calls itself without end: RecursionError: deep"),
        (BaseException("odd"), "raised BaseException: odd"),
        (ValueError("two\nlines"), "raised ValueError: two lines"),
        (ValueError(), "raised ValueError"),
        (ValueError("x" * 5000), "raised ValueError: " + "x" * 1000 + " ..."),
    ],
)
def test_what_may_be_raised(raised, words):
    with pytest.raises(LossLandscapeError) as error, own_code("m:f"):
        raise raised
    assert str(error.value).startswith(f"m:f: your code {words}")
    assert error.value.__cause__ is raised


def test_what_passes():
    for passing in (KeyboardInterrupt(), LossLandscapeError("a sentence already")):
        with pytest.raises(type(passing)) as error, own_code("m:f"):
            raise passing
        assert error.value is passing


def test_an_exception_whose_text_fails():
    class Odd(Exception):
        def __str__(self):
            raise ValueError

    assert failure("m:f", Odd()) == "m:f: your code raised Odd"


def test_functions_that_need_arguments():
    with pytest.raises(LossLandscapeError, match=r"needs arguments \(a, b\), but is called"):
        call_without_arguments("m:f", lambda a, b, *more, c=1: 0)
    assert call_without_arguments("m:f", lambda a=1, *more, **others: a) == 1
    assert call_without_arguments("m:f", lambda split: split, split="test") == "test"
    assert call_without_arguments("m:f", dict) == {}


def test_a_line_of_a_loaders_worker_process(own):
    own(
        "own_b",
        "import torch\n"
        "class Samples(torch.utils.data.Dataset):\n"
        "    def __len__(self):\n"
        "        return 10\n"
        "    def __getitem__(self, i):\n"
        "        return torch.zeros(3), [0, 1][i]\n",
    )
    loader = torch.utils.data.DataLoader(resolve("own_b:Samples")(), batch_size=4, num_workers=1)
    with pytest.raises(LossLandscapeError) as error:
        Objective(nn.Linear(3, 2), "cross_entropy", loader)
    text = str(error.value)
    assert text.startswith("train: reading the DataLoader failed: IndexError: list index out of")
    assert text.endswith("(own_b.py:6, in __getitem__: return torch.zeros(3), [0, 1][i])")
    assert "Traceback" not in text
    assert "losslandscape" not in text


def test_a_forward_pass_that_exits_is_an_error():
    class Exits(nn.Linear):
        def forward(self, inputs):
            raise SystemExit(0)

    objective = Objective(Exits(3, 3), "mse", (torch.zeros(4, 3), torch.zeros(4, 3)))
    from losslandscape import Grid, Subspace, evaluate

    with pytest.raises(LossLandscapeError, match=r"Exits failed .* sys.exit\(0\) \(.*in forward"):
        evaluate(objective, Subspace.random(objective.model, 1), Grid.line(3), quiet=True)
