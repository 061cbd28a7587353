"""Arguments of the public functions, checked at their doors.

A parameter's name says what it may be: `_NAMES` has the kind of each name that several public
functions share. A function that takes less, or has a name of its own, says so::

    @public(scale=Word(SCALES))
    def find_critical_points(landscape, *, scale=None, draws=1000): ...

A parameter whose default is None takes None as well. A parameter without a kind is an error when
the module is loaded, so no public function is left without checks.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, NoReturn, Optional, TypeVar, cast

from losslandscape.argument_checks import (
    COUNT,
    DRAWS,
    FINITE,
    NON_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    THREADS,
    Whole,
)
from losslandscape.argument_kinds import (
    ANYTHING,
    FLAG,
    PATH,
    TEXT,
    Bounds,
    Coordinates,
    Either,
    Instance,
    Items,
    Kind,
    Model,
    PathName,
    Table,
    With,
)
from losslandscape.errors import LossLandscapeError

F = TypeVar("F", bound=Callable[..., Any])

MODEL = Model("torch.nn:Module", "an object such as Net(), with its weights loaded")
OBJECTIVE = Instance(
    "losslandscape.problem.objective:Objective", "Objective(model, loss, (inputs, targets))"
)
SUBSPACE = Instance(
    "losslandscape.planes.subspace:Subspace",
    "Subspace.random(model), Subspace.pca(trajectory) or Subspace.between(model_a, model_b)",
)
GRID = Instance(
    "losslandscape.planes.grid:Grid", "Grid.square(51), or Grid.rectangle((61, 41), bounds)"
)
LANDSCAPE = Instance(
    "losslandscape.landscape.landscape:Landscape",
    'Landscape.open("x.nc"), or the result of evaluate(...)',
    path=True,
)
# Of a function that changes it: what was added to that of a path would be lost.
OPEN_LANDSCAPE = Instance(LANDSCAPE.where, LANDSCAPE.how, opens="Landscape.open")
TRAJECTORY = Instance(
    "losslandscape.training.trajectory:Trajectory",
    "open a recorded folder with Trajectory.open(...), and checkpoints on disk with "
    "Trajectory.of_checkpoints(...)",
    opens="Trajectory.open",
)
CRITICAL_POINTS = Instance(
    "losslandscape.analysis.critical_points:CriticalPoints", "find_critical_points(landscape)"
)
CURVATURE = Instance(
    "losslandscape.analysis.curvature:Curvature", "curvature(objective), of losslandscape"
)
LAYOUT = Instance(
    "losslandscape.planes.parameters:ParameterLayout", "ParameterLayout.of(model), or plane.layout"
)
PATTERNS = Items(TEXT, 'patterns of parameter names, such as "layer3.*"', one=True)
TENSOR = Instance("torch:Tensor", "a torch tensor")
TENSORS = Table("name -> tensor, such as dict(model.named_parameters())", TENSOR)
METRICS = Table(
    "name -> function of (outputs, targets)",
    With("__call__", "a function of (outputs, targets) that returns one number per sample"),
)
TOLERANCE = Either(Instance("losslandscape.adaptive.refinement:Adaptive", "Adaptive(0.01)"), SHARE)
FORMATS = Items(TEXT, 'names of formats, such as "vti"')

_NAMES: Mapping[str, Kind] = MappingProxyType(
    {
        "model": MODEL,
        "objective": OBJECTIVE,
        "subspace": SUBSPACE,
        "grid": GRID,
        "landscape": LANDSCAPE,
        "trajectory": TRAJECTORY,
        "critical_points": CRITICAL_POINTS,
        "curvature": CURVATURE,
        "layout": LAYOUT,
        "parameters": PATTERNS,
        "path": PATH,
        "folder": PATH,
        "quiet": FLAG,
        "overwrite": FLAG,
        "zero_vectors": FLAG,
        "title": TEXT,
        "label": TEXT,
        "name": TEXT,
        "key": TEXT,
        "labels": Items(TEXT, "labels"),
        "provenance": Table("further entries for the file"),
        "seed": SEED,
        "draws": Whole(0, DRAWS.most),  # 0 where a function needs none
        "batch_size": COUNT,
        "reestimation_batch_size": COUNT,
        "threads": THREADS,
        "points": COUNT,
        "count": COUNT,
        "dataset_samples": COUNT,
        "dimensions": Whole(1, 3),
        "epsilon": POSITIVE,
        "half_width": POSITIVE,
        "persistence": NON_NEGATIVE,
        "confidence": SHARE,
        "level": SHARE,
        "factor": FINITE,
        "bounds": Bounds(),
        "coordinates": Coordinates(),
        "position": Coordinates(),
        "minimum": Coordinates(),
    }
)


def public(**kinds: Kind) -> Callable[[F], F]:
    """Check the arguments of a public function, method or ``__init__`` before it is called.

    Each argument that has a kind is replaced by the value that the kind's `check` returns. Defaults
    are not checked. A missing or unknown argument is Python's own TypeError.

    Parameters
    ----------
    **kinds
        Of the function's parameters, where not that of the name. Of ``**options``, the kind of
        each value.

    Examples
    --------
    >>> @public(count=COUNT)
    ... def doubled(count, *, quiet=False):
    ...     return 2 * count
    >>> import numpy as np
    >>> doubled(np.int8(100))
    200
    >>> doubled(0)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: count=0: must be a whole number of at least 1
    """

    def decorate(function: F) -> F:
        places, by_name, others = _kinds_of(function, kinds)
        refused, refuse = LossLandscapeError, functools.partial(_refuse, function)
        most_bits, refuse_long = _BITS, functools.partial(_refuse_long, function)

        def call(*given, **named):
            for value in (*given, *named.values()):
                if type(value) is int and value.bit_length() > most_bits:
                    refuse_long(value)
            values = list(given)
            for i, (value, (name, kind, default)) in enumerate(zip(given, places)):
                if kind is not None and value is not default:
                    try:
                        values[i] = kind.check(name, value)
                    except refused as error:
                        refuse(error, name, kind, [*given, *named.values()])
            for name, value in named.items():
                kind, default = by_name.get(name, others)
                if kind is not None and value is not default:
                    try:
                        named[name] = kind.check(name, value)
                    except refused as error:
                        refuse(error, name, kind, [*given, *named.values()])
            return function(*values, **named)

        # with the globals of the function's own module, where doctest and typing look for them
        own = FunctionType(
            call.__code__, function.__globals__, function.__name__, None, call.__closure__
        )
        functools.update_wrapper(own, function)
        own.__dict__["__public__"] = {name for name, _, _ in places} | set(by_name)
        return cast(F, own)

    return decorate


def _refuse_long(function: Callable[..., Any], value: int) -> NoReturn:
    raise LossLandscapeError(
        f"{function.__name__}: a whole number of {value.bit_length()} bits was given, which is no "
        "count, seed or position; pass a smaller one"
    )


_BITS = 1024  # of a whole number that is surely a mistake, and too long to be printed
_Place = tuple[str, Optional[Kind], Any]  # name, kind, default


def _kinds_of(
    function: Callable[..., Any], kinds: Mapping[str, Kind]
) -> tuple[list[_Place], dict[str, tuple[Kind | None, Any]], tuple[Kind | None, Any]]:
    """The kinds and defaults of parameters by place, by name, and of all other names."""
    places: list[_Place] = []
    by_name: dict[str, tuple[Kind | None, Any]] = {}
    others: tuple[Kind | None, Any] = (None, None)
    for i, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        if i == 0 and name in ("self", "cls"):
            places.append((name, None, None))
            continue
        kind = kinds.get(name) or _NAMES.get(name)
        if kind is None:
            raise TypeError(f"{function.__qualname__}: no kind of argument for {name!r}")
        entry = (None if kind is ANYTHING else kind, parameter.default)
        if parameter.kind is parameter.VAR_KEYWORD:
            others = entry
            continue
        by_name[name] = entry
        if parameter.kind is not parameter.KEYWORD_ONLY:
            places.append((name, *entry))
    unknown = set(kinds) - set(inspect.signature(function).parameters)
    if unknown:
        raise TypeError(f"{function.__qualname__}: has no parameter {min(unknown)!r}")
    return places, by_name, others


def users_line() -> int:
    """The `stacklevel` of a warning, so that it names the user's line that called the package."""
    package = os.path.dirname(__file__) + os.sep
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    return level


def _refuse(
    function: Callable[..., Any],
    error: LossLandscapeError,
    name: str,
    kind: Kind,
    given: list[Any],
) -> None:
    """Raise the error; where another argument is what this one should be, with the right order."""
    if isinstance(kind, (Instance, PathName)) and any(kind.holds(other) for other in given):
        parameters = inspect.signature(function).parameters.values()
        order = [
            one.name
            for one in parameters
            if one.kind is one.POSITIONAL_OR_KEYWORD and one.name not in ("self", "cls")
        ]
        title = function.__qualname__.removesuffix(".__init__")
        raise LossLandscapeError(
            f"{error}; another argument is one: the order is {title}({', '.join(order)})"
        ) from None
    raise error
