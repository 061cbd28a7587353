"""Which options go together: conditions on a command line, and rules made of them.

The rules of each verb are data (`option_table`). `broken_rule` checks a command line by them before
any work; the help and ``docs/options.md`` are made from them. An option that would have no effect
is refused, because its effect is what the user expects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from losslandscape.argument_checks import shortened
from losslandscape.errors import LossLandscapeError

BY_DEFAULT = "by default"


class Given(NamedTuple):
    """An argument that was given: its name, such as --grid or FILE.nc, and its words."""

    name: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        name = [self.name] if self.name.startswith("-") else []
        return shortened(" ".join([*name, *(word or "''" for word in self.words)]), 160)


class Line(NamedTuple):
    """A command line, by the names of its arguments.

    Attributes
    ----------
    given : dict from str to Given
    values : dict from str to object
        Of all arguments of the verb, also by default.
    origin : str
        Where values come from that were not given.
    """

    given: dict[str, Given]
    values: dict[str, Any]
    origin: str = BY_DEFAULT


class Condition(Protocol):
    """Something that is so of a command line, or not."""

    @property
    def words(self) -> str:
        """What is given if it is so, such as "--directions pca"."""

    @property
    def needed(self) -> str:
        """What an argument does that needs it, such as "only with --directions pca"."""

    def holds(self, line: Line) -> bool:
        """Whether it is so."""

    def unmet(self, given: Given, line: Line) -> str:
        """What to say of an argument that needs it."""


class _Companion:
    """What conditions on another option than the refused one say."""

    words: str

    @property
    def needed(self) -> str:
        return f"only with {self.words}"

    def instead(self, line: Line) -> str:
        """What is so where it does not hold; empty if there is nothing to say."""
        return ""

    def unmet(self, given: Given, line: Line) -> str:
        found = self.instead(line)
        but = f", but {found}" if found else ""
        add = "add that, or " if line.origin == BY_DEFAULT else ""  # a file is as it is
        return f"only goes with {self.words}{but}; {add}leave out {given.name}"


@dataclass(frozen=True, init=False)
class IsGiven(_Companion):
    """One of some options was given."""

    options: tuple[str, ...]

    def __init__(self, *options: str) -> None:
        object.__setattr__(self, "options", options)

    @property
    def words(self) -> str:  # type: ignore[override]
        return " or ".join(self.options)

    def holds(self, line: Line) -> bool:
        return any(name in line.given for name in self.options)


@dataclass(frozen=True, init=False)
class Is(_Companion):
    """The value of an option, given or by default, is one of some; None is that of no default."""

    option: str
    values: tuple[Any, ...]

    def __init__(self, option: str, *values: Any) -> None:
        object.__setattr__(self, "option", option)
        object.__setattr__(self, "values", values)

    @property
    def words(self) -> str:  # type: ignore[override]
        named = [str(value) for value in self.values if value is not None]
        return f"{self.option} {' or '.join(named)}"

    def holds(self, line: Line) -> bool:
        return line.values[self.option] in self.values

    def instead(self, line: Line) -> str:
        found = line.values[self.option]
        if found is None:
            return ""
        where = "" if self.option in line.given else f" {line.origin}"
        return f"{self.option} is {found}{where}"


@dataclass(frozen=True)
class Matches(_Companion):
    """A word of an argument matches a pattern, in any case; `words` says what that means."""

    option: str
    pattern: str
    words: str

    def holds(self, line: Line) -> bool:
        given = line.given.get(self.option)
        return given is not None and any(
            re.search(self.pattern, word, re.IGNORECASE) for word in given.words
        )

    def instead(self, line: Line) -> str:
        given = line.given.get(self.option)
        return "" if given is None else f"{given} was given"


@dataclass(frozen=True, init=False)
class Either(_Companion):
    """One of some conditions holds."""

    conditions: tuple[Condition, ...]

    def __init__(self, *conditions: Condition) -> None:
        object.__setattr__(self, "conditions", conditions)

    @property
    def words(self) -> str:  # type: ignore[override]
        return " or ".join(condition.words for condition in self.conditions)

    def holds(self, line: Line) -> bool:
        return any(condition.holds(line) for condition in self.conditions)


@dataclass(frozen=True)
class Number:
    """An argument has a number of values, from `least` to `most`."""

    option: str
    least: int
    most: int | None

    @property
    def words(self) -> str:
        if self.most is None:
            return f"{self.least} or more"
        if self.most == 1:
            return "one"
        if self.most > self.least + 2:
            return f"{self.least} to {self.most}"
        return " or ".join(map(str, range(self.least, self.most + 1)))

    @property
    def needed(self) -> str:
        return f"takes {self.words}"

    def holds(self, line: Line) -> bool:
        number = _number(line.values[self.option])
        return self.least <= number and (self.most is None or number <= self.most)

    def unmet(self, given: Given, line: Line) -> str:
        number = _number(line.values[self.option])
        return f"{number} {'is' if number == 1 else 'are'} given; give {self.words}"


@dataclass(frozen=True)
class AsMany:
    """Two arguments have equal numbers of values; of a whole number, that is itself.

    `less` is taken off the other's number: two models span one dimension.
    """

    option: str
    other: str
    less: int = 0
    words: str = ""

    def __post_init__(self):
        object.__setattr__(self, "words", self.words or f"one value for each {self.other}")

    @property
    def needed(self) -> str:
        return f"takes {self.words}"

    def holds(self, line: Line) -> bool:
        wanted = _number(line.values[self.other]) - self.less
        return _number(line.values[self.option]) == wanted

    def unmet(self, given: Given, line: Line) -> str:
        wanted = _number(line.values[self.other]) - self.less
        found = _number(line.values[self.option])
        return f"{found} given, {wanted} needed: {self.words}"


@dataclass(frozen=True)
class Rule:
    """Options that need something, or cannot go with something.

    Attributes
    ----------
    options : tuple of str
        The rule is for each of them that is given.
    needs, excludes : Condition, optional
        One of the two.
    why : str
        For the message and for the docs page.
    when : Condition, optional
        The rule is only for command lines of which this holds.
    in_help : bool
        Whether the help of the options says so; not where their own words do.
    """

    options: tuple[str, ...]
    needs: Condition | None = None
    excludes: Condition | None = None
    why: str = ""
    when: Condition | None = None
    in_help: bool = True

    def is_in_help_of(self, option: str) -> bool:
        """Whether the help of an option says the rule."""
        return self.in_help and self.when is None and option in self.options

    @property
    def words(self) -> str:
        """The rule after the option's name, as the help has it."""
        if self.needs is not None:
            return self.needs.needed
        assert self.excludes is not None
        return f"not with {self.excludes.words}"

    def broken_by(self, line: Line) -> str | None:
        """The message for a command line that breaks the rule; None for one that does not."""
        if self.when is not None and not self.when.holds(line):
            return None
        given = [line.given[name] for name in self.options if name in line.given]
        if not given:
            return None
        why = f" ({self.why})" if self.why else ""
        if self.needs is not None and not self.needs.holds(line):
            return f"{given[0]}: {self.needs.unmet(given[0], line)}{why}"
        if self.excludes is not None and self.excludes.holds(line):
            other = _named(self.excludes, line)
            return f"{given[0]}: cannot go with {other}; leave one of them out{why}"
        return None


def broken_rule(rules: Iterable[Rule], line: Line) -> str | None:
    """The message of the first rule that a command line breaks; None if it breaks none.

    Examples
    --------
    >>> rule = Rule(("--clip",), needs=IsGiven("--valid-range"))
    >>> broken_rule([rule], Line({"--clip": Given("--clip", ())}, {"--clip": True}))
    '--clip: only goes with --valid-range; add that, or leave out --clip'
    """
    return next((found for rule in rules if (found := rule.broken_by(line))), None)


def check_line(rules: Iterable[Rule], line: Line) -> None:
    """Check a command line by rules that need more than its words, such as an open file.

    Raises
    ------
    LossLandscapeError
        If it breaks one.
    """
    if broken := broken_rule(rules, line):
        raise LossLandscapeError(broken)


def _named(condition: Condition, line: Line) -> str:
    """A condition that holds, with the words that were given."""
    if isinstance(condition, IsGiven):
        names = condition.options
    elif isinstance(condition, (Is, Matches)):
        names = (condition.option,)
    elif isinstance(condition, Either):
        held = next(one for one in condition.conditions if one.holds(line))
        return _named(held, line)
    else:
        names = ()
    told = [str(line.given[name]) for name in names if name in line.given]
    return told[0] if told else condition.words


def _number(value: Any) -> int:
    if value is None:
        return 0
    return value if isinstance(value, int) else len(value)
