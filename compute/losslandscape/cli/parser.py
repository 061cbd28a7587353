"""The parser of the command line: values that begin with a minus, what was given, one-line errors.

It keeps which options were given, which their defaults do not say, and checks them by the table of
options that go together (`option_rules`).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from losslandscape.cli.kinds import Kind
from losslandscape.cli.option_rules import Given, Line, Rule, broken_rule
from losslandscape.cli.option_table import RULES
from losslandscape.errors import LossLandscapeError

EXIT_USAGE = 2

# a word that is a value although it begins with a minus: -1,1 and also -1,nonsense, to say why not
_NEGATIVE = re.compile(r"^-(?:\.?\d|inf|nan)", re.IGNORECASE)

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER_WORDS = re.compile(rf"^{_NUMBER}(?:,{_NUMBER})*,?$")
# options whose numbers may be joined by commas or separated by spaces
_OF_NUMBERS = ("--bounds", "--minimum", "--valid-range", "--sample-numbers")
# what other programs call an option
_ABBREVIATIONS = {"--lr": "--learning-rate", "--wd": "--weight-decay", "--bs": "--batch-size"}

# argparse's own words, and ours; {} is the option
_RESTATED = (
    (r"argument (.+?): expected one argument", "{}: a value is missing after it"),
    (r"argument (.+?): expected at least one argument", "{}: values are missing after it"),
    (r"argument (.+?): not allowed with argument (.+)", "{}: cannot go with {}; give one of them"),
    (r"argument (.+?): ignored explicit argument (.+)", "{}: takes no value, but {} was given"),
    (r"the following arguments are required: (.+)", "{}: must be given"),
    (r"ambiguous option: (\S+?)(?:=\S*)? could match (.+)", "{}: could be {}; write it in full"),
)


class UsageExit(SystemExit):
    """An invalid command line, of which its sentence has been printed."""


class Parser(argparse.ArgumentParser):
    """Accepts ``-1,1`` and ``-1e-3`` as values; argparse itself accepts only ``-1``.

    The namespace of a verb has `line`: what was given, and all values, by the arguments' names.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._negative_number_matcher = _NEGATIVE
        self._given: dict[str, Given] = {}

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = with_commas(sys.argv[1:] if args is None else args)
        self._given = {}
        found, rest = super().parse_known_args(words, namespace)
        if not hasattr(found, "line"):  # the parser of the verb comes first
            values = {_name(one): getattr(found, one.dest, None) for one in self._actions}
            found.line = Line(dict(self._given), values)
            rules = RULES.get(self.prog.split()[-1], ())
            if not rest and (broken := broken_rule(rules, found.line)):
                self.error(broken)
        return found, rest

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        for word in sys.argv[1:] if args is None else args:
            if not _is_utf8(word):  # file names are bytes; they could not be printed or stored
                self.error(f"{word!a}: {_why_not_text(word)}")
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            self._refuse_unknown(found, rest)
        return found

    def error(self, message: str) -> NoReturn:
        """Print one sentence, without the usage, which is long, and exit with 2."""
        for pattern, words in _RESTATED:
            if match := re.fullmatch(pattern, message):
                message = words.format(*match.groups())
        self._print_message(
            f"{self.prog}: {message}\n(all options: {self.prog} --help)\n", sys.stderr
        )
        raise UsageExit(EXIT_USAGE)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        words = tuple(word for word in arg_strings if word != "--")
        if action.option_strings or words:
            given = Given(_name(action), words)
            if action.option_strings and given.name in self._given:
                _refuse_second(action, self._given[given.name], given)
            self._given[given.name] = given
        return super()._get_values(action, arg_strings)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        if not isinstance(action.type, Kind):
            return super()._get_value(action, arg_string)
        try:
            return action.type.range.parse(_name(action), arg_string)
        except LossLandscapeError as error:
            raise argparse.ArgumentError(None, str(error)) from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        name = f"{_name(action)} " if action.option_strings else ""
        words = f"{name}{value}: must be {_meant(str(value), choices)}"
        raise argparse.ArgumentError(None, words)

    def add_to_help(self, rules: Iterable[Rule]) -> None:
        """Add to the help of each option what it goes with."""
        for name, action in self._option_string_actions.items():
            words = [rule.words for rule in rules if rule.is_in_help_of(name)]
            if words:
                action.help = f"{action.help} [{'; '.join(words)}]"

    def _refuse_unknown(self, found: argparse.Namespace, rest: Sequence[str]) -> None:
        verb = self._verb(getattr(found, "verb", None))
        option = next((word for word in rest if word.startswith("-")), None)
        if option is None:
            verb.error(f"{rest[0]}: is one argument too many; leave it out, or quote it")
        name = option.split("=")[0]
        # long names alone: '--lr' is near to '--help', and nothing near is better than that
        options = [one for one in verb._option_string_actions if one.startswith("--")]
        similar = [_ABBREVIATIONS[name]] if _ABBREVIATIONS.get(name) in options else []
        similar = similar or [one for one in options if len(name) > 4 and one.startswith(name)]
        similar = similar or get_close_matches(name, options, n=1, cutoff=0.7)
        meant = f"; did you mean {similar[0]}?" if similar else ""
        verb.error(f"{name}: there is no such option{meant}")

    def _verb(self, name: str | None) -> Parser:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction) and name in action.choices:
                return action.choices[name]
        return self


def with_commas(words: Sequence[str]) -> list[str]:
    """The words with ``--bounds -1 1 -1 1`` as ``--bounds=-1,1,-1,1``, for each such option.

    >>> with_commas(["import", "--bounds", "-1", "1", "x.npy"])
    ['import', '--bounds=-1,1', 'x.npy']
    """
    found: list[str] = []
    joining = False
    for word in words:
        if joining and _NUMBER_WORDS.match(word):
            separator = "," if "=" in found[-1] else "="
            found[-1] += f"{separator}{word.rstrip(',')}"
            continue
        # '--bound' is short for it
        joining = len(word) > 3 and any(option.startswith(word) for option in _OF_NUMBERS)
        found.append(word)
    return found


def _refuse_second(action: argparse.Action, first: Given, second: Given) -> None:
    """Refuse an option that is given twice, where the first would have no effect."""
    advice = ""
    if action.nargs in ("+", "*"):
        advice = f"give all values after one {first.name}"
    elif isinstance(action, argparse.BooleanOptionalAction):
        advice = f"give {' or '.join(action.option_strings)} once"
    elif first.words != second.words:
        advice = f"{first} and {second}; give one of them"
    if advice:
        raise argparse.ArgumentError(None, f"{first.name}: is given twice: {advice}")


def _is_utf8(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _why_not_text(word: str) -> str:
    try:
        os.fsencode(word).decode()
    except UnicodeDecodeError:
        return "is not UTF-8 text; rename the file, or write it anew"
    return "cannot be read as text in this locale; set PYTHONUTF8=1 or a UTF-8 locale"


def _name(action: argparse.Action) -> str:
    """An option's long name, or the name of a positional argument.

    >>> _name(argparse.ArgumentParser().add_argument("--grid", "-g"))
    '--grid'
    """
    if action.option_strings:
        return max(action.option_strings, key=lambda name: name.startswith("--"))
    return str(action.metavar or action.dest)


def _meant(value: str, choices: list[str]) -> str:
    """The choices in words, the one that is meant first.

    >>> _meant("pce", ["random", "pca"])
    "one of random, pca (did you mean 'pca'?)"
    """
    similar = get_close_matches(value, choices, n=1)
    meant = f" (did you mean {similar[0]!r}?)" if similar else ""
    return f"one of {', '.join(choices)}{meant}"
