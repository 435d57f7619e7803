"""The curve: a score that rises with the rows and saturates, and how far its points leave it open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

# Exponents seen in learning curves lie between about 0.07 and 1 (Viering and Loog 2022); a little room on both sides.
_STEEPEST, _FLATTEST = 3.0, 0.05
_GRID = np.geomspace(_FLATTEST, _STEEPEST, 80)


@dataclass(frozen=True)
class PowerLaw:
    """score(n) = ceiling − gap · (n / unit)^(−exponent): `gap` is what is missing to the ceiling at `unit` rows."""

    ceiling: float
    gap: float
    exponent: float
    unit: float

    def at(self, rows: float) -> float:
        """The score with so many rows."""
        return float(self.ceiling - self.gap * (rows / self.unit) ** -self.exponent)

    def rows_for(self, score: float) -> float:
        """The rows with which `score` is reached; infinite where the ceiling lies below."""
        if score >= self.ceiling or self.gap <= 0:
            return float("inf") if score > self.at(self.unit) else self.unit
        return float(self.unit * ((self.ceiling - score) / self.gap) ** (-1 / self.exponent))


def fit_power_law(rows: Sequence[float], scores: Sequence[float]) -> PowerLaw:
    """The saturating power law nearest to the points by least squares (Hestness et al. 2017), scores in 0…1.

    Raises `ValueError` with fewer than three sizes.
    """
    n, y = np.asarray(rows, float), np.asarray(scores, float)
    if len(set(n.tolist())) < 3:
        raise ValueError("three sizes are the least that a curve of three numbers can be fitted to")
    start, unit = _nearest(n, y[None, :])[0], float(n.max())

    def away(p: np.ndarray) -> np.ndarray:
        return np.asarray(p[0] - p[1] * (n / unit) ** -p[2] - y)

    low, high = np.array([0.0, 0.0, _FLATTEST]), np.array([1.0, 1.0, _STEEPEST])
    found = least_squares(away, np.clip(start, low + 1e-9, high - 1e-9), bounds=(low, high))
    best = found.x if 2 * found.cost < (away(start) ** 2).sum() else start
    return PowerLaw(float(best[0]), float(best[1]), float(best[2]), unit)


def _nearest(n: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Ceiling, gap and exponent for each row of `y` (curves × sizes): the best of a grid of exponents.

    For one exponent the other two are a straight line's, kept within 0…1.
    """
    best, least = np.zeros((len(y), 3)), np.full(len(y), np.inf)
    for exponent in _GRID:
        x = (n / n.max()) ** -exponent
        slope = (y - y.mean(axis=1, keepdims=True)) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        gap = np.clip(-slope, 0.0, 1.0)
        ceiling = y.mean(axis=1) + gap * x.mean()
        over = ceiling > 1
        gap = np.where(over, np.clip((1 - y) @ x / (x @ x), 0.0, 1.0), gap)
        ceiling = np.where(over, 1.0, np.maximum(ceiling, 0.0))
        off = ((ceiling[:, None] - gap[:, None] * x - y) ** 2).sum(axis=1)
        better = off < least
        best[better] = np.stack([ceiling, gap, np.full(len(y), exponent)], axis=1)[better]
        least = np.minimum(least, off)
    return best


def resampled(
    trials: Sequence[tuple[int, Sequence[float | None]]], law: PowerLaw, *, seed: int, resamples: int
) -> tuple[list[PowerLaw], np.ndarray]:
    """Curves through resampled points, and those points (resamples × sizes, in the order of their rows).

    `trials` are (rows, score per case), all on the same cases. Cases are drawn anew for all trials at once, so what is
    hard for all stays hard for all; then trials are drawn within each size. With one trial a size, the distance of the
    points from the curve stands for the luck of training.
    """
    rng = np.random.default_rng(seed)
    rows = np.array([n for n, _ in trials])
    scores = np.array([[np.nan if s is None else s for s in of] for _, of in trials], float)
    sizes = np.unique(rows)
    known = ~np.isnan(scores)
    drawn = rng.multinomial(scores.shape[1], np.full(scores.shape[1], 1 / scores.shape[1]), size=resamples)
    means = (drawn @ np.where(known, scores, 0.0).T) / np.maximum(drawn @ known.T.astype(float), 1)
    points = np.empty((resamples, len(sizes)))
    single = len(sizes) == len(rows)
    for k, size in enumerate(sizes):
        of_size = np.flatnonzero(rows == size)
        picked = of_size[rng.integers(0, len(of_size), size=(resamples, len(of_size)))]
        points[:, k] = np.take_along_axis(means, picked, axis=1).mean(axis=1)
    if single and len(sizes) > 3:
        off = np.array([law.at(float(n)) for n in sizes]) - np.array([np.nanmean(scores[rows == n]) for n in sizes])
        points = points + rng.normal(0.0, np.sqrt((off**2).sum() / (len(sizes) - 3)), size=points.shape)
    found = _nearest(sizes.astype(float), np.clip(points, 0.0, 1.0))
    return [PowerLaw(float(c), float(g), float(e), law.unit) for c, g, e in found], points
