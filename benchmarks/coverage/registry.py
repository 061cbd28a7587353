"""All claims, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module

from benchmarks.coverage.claim import Claim, Family

MODULES = (
    "mean_intervals", "adaptive", "end_to_end", "significance", "verification", "flat_regions",
    "curvature", "planes", "diagrams",
)  # fmt: skip


@cache
def claims() -> tuple[Claim, ...]:
    """The claims of every module."""
    found: list[Claim] = []
    for name in MODULES:
        found += import_module(f"benchmarks.coverage.{name}").claims()
    keys = [claim.key for claim in found]
    assert len(set(keys)) == len(keys), "two claims have one key"
    return tuple(found)


def claim(key: str) -> Claim:
    return next(one for one in claims() if one.key == key)


def families(only: tuple[str, ...] = ()) -> Iterator[tuple[Claim, Family]]:
    """Pairs of claim and family; of the claims named, or of all."""
    for one in claims():
        if not only or one.key in only:
            for family in one.families:
                yield one, family
