"""Sets too small for one split: every row is held out once, by whole clusters, whatever the order of rows."""

from __future__ import annotations

import numpy as np

from tunewright.data.split import CASES, SMALLEST, stirred
from tunewright.data.table import Table
from tunewright.errors import DataError
from tunewright.recipe import DataSpec

AUTO_FOLDS = 5


def wanted(spec: DataSpec, rows: int) -> int:
    """How many folds `rows` train rows are divided into; 0: one split.

    `auto` folds below 100 rows, where the share asked for `test` would hold fewer than 30 cases; not beside a test
    file, nor where nothing is to be held out (`test: 0`) or rows are split by time. Raises `DataError` where folds are
    asked for beside a test file.
    """
    how = spec.split
    if how.folds == "auto":
        few = rows < SMALLEST and round(rows * how.test) < CASES
        return AUTO_FOLDS if few and how.test and not spec.test and not how.time else 0
    if how.folds and spec.test:
        raise DataError(
            "folds hold out every train row once, and there is a test file to judge by as well.",
            where=f"data.split.folds: {how.folds}",
            remedy="Drop `data.split.folds`, or drop `data.test`.",
        )
    return how.folds


def assign(table: Table, used: np.ndarray, cluster: np.ndarray, spec: DataSpec, labels: bool, folds: int) -> np.ndarray:
    """The fold (from 1) whose model does not see a row; 0 for rows that every model is trained on.

    Whole clusters are dealt, the largest first, each to the fold with fewest rows of its label and then fewest rows.
    Only real rows are counted and drawn by; a synthetic row goes with the real rows of its cluster, to be kept from
    the model that is asked those, and is no case itself. Fewer clusters than folds make fewer folds; where not even
    two can be held out, all is 0. Raises `DataError` where folds were asked for by number and there are fewer clusters.
    """
    place = np.zeros(len(table), np.int16)
    rows = np.flatnonzero(table.train & used)
    pool = rows[table.c["synthetic"][rows] == 0]
    if not len(pool):
        return place
    ids, inverse, size = np.unique(cluster[pool], return_inverse=True, return_counts=True)
    drawn = stirred(table.c["content"][pool], spec.split.seed)
    draw = np.full(len(ids), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(draw, inverse, drawn)
    label = np.zeros(len(ids), np.int64)
    decisive = drawn == draw[inverse]
    label[inverse[decisive]] = table.c["answer"][pool[decisive]] if labels else 0
    if len(ids) < folds and spec.split.folds != "auto":
        raise DataError(
            f"only {len(ids)} groups of rows can be held out one after the other.",
            where=f"data.split.folds: {folds}",
            remedy="Ask for fewer folds. Rows that ask (nearly) the same or share a group stay together.",
        )
    folds = min(folds, len(ids))
    if folds < 2:
        return place
    held = _dealt(np.lexsort((draw, -size)), size, label, folds)
    known = np.isin(cluster[rows], ids)
    place[rows[known]] = held[np.searchsorted(ids, cluster[rows[known]])]
    return place


def _dealt(order: np.ndarray, size: np.ndarray, label: np.ndarray, folds: int) -> np.ndarray:
    """A fold (from 1) per cluster."""
    held = np.zeros(len(size), np.int16)
    rows, by_label = np.zeros(folds, np.int64), {int(x): np.zeros(folds, np.int64) for x in np.unique(label)}
    for i in order:
        of_label = by_label[int(label[i])]
        fold = int(np.lexsort((rows, of_label))[0])
        held[i] = fold + 1
        rows[fold] += size[i]
        of_label[fold] += size[i]
    return held


def sizes(table: Table, place: np.ndarray) -> tuple[int, ...]:
    """Rows that are asked in each fold; empty without folds."""
    return tuple(int(n) for n in np.bincount(place[table.c["synthetic"] == 0])[1:])
