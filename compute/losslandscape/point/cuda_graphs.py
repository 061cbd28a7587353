"""Forward passes as CUDA graphs, so that the processor does not wait for Python's launches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from losslandscape.point.shortcut import Run, Setting, Shortcut, Values
from losslandscape.problem.batches import Batch, map_batch, tensors_of

# a function without arguments -> (its replay, the outputs that a replay overwrites)
Capture = Callable[[Callable[[], Values]], tuple[Callable[[], None], Values]]

_WARM_UP = 3  # passes before a capture, as PyTorch's notes on CUDA graphs ask for


class CudaGraphs(Shortcut):
    """Replays graphs on CUDA.

    Not checked at opening: there is a graph for each shape of batch, and each is checked when it is
    captured; see :class:`GraphedRun`.
    """

    name = "cuda_graphs"
    tolerance = None

    def __init__(self) -> None:
        self._run: Run | None = None
        self.graphed: GraphedRun | None = None

    @classmethod
    def offer(cls, setting: Setting) -> CudaGraphs | None:
        objective = setting.objective
        able = not objective.compile and not any(
            loss.gradients for loss in objective.losses.values()
        )
        return cls() if objective.device.type == "cuda" and able else None

    def undo(self) -> None:
        self._run = self.graphed = None

    def wrap(self, run: Run) -> Run:
        self._run, self.graphed = run, GraphedRun(run)
        return self._replayed

    def _replayed(self, batch: Batch) -> Values:
        assert self.graphed is not None
        return self.graphed(batch)

    def at_batches(self, batches: Iterable[Batch]) -> None:
        """Drop the graphs, which hold memory for batches of other shapes."""
        if self._run is not None:
            self.graphed = GraphedRun(self._run)


class GraphedRun:
    """A function of batches, captured once for each shape of batch and replayed afterwards.

    The captured graph reads parameters where they lie, so it follows those that move in place.
    Where a capture fails (the model waits for the device, or does something else that a graph
    cannot hold) or its replay gives other values than the function, the function itself is called.

    Parameters
    ----------
    run : callable
        Batch -> values by sample, each of shape (n,).
    capture : callable
        How a function becomes a graph; :func:`cuda_capture` but for tests.
    """

    def __init__(self, run: Run, capture: Capture | None = None):
        self._run = run
        self._capture = capture or cuda_capture
        self._graphs: dict[tuple, _Graph | None] = {}
        self.failure: str | None = None  # why the last capture was given up

    def __call__(self, batch: Batch) -> Values:
        shape = _shape(batch)
        if shape not in self._graphs:
            self._graphs[shape] = self._captured(batch)
        graph = self._graphs[shape]
        return self._run(batch) if graph is None else graph(batch)

    def _captured(self, batch: Batch) -> _Graph | None:
        expected = self._run(batch)  # its errors are the user's
        try:
            graph = _Graph(self._run, batch, self._capture)
            found = graph(batch)
        except Exception as error:  # whatever a graph cannot hold
            self.failure = f"{type(error).__name__}: {error}"
            return None
        if not _agree(found, expected):
            self.failure = "the replay gave other values"
            return None
        return graph


class _Graph:
    def __init__(self, run: Run, batch: Batch, capture: Capture):
        # memory of its own, which every batch of this shape is copied to
        self._inputs = map_batch(torch.clone, batch)
        self._replay, self._outputs = capture(lambda: run(self._inputs))

    def __call__(self, batch: Batch) -> Values:
        for own, given in zip(tensors_of(self._inputs), tensors_of(batch)):
            own.copy_(given)
        self._replay()
        return {name: value.clone() for name, value in self._outputs.items()}


def cuda_capture(function: Callable[[], Values]) -> tuple[Callable[[], None], Values]:
    """Capture a function of no arguments as a CUDA graph; see :class:`torch.cuda.graph`."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function()
    return graph.replay, outputs


def _shape(batch: Batch) -> tuple[Any, ...]:
    """What a graph is captured for: shapes, types and memory orders of a batch's tensors."""
    names = tuple(batch) if isinstance(batch, dict) else ()
    return names, *((tuple(t.shape), t.dtype, t.stride()) for t in tensors_of(batch))


def _agree(found: Values, expected: Values) -> bool:
    return found.keys() == expected.keys() and all(
        torch.allclose(found[name], value, rtol=1e-5, atol=1e-6, equal_nan=True)
        for name, value in expected.items()
    )
