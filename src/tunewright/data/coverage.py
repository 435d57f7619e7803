"""What is asked and nowhere taught: groups of requests that no train row resembles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.cluster import AgglomerativeClustering

from tunewright.data.checks import EXAMPLES
from tunewright.data.learned import MOST, Embed, drawn, vectors
from tunewright.data.requests import Requests
from tunewright.data.table import Table
from tunewright.records import Finding
from tunewright.text import said

_BLOCK = 500
# Numbers differ from one request to the next and say little of what is asked.
_WORDS = r"(?u)\b[^\W\d]\w*\b"
_FEW = 50
# A request is unlike the train rows when its nearest is further than all but a tenth of their own nearest are.
_LONELY = 0.1
_FARTHEST = 0.5
_TOGETHER = 0.75
_LEAST = 5
_LEAST_SHARE = 0.0025


def gaps(table: Table, asked: Requests, embed: Embed | None = None) -> Iterator[Finding]:
    """`coverage_gap` of requests: at least five, and a 400th of all, that are like each other and no train row."""
    index = drawn(table, table.train, MOST)
    if min(len(index), len(asked.drawn)) < _FEW:
        return
    forms = [*(table.form(int(i))[0] for i in index), *(one.form for one in asked.drawn)]
    try:
        x = vectors(forms, embed, _WORDS)
    except ValueError:  # nothing but marks and digits
        return
    ours, theirs = x[: len(index)], x[len(index) :]
    sample = np.linspace(0, len(index) - 1, min(len(index), len(asked.drawn))).astype(int)
    usual = float(np.quantile(_nearest(ours[sample], ours, sample), _LONELY))
    near = _nearest(theirs, ours)
    alone = np.flatnonzero(near < min(usual, _FARTHEST))
    groups = _groups(theirs[alone], max(_LEAST, round(_LEAST_SHARE * len(asked.drawn))))
    if groups:
        yield _finding(asked, [alone[g] for g in groups], len(alone), usual)


def _nearest(some: Any, rows: Any, own: np.ndarray | None = None) -> np.ndarray:
    """The cosine of each of `some` with the row most like it; `own` are their own places among the rows, left out."""
    found = np.zeros(some.shape[0])
    for start in range(0, some.shape[0], _BLOCK):
        likeness = some[start : start + _BLOCK] @ rows.T
        dense = likeness if isinstance(likeness, np.ndarray) else likeness.toarray()
        if own is not None:
            dense[np.arange(len(dense)), own[start : start + _BLOCK]] = -1.0
        found[start : start + _BLOCK] = dense.max(axis=1)
    return found


def _groups(x: Any, least: int) -> list[np.ndarray]:
    """Groups of at least `least` rows like each other on average; the largest first, in each the most typical."""
    if x.shape[0] < least:
        return []
    dense = x if isinstance(x, np.ndarray) else x.toarray()
    likeness = dense @ dense.T
    parted = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=_TOGETHER
    ).fit_predict(np.clip(1 - likeness, 0, 2))
    found = [np.flatnonzero(parted == k) for k in range(parted.max() + 1)]
    found = [g[np.argsort(-likeness[np.ix_(g, g)].sum(axis=1), kind="stable")] for g in found if len(g) >= least]
    return sorted(found, key=lambda g: (-len(g), int(g[0])))


def _finding(asked: Requests, groups: list[np.ndarray], alone: int, usual: float) -> Finding:
    count = sum(map(len, groups))
    shown = [[asked.drawn[int(i)].shown() for i in group[:4]] for group in groups[:EXAMPLES]]
    first = "; ".join(f"“{rows[0]['input'][:80]}”" for rows in shown[:3])
    return Finding(
        code="coverage_gap",
        severity="warning",
        count=count,
        rows=tuple(asked.drawn[int(i)].row for group in groups for i in group)[:1000],
        evidence={
            "requests_looked_at": len(asked.drawn),
            "requests_alone": alone,
            "usual_likeness": round(usual, 4),
            "groups": [
                {"requests": len(g), "examples": rows} for g, rows in zip(groups[:EXAMPLES], shown, strict=True)
            ],
            "examples": shown,
        },
        message=f"{count:,} of {len(asked.drawn):,} requests, in {said(len(groups), 'group')}, "
        f"resemble no train row: {first}{' …' if len(groups) > 3 else ''}",
        remedy="Add rows like them, or settle that the model need not answer them: the groups show what is missing.",
    )
