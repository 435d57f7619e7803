"""Texts held against many others: which are the same, or nearly the same, as the audit understands it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunewright.text import similar

_CHUNK = 20_000


class Crowd:
    """Normal forms of texts that others are held against; empty forms are like nothing."""

    def __init__(self, forms: Sequence[str]) -> None:
        self.forms = list(forms)
        self._exact: dict[str, int] = {}
        for place, form in enumerate(self.forms):
            if form:
                self._exact.setdefault(form, place)
        self._bands = similar.sketch(self.forms)

    def match(self, forms: Sequence[str]) -> list[tuple[int, bool] | None]:
        """For each of `forms` the place of the first text here that is the same (True) or nearly so, else None."""
        found: list[tuple[int, bool] | None] = [(self._exact[f], True) if f in self._exact else None for f in forms]
        for i, j in self.pairs(forms):
            if found[i] is None:
                found[i] = (j, False)
        return found

    def pairs(self, forms: Sequence[str]) -> list[tuple[int, int]]:
        """All (place in `forms`, place here) whose texts are the same or nearly so, in order."""
        proposed = self._proposed(forms)
        found: list[tuple[int, int]] = []
        for start in range(0, len(proposed), _CHUNK):
            part = proposed[start : start + _CHUNK]
            close = similar.alike([forms[i] for i, _ in part], [self.forms[j] for _, j in part])
            found += [(int(i), int(j)) for i, j in part[close]]
        return found

    def _proposed(self, forms: Sequence[str]) -> np.ndarray:
        """Pairs (place in `forms`, place here) that share a band of their sketches, sorted."""
        bands = similar.sketch(forms)
        pairs: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
        here = np.array([bool(f) for f in self.forms], bool)
        there = np.array([bool(f) for f in forms], bool)
        for band in range(bands.shape[1] if len(forms) and len(self.forms) else 0):
            order = np.argsort(bands[:, band], kind="stable")
            ranked = bands[order, band]
            first = np.searchsorted(ranked, self._bands[:, band], "left")
            last = np.searchsorted(ranked, self._bands[:, band], "right")
            for j in np.flatnonzero((last > first) & here):
                same = order[first[j] : last[j]]
                same = same[there[same]]
                pairs.append(np.stack([same, np.full(len(same), j)], axis=1))
        return np.unique(np.concatenate(pairs), axis=0).astype(np.int64)
