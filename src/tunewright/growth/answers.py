"""What a curve can answer, and when it must not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tunewright.growth.power import PowerLaw, fit_power_law, resampled
from tunewright.records import Expected, Growth, GrowthPoint, Needed, Worth

# One number more than the curve has: with fewer sizes it goes through every point and nothing checks it.
LEAST_SIZES = 4
# How far the points may lie from the curve, beyond what the cases explain.
_OFF = 0.03
# An expected score known no better than this helps nobody to decide.
_WIDEST = 0.2
# Nobody knows what comes further out than this many times the rows measured.
FURTHEST = 10.0
RESAMPLES = 1000
_DRAWN = 40


class Cost(NamedTuple):
    """What a further row takes (minutes), an hour of that costs, and a point of score is worth (None: not said)."""

    minutes_per_row: float
    hourly: float
    point_value: float | None = None


def growth(
    trials: Sequence[tuple[int, Sequence[float | None]]],
    *,
    scorer: str,
    target: float | None = None,
    cost: Cost | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Growth:
    """The curve through `trials` (rows, score per case; all on the same cases) and its answers.

    `target` is a wanted score (0…1). Where the points do not lie on such a curve, or too few sizes were tried,
    nothing is said beyond what was measured: `refused` gives the reasons. Intervals are 95 % bootstrap intervals over
    cases and trials. Raises `ValueError` without trials.
    """
    rows = sorted({n for n, _ in trials})
    if not rows:
        raise ValueError("a curve needs trials")
    observed = {n: _mean([_mean(of) for m, of in trials if m == n]) for n in rows}
    refused = _before_fitting(rows, observed)
    made = {"scorer": scorer, "cases": len(trials[0][1]), "target": target, "asked_cost": cost is not None}
    if len(rows) < 3:
        spans = _plain_spans(trials, rows)
        return Growth(points=_points(trials, rows, observed, spans), refused=tuple(refused), **made)
    law = fit_power_law(rows, [observed[n] for n in rows])
    curves, drawn = resampled(trials, law, seed=seed, resamples=resamples)
    points = _points(trials, rows, observed, np.quantile(drawn, (0.025, 0.975), axis=0).T.tolist())
    expected = _expected(law, curves, 2 * rows[-1])
    refused += _after_fitting(law, rows, observed, drawn, expected)
    if refused:
        return Growth(points=points, refused=tuple(refused), **made)
    return Growth(
        points=points,
        ceiling=law.ceiling,
        exponent=law.exponent,
        line=tuple(_line(law, curves, rows)),
        expected=expected,
        needed=_needed(law, curves, rows[-1], target) if target is not None else None,
        worth=_worth(expected, rows[-1], cost) if cost else None,
        **made,
    )


def _mean(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else 0.0


def _points(
    trials: Sequence[tuple[int, Sequence[float | None]]],
    rows: Sequence[int],
    observed: dict[int, float],
    spans: Sequence[Sequence[float]],
) -> tuple[GrowthPoint, ...]:
    return tuple(
        GrowthPoint(
            rows=n,
            score=observed[n],
            low=max(0.0, min(low, observed[n])),
            high=min(1.0, max(high, observed[n])),
            trials=sum(m == n for m, _ in trials),
        )
        for n, (low, high) in zip(rows, spans, strict=True)
    )


def _plain_spans(trials: Sequence[tuple[int, Sequence[float | None]]], rows: Sequence[int]) -> list[list[float]]:
    """Intervals by the cases alone, where there is no curve."""
    spans = []
    for n in rows:
        each = np.array([[np.nan if s is None else s for s in of] for m, of in trials if m == n], float)
        of_case = np.nanmean(each, axis=0)
        half = 1.96 * float(np.nanstd(of_case)) / np.sqrt(len(of_case))
        spans.append([float(np.nanmean(of_case)) - half, float(np.nanmean(of_case)) + half])
    return spans


def _before_fitting(rows: Sequence[int], observed: dict[int, float]) -> list[str]:
    found = []
    if len(rows) < LEAST_SIZES:
        found.append(f"{len(rows)} sizes were tried, and {LEAST_SIZES} are the least that can check a curve")
    if max(observed.values()) <= 0:
        found.append("nothing is learnt at any size, so nothing can be seen to grow")
    return found


def _after_fitting(
    law: PowerLaw, rows: Sequence[int], observed: dict[int, float], drawn: np.ndarray, expected: Expected
) -> list[str]:
    found = []
    top = max(rows, key=lambda n: observed[n])
    if top != rows[-1]:
        fall = drawn[:, -1] - drawn[:, rows.index(top)]
        if np.quantile(fall, 0.975) < 0:
            found.append(f"the score falls from {top:,} rows to {rows[-1]:,}: look at the data before adding to it")
    off = np.sqrt(np.mean([(law.at(n) - observed[n]) ** 2 for n in rows]))
    if off > max(_OFF, 2 * float(drawn.std(axis=0).mean())):
        found.append(f"the points lie {100 * off:.1f} points from the curve on average, more than their cases explain")
    if expected.high - expected.low > _WIDEST:
        span = f"{100 * expected.low:.0f} to {100 * expected.high:.0f} %"
        found.append(f"with twice the rows the score could be anything from {span}; more seeds or validation rows tell")
    return found


def _expected(law: PowerLaw, curves: Sequence[PowerLaw], rows: int) -> Expected:
    """The score at `rows`, and the gain over half as many, with what the resampled curves say of both."""
    half = rows / 2
    scores, gains = [c.at(rows) for c in curves], [c.at(rows) - c.at(half) for c in curves]
    low, high = np.quantile(scores, (0.025, 0.975))
    gain_low, gain_high = np.quantile(gains, (0.025, 0.975))
    score, gain = law.at(rows), law.at(rows) - law.at(half)
    return Expected(
        rows=rows,
        score=score,
        low=min(float(low), score),
        high=max(float(high), score),
        gain=gain,
        gain_low=min(float(gain_low), gain),
        gain_high=max(float(gain_high), gain),
    )


def _line(law: PowerLaw, curves: Sequence[PowerLaw], rows: Sequence[int]) -> list[tuple[float, float, float, float]]:
    """(rows, score, low, high) from the fewest rows to twice the most, for drawing."""
    found = []
    for n in np.geomspace(rows[0], 2 * rows[-1], _DRAWN):
        low, high = np.quantile([c.at(float(n)) for c in curves], (0.025, 0.975))
        found.append((float(n), law.at(float(n)), float(low), float(high)))
    return found


def _needed(law: PowerLaw, curves: Sequence[PowerLaw], rows: int, target: float) -> Needed:
    """Rows for the score `target`; None for an end that lies further out than anybody can say."""
    ends = np.quantile([min(c.rows_for(target), 1e12) for c in curves], (0.025, 0.5, 0.975), method="nearest")
    told = [round(float(n)) if n <= FURTHEST * rows else None for n in (ends[0], law.rows_for(target), ends[2])]
    if told[1] is not None and told[1] <= rows:
        decision = "reached"
    elif told[0] is None:
        decision = "out_of_reach"
    else:
        decision = "cannot_tell" if told[1] is None or told[2] is None else "reachable"
    return Needed(score=target, decision=decision, rows=told[1], low=told[0], high=told[2])


def _worth(expected: Expected, rows: int, cost: Cost) -> Worth:
    """Doubling the rows: what it costs, and whether its points are worth that."""
    price = rows * cost.minutes_per_row / 60 * cost.hourly
    per_point = price / (100 * expected.gain) if expected.gain > 1e-4 else None
    decision = None
    if cost.point_value is not None:
        low, high = (100 * gain * cost.point_value for gain in (expected.gain_low, expected.gain_high))
        decision = "worth_it" if low > price else "not_worth_it" if high < price else "cannot_tell"
    return Worth(rows=rows, cost=price, per_point=per_point, point_value=cost.point_value, decision=decision)
