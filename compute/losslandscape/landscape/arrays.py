"""Another grid variable in the place of the loss, so that every analysis takes any of them."""

from __future__ import annotations

from collections.abc import Iterable

from losslandscape.landscape.landscape import Landscape

_BESIDE = ("standard_error", "sample_count", "interpolation_error", "precision_error")


def of_array(landscape: Landscape, name: str) -> Landscape:
    """The landscape in which the variable ``name`` is the loss; the values are the same arrays.

    It has the errors and per-sample values of that variable, where there are any. It has neither
    trajectories nor models, whose losses are those of the first set.

    Raises
    ------
    LossLandscapeError
        If there is no variable of that name.

    Examples
    --------
    >>> import numpy as np
    >>> from losslandscape.planes.grid import Grid
    >>> fields = {"loss": np.array([2.0, 1.0]), "top 5": np.array([0.5, 0.9])}
    >>> line = Landscape(Grid.line(2), fields, np.ones(2, np.int8), np.eye(1))
    >>> of_array(line, "top 5").values()
    array([0.5, 0.9])
    """
    values = landscape.values(name)
    if name == "loss":
        return landscape
    fields = {"loss": values}
    for beside in _BESIDE:
        if f"{name}_{beside}" in landscape.fields:
            fields[f"loss_{beside}"] = landscape.fields[f"{name}_{beside}"]
    samples = landscape.samples.get(f"{name}_samples")
    provenance = dict(landscape.provenance)
    titles = provenance.get("quantities", {})
    provenance["quantities"] = {"loss": titles.get(name) or name.replace("_", " ")}
    provenance["array"] = name
    objective = provenance.get("objective", {})
    sets = objective.get("sets", {})
    own = max((key for key in sets if name.startswith(f"{key}_")), key=len, default=None)
    if own is not None:  # the first set is that of the loss
        others = {key: value for key, value in sets.items() if key != own}
        provenance["objective"] = {**objective, "sets": {own: sets[own], **others}}
    return Landscape(
        grid=landscape.grid,
        fields=fields,
        status=landscape.status,
        gram_matrix=landscape.gram_matrix,
        provenance=provenance,
        samples={} if samples is None else {"loss_samples": samples},
        path=landscape.path,
    )


def in_words(lines: Iterable[str], name: str | None) -> list[str]:
    """Sentences about the mean loss, as sentences about the variable of this name.

    Examples
    --------
    >>> in_words(["95% quantile of log10 of the mean loss"], "test_loss")
    ["95% quantile of log10 of the mean 'test_loss'"]
    """
    if name in (None, "loss"):
        return list(lines)
    return [line.replace("mean loss", f"mean '{name}'") for line in lines]
