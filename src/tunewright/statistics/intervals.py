"""Intervals for a mean: percentile bootstrap (plain or clustered) and Wilson's for a share."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri


class Interval(NamedTuple):
    """A mean with its interval; all three in the unit of the values."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of the mean of `values` (Efron & Tibshirani 1993, ch. 13).

    For two arms on the same cases pass the per-case differences: that is the paired bootstrap. With `clusters` (one
    key per value) whole clusters are drawn, for cases that share a source. Negating the values negates the interval
    exactly. Raises `ValueError` when there are no values or the lengths differ.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0:
        raise ValueError("a bootstrap needs at least one value")
    if clusters is not None and len(clusters) != data.size:
        raise ValueError("one cluster per value is needed")
    means = np.sort(_resampled_means(data, clusters, np.random.default_rng(seed), resamples))
    # Order statistics at mirrored places, so that swapping two arms swaps the sign and nothing else.
    tail = math.floor((1 - confidence) / 2 * resamples)
    return Interval(float(data.mean()), float(means[tail]), float(means[resamples - 1 - tail]))


def _resampled_means(
    data: np.ndarray, clusters: Sequence[Hashable] | None, rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Means of resamples. Units that look alike are drawn together as one multinomial count: same law, less work."""
    if clusters is None:
        units = np.stack([data, np.ones_like(data)], axis=1)
    else:
        places: dict[Hashable, int] = {}
        index = np.array([places.setdefault(key, len(places)) for key in clusters])
        units = np.stack([np.bincount(index, data), np.bincount(index).astype(np.float64)], axis=1)
    # Alike in order of first appearance: an order by value would change the draw when the sign changes.
    alike: dict[tuple[float, float], int] = {}
    counts: list[int] = []
    for unit in map(tuple, units.tolist()):
        place = alike.setdefault(unit, len(alike))
        if place == len(counts):
            counts.append(0)
        counts[place] += 1
    kinds = np.array(list(alike), dtype=np.float64)
    shares = np.array(counts, dtype=np.float64) / len(units)
    sums = np.empty(resamples)
    step = max(1, 4_000_000 // len(kinds))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        if len(kinds) * 2 > len(units):
            drawn = rng.integers(0, len(units), size=(size, len(units)))
            totals = units[drawn].sum(axis=1)
        else:
            totals = rng.multinomial(len(units), shares, size=size) @ kinds
        sums[start : start + size] = totals[:, 0] / totals[:, 1]
    return sums


def wilson(successes: int, cases: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a share (Wilson 1927); honest at 0 and 1, where a bootstrap has no width."""
    if cases <= 0 or not 0 <= successes <= cases:
        raise ValueError("need 0 ≤ successes ≤ cases and at least one case")
    z = float(ndtri(1 - (1 - confidence) / 2))
    share = successes / cases
    scale = 1 + z * z / cases
    centre = (share + z * z / (2 * cases)) / scale
    half = z * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases)) / scale
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == cases else min(1.0, centre + half)
    return Interval(share, low, high)
