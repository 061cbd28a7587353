import pytest
import torch

from losslandscape.run.threads import using_threads


def test_the_number_of_threads_is_restored_after_an_error():
    def fail():
        with using_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise KeyError("mine")

    before = torch.get_num_threads()
    with pytest.raises(KeyError, match="mine"):
        fail()
    assert torch.get_num_threads() == before
