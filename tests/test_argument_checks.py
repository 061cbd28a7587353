"""Ranges of arguments: what they take, and the words with which they refuse."""

import math
from decimal import Decimal

import numpy as np
import pytest
import torch

from losslandscape.argument_checks import (
    COUNT,
    FINITE,
    NON_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    Real,
    Whole,
)
from losslandscape.errors import LossLandscapeError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_whole_numbers_of_any_integer_type(value):
    found = COUNT.check("n", value)
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize(
    "value",
    [True, np.bool_(True), torch.tensor(True), np.array(True), 3.0, np.float64(3), "3", b"3", None,
     math.nan, math.inf, [3], np.array([3]), np.array([3, 4]), torch.tensor([3]),
     torch.tensor([3, 4]), 3 + 0j, Decimal(3), object, lambda: 3, 0, -1],
)  # fmt: skip
def test_what_is_no_count(value):
    with pytest.raises(LossLandscapeError, match=r"^n=.*: must be a whole number of at least 1$"):
        COUNT.check("n", value)


def test_ends_of_whole_numbers():
    levels = Whole(1, 256)
    assert [levels.check("n", value) for value in (1, 256)] == [1, 256]
    for value in (0, 257):
        with pytest.raises(LossLandscapeError, match=f"^n={value}: must be .* from 1 to 256$"):
            levels.check("n", value)


def test_seeds_are_those_that_torch_and_numpy_take():
    largest = SEED.check("seed", 2**64 - 1)
    torch.Generator().manual_seed(largest)
    np.random.default_rng(largest)
    with pytest.raises(ValueError, match="Overflow"):
        torch.Generator().manual_seed(largest + 1)
    for wrong in (-1, 2**64, 0.0, True, "7"):
        with pytest.raises(LossLandscapeError, match=r"whole number from 0 to 2\*\*64 - 1"):
            SEED.check("seed", wrong)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int16(1), np.array(1.0), Decimal(1)])
def test_real_numbers_of_any_type(value):
    found = FINITE.check("x", value)
    assert found == 1.0
    assert type(found) is float
    assert FINITE.check("x", torch.tensor(1.0)) == 1.0


@pytest.mark.parametrize(
    "value",
    [True, np.bool_(True), "1", b"1", None, math.nan, -math.inf, 10**400, [1.0], np.array([1.0]),
     torch.tensor([1.0]), 1 + 0j, np.complex64(1), object],
)  # fmt: skip
def test_what_is_no_finite_number(value):
    with pytest.raises(LossLandscapeError, match=r"^x=.*: must be a finite number$"):
        FINITE.check("x", value)


@pytest.mark.parametrize(
    ("kind", "inside", "outside", "words"),
    [
        (POSITIVE, ["5e-324", "1e308"], ["0", "-1", "inf", "nan"], "a finite number above 0"),
        (NON_NEGATIVE, ["0", "-0.0"], ["-5e-324", "inf", "nan"], "a finite number of at least 0"),
        (SHARE, ["1e-9", "0.999"], ["0", "1", "nan"], "a number above 0 and below 1"),
        (Real(10, 2400), ["10", "2400"], ["9.99", "2401", "nan"], "a number from 10 to 2400"),
        (Real(above=0, most=2), ["2"], ["0", "2.1"], "a number above 0 and at most 2"),
        (Real(least=0, below=2), ["0"], ["2", "-1"], "a number of at least 0 and below 2"),
        (Real(below=2), ["-1e300"], ["2", "-inf"], "a number below 2"),
        (Real(most=2), ["2"], ["2.1", "-inf"], "a number of at most 2"),
    ],
)
def test_intervals(kind, inside, outside, words):
    assert kind.words == words
    for text in inside:
        assert kind.parse("--x", text) == kind.check("x", float(text)) == float(text)
    for text in outside:
        with pytest.raises(LossLandscapeError) as refusal:
            kind.parse("--x", text)
        assert str(refusal.value) == f"--x {text}: must be {words}"
        with pytest.raises(LossLandscapeError) as refusal:
            kind.check("x", float(text))
        assert str(refusal.value) == f"x={float(text)!r}: must be {words}"


@pytest.mark.parametrize("text", ["", " ", "1.5", "1e3", "0x10", "one", "1" * 5000, "\x1b[2J", "³"])
def test_words_that_are_no_whole_number(text):
    with pytest.raises(LossLandscapeError, match="must be a whole number") as refusal:
        Whole(0).parse("--n", text)
    assert len(str(refusal.value)) < 150
    assert str(refusal.value).isprintable()


def test_a_long_value_is_shortened():
    with pytest.raises(LossLandscapeError) as refusal:
        FINITE.check("x", np.zeros((50, 50)))
    assert len(str(refusal.value)) < 150
    assert "\n" not in str(refusal.value)
