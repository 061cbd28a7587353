"""``losslandscape info``: describe a landscape file."""

from __future__ import annotations

import argparse

from losslandscape.cli.kinds import COUNTED, PATH
from losslandscape.counted import counted

_ROUNDING = 1e-5
HELP = "show what a landscape file contains and how it was made"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "--dataset-samples",
        type=COUNTED,
        metavar="N",
        help="size of the data set from which the samples of the loss were drawn, for the standard "
        "error with respect to it (default: the size recorded in the file)",
    )
    parser.add_argument("--json", action="store_true", help="print the whole provenance as JSON")


def run(arguments: argparse.Namespace) -> int:
    import json

    from losslandscape.analysis.significance import keeps_standard_errors
    from losslandscape.errors import LossLandscapeError
    from losslandscape.landscape.landscape import Landscape

    landscape = Landscape.open(arguments.landscape)
    if arguments.json:
        print(json.dumps(landscape.description(), indent=2))
    else:
        if arguments.dataset_samples is not None and not keeps_standard_errors(landscape):
            raise LossLandscapeError(
                f"--dataset-samples {arguments.dataset_samples}: {landscape.path} has no standard "
                "errors, so there are none with respect to a data set; leave it out"
            )
        print("\n".join(_lines(landscape, arguments.dataset_samples)))
    return 0


def _lines(landscape, dataset_samples=None):
    import numpy as np

    from losslandscape.adaptive import two_precisions
    from losslandscape.landscape import gaps
    from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED, NOT_EVALUATED, NOT_FINITE
    from losslandscape.landscape.places import describe_places

    about = landscape.description()
    grid, objective, plane = landscape.grid, about.get("objective", {}), about.get("subspace", {})
    yield f"{landscape.path}: {about.get('title') or 'loss landscape'}, {_result(landscape)}"
    for line in describe_places(landscape):
        yield f"  {line}"
    yield from _warnings(landscape)
    axes = ", ".join(
        f"{name} {low:g} to {high:g}" for name, (low, high) in zip(grid.axis_names, grid.bounds)
    )
    yield f"  grid        {' x '.join(map(str, grid.counts))} points, {axes}"
    counts = {
        "evaluated": EVALUATED,
        "interpolated": INTERPOLATED,
        "not finite": NOT_FINITE,
        "not evaluated": NOT_EVALUATED,
    }
    found = {word: int((landscape.status == code).sum()) for word, code in counts.items()}
    yield "  points      " + ", ".join(f"{n} {word}" for word, n in found.items() if n)
    if "adaptive" in about:
        yield f"  adaptive    {_adaptive(about['adaptive'])}"
        if (landscape.status == INTERPOLATED).any() and (landscape.status == EVALUATED).any():
            yield f"  gaps        {gaps.describe(landscape.gaps.to_json())}"
    if isinstance(about.get("precision"), dict):
        yield f"  precision   {two_precisions.describe(about['precision'])}"
    yield "  directions  " + ", ".join(
        f"{_WORDS.get(key, key.replace('_', ' '))}: {_value(value)}"
        for key, value in plane.items()
        if not key.endswith("sha256") and key != "runs"
    )
    if objective:
        sets = ", ".join(
            f"{n.get('samples', '?')} {name}" for name, n in objective.get("sets", {}).items()
        )
        yield (
            f"  objective   {objective.get('model', '?')}, {objective.get('loss', '?')}, "
            f"samples: {sets}; batch norm {objective.get('batch_norm', '?')}"
        )
    if configuration := objective.get("configuration"):
        size = objective.get("batch_size", "?")
        yield f"  computed    {_configuration(configuration)}; batches of {size}"
    for kind, names in about.get("buffers", {}).items():
        yield f"  buffers     {_BUFFERS.get(kind, kind)}: {', '.join(names)}"
    for name, term in objective.get("terms", {}).items():
        call = f", {_loss_call(term)}" if len(term) > 2 else ""
        yield f"  term        {term.get('factor', '?')} x {name}: {term.get('loss', '?')}{call}"
    if call := objective.get("loss_call"):
        yield f"  loss        {_loss_call(call)}"
    for name, types in objective.get("converted_data", {}).items():
        yield f"  data        {name}: converted from {types}, the model's type"
    for name, found in objective.get("weights", {}).items():
        for quantity, about_weights in found.items():
            yield f"  weights     {_weights(name, quantity, about_weights)}"
    for name, values in landscape.fields.items():
        finite = values[np.isfinite(values)]
        if finite.size and not name.endswith("sample_count"):
            words = f"{finite.min():g} to {finite.max():g}"
            known = values[np.isfinite(values) & (landscape.status != INTERPOLATED)]
            if known.size and (known.min() > finite.min() or known.max() < finite.max()):
                words = f"{known.min():g} to {known.max():g} evaluated, {words} with interpolated"
            yield f"  {name:28} {words}"
    for name in landscape.fields:
        if name == "loss" or name.endswith("_loss"):
            yield from _error_lines(landscape, name, dataset_samples if name == "loss" else None)
    scale = "logarithmic" if about["scale"] == "log" else "linear"
    yield f"  figures use a {scale} scale"
    for name, values in landscape.samples.items():
        yield f"  {name}: {values.shape[-1]} values per point"
    for model in landscape.models:
        where = ", ".join(f"{c:g}" for c in model.coordinates)
        yield f"  model '{model.label}' at ({where}), {_model_losses(model)}"
    for trajectory in landscape.trajectories:
        yield f"  {_run(trajectory, plane)}"
    for sentence in _verdict(about):
        yield f"  trust       {sentence}"
    versions = about.get("versions", {})
    yield "  made by     " + ", ".join(f"{name} {version}" for name, version in versions.items())


def _model_losses(model) -> str:
    """The loss of a labeled model, and that of the plane there if it is another.

    >>> from losslandscape.landscape.overlays import ModelPoint
    >>> _model_losses(ModelPoint("b", (1.0,), 0.5, 0.25))
    'loss 0.5 on the plane, 0.25 by itself'
    >>> _model_losses(ModelPoint("b", (1.0,), 0.5, 0.5000001))
    'loss 0.5'
    >>> _model_losses(ModelPoint("b", (1.0,), 0.25))
    'loss 0.25'
    """
    own = model.own_loss
    if own is None or abs(model.loss - own) <= _ROUNDING * abs(own):
        return f"loss {model.loss:g}"
    return f"loss {model.loss:g} on the plane, {own:g} by itself"


def _warnings(landscape):
    """What a reader must know before the numbers: untrained weights, noise of the arithmetic."""
    import numpy as np

    from losslandscape.cli.problem import built_weights

    words = built_weights(landscape.provenance.get("arguments", {}))
    if words is not None:
        yield f"  weights     {words}"
    deviation = landscape.provenance.get("objective", {}).get("deviation")
    if not isinstance(deviation, dict):
        return
    largest = deviation.get("largest_absolute")
    loss = landscape.values("loss")
    finite = loss[np.isfinite(loss)]
    if not isinstance(largest, (int, float)) or not finite.size:
        return
    span = float(np.ptp(finite))
    yield (
        f"  arithmetic  {landscape.provenance['objective'].get('precision', '?')}: the loss is off "
        f"by up to {largest:.2g} from {deviation.get('reference', 'plain arithmetic')}, and spans "
        f"{span:.2g} here"
        + (
            ": the surface is mostly noise of the arithmetic; measure it with --precision float32"
            if 2 * largest >= span
            else ""
        )
    )


# printed words for keys of the provenance that are not plain English
_BUFFERS = {
    "recomputed": "computed from the weights of each point",
    "reestimated": "re-estimated at each point",
    "interpolated": "interpolated between the models",
    "fixed": "those of the origin at all points, though the checkpoints differ in them",
}
_WORDS = {"zero_vectors": "biases and normalization weights fixed"}


def _value(value):
    """A value of the provenance in plain words.

    >>> _value(True), _value(0.125), _value([0.5, 0.25]), _value(["a b", "c"])
    ('yes', '0.125', '0.5 0.25', 'a b and c')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        words = [_value(entry) for entry in value]
        return (" and " if any(" " in word for word in words) else " ").join(words)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _verdict(about):
    """The sentences that ``losslandscape trust`` left in the file.

    >>> _verdict({"trust": {"verdict": ["One.", 2]}}), _verdict({"trust": "far"}), _verdict({})
    (['One.'], [], [])
    """
    found = about.get("trust")
    sentences = found.get("verdict") if isinstance(found, dict) else None
    if not isinstance(sentences, list):
        return []
    return [one for one in sentences if isinstance(one, str)]


def _ends(values) -> str:
    return f"{values[0]:g} to {values[-1]:g}"


def _run(trajectory, plane):
    """A trajectory in one line: how it went, and how much of it the plane shows."""
    words = (
        f"trajectory '{trajectory.label}': {counted(len(trajectory.step), 'checkpoint')}, "
        f"loss {_ends(trajectory.checkpoint_loss)} at the checkpoints and "
        f"{_ends(trajectory.loss)} at their projections"
    )
    from losslandscape.landscape.overlays import run_shares

    shares = run_shares(plane, trajectory.label)
    if shares is not None:
        words += (
            f", {100 * sum(shares):.1f}% of its variance in the plane, at most "
            f"{trajectory.distance_to_plane.max():.4g} away from it"
        )
    return words


def _result(landscape) -> str:
    """The range and the lowest point of the loss, in a phrase."""
    import numpy as np

    loss = landscape.values("loss")
    finite = np.isfinite(loss)
    if not finite.any():
        return "without a finite loss"
    lowest = int(np.where(finite, loss, np.inf).argmin())
    where = ", ".join(f"{c:.4g}" for c in landscape.grid.points()[lowest])
    return f"loss {loss[finite].min():.4g} to {loss[finite].max():.4g}, lowest at ({where})"


def _configuration(configuration):
    """How points were computed, in one line.

    >>> _configuration({"memory_format": "channels_last", "shortcuts": ["fused_convolutions"],
    ...                 "convolutions": {"a": "products", "b": "products", "c": "row_major"}})
    'channels-last, fused convolutions; of the convolutions, 2 as products and 1 row-major'
    >>> _configuration({"memory_format": "contiguous", "shortcuts": [], "convolutions": None})
    'row-major, by the model alone'
    """
    words = {"channels_last": "channels-last", "contiguous": "row-major"}
    found = words.get(configuration.get("memory_format"), "?")
    ways = configuration.get("convolutions") or {}
    shortcuts = [str(name).replace("_", " ") for name in configuration.get("shortcuts", [])]
    if ways:  # they say it better
        shortcuts = [
            n for n in shortcuts if n not in ("pixel convolutions", "row major convolutions")
        ]
    if shortcuts:
        found += f", {', '.join(shortcuts)}"
    elif not ways:
        found += ", by the model alone"
    counts = [
        (sum(way == kind for way in ways.values()), name)
        for kind, name in (("products", "as products"), ("row_major", "row-major"))
    ]
    if parts := [f"{count} {name}" for count, name in counts if count]:
        found += f"; of the convolutions, {' and '.join(parts)}"
    return found


def _loss_call(call):
    """How the loss was computed, in one line.

    >>> _loss_call({"arguments": "(outputs, targets)", "known_by": "trial", "by_sample": True})
    'called with (outputs, targets), found by trial; one sample at a time'
    >>> _loss_call({"formula": "cross-entropy of the next token"})
    "the model's own: cross-entropy of the next token"
    """
    if "formula" in call:
        return f"the model's own: {call['formula']}"
    if "output" in call:
        return f"of the output {call['output']!r}"
    how = {"trial": ", found by trial", "names": ", by the names of its arguments"}
    words = f"called with {call.get('arguments', '?')}{how.get(call.get('known_by'), '')}"
    if call.get("by_sample"):
        words += "; one sample at a time"
    if call.get("gradients"):
        words += "; with gradients"
    return words


def _weights(name, quantity, about):
    """How much the samples of a set weigh, in one line.

    >>> _weights("train", "loss", {"mean": 2.0, "smallest": 0.0, "largest": 5.0, "zero": 1})
    'loss of train: 0 to 5, mean 2; 1 sample weighs nothing'
    """
    words = (
        f"{quantity} of {name}: {about.get('smallest', 0):g} to {about.get('largest', 0):g}, "
        f"mean {about.get('mean', 0):g}"
    )
    if zero := about.get("zero"):
        words += f"; {zero:,} sample{' weighs' if zero == 1 else 's weigh'} nothing"
    return words


def _adaptive(about):
    """How well the interpolated points are known, in one line."""
    from losslandscape.adaptive.refinement import not_finite_in_checks

    words = f"tolerance {about.get('tolerance', '?')} of the range"
    if isinstance(about.get("range"), (int, float)):
        unit = "decades" if about.get("scale") == "log" else "units of the loss"
        words += f" ({about['range']:.4g} {unit})"
    if isinstance(about.get("estimated_error"), (int, float)):
        if isinstance(about.get("estimated_error_95"), (int, float)):  # not in older files
            words += f", 95% of the points within {about['estimated_error_95']:.2g}"
        words += f", largest error estimated at {about['estimated_error']:.2g}"
    if about.get("checks"):
        last = about["checks"][-1]
        words += (
            f"; check: {last['within']} of {last['points']} random points lay within their "
            f"estimated error{not_finite_in_checks(about)}"
        )
    return words


def _error_lines(landscape, name, dataset_samples):
    """Medians of the standard errors of a loss; nothing if it has none."""
    import numpy as np

    from losslandscape.formats.report import table_lines
    from losslandscape.landscape.confidence import trust
    from losslandscape.landscape.sampling_errors import summary

    kept = f"{name}_samples" in landscape.samples
    if not kept and not np.isfinite(landscape.fields.get(f"{name}_standard_error", np.nan)).any():
        return
    if kept and landscape.samples[f"{name}_samples"].shape[-1] < 2:
        yield f"  {name} is that of one sample, which has no standard error"
        return
    found = summary(landscape, name, dataset_samples)
    size = "" if found.dataset_samples is None else f" of N = {found.dataset_samples:,}"
    yield f"  standard errors of {name}: n = {found.samples:,}{size} samples, medians over points"
    rows = [(row["error"], row["median"], row["ratio"], row["points"]) for row in found.rows]
    header = ("", "median", "relative to independent samples", "points")
    for line in table_lines(header, rows):
        yield f"    {line}"
    known = trust(landscape, name)
    for note in (*found.notes, *(known.lines() if known is not None else ())):
        yield f"    {note}"
