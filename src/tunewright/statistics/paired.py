"""Paired tests, and corrections for asking several questions at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.stats import binom


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar p: of the cases that one arm alone got right, is the split a fair coin's? (McNemar 1947)

    `only_first` and `only_second` are counts of discordant cases. Equals `scipy.stats.binomtest(k, n).pvalue`.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError("counts cannot be negative")
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return float(min(1.0, 2 * binom.cdf(min(only_first, only_second), discordant, 0.5)))


def permutation(
    differences: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = 10_000,
) -> float:
    """Two-sided sign-flip permutation p for paired differences (Fisher 1935): exact up to 2^12 flips, else drawn.

    With `clusters` (one key per difference) the differences of a source are flipped together. A drawn p counts
    the observed flip among them (Phipson & Smyth 2010), so it is never 0 and never too small.
    """
    data = np.asarray(differences, dtype=np.float64)
    if clusters is not None:
        places: dict[Hashable, int] = {}
        data = np.bincount([places.setdefault(key, len(places)) for key in clusters], data)
    data = data[data != 0]
    if data.size == 0:
        return 1.0
    # A hair of slack: sums of the same numbers in another order differ in the last bits.
    observed = abs(data.sum()) - 1e-9 * np.abs(data).sum()
    if data.size <= 12:
        bits = (np.arange(2**data.size)[:, None] >> np.arange(data.size)) & 1
        return float(np.mean(np.abs((1 - 2 * bits) @ data) >= observed))
    rng = np.random.default_rng(seed)
    extreme = 0
    step = max(1, 4_000_000 // data.size)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        signs = rng.integers(0, 2, size=(size, data.size), dtype=np.int8)
        extreme += int(np.sum(np.abs(data.sum() - 2 * (signs @ data)) >= observed))
    return (extreme + 1) / (resamples + 1)


def adjust(p_values: Sequence[float]) -> list[float]:
    """p-values in the given order, adjusted for being several (Holm 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    if p.size == 0:
        return []
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    result = np.empty_like(p)
    result[order] = np.minimum(adjusted, 1.0)
    return [float(x) for x in result]
