"""The display of a landscape in a notebook: a small table beside a thumbnail."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import (
    EVALUATED,
    INTERPOLATED,
    NOT_EVALUATED,
    NOT_FINITE,
    Landscape,
)

_STATUS = {
    "evaluated": EVALUATED,
    "interpolated": INTERPOLATED,
    "not finite": NOT_FINITE,
    "not evaluated": NOT_EVALUATED,
}


def html(landscape: Landscape) -> str:
    """An HTML table of the landscape, with a thumbnail if matplotlib is installed."""
    title = escape(str(landscape.provenance.get("title") or "Loss landscape"))
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in table(landscape)
    )
    picture = png(landscape)
    image = ""
    if picture is not None:
        encoded = base64.b64encode(picture).decode("ascii")
        image = f'<img alt="{title}" src="data:image/png;base64,{encoded}" style="width:320px">'
    return (
        '<div style="display:flex;flex-wrap:wrap;align-items:center;gap:1em">'
        f'<table><caption style="text-align:left"><b>{title}</b></caption>{rows}</table>'
        f"{image}</div>"
    )


def table(landscape: Landscape) -> Iterator[tuple[str, str]]:
    """Rows of the settings and the results, as plain text; unknown ones are left out."""
    about, grid = landscape.provenance, landscape.grid
    objective, plane = about.get("objective", {}), about.get("subspace", {})
    if landscape.path is not None:
        yield "file", str(landscape.path)
    if objective:
        batch_norm = objective.get("batch_norm", "none")
        words = f", batch norm {batch_norm}" if batch_norm != "none" else ""
        yield "model", f"{objective.get('model', '?')}{words}"
        sets = objective.get("sets", {}).items()
        yield "data", ", ".join(f"{about.get('samples', '?')} samples ({n})" for n, about in sets)
    if plane:
        yield "plane", _plane(plane)
    axes = ", ".join(
        f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in zip(grid.axis_names, grid.bounds)
    )
    yield "grid", f"{' x '.join(map(str, grid.counts))}: {axes}"
    counts = {word: int((landscape.status == code).sum()) for word, code in _STATUS.items()}
    yield "points", ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    losses = landscape.values("loss")
    finite = np.isfinite(losses)
    if finite.any():
        title = about.get("quantities", {}).get("loss") or "loss"
        yield title, f"{losses[finite].min():.4g} to {losses[finite].max():.4g}"
        number = int(np.where(finite, losses, np.inf).argmin())
        where = ", ".join(f"{c:.4g}" for c in grid.points()[number])
        yield "lowest at", f"({where})"
    for trajectory in landscape.trajectories:
        yield "trajectory", f"{trajectory.label}, {len(trajectory.step)} checkpoints"


def _plane(plane: dict) -> str:
    kind = plane.get("kind", "?")
    if kind == "random":
        return f"random, {plane.get('normalization', '?')} normalization, seed {plane.get('seed')}"
    if kind == "pca":
        share = 100 * sum(plane.get("explained_variance", ()))
        return f"principal components of the trajectory, {share:.1f}% of variance"
    if kind == "between":
        return f"through {', '.join(map(str, plane.get('models', ())))}"
    if kind == "eigenvectors":
        values = ", ".join(
            "none" if value is None else f"{value:.4g}" for value in plane.get("eigenvalues", ())
        )
        return f"eigenvectors of the Hessian, eigenvalues {values}"
    return str(kind)


def png(landscape: Landscape) -> bytes | None:
    """A PNG thumbnail; None if matplotlib is missing or the landscape cannot be drawn."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    from losslandscape.views import plotting

    # without pyplot, which would show the figure a second time and keep it open
    figure = Figure(figsize=(4, 3.2), layout="constrained")
    try:
        plotting.plot(landscape, ax=figure.add_subplot())
    except LossLandscapeError:  # three dimensions, or no finite value
        return None
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()
