"""Weighted sums of the mean losses of several sets, as physics-informed networks have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import tensors_of
from losslandscape.problem.samples import SampleSet

SUM = "sum"  # the name that the sum has among the sets


def pooled(
    values: Mapping[str, np.ndarray],
    factors: Mapping[str, float],
    same_samples: Mapping[str, str] | None = None,
) -> np.ndarray:
    """Values of all samples of all sets, whose plain mean is the weighted sum of the sets' means.

    With the n_k samples of set k, of N in all, and its factor c_k, they are
    S + c_k (N / n_k) (l - m_k) sqrt((1 - 1/N) / (1 - 1/n_k)), where m_k is the set's mean and S the
    sum. Their s / sqrt(N) is sqrt(sum c_k^2 SE_k^2), the standard error of a sum over independent
    sets, and differences of two points have that of the difference. A set of one sample has no
    error, and adds none.

    Sets of the same samples are not independent. The sum of their c_k (l - m_k) by sample takes
    the place of each one's, divided by the square root of the number of such sets.

    Parameters
    ----------
    values : mapping of set to ndarray, shape (n_k,)
    factors : mapping of set to float
    same_samples : mapping of set to set, optional
        Of each set, the first one with the same samples; see :func:`same_samples_of`.

    Returns
    -------
    float64 ndarray, shape (N,)
        The sum for every sample if it is not finite.

    Notes
    -----
    W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, theorem 5.3: independent strata.

    Examples
    --------
    >>> found = pooled({"a": np.array([1.0, 3.0]), "b": np.array([5.0])}, {"a": 1.0, "b": 10.0})
    >>> round(float(found.mean()), 12), round(float(found.std(ddof=1) / 3**0.5), 12)
    (52.0, 1.0)
    """
    means = {name: float(np.mean(one, dtype=np.float64)) for name, one in values.items()}
    total = sum(factors[name] * mean for name, mean in means.items())
    count = sum(map(len, values.values()))
    if not np.isfinite(total):
        return np.full(count, total)
    same = same_samples or {}
    parts: dict[str, list[np.ndarray]] = {}
    for name, one in values.items():
        n = len(one)
        scale = factors[name] * count / n * np.sqrt((1 - 1 / count) / (1 - 1 / n)) if n > 1 else 0
        parts.setdefault(same.get(name, name), []).append(
            scale * (one.astype(np.float64) - means[name])
        )
    joint = {first: sum(group) / np.sqrt(len(group)) for first, group in parts.items()}
    return np.concatenate([total + joint[same.get(name, name)] for name in values])


def same_samples_of(sets: Mapping[str, SampleSet]) -> dict[str, str]:
    """Of each set, the first set with the same inputs in the same order; itself if there is none.

    Inputs are the first part of each sample; the other parts may differ.
    """
    found: dict[str, str] = {}
    for name, samples in sets.items():
        firsts = dict.fromkeys(found.values())
        found[name] = next((one for one in firsts if _same_inputs(sets[one], samples)), name)
    return found


def _same_inputs(one: SampleSet, other: SampleSet) -> bool:
    if len(one) != len(other):
        return False
    if one.streamed or other.streamed:
        return one.to_json()["sha256"] == other.to_json()["sha256"]
    firsts = ((tensors_of(a)[0], tensors_of(b)[0]) for a, b in zip(one.stored(), other.stored()))
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in firsts)


def split_terms(
    terms: Any,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """Data, losses and factors by name, from a dict of (data, loss, factor).

    Raises
    ------
    LossLandscapeError
        If a term is not such a tuple, or a factor is not a positive number.
    """
    if not isinstance(terms, Mapping) or not terms:
        raise LossLandscapeError(
            "the terms of a sum are a dict, name -> (data, loss, factor), such as "
            '{"residual": ((points,), residual, 1.0), "boundary": ((ends, values), "mse", 10.0)}'
        )
    data, losses, factors = {}, {}, {}
    for name, term in terms.items():
        if not isinstance(term, tuple) or len(term) not in (2, 3):
            raise LossLandscapeError(
                f"term '{name}' is a {type(term).__name__}; pass (data, loss, factor), or "
                "(data, loss) for the factor 1"
            )
        data[name], losses[name] = term[:2]
        factor = term[2] if len(term) == 3 else 1.0
        if (
            isinstance(factor, bool)
            or not isinstance(factor, (int, float))
            or not 0 < factor < np.inf
        ):
            raise LossLandscapeError(
                f"term '{name}': the factor is {factor!r}; pass a finite number above 0"
            )
        factors[name] = float(factor)
    if SUM in data:
        raise LossLandscapeError(f"term '{SUM}': the sum has this name; choose another one")
    return data, losses, factors
