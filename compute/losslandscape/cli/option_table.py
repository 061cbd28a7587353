"""Which options go together, of each verb. `option_rules` says how the table is read."""

from __future__ import annotations

from losslandscape.cli.option_rules import (
    AsMany,
    Either,
    Is,
    IsGiven,
    Matches,
    Number,
    Rule,
)
from losslandscape.paraview.process import FIGURES

_CIFAR = Is("--data", "cifar10", "cifar100")
_DATA = (
    Rule(("--samples-seed",), needs=IsGiven("--samples")),
    Rule(("--data-root", "--download"), needs=_CIFAR, why="other data are not in files"),
)
_RANDOM, _PCA = Is("--directions", "random"), Is("--directions", "pca")
_BETWEEN, _INPUTS = Is("--directions", "between"), Is("--directions", "inputs")
_EIGENVECTORS = Is("--directions", "eigenvectors")
_PLANE = (
    Rule(("--directions",), needs=IsGiven("--trajectory"), when=_PCA, in_help=False),
    Rule(("--directions",), needs=IsGiven("--models"), when=_BETWEEN, in_help=False),
    Rule(("--directions",), needs=IsGiven("--curvature"), when=_EIGENVECTORS, in_help=False),
    Rule(("--models",), needs=_BETWEEN, in_help=False),
    Rule(("--models",), needs=Number("--models", 2, 3), in_help=False),
    Rule(
        ("--dimensions",),
        needs=AsMany("--dimensions", "--models", 1, "1 for two models, 2 for three"),
        when=_BETWEEN,
    ),
    Rule(
        ("--dimensions",),
        needs=AsMany("--dimensions", "--input-directions"),
        when=IsGiven("--input-directions"),
    ),
    Rule(("--weights",), excludes=_BETWEEN, why="the weights are those of --models"),
    Rule(("--weights-key",), needs=IsGiven("--weights", "--models"), in_help=False),
    Rule(("--normalization", "--move-vectors"), needs=_RANDOM),
    Rule(("--seed",), needs=Is("--directions", "random", "inputs")),
    Rule(
        ("--seed",),
        needs=Matches("--input-directions", "random", "--input-directions random or random_sign"),
        when=IsGiven("--input-directions"),
        in_help=False,
    ),
    Rule(
        ("--parameters",),
        excludes=_BETWEEN,
        why="the models differ in all their parameters, so a plane of one part would not pass "
        "through them",
    ),
    Rule(("--curvature", "--eigenvectors"), needs=_EIGENVECTORS),
    Rule(
        ("--parameters",),
        excludes=_EIGENVECTORS,
        why="the part is that of the curvature: 'losslandscape curvature --parameters'",
    ),
    Rule(
        ("--parameters", "--trajectory", "--test"),
        excludes=_INPUTS,
        why="the inputs of one set of samples move, and the network is fixed",
    ),
    Rule(("--center",), needs=_PCA),
    Rule(("--steps", "--checkpoints-key"), needs=IsGiven("--trajectory")),
    Rule(("--labels",), needs=IsGiven("--trajectory", "--models"), in_help=False),
    Rule(("--labels",), needs=AsMany("--labels", "--models"), when=_BETWEEN, in_help=False),
    Rule(("--input-directions", "--sample-numbers", "--valid-range", "--clip"), needs=_INPUTS),
    Rule(("--input-directions",), needs=Number("--input-directions", 1, 3), in_help=False),
    Rule(("--clip",), needs=IsGiven("--valid-range")),
    Rule(("--sample-numbers",), excludes=IsGiven("--samples"), why="both choose samples"),
)
_LOSS = (
    Rule(
        ("--reestimation-samples",),
        needs=Either(Is("--batch-norm", "reestimated"), _BETWEEN),
    ),
    Rule(
        ("--batch-norm",),
        needs=Is("--batch-norm", "reestimated"),
        when=_BETWEEN,
        why="between models the statistics are always re-estimated",
        in_help=False,
    ),
)
_NOISE = (
    Rule(("--draws", "--seed"), excludes=Is("--noise", "none", "standard_error")),
    Rule(("--confidence",), excludes=Is("--noise", "none")),
)
# What follows is known when the landscape is open: the plane and weights that it was measured with,
# for verbs that measure again, and whether a bootstrap has samples to draw.
RECORDED = (
    Rule(("--models",), needs=_BETWEEN),
    Rule(("--curvature",), needs=_EIGENVECTORS),
    Rule(("--trajectory",), needs=_PCA),
    Rule(("--weights",), excludes=_BETWEEN, why="the weights are those of --models"),
    Rule(("--weights-key",), needs=IsGiven("--weights", "--models")),
)
DRAWN = (
    Rule(("--draws", "--seed"), needs=Is("--noise", "studentized", "bootstrap", "bottleneck")),
    Rule(
        ("--confidence",),
        needs=Is("--noise", "studentized", "bootstrap", "bottleneck", "standard_error"),
    ),
)
_PICTURE = Matches("--output", r"\.(png|pdf|svg)$", "--output FILE.png, .pdf or .svg")
_PIXELS = Matches("--output", r"\.png$", "--output FILE.png")
_STATE = Matches("FILE", r"\.(pvsm|png)$", "a state (.pvsm, .png)")

RULES: dict[str, tuple[Rule, ...]] = {
    "train": (
        *_DATA,
        Rule(("--records-per-epoch",), excludes=IsGiven("--no-trajectory")),
    ),
    "surface": (
        *_PLANE,
        *_DATA,
        *_LOSS,
        Rule(("--half-width",), excludes=IsGiven("--bounds"), why="both set the window"),
        Rule(("--tolerance-scale", "--max-points"), needs=IsGiven("--tolerance")),
        Rule(
            ("--workers", "--dask", "--mpi"),
            excludes=IsGiven("--plan"),
            why="the plan is measured by this process alone",
        ),
    ),
    "refine": (),
    "trajectory": (Rule(("FOLDER",), excludes=IsGiven("--checkpoints"), why="both name the run"),),
    "topology": (
        Rule(
            ("--noise", "--draws", "--confidence", "--seed"),
            excludes=IsGiven("--persistence"),
            why="the threshold is set, not estimated",
        ),
        *_NOISE,
    ),
    "verify": (
        *_NOISE,
        Rule(("--significant",), excludes=Is("--noise", "none"), why="all points are significant"),
        Rule(
            ("--array",),
            needs=Is("--array", "loss"),
            why="verification differentiates the loss of the first set of samples alone; to "
            "verify another, measure a landscape whose first set it is",
            in_help=False,
        ),
    ),
    "flatness": (
        Rule(("--box",), needs=IsGiven("--sharpness")),
        Rule(
            (
                "--precision", "--model", "--weights", "--weights-key", "--data", "--loss",
                "--trajectory", "--models", "--curvature", "--device", "--threads",
            ),
            needs=IsGiven("--sharpness", "--parts", "--volume"),
            why="without them nothing is measured",
            in_help=False,
        ),
        Rule(
            ("--sharpness", "--parts", "--volume"),
            needs=Is("--array", None, "loss"),
            why="they are measured with the loss of the first set",
            in_help=False,
        ),
    ),
    "trust": (
        Rule(("--width", "--most-directions"), needs=IsGiven("--spread")),
        Rule(("--top",), needs=IsGiven("--hessian")),
        Rule(
            (
                "--model", "--weights", "--weights-key", "--data", "--loss", "--trajectory",
                "--models", "--curvature", "--device", "--threads",
            ),
            needs=IsGiven("--path", "--hessian", "--spread"),
            why="without them nothing is measured",
            in_help=False,
        ),
    ),
    "curvature": (
        Rule(
            ("--density-steps",),
            excludes=Is("--density-probes", 0),
            why="without random vectors there is no density",
        ),
    ),
    "convexity": (),
    "sharpness": (
        Rule(
            ("--tolerance", "--seed"),
            excludes=Is("--top", 0),
            why="they are those of the eigenvalues",
        ),
    ),
    "compare": (
        Rule(("FILE.nc",), needs=Number("FILE.nc", 2, None), in_help=False),
        Rule(("--labels",), needs=AsMany("--labels", "FILE.nc", words="one for each file")),
        *_NOISE,
    ),
    "import": (
        Rule(("--function", "--distance"), needs=Is("--format", "loss-landscapes")),
        Rule(("--directions", "--trajectory"), needs=Is("--format", None, "li-h5"), in_help=False),
    ),
    "export": (),
    "render": (
        Rule(("--size", "--dpi", "--text-size", "--caption"), needs=_PICTURE, in_help=False),
        Rule(("--transparent",), needs=_PIXELS, in_help=False),
        Rule(
            ("--dpi",),
            needs=IsGiven("--size"),
            why="alone it changes no pixel of the picture",
        ),
        Rule(
            ("--text-size",),
            needs=Matches("--size", r"(mm|cm|in|column|page)\s*$", "--size in mm, cm or in"),
            why="pixels have no size in print",
        ),
        Rule(
            ("--output",),
            excludes=_STATE,
            when=Matches("--output", r"\.(pdf|svg)$", "--output FILE.pdf or .svg"),
            why="PDF and SVG are made of landscape files",
            in_help=False,
        ),
        Rule(("--layout", "--trust-file"), needs=_STATE, in_help=False),
        Rule(("FILE",), needs=Number("FILE", 1, 1), when=_STATE, in_help=False),
        Rule(
            (
                "--figure", "--state", "--array", "--log", "--ceiling", "--levels",
                "--show-evaluated", "--persistence", "--titles", "--no-titles", "--topology",
                "--techniques", "--steps", "--own-losses", "--view", "--color-map",
                "--equal-units", "--text-size", "--caption",
            ),
            excludes=_STATE,
            why="it is drawn as it is: edit it in ParaView",
            in_help=False,
        ),
        Rule(
            ("FILE",),
            needs=Number("FILE", 1, 2),
            when=Is("--figure", None, *(name for name in FIGURES if name != "panels")),
            in_help=False,
        ),
        Rule(("FILE",), needs=Number("FILE", 2, 9), when=Is("--figure", "panels"), in_help=False),
        Rule(("--persistence", "--topology"), needs=Is("--figure", "topology")),
        Rule(
            ("--persistence",),
            excludes=IsGiven("--topology"),
            why="one computes the topology, the other draws what was computed",
        ),
        Rule(("--levels",), needs=Is("--figure", None, "contours", "isosurfaces", "compare")),
        Rule(
            ("--show-evaluated",),
            excludes=Is("--figure", "topology", "flatness", "curvature", "trust"),
        ),
        Rule(("--techniques",), needs=Is("--figure", "compare")),
        Rule(("--steps", "--own-losses"), needs=Is("--figure", "trajectory", "compare", "panels")),
        Rule(("--no-titles",), excludes=IsGiven("--titles")),
        Rule(("--equal-units",), excludes=Is("--figure", "curve", "isosurfaces", "volume")),
        Rule(("--view",), excludes=Is("--figure", "curve")),
        Rule(("--titles",), needs=AsMany("--titles", "FILE", words="one for each file, quoted")),
    ),
    "paraview": (
        Rule(
            ("FILE", "--figure", "--trust-file"),
            excludes=IsGiven("--check", "--install", "--uninstall"),
            why="it opens nothing",
        ),
        Rule(("--ask-reader",), needs=IsGiven("--install"), in_help=False),
        Rule(("--figure",), needs=IsGiven("FILE"), why="there is nothing to draw"),
        Rule(
            ("--figure",),
            excludes=_STATE,
            why="it already has its figure",
        ),
        Rule(("--trust-file",), needs=_STATE),
    ),
    "info": (
        Rule(("--dataset-samples",), excludes=IsGiven("--json"), why="it prints no errors"),
    ),
}  # fmt: skip
