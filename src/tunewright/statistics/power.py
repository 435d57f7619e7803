"""How many cases tell: normal approximation to the power of a paired comparison."""

from __future__ import annotations

import math

from scipy.special import ndtri

# Nobody collects more.
MOST_CASES = 10_000_000


def _factor(alpha: float, power: float) -> float:
    return float(ndtri(1 - alpha / 2) + ndtri(power))


def cases_needed(difference: float, deviation: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Paired cases with which a true mean `difference` is found at two-sided `alpha` with the given power.

    `deviation` is the standard deviation of the per-case differences, in the same unit. None when the difference is 0,
    or so small beside the deviation that over `MOST_CASES` would be needed: no suite finds what is hardly there.
    """
    spread = _factor(alpha, power) * deviation
    if spread >= abs(difference) * math.sqrt(MOST_CASES):
        return None
    return max(2, math.ceil((spread / difference) ** 2))


def detectable(cases: int, deviation: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Minimum detectable effect: the smallest true mean difference that `cases` paired cases find with that power."""
    if cases < 1:
        raise ValueError("at least one case is needed")
    return _factor(alpha, power) * deviation / math.sqrt(cases)
