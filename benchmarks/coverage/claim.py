"""What a claim is, what a trial of it gives, and what is found from many trials."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

HOLDS, CONSERVATIVE, FAILS = "holds", "conservative", "does not hold"
FEW, SILENT = "too few trials", "no claim made"
_WIDE = 0.15  # how far the interval may reach below the least share of a claim that holds
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Outcome:
    """What one trial gave.

    Attributes
    ----------
    right : bool or None
        Whether the claim was true; None where the package made no claim, or warned.
    number : float or None
        How far off, wide or large; see :attr:`Claim.number`.
    note : str
        What was found, in words, where it was wrong.
    """

    right: bool | None
    number: float | None = None
    note: str = ""


Trial = Callable[[int], Outcome]


@dataclass(frozen=True)
class Family:
    """Cases of one kind: a trial's function, and how often it is tried.

    Attributes
    ----------
    trial : callable
        Seed -> :class:`Outcome`. The same seed gives the same outcome.
    repetitions : int
        At the full size of the study.
    why : str
        Why the claim fails in this family, or is conservative, for the page.
    """

    name: str
    trial: Trial
    repetitions: int
    why: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence with a number, and the families that it is tried on.

    Attributes
    ----------
    key : str
        Short name, unique.
    section : str
        Heading on the page.
    sentence : str
        The claim.
    nominal : float
        The share of cases in which it should be true.
    required : float or None
        The least share at which the page says that it holds; the nominal one by default.
    number : str
        What :attr:`Outcome.number` is; its median and its largest value are shown.
    why : str
        What the page says of the whole claim.
    """

    key: str
    section: str
    sentence: str
    nominal: float
    families: tuple[Family, ...]
    required: float | None = None
    number: str = ""
    why: str = ""

    @property
    def least(self) -> float:
        return self.nominal if self.required is None else self.required

    def family(self, name: str) -> Family:
        return next(family for family in self.families if family.name == name)


def seed_of(claim: str, family: str, trial: int) -> int:
    """The seed of a trial, which depends on nothing else.

    >>> seed_of("a", "b", 0)
    1001506974
    """
    digest = hashlib.sha256(f"{claim}/{family}/{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def clopper_pearson(times: int, trials: int, level: float = _CONFIDENCE) -> tuple[float, float]:
    """Two-sided interval of a share.

    C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case
    of the binomial", Biometrika 26, 1934.

    >>> [round(end, 3) for end in clopper_pearson(95, 100)]
    [0.887, 0.984]
    """
    outside = (1 - level) / 2
    low = stats.beta.ppf(outside, times, trials - times + 1) if times else 0.0
    high = stats.beta.ppf(1 - outside, times + 1, trials - times) if times < trials else 1.0
    return float(low), float(high)


def verdict(right: int, claimed: int, nominal: float, least: float) -> str:
    """What a count says of a claim.

    It does not hold where the whole interval is below the least share, and is conservative where
    the whole interval is above the nominal one. Nothing is said where the interval reaches more
    than 15 points below the least share: of a claim that is always true, that is up to 22 trials.

    >>> verdict(80, 100, 0.954, 0.93), verdict(94, 100, 0.954, 0.93), verdict(900, 900, 0.954, 0.93)
    ('does not hold', 'holds', 'conservative')
    >>> verdict(299, 300, 1.0, 1.0), verdict(0, 0, 1.0, 1.0)
    ('does not hold', 'no claim made')
    >>> verdict(22, 22, 1.0, 1.0), verdict(23, 23, 1.0, 1.0)
    ('too few trials', 'holds')
    """
    if not claimed:
        return SILENT
    low, high = clopper_pearson(right, claimed)
    if high < least:
        return FAILS
    if low < least - _WIDE:
        return FEW
    return CONSERVATIVE if low > nominal else HOLDS


@dataclass(frozen=True)
class Row:
    """What was found for one family of a claim.

    Attributes
    ----------
    trials, claimed, right : int
        Trials; those in which the package claimed something; those of them in which it was true.
    numbers : tuple of float
        Median and largest of :attr:`Outcome.number`; empty without any.
    failures : tuple of (seed, note)
        The first few.
    """

    claim: str
    family: str
    trials: int
    claimed: int
    right: int
    numbers: tuple[float, ...] = ()
    failures: tuple[tuple[int, str], ...] = field(default=())


_SHOWN_FAILURES = 3


def row_of(claim: str, family: str, outcomes: Sequence[Outcome]) -> Row:
    """The counts of a family's trials, which are in the order of their numbers.

    >>> row_of("a", "b", [Outcome(True, 2.0), Outcome(None), Outcome(False, 4.0, "off")])
    Row(claim='a', family='b', trials=3, claimed=2, right=1, numbers=(3.0, 4.0), \
failures=((2902659068, 'off'),))
    """
    claimed = [outcome for outcome in outcomes if outcome.right is not None]
    numbers = [o.number for o in outcomes if o.number is not None and np.isfinite(o.number)]
    wrong = [i for i, outcome in enumerate(outcomes) if outcome.right is False]
    return Row(
        claim,
        family,
        len(outcomes),
        len(claimed),
        sum(bool(outcome.right) for outcome in claimed),
        (float(np.median(numbers)), float(max(numbers))) if numbers else (),
        tuple((seed_of(claim, family, i), outcomes[i].note) for i in wrong[:_SHOWN_FAILURES]),
    )
