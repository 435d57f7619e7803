"""JSON as a bag of (path, value) leaves, so that answers can be compared field by field."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from typing import Any

Leaf = tuple[tuple[str | int, ...], Any]


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def parse(text: str) -> Any:
    """The JSON value `text` is, white space around it aside. Raises `ValueError` (NaN and Infinity are not JSON)."""
    return json.loads(text.strip(), parse_constant=_refuse)


def leaves(value: Any, at: tuple[str | int, ...] = ()) -> Counter[Leaf]:
    """The leaves of parsed JSON. Numbers compare by value, strings after NFKC with runs of white space as one space.

    An empty object or list is a leaf of its own; true and false are not 1 and 0.
    """
    if isinstance(value, dict) and value:
        total: Counter[Leaf] = Counter()
        for key, inner in value.items():
            total += leaves(inner, (*at, key))
        return total
    if isinstance(value, list) and value:
        total = Counter()
        for place, inner in enumerate(value):
            total += leaves(inner, (*at, place))
        return total
    return Counter({(at, _comparable(value)): 1})


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFKC", value).split())
    if isinstance(value, bool) or value is None:
        return ("constant", value)
    if isinstance(value, (int, float)):
        return ("number", value)
    return ("empty", type(value).__name__)


def leaf_f1(answer: Any, expected: Any) -> float:
    """F1 of the two values' leaves: 1 only when they hold the same leaves."""
    ours, theirs = leaves(answer), leaves(expected)
    common = sum((ours & theirs).values())
    return 2 * common / (sum(ours.values()) + sum(theirs.values()))
