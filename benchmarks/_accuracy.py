"""How far off the memory predictions were."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Of all results, of those that were fitted to, and of those that were not."""
    kinds = {
        "all": results,
        "fitted": [one for one in results if one["fitted"]],
        "unfitted": [one for one in results if not one["fitted"]],
    }
    return {name: accuracy(some) for name, some in kinds.items() if some}


def accuracy(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Median and worst absolute error, the median of the signed ones, and the share inside the interval."""
    errors = [one["error"] for one in results]
    return {
        "count": len(results),
        "median_error": round(statistics.median(map(abs, errors)), 4),
        "worst_error": round(max(map(abs, errors)), 4),
        "bias": round(statistics.median(errors), 4),
        "inside": round(sum(one["inside"] for one in results) / len(results), 4),
    }
