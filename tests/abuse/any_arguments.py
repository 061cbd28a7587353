"""A valid call of each public callable, junk for its arguments, and what a result is to the bit."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import io
import itertools
import shutil
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from tests.abuse import m
from tests.abuse.public_names import Public
from torch import nn

import losslandscape as ll
from losslandscape.adaptive.refinement import Adaptive
from losslandscape.analysis.flatness import BasinOfMinimum
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.gauss_newton import GaussNewtonProducts
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem import batch_norm
from losslandscape.topology import persistence_pairs


class World:
    """Small objects of every kind; what a call changes is made again by `mend`."""

    def __init__(self, template: Path, folder: Path):
        self._original, self.template, self.folder = template, folder / "template", folder
        self._numbers = itertools.count()
        self.mend()

    def mend(self) -> None:
        """Make everything anew."""
        shutil.rmtree(self.template, ignore_errors=True)
        shutil.copytree(self._original, self.template)
        torch.manual_seed(0)
        self.model, self.data = m.build(), m.load()
        self.other = m.build()
        with torch.no_grad():
            for parameter in self.other.parameters():
                parameter += 0.1
        self.norms = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
        self.objective = ll.Objective(self.model, "cross_entropy", self.data, batch_size=30)
        self.plane = ll.Subspace.random(self.model, seed=0)
        self.line = ll.Subspace.random(self.model, 1, seed=0)
        self.between = ll.Subspace.between(self.model, self.other)
        self.grid = ll.Grid.square(3)
        self.landscape = ll.evaluate(
            self.objective, self.plane, self.grid, keep_samples=True, quiet=True
        )
        self.other_landscape = ll.evaluate(
            self.objective, ll.Subspace.random(self.model, seed=1), self.grid, quiet=True
        )
        self.short = ll.evaluate(self.objective, self.line, ll.Grid.line(3), quiet=True)
        self.points = ll.find_critical_points(self.landscape, draws=20, quiet=True)
        self.curvature = ll.curvature(self.objective, top=2, density_probes=1)
        self.trajectory = ll.Trajectory.open(self.template / "run" / "trajectory")
        self.layout = ParameterLayout.of(self.model)
        self.named = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.directions = [
            {n: torch.full_like(p, 0.5) for n, p in self.named.items()},
            {n: torch.arange(p.numel()).reshape(p.shape).to(p) for n, p in self.named.items()},
        ]
        self.values = self.landscape.values("loss")
        self.fingerprint = self._fingerprint()

    def new(self, suffix: str = "") -> Path:
        """A name that is free."""
        return self.folder / f"{next(self._numbers)}{suffix}"

    def changed(self) -> bool:
        """Whether something is not what it was."""
        return self._fingerprint() != self.fingerprint

    def _files(self) -> list[tuple[str, int, int]]:
        """Names, sizes and times of the files that calls are given; others are their outputs."""
        names = sorted(p.relative_to(self._original) for p in self._original.rglob("*"))
        files = [self.template / name for name in names if (self._original / name).is_file()]
        stats = [one.stat() if one.exists() else None for one in files]
        return [(f.name, s and s.st_size, s and s.st_mtime_ns) for f, s in zip(files, stats)]

    def _fingerprint(self) -> str:
        models = [self.model, self.other, self.norms]
        state = [{k: v.clone() for k, v in one.state_dict().items()} for one in models]
        modes = [[part.training for part in one.modules()] for one in models]
        landscapes = [self.landscape, self.other_landscape, self.short]
        about = [(one.path, one.provenance, len(one.trajectories)) for one in landscapes]
        things = [
            state, modes, self.data, self.named, self.directions, about, self.grid,
            [(one.fields, one.samples, one.status, one.gram_matrix) for one in landscapes],
            [(one.origin, one.directions, one.buffers) for one in (self.plane, self.line)],
            self.points.arrays, self.trajectory.steps, list(self.objective.sets),
            torch.get_num_threads(), self._files(),
        ]  # fmt: skip
        return digest(things)


# Of parameters by name, and of a callable's by `callable.parameter`.
VALID: Mapping[str, Callable[[World], Any]] = {
    "Objective.in_precision.name": lambda w: "float64",
    "model": lambda w: w.model,
    "model_a": lambda w: w.model,
    "model_b": lambda w: w.other,
    "objective": lambda w: w.objective,
    "subspace": lambda w: w.plane,
    "grid": lambda w: w.grid,
    "landscape": lambda w: w.landscape,
    "landscapes": lambda w: [w.landscape, w.other_landscape],
    "critical_points": lambda w: w.points,
    "curvature": lambda w: w.curvature,
    "order": lambda w: 1,
    "trajectory": lambda w: w.trajectory,
    "layout": lambda w: w.layout,
    "loss": lambda w: "cross_entropy",
    "data": lambda w: w.data,
    "bounds": lambda w: [(-0.5, 0.5), (0.0, 0.5)],
    "counts": lambda w: (3, 2),
    "coordinates": lambda w: (0.25, -0.5),
    "position": lambda w: (0.0, 0.0),
    "points": lambda w: 3,
    "count": lambda w: 5,
    "seed": lambda w: 3,
    "dimensions": lambda w: 2,
    "epsilon": lambda w: 0.25,
    "margin": lambda w: 0.5,
    "factor": lambda w: 2,
    "index": lambda w: 0,
    "size": lambda w: 10,
    "mode": lambda w: "fixed",
    "stated": lambda w: None,
    "configuration": lambda w: w.landscape.provenance["objective"]["configuration"],
    "scale": lambda w: "linear",
    "axis": lambda w: "alpha",
    "step": lambda w: 7.0,
    "name": lambda w: "loss",
    "learning_rate": lambda w: 0.1,
    "TrainingSharpness.add_to.landscape": lambda w: ll.evaluate(
        w.objective, w.plane, w.grid, trajectory=w.trajectory, quiet=True
    ),
    "path": lambda w: w.template / "two.nc",
    "paths": lambda w: [w.template / "own.pt"],
    "folder": lambda w: w.new(),
    "values": lambda w: w.values,
    "threshold": lambda w: 0.1,
    "tolerance": lambda w: 0.1,
    "parameters": lambda w: w.named,
    "vectors": lambda w: w.directions[0],
    "buffers": lambda w: {},
    "origin": lambda w: w.named,
    "directions": lambda w: w.directions,
    "measured": lambda w: {},
    "device": lambda w: torch.device("cpu"),
    "dtype": lambda w: torch.float64,
    "flat": lambda w: w.layout.empty(),
    "value": lambda w: w.grid.to_json(),
    "fields": lambda w: {"loss": w.values},
    "status": lambda w: w.landscape.status,
    "gram_matrix": lambda w: w.landscape.gram_matrix,
    "pairs": lambda w: persistence_pairs(w.values),
    "terms": lambda w: {"one": (w.data, "cross_entropy", 2.0)},
    "run": lambda w: lambda batch: None,
    "norms": lambda w: batch_norm.layers(w.norms),
    "batches": lambda w: [w.data],
    "Grid.around.coordinates": lambda w: np.array([[0.0, 1.0], [2.0, -1.0]]),
    "Grid.bounds": lambda w: ((-1.0, 1.0), (0.0, 2.0)),
    "Grid.rectangle.bounds": lambda w: ((-1.0, 1.0), (0.0, 2.0)),
    "Landscape.imported.path": lambda w: w.template / "three.npy",
    "Landscape.save.path": lambda w: w.new(".nc"),
    "write.path": lambda w: w.new(".nc"),
    "Landscape.add_trajectory.trajectory": lambda w: w.trajectory,
    "Subspace.inputs.objective": lambda w: w.objective.over_inputs(),
    "Subspace.inputs.directions": lambda w: ("gradient_sign", "random"),
    "Subspace.random.parameters": lambda w: None,
    "Subspace.model_shares.coordinates": lambda w: (0.25,),
    "Trajectory.path": lambda w: w.template / "run" / "trajectory",
    "Trajectory.open.path": lambda w: w.template / "run" / "trajectory",
    "Trajectory.manifest": lambda w: _manifest(w),
    "Trajectory.block.name": lambda w: w.trajectory.parameter_names[0],
    "Trajectory.block.start": lambda w: 0,
    "Trajectory.block.stop": lambda w: 2,
    "Trajectory.named_as.parameters": lambda w: list(w.named),
    "TrajectoryRecorder.path": lambda w: w.new(),
    "load_weights.path": lambda w: w.template / "own.pt",
    "pair_significance.scale": lambda w: "linear",
    "Trajectory.of_checkpoints.steps": lambda w: [1.0],
    "Trajectory.numbers.name": lambda w: "train_loss",
}  # fmt: skip
# options without which the valid call would take long, or not be valid
ALSO: Mapping[str, Callable[[World], dict[str, Any]]] = {
    "evaluate": lambda w: {"grid": w.grid, "quiet": True},
    "refine": lambda w: {"factor": 2, "quiet": True},
    "plan": lambda w: {"seconds": 0.0},
    "compare": lambda w: {"draws": 20},
    "find_critical_points": lambda w: {"draws": 20},
    "pair_significance": lambda w: {"draws": 20},
    "noise_threshold": lambda w: {"draws": 20},
    "flat_region": lambda w: {"draws": 5},
    "training_sharpness": lambda w: {"top": 0, "passes": 3},
    "trust": lambda w: {"draws": 5, "most_directions": 3},
    "sharpness_by_part": lambda w: {"probes": 1, "tolerance": 0.1},
    "basin_volume": lambda w: {"directions": 3},
    "convexity": lambda w: {"parameters": "2"},
    "Landscape.imported": lambda w: {"bounds": [(-1, 1), (0, 1)]},
    "Landscape.add_trajectory": lambda w: {"quiet": True},
    "Trajectory.of_checkpoints": lambda w: {"steps": [1.0]},
}
# the object whose method is called, by the class
OWNERS: Mapping[str, Callable[[World], Any]] = {
    "Grid": lambda w: w.grid,
    "Landscape": lambda w: w.landscape,
    "Objective": lambda w: w.objective,
    "Subspace": lambda w: w.plane,
    "Trajectory": lambda w: w.trajectory,
    "TrajectoryRecorder": lambda w: _recorder(w),
    "Evaluator": lambda w: Evaluator(w.objective, w.plane),
    "Adaptive": lambda w: Adaptive(0.1),
    "PlaneDerivatives": lambda w: PlaneDerivatives(w.objective, w.plane),
    "GaussNewtonProducts": lambda w: GaussNewtonProducts(w.objective, w.plane),
    "Curvature": lambda w: w.curvature,
    "BasinOfMinimum": lambda w: BasinOfMinimum(w.landscape),
    "Trust": lambda w: ll.trust(w.landscape),
    "TrainingSharpness": lambda w: ll.training_sharpness(w.objective, w.trajectory, 0.1, top=0),
    "Subspace.model_shares": lambda w: w.between,
}


def _manifest(world: World) -> dict[str, Any]:
    from losslandscape.training.manifest import read_manifest

    return read_manifest(world.template / "run" / "trajectory" / "trajectory.json")


def _recorder(world: World) -> Any:
    recorder = ll.TrajectoryRecorder(world.model, world.new())
    recorder.record(0)
    return recorder


def valid_arguments(world: World, one: Public) -> dict[str, Any]:
    """Arguments of a valid call; a KeyError for a parameter of a new name."""
    found = {}
    for name, parameter in one.parameters.items():
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            found[name] = VALID.get(f"{one.name}.{name}", VALID.get(name, _missing(one, name)))(
                world
            )
    found.update(ALSO.get(one.name, lambda w: {})(world))
    return found


def _missing(one: Public, name: str) -> Callable[[World], Any]:
    def refuse(world: World) -> Any:
        raise KeyError(f"{one.name}: give VALID a value of {name!r}")

    return refuse


def call(world: World, one: Public, arguments: dict[str, Any]) -> Any:
    """What a call returns; a method's object is opened where it is a context."""
    if one.owner is None:
        return _exhausted(one.function(**arguments))
    name = one.owner.__name__
    owner = OWNERS.get(one.name, OWNERS.get(name, OWNERS["Landscape"]))(world)
    if isinstance(owner, (Evaluator, PlaneDerivatives)):
        with owner:
            return _exhausted(one.function(owner, **arguments))
    return _exhausted(one.function(owner, **arguments))


def _exhausted(found: Any) -> Any:
    return list(found) if hasattr(found, "__next__") else found


def digest(thing: Any) -> str:
    """A hash of all values of a result, to the bit, but for times and names of files."""
    return hashlib.sha256(repr(_canonical(thing)).encode()).hexdigest()


def _canonical(thing: Any) -> Any:
    if isinstance(thing, torch.Tensor):
        plain = thing.detach().cpu().contiguous().reshape(-1)
        return (
            "tensor",
            str(thing.dtype),
            tuple(thing.shape),
            bytes(plain.view(torch.uint8).numpy()),
        )
    if isinstance(thing, np.ndarray):
        return "array", str(thing.dtype), thing.shape, thing.tobytes()
    if isinstance(thing, ll.Landscape):
        return _canonical([thing.grid, thing.fields, thing.status, thing.gram_matrix])
    if isinstance(thing, ll.Subspace):
        return "plane", thing.identity, thing.recipe
    if isinstance(thing, ll.Objective):
        return "objective", repr(thing.to_json())
    if isinstance(thing, (ll.Trajectory, Evaluator, PlaneDerivatives, BasinOfMinimum)):
        return type(thing).__name__
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        names = [one.name for one in dataclasses.fields(thing) if one.name != "seconds"]
        return type(thing).__name__, [_canonical(getattr(thing, name)) for name in names]
    if isinstance(thing, Mapping):
        return [(str(key), _canonical(value)) for key, value in thing.items()]
    if isinstance(thing, (list, tuple, set, frozenset)):
        return [_canonical(one) for one in thing]
    if isinstance(thing, Path):
        return "path"
    if thing is None or isinstance(thing, (str, bool, int, float, complex, np.generic)):
        return repr(thing.item() if isinstance(thing, np.generic) else thing)
    return type(thing).__name__


class Whole(int):
    """A subclass of int."""


class Words(str):
    """A subclass of str."""


class Loud:
    """An object whose every use raises."""

    def __repr__(self):
        raise RuntimeError("no repr")

    __len__ = __iter__ = __str__ = __repr__

    def _repr_pretty_(self, printer, _cycle):  # for the report of a failing case
        printer.text("Loud()")


class Unlike:
    """An object that is no path, though it says so."""

    def __fspath__(self):
        return b"two.nc"


def junk(world: World) -> st.SearchStrategy[Any]:
    """Anything that a user may pass by mistake, and some that nobody would."""
    numbers = st.one_of(
        st.integers(-3, 12),
        st.sampled_from([2**31, -(2**31), 2**63, 2**64, 10**30, 10**5000, -(10**18)]),
        st.sampled_from([0.0, -0.0, 0.5, -1.5, 1e-300, 1e300, 5e-324, np.nan, np.inf, -np.inf]),
        st.sampled_from(
            [True, False, 1j, complex("nan"), Decimal("0.5"), Fraction(1, 3), Whole(3)]
        ),
        st.sampled_from([np.int8(3), np.uint64(2**64 - 1), np.float32(0.5), np.float64("nan")]),
        st.sampled_from([np.bool_(True), np.datetime64("2020"), np.complex64(1), np.str_("loss")]),
    )
    texts = st.one_of(
        st.sampled_from(
            ["", " ", "loss", "log", "linaer", "x.nc", "nan", "3", "\0", "\ud800", "é"]
        ),
        st.sampled_from([b"", b"loss", bytearray(b"x"), Words("linear"), "x" * 300, "a/" * 3000]),
        st.text(max_size=5),
    )
    arrays = st.sampled_from(
        [
            np.array(3), np.array(0.5), np.array(np.nan), np.zeros(0), np.zeros((0, 2)),
            np.zeros((2, 0)), np.zeros(2), np.full(2, np.nan), np.full((2, 2), np.inf),
            np.zeros((3, 3)), np.ones((3, 3), bool), np.ones((3, 3), complex), np.zeros((2, 2, 2)),
            np.array(["a", "b"]), np.array([None, 1], dtype=object), np.ones((3, 3), np.float16),
            np.array([["2020"]], dtype="datetime64"), np.arange(9.0).reshape(3, 3)[::-1, ::2],
            np.ma.masked_array([1.0, 2.0], [True, False]), np.array([(1, 2.0)], dtype="i4,f8"),
            torch.tensor(3), torch.tensor(0.5), torch.zeros(0), torch.zeros(2), torch.zeros(3, 3),
            torch.ones(2, requires_grad=True), torch.zeros(2, device="meta"), torch.tensor(1j),
            torch.tensor([True, False]), torch.zeros(2).to_sparse(),
        ]
    )  # fmt: skip
    paths = st.sampled_from(
        [
            world.template, world.template / "two.nc", str(world.template / "own.pt"),
            world.template / "missing.nc", world.folder / "no" / "such" / "x.nc", Path(""),
            Unlike(), world.template / "run", "/dev/null/x",
        ]
    )  # fmt: skip
    objects = st.sampled_from(
        [
            None, ..., NotImplemented, object(), object, Loud(), lambda: None, print, np, dict,
            [], (), {}, set(), frozenset({"loss"}), range(3), iter([1]), (n for n in "ab"),
            {1: 2}, {"loss": None}, {"loss": "a"}, [None], [[]], [{}], ["a", 1], [(1, 0)],
            [(0, 1), (0, np.nan)], [(0, "1"), (0, 1)], [0.0], [0.0, 0.0], [0.0] * 3, ["loss"],
            [0.0, np.nan], (np.inf, 0.0), ("0", "0"), [True, False], _recursive(), slice(1, 2),
            io.StringIO("x"), memoryview(b"x"), nn.Linear, nn.Identity(), nn.Linear(2, 2),
            nn.LazyLinear(2), torch.float32, torch.device("cpu"), ll.Grid, ll.Landscape, type,
            ll.Grid.line(2), ll.Grid.cube(2), ValueError("x"), KeyError, copy,
        ]
    )  # fmt: skip
    own = st.sampled_from(
        [
            world.model, world.other, world.norms, world.data, world.objective, world.plane,
            world.line, world.between, world.grid, world.landscape, world.other_landscape,
            world.short, world.points, world.trajectory, world.layout, world.named,
            world.directions, [world.landscape, world.short], [world.trajectory] * 2,
            {"a": world.trajectory}, world.landscape.provenance, Adaptive(0.2),
        ]
    )  # fmt: skip
    plain = st.one_of(numbers, texts, arrays, paths, objects, own)
    return st.one_of(
        plain,
        plain,
        st.lists(plain, min_size=1, max_size=3),
        st.tuples(plain, plain),
        st.dictionaries(st.sampled_from(["loss", "train", "a", 1, None]), plain, max_size=2),
    )


def _recursive() -> list[Any]:
    found: list[Any] = [1.0]
    found.append(found)
    return found


def other_forms(value: Any) -> list[Any]:
    """Values of other types that say the same."""
    if isinstance(value, bool):
        return [np.bool_(value)]
    if isinstance(value, int):
        return [np.int64(value), np.int8(value), np.array(value), torch.tensor(value), Whole(value)]
    if isinstance(value, float):
        narrow = [np.float32(value), torch.tensor(value)]
        return [np.float64(value), Fraction(value), *(n for n in narrow if float(n) == value)]
    if isinstance(value, str):
        return [np.str_(value), Words(value)]
    if isinstance(value, Path):
        return [str(value), Words(value)]
    numeric = isinstance(value, (tuple, list)) and all(
        isinstance(one, (int, float)) and not isinstance(one, bool) for one in value
    )
    if numeric and value:
        return [
            list(value),
            tuple(value),
            np.array(value),
            torch.tensor(value, dtype=torch.float64),
        ]
    return []


__all__ = [
    "World", "call", "digest", "junk", "other_forms", "valid_arguments",
]  # fmt: skip
