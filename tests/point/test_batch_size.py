import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from losslandscape.point.batch_size import fastest_batch_size

OutOfMemory = torch.OutOfMemoryError


def limited(limit, rate=lambda size: float(size)):
    def measured(size):
        if size > limit:
            raise OutOfMemory("used up")
        return rate(size)

    return measured


@given(limit=st.integers(1, 20_000), count=st.integers(1, 20_000))
def test_the_size_found_fits_into_memory(limit, count):
    size = fastest_batch_size(limited(limit), count)
    assert 1 <= size <= min(limit, count)
    assert 2 * size > min(limit, count, 8192) // 2  # and is not needlessly small


def test_nothing_fits():
    with pytest.raises(OutOfMemory):
        fastest_batch_size(limited(0), 100)


def test_a_larger_batch_must_be_worth_its_memory():
    assert fastest_batch_size(lambda size: min(size, 128), 10_000) == 128
    assert fastest_batch_size(lambda size: 1.0, 10_000) == 32
    assert fastest_batch_size(lambda size: 1 + size / 1e6, 10_000) == 32
    assert fastest_batch_size(lambda size: 1.0 if size < 64 else 0.5, 10_000) == 32


def test_sizes_that_promise_nothing_are_not_tried():
    tried = []

    def rate(size):  # 1 ms a batch and 0.1 ms a sample
        tried.append(size)
        return size / (1e-3 + 1e-4 * size)

    assert fastest_batch_size(rate, 10_000) == 256
    assert max(tried) == 256  # 512 would gain 2%


def test_a_disturbed_trial_is_repeated():
    calls = {}

    def rate(size):  # every size is as fast as it is large, but the second trial was disturbed
        calls[size] = calls.get(size, 0) + 1
        return 1.0 if size == 64 and calls[size] == 1 else float(size)

    assert fastest_batch_size(rate, 512) == 512


@pytest.mark.parametrize("count", [1, 5, 32, 33, 100, 512])
def test_all_samples_are_a_batch_where_that_is_fastest(count):
    assert fastest_batch_size(float, count) == count


def test_other_errors_pass():
    def broken(size):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fastest_batch_size(broken, 100)


def test_a_trial_that_costs_too_much_is_computed_from_two_sizes():
    tried = []

    def rate(size):  # 32 ms a batch and 1 ms a sample
        tried.append(size)
        return size / (32e-3 + 1e-3 * size)

    def affordable(size, rate):
        return size <= limit

    limit = 32
    assert fastest_batch_size(rate, 10_000, affordable) == 128  # no farther than four times
    assert tried == [32, 2]
    assert fastest_batch_size(rate, 100, affordable) == 100
    limit = 64
    tried.clear()
    assert fastest_batch_size(rate, 10_000, affordable) == 256
    assert tried == [32, 64]


def test_a_computed_rate_that_promises_nothing_is_not_taken():
    assert fastest_batch_size(lambda size: 1.0, 10_000, lambda size, rate: False) == 32


def test_known_rates_of_smaller_sizes_save_a_trial():
    tried = []

    def rate(size):
        tried.append(size)
        return size / (1.0 + 0.1 * size)

    found = fastest_batch_size(rate, 10_000, lambda *_: False, {16: 16 / (1.0 + 0.1 * 16)})
    assert tried == [32]
    assert found == fastest_batch_size(rate, 10_000, lambda *_: False) == 128
    assert tried == [32, 32, 2]
