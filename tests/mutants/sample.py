"""Small changes of a module's source: Cosmic Ray makes them, here some are chosen."""

import ast
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow")
_BITS = ("RShift", "LShift", "BitOr", "BitAnd", "BitXor")


@dataclass(frozen=True)
class Mutant:
    """The source with one change, and the lines that differ (from 1, before -> after)."""

    source: str
    line: int
    change: str


def mutants(source: str, count: int, seed: str) -> list[Mutant]:
    """Choose `count` places that can be changed, each as likely, and one change of each.

    >>> [made] = mutants("def half(n: int = 2):\\n    return n / 2\\n", 1, "seed 4")
    >>> made.line, made.change
    (2, 'return n / 2 -> return n * 2')
    """
    places = defaultdict(list)
    for operator, occurrence, place in _changes(source):
        places[place].append((operator, occurrence))
    without = list(_without_effect(source))
    chance = random.Random(seed)
    order = sorted(place for place in places if not any(a <= place < b for a, b in without))
    chance.shuffle(order)
    found: list[Mutant] = []
    for place in order:
        operator, occurrence = chance.choice(places[place])
        changed = mutate_code(source, operator, occurrence)
        if len(found) < count and _is_another_program(source, changed):
            found.append(Mutant(changed, place[0], _difference(source, changed)))
    return sorted(found, key=lambda mutant: mutant.line)


def _changes(source: str) -> Iterator[tuple]:
    """Every change: its operator, the how-manieth it is of that operator's, and its place."""
    provider = OperatorProvider()
    nodes = list(ast_nodes(get_ast(source)))
    for name in provider:
        if name.startswith("Variable") or not _keeps_kind(name):
            continue
        operator = provider[name]()
        positions = (place for node in nodes for place in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(positions):
            yield operator, occurrence, start


def _keeps_kind(name: str) -> bool:
    """Not `+` into `<<` or `==` into `is`: any test that runs the line kills these."""
    kind, *swap = name.split("_")
    if kind == "ReplaceBinaryOperator":
        return set(swap) <= set(_ARITHMETIC) or set(swap) <= set(_BITS)
    if kind == "ReplaceComparisonOperator":
        return len({"Is", "IsNot"} & set(swap)) != 1
    return True


def _without_effect(source: str) -> Iterator[tuple[tuple, tuple]]:
    """Where annotations, and imports for them alone, begin and end."""
    for node in ast.walk(ast.parse(source)):
        parts = [getattr(node, field, None) for field in ("annotation", "returns")]
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            parts.append(node)
        for part in filter(None, parts):
            yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def _is_another_program(source: str, changed: "str | None") -> bool:
    try:
        return changed is not None and ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _difference(source: str, changed: str) -> str:
    before, after = source.splitlines(), changed.splitlines()
    while before and after and before[0] == after[0]:
        del before[0], after[0]
    while before and after and before[-1] == after[-1]:
        del before[-1], after[-1]
    return " -> ".join(" ".join(line.strip() for line in lines) for lines in (before, after))
