import os
import platform
from pathlib import Path

import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.point.device_memory import _malloc_trim, out_of_memory, release_memory
from losslandscape.point.evaluator import Evaluator


def test_what_says_that_memory_is_used_up():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert out_of_memory(caught.value)
    assert out_of_memory(torch.OutOfMemoryError("used up"))
    assert not out_of_memory(RuntimeError("shapes"))


@pytest.mark.skipif(
    _malloc_trim() is None or platform.machine() != "x86_64",
    reason="PyTorch's allocator is not glibc's here",
)
def test_freed_blocks_go_back_to_the_system():
    def resident():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    release_memory(torch.device("cpu"))
    before = resident()
    blocks = [torch.ones(16_000) for _ in range(1_000)]  # 64 kB each: of the heap, not mapped
    last = torch.ones(16_000)  # the heap's end is in use: freeing alone gives nothing back
    held = resident() - before
    del blocks
    release_memory(torch.device("cpu"))
    assert held > 50e6
    assert resident() - before < 0.1 * held
    assert last.sum() == 16_000


def test_an_evaluation_gives_back_what_was_freed_before_it(monkeypatch):
    released = []
    monkeypatch.setattr("losslandscape.point.evaluator.release_cpu_memory", released.append)
    model = nn.Linear(4, 2)
    data = torch.randn(8, 4), torch.zeros(8, dtype=torch.long)
    with Evaluator(Objective(model, "cross_entropy", data), Subspace.random(model)) as evaluator:
        assert len(released) == 2  # before the trials and after them
        evaluator.measure((0.1, 0.2))
    assert released == [torch.device("cpu")] * 2  # not at each point
