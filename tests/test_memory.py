"""How much memory there is, from files as the systems have them."""

import pytest

from losslandscape import Grid, memory
from losslandscape.errors import LossLandscapeError


def group(folder, most, used, cache=0, version=2):
    folder.mkdir(parents=True, exist_ok=True)
    names = {2: ("memory.max", "memory.current"), 1: ("limit_in_bytes", "usage_in_bytes")}[version]
    for name, value in zip(names, (most, used)):
        (folder / (name if version == 2 else f"memory.{name}")).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\n")


def test_limits_of_control_groups_2_hold_for_groups_below(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("0::/user/job\n")
    root = tmp_path / "root"
    group(root / "user" / "job", "max", 100)
    group(root / "user", 5000, 3000, cache=700)
    assert memory._of_control_groups(root, own) == [2700]
    group(root / "user" / "job", 1000, 400)
    assert memory._of_control_groups(root, own) == [600, 2700]


def test_limits_of_control_groups_1_and_of_a_container(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("4:memory:/docker/abc\n3:cpuset:/\n0::/\n")
    root = tmp_path / "root"
    group(root / "memory", 900, 200, version=1)  # the container's group is mounted as the root
    assert memory._of_control_groups(root, own) == [700]


def test_a_system_that_does_not_tell(tmp_path, monkeypatch):
    assert memory._of_control_groups(tmp_path, tmp_path / "nothing") == []
    for name in ("_of_machine", "_of_control_groups", "_of_address_space"):
        monkeypatch.setattr(memory, name, lambda: [])
    assert memory.available_memory() is None
    memory.require_memory(1 << 80, "x", "y")


def test_there_is_memory():
    assert 1 << 26 < memory.available_memory() < 1 << 50


def test_the_least_of_all_limits(monkeypatch):
    monkeypatch.setattr(memory, "_of_machine", lambda: [1 << 40])
    monkeypatch.setattr(memory, "_of_address_space", lambda: [3 << 30])
    monkeypatch.setattr(memory, "_of_control_groups", lambda: [2 << 30, 4 << 30])
    assert memory.available_memory() == 2 << 30
    memory.require_memory(2 << 30, "x", "y")
    with pytest.raises(
        LossLandscapeError, match=r"x needs at least 2.1 GB of .* 2.1 GB are av.*; y"
    ):
        memory.require_memory((2 << 30) + 1, "x", "y")


def test_an_address_space_that_is_limited(monkeypatch):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1 << 45, 1 << 46))
    (left,) = memory._of_address_space()
    assert (1 << 45) - (1 << 42) < left < 1 << 45


def test_a_landscape_that_memory_does_not_hold(monkeypatch):
    from losslandscape.run.memory_needed import require_landscape_memory

    grid = Grid.square(1000)
    needed = 10**6 * (8 * 5 + 4 * 100)
    monkeypatch.setattr(memory, "available_memory", lambda: needed)
    require_landscape_memory(grid, 100)
    monkeypatch.setattr(memory, "available_memory", lambda: needed - 1)
    with pytest.raises(LossLandscapeError, match=r"1000 x 1000 points, with 100 per-sample"):
        require_landscape_memory(grid, 100)
    require_landscape_memory(grid, 99)
