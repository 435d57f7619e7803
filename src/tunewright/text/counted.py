"""Numbers in sentences."""

from __future__ import annotations


def said(count: int, one: str, many: str = "") -> str:
    """`count` with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def span(hours: float) -> str:
    """A time in the unit that a person would say it in."""
    seconds = hours * 3600
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{hours:.1f} h"
