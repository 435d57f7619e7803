"""Agreement between raters beyond chance: Cohen, Fleiss, Krippendorff."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

Rating = Hashable | None


class Agreement(NamedTuple):
    """Share of agreeing pairs and the chance-corrected coefficients; None where a coefficient does not apply."""

    observed: float
    cohen: float | None
    fleiss: float | None
    krippendorff: float | None


def agreement(ratings: Sequence[Sequence[Rating]], *, scale: Literal["nominal", "interval"] = "nominal") -> Agreement:
    """Agreement of raters over items: `ratings[item][rater]`, None where a rater gave nothing.

    `cohen` (1960) needs exactly two raters and complete items; `fleiss` (1971) needs equally many ratings per item;
    `krippendorff` (2011) takes anything with at least one item rated twice. `scale` is alpha's metric; interval
    ratings must be numbers. Raises `ValueError` when no item was rated twice.
    """
    paired = [[r for r in item if r is not None] for item in ratings]
    paired = [item for item in paired if len(item) >= 2]
    if not paired:
        raise ValueError("no item was rated by two raters")
    agreeing = sum(_agreeing_pairs(item) for item in paired) / sum(len(i) * (len(i) - 1) for i in paired)
    complete = [tuple(item) for item in ratings if None not in item]
    two = len(complete) == len(ratings) and all(len(item) == 2 for item in complete)
    sizes = {len(item) for item in paired}
    equal = len(sizes) == 1 and len(paired) == len(ratings)
    return Agreement(
        agreeing,
        _cohen(complete) if two else None,
        _fleiss(paired) if equal else None,
        _krippendorff(paired, scale),
    )


def _agreeing_pairs(item: Sequence[Hashable]) -> int:
    return sum(n * (n - 1) for n in Counter(item).values())


def _beyond_chance(observed: float, expected: float) -> float | None:
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _cohen(items: Sequence[Sequence[Hashable]]) -> float | None:
    n = len(items)
    observed = sum(a == b for a, b in items) / n
    first, second = Counter(a for a, _ in items), Counter(b for _, b in items)
    return _beyond_chance(observed, sum(first[k] * second[k] for k in first) / n**2)


def _fleiss(items: Sequence[Sequence[Hashable]]) -> float | None:
    raters = len(items[0])
    observed = sum(_agreeing_pairs(item) for item in items) / (len(items) * raters * (raters - 1))
    totals = Counter(r for item in items for r in item)
    return _beyond_chance(observed, sum((n / (len(items) * raters)) ** 2 for n in totals.values()))


def _krippendorff(items: Sequence[Sequence[Hashable]], scale: str) -> float | None:
    """1 − observed ÷ expected disagreement, each pair within an item weighted by 1 ÷ (ratings of the item − 1)."""
    totals = Counter(r for item in items for r in item)
    n = sum(totals.values())
    observed = sum(_disagreement(Counter(item), scale) / (len(item) - 1) for item in items) / n
    expected = _disagreement(totals, scale) / (n * (n - 1))
    return None if expected == 0 else 1 - observed / expected


def _disagreement(counts: Counter[Hashable], scale: str) -> float:
    total = 0.0
    for a, n in counts.items():
        for b, m in counts.items():
            if a != b:
                total += n * m * (1.0 if scale == "nominal" else (float(a) - float(b)) ** 2)  # type: ignore[arg-type]
    return total
