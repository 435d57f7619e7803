"""What single rows showed while they were read: by code, with the reasons counted and a few examples kept."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np

_REASONS = 500
_EXAMPLES = 20


class Notes:
    """Row numbers by code, reasons counted. Memory grows with the rows noted by four bytes each."""

    def __init__(self) -> None:
        self._rows: dict[str, array[int]] = {}
        self._said: dict[str, set[str]] = {}
        self.reasons: dict[str, Counter[str]] = {}
        self.examples: dict[str, list[tuple[int, str]]] = {}

    def add(self, code: str, row: int, reason: str) -> None:
        """Note that `row` showed `code`. A row counts once per code, and once for each of its reasons."""
        rows = self._rows.setdefault(code, array("I"))
        if len(rows) and rows[-1] == row:
            if reason in self._said[code]:
                return
        else:
            rows.append(row)
            self._said[code] = set()
        self._said[code].add(reason)
        reasons = self.reasons.setdefault(code, Counter())
        if reason in reasons or len(reasons) < _REASONS:
            reasons[reason] += 1
        examples = self.examples.setdefault(code, [])
        if examples and examples[-1][0] == row:
            examples[-1] = (row, f"{examples[-1][1]}, {reason}")
        elif len(examples) < _EXAMPLES:
            examples.append((row, reason))

    def rows(self, code: str) -> np.ndarray:
        """Row indices noted under `code`, ascending."""
        return np.array(self._rows.get(code, array("I")), dtype=np.int64)

    def codes(self) -> list[str]:
        return list(self._rows)
