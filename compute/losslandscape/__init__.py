"""Measured loss landscapes of PyTorch models.

Public names are loaded on first use, so importing the package imports neither torch nor vtk::

    import losslandscape as ll

    objective = ll.Objective(model, "cross_entropy", (images, labels))
    subspace = ll.Subspace.random(model, seed=0)
    landscape = ll.evaluate(objective, subspace, ll.Grid.square(51), path="landscape.nc")
"""

from importlib import import_module

__version__ = "0.1.0"

# public name -> module that defines it
_PUBLIC = {
    "Grid": "planes.grid",
    "Landscape": "landscape.landscape",
    "LossLandscapeError": "errors",
    "Objective": "problem.objective",
    "Subspace": "planes.subspace",
    "Trajectory": "training.trajectory",
    "TrajectoryRecorder": "training.recorder",
    "evaluate": "run.evaluation",
    "load_weights": "training.weights",
    "compare": "analysis.comparison",
    "convexity": "analysis.convexity",
    "curvature": "analysis.curvature",
    "epsilon_sharpness": "analysis.sharpness",
    "sharpness_by_part": "analysis.part_sharpness",
    "basin_volume": "analysis.basin_volume",
    "find_critical_points": "analysis.critical_points",
    "refine": "run.box_refinement",
    "flat_region": "analysis.flatness",
    "trust": "analysis.trust",
    "training_sharpness": "analysis.training_sharpness",
    "verify": "analysis.verification",
}
_MODULES = ("topology",)

__all__ = [*_PUBLIC, *_MODULES]


def __getattr__(name: str):
    if name in _PUBLIC:
        value = getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
