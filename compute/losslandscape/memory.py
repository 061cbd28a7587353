"""How much memory there is, and the refusal of what needs more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from losslandscape.errors import LossLandscapeError

# what is surely there is not looked up: the files below are read only for larger sizes
_ALWAYS = 64 << 20
_CGROUPS = Path("/sys/fs/cgroup")


def require_memory(needed: int, what: str, way_out: str) -> None:
    """Refuse what needs more memory than there is.

    Parameters
    ----------
    needed : int
        Bytes; a lower bound, since a refusal must not be wrong.
    what, way_out : str
        What needs them, and what to do instead.

    Raises
    ------
    LossLandscapeError
        If fewer bytes are available. Where a system does not tell, nothing is refused.

    Examples
    --------
    >>> require_memory(1 << 60, "a grid of 2**57 points", "use fewer points")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: a grid of 2**57 points needs at least 1.2e+09 GB of
    memory, and ... GB are available; use fewer points
    """
    if needed <= _ALWAYS:
        return
    available = available_memory()
    if available is not None and needed > available:
        raise LossLandscapeError(
            f"{what} needs at least {gigabytes(needed)} of memory, and {gigabytes(available)} are "
            f"available; {way_out}"
        )


def available_memory() -> int | None:
    """Bytes that this process can still take without swapping; None if the system does not tell.

    The least of what the machine has available (``MemAvailable``; elsewhere than on Linux, all
    physical memory), what is left below the limits of the process's control groups, and what is
    left of its address space (``ulimit -v``).
    """
    found = [*_of_machine(), *_of_control_groups(), *_of_address_space()]
    return max(0, min(found)) if found else None


def gigabytes(size: int) -> str:
    """Bytes in GB, with two digits.

    >>> gigabytes(1_500_000_000), gigabytes(123_000_000_000)
    ('1.5 GB', '123 GB')
    """
    number = size / 1e9
    return f"{number:.0f} GB" if 10 <= number < 1e6 else f"{number:.2g} GB"


def _of_machine() -> Iterator[int]:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024
                return
    except (OSError, ValueError, IndexError):
        pass
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return


def _of_control_groups(root: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """What each limit of a control group leaves, of version 2 and 1; files in memory do not count.

    A limit holds for the groups below as well, so all parents are asked.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, used = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, used = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        # in a container the path may be that outside, whose group is mounted as the root
        for folder in (group, *group.parents):
            if not folder.is_relative_to(base):
                break
            try:
                most, taken = (int((folder / name).read_text()) for name in (limit, used))
            except (OSError, ValueError):  # no such group, or "max": no limit
                continue
            found.append(most - taken + _file_cache(folder / "memory.stat"))
    return found


def _file_cache(stat: Path) -> int:
    """Bytes of files that a group holds in memory and gives up when memory is short."""
    try:
        words = dict(line.split() for line in stat.read_text().splitlines())
        return int(words.get("total_inactive_file", words.get("inactive_file", 0)))
    except (OSError, ValueError):
        return 0


def _of_address_space() -> Iterator[int]:
    if sys.platform == "win32":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return
    try:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        taken = 0
    yield limit - taken
