"""Who trains, who chooses, who judges: decided by what a row says and the seed, never by where it stands."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tunewright.data.table import Table
from tunewright.errors import DataError

TRAIN, VALIDATION, TEST, REHEARSAL = 0, 1, 2, 3
NAMES = ("train", "validation", "test", "rehearsal")
SMALL = 300
SMALLEST = 100
CASES = 30


def clusters(table: Table, links: np.ndarray | None = None, parts: int = 20) -> np.ndarray:
    """A cluster number per row: rows with one input, one group, or in `links` (n × 2 row indices) belong together,
    and a synthetic row with the row it puts in other words.

    Where links chain more than a `parts`-th of all rows into one cluster (templates that differ by a word), they are
    not followed there: such a cluster could not be divided at all. Synthetic rows do not count in this.
    """
    n = len(table)
    real = table.c["synthetic"] == 0
    certain = np.concatenate(
        [_chained(table.c["input"]), _chained(table.c["group"]), _chained(table.c["content"]), _reworded(table)]
    )
    plain = _components(n, certain)
    if links is None or not len(links):
        return plain
    linked = _components(n, np.concatenate([certain, links]))
    chained = np.bincount(linked, weights=real)[linked] > max(2, int(real.sum()) // parts)
    return np.where(chained, plain + n, linked)


def _reworded(table: Table) -> np.ndarray:
    """Pairs that tie synthetic rows to the rows they put in other words."""
    wanted = table.c["rewords"]
    if not wanted.any():
        return np.zeros((0, 2), np.int64)
    keys = wanted.copy()
    for i in np.flatnonzero((wanted == 0) & (table.c["fault"] == 0)):
        keys[i] = table.asks(int(i))
    keys[~np.isin(keys, wanted)] = 0
    return _chained(keys)


def _components(n: int, pairs: np.ndarray) -> np.ndarray:
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


def _chained(keys: np.ndarray) -> np.ndarray:
    """Neighbouring pairs within each run of equal, non-zero keys."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    same = (ranked[1:] == ranked[:-1]) & (ranked[1:] != 0)
    return np.stack([order[:-1][same], order[1:][same]], axis=1).astype(np.int64)


def counts(rows: int, shares: tuple[float, float]) -> tuple[int, int]:
    """How many rows go to test and to validation.

    Below 300 rows the test share grows so that 30 cases remain to judge by, as long as that is under a third.
    """
    test = max(1, round(rows * shares[0])) if shares[0] else 0
    if test and rows < SMALL:
        test = max(test, min(CASES, rows // 3))
    validation = max(1, round(rows * shares[1])) if shares[1] else 0
    if rows < 3:
        return 0, 0
    return test, validation


def assign(
    table: Table,
    used: np.ndarray,
    cluster: np.ndarray,
    shares: tuple[float, float],
    seed: int,
    labels: bool,
    *,
    by_time: bool = False,
) -> np.ndarray:
    """A split (`TRAIN`, `VALIDATION`, `TEST`) per row of `table`, -1 where a row is not `used`.

    Rows of given test files are test. The rest is divided by whole clusters, in an order drawn from the clusters'
    content and the seed, per label so that labels keep their shares; clusters with synthetic rows stay in train.
    Only real rows are counted and drawn by, so that synthetic ones move no other row from one split to another.
    With `by_time` the newest clusters are test and the next newest validation; a cluster is as new as its newest row,
    so nothing is trained on that is newer than what is tested.
    """
    split = np.full(len(table), -1, np.int8)
    given = table.test & used
    split[given] = TEST
    pool = np.flatnonzero(table.train & used)
    split[pool] = TRAIN
    made = table.c["synthetic"][pool] > 0
    kept, pool = np.unique(cluster[pool[made]]), pool[~made]
    if len(pool) == 0:
        return split
    ids, inverse, size = np.unique(cluster[pool], return_inverse=True, return_counts=True)
    least = np.full(len(ids), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, inverse, stirred(table.c["content"][pool], seed))
    fixed = np.isin(ids, kept)
    # A cluster counts for the label of its decisive row, which is the same whatever the order of rows.
    decisive = np.zeros(len(ids), np.int64)
    hit = stirred(table.c["content"][pool], seed) == least[inverse]
    decisive[inverse[hit]] = pool[hit]
    wanted = counts(len(pool), (0.0 if given.any() else shares[0], shares[1]))
    if by_time:
        newest = np.full(len(ids), -np.inf)
        np.maximum.at(newest, inverse, np.nan_to_num(table.c["when"][pool], nan=-np.inf))
        place = _newest(newest, least, size, fixed, wanted)
    else:
        stratum = table.c["answer"][decisive] if labels else np.zeros(len(ids), np.int32)
        place = _divide(least, size, stratum, fixed, wanted, len(pool))
    split[pool] = place[inverse]
    return split


def rehearse(
    table: Table, used: np.ndarray, split: np.ndarray, judging: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`split` with rehearsal rows drawn to be `share` of all that train; masks of those that leak, and of the rest.

    A rehearsal row leaks when a row of the mask `judging` asks the same. Which rows are drawn depends on what they say
    and on the seed, so that a larger share holds a smaller one.
    """
    judged = table.c["input"][judging]
    free = table.rehearsal & used
    leaks = free & np.isin(table.c["input"], judged[judged != 0])
    open_ = np.flatnonzero(free & ~leaks)
    wanted = round(int((split == TRAIN).sum()) * share / (1 - share))
    drawn = open_[np.argsort(stirred(table.c["content"][open_], seed), kind="stable")[:wanted]]
    split = split.copy()
    split[drawn] = REHEARSAL
    return split, leaks, free & ~leaks & (split != REHEARSAL)


def timed(table: Table, used: np.ndarray, column: str) -> None:
    """Raises `DataError` where a used train row has no time to be split by; synthetic rows, never tested, need none."""
    unknown = table.train & used & np.isnan(table.c["when"]) & (table.c["synthetic"] == 0)
    if unknown.any():
        raise DataError(
            f"{int(unknown.sum()):,} rows have no date or time in `{column}`, by which the recipe splits.",
            where=", ".join(table.names(unknown)[:3]),
            remedy="Write times as 2026-11-24T09:30:00 (or seconds since 1970), or drop `data.split.time`.",
        )


def _newest(
    newest: np.ndarray, draw: np.ndarray, size: np.ndarray, fixed: np.ndarray, wanted: tuple[int, int]
) -> np.ndarray:
    """A split per cluster: from the newest back, test until it has its rows, then validation; the oldest trains."""
    place = np.full(len(newest), TRAIN, np.int8)
    order = np.lexsort((draw, -newest))
    order = order[~fixed[order]][:-1]
    before = np.cumsum(size[order]) - size[order]
    place[order[before < wanted[0] + wanted[1]]] = VALIDATION
    place[order[before < wanted[0]]] = TEST
    return place


def stirred(keys: np.ndarray, seed: int) -> np.ndarray:
    """Keys stirred with the seed (splitmix64), so that each seed orders them anew."""
    x = keys + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _divide(
    draw: np.ndarray, size: np.ndarray, stratum: np.ndarray, fixed: np.ndarray, wanted: tuple[int, int], rows: int
) -> np.ndarray:
    """A split per cluster: test first, then validation, each spread over the strata by their size."""
    place = np.full(len(draw), TRAIN, np.int8)
    for target, count in ((TEST, wanted[0]), (VALIDATION, wanted[1])):
        if not count:
            continue
        free = (place == TRAIN) & ~fixed
        # Within a stratum clusters stand in drawn order at equal distances on (0, 1); taking the first ones over all
        # strata then takes the same share of each. The last cluster of a stratum stays: what is tested was taught.
        position = _positions(draw, size, stratum, place == TRAIN)
        order = np.lexsort((draw, position))
        last = _last(stratum, place == TRAIN, draw)
        taken = 0
        for i in order[free[order] & ~last[order]]:
            if taken + size[i] > count and taken:
                if taken >= count:
                    break
                continue
            if taken + size[i] > count + max(1, rows // 20):
                continue
            place[i] = target
            taken += int(size[i])
    return place


def _positions(draw: np.ndarray, size: np.ndarray, stratum: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Where each free cluster lies in its stratum: rows before it and half its own, over the stratum's rows."""
    order = np.lexsort((draw, ~free, stratum))
    rows = np.where(free, size, 0)[order].astype(float)
    starts = np.flatnonzero(np.r_[True, stratum[order][1:] != stratum[order][:-1]])
    totals = np.add.reduceat(rows, starts)
    lengths = np.diff(np.r_[starts, len(order)])
    before = np.cumsum(rows) - rows
    before -= np.repeat(before[starts], lengths)
    position = np.full(len(draw), np.inf)
    share = (before + rows / 2) / np.maximum(np.repeat(totals, lengths), 1)
    position[order] = np.where(free[order], share, np.inf)
    return position


def _last(stratum: np.ndarray, free: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """The free cluster drawn last in each stratum."""
    order = np.lexsort((draw, free, stratum))
    ends = np.flatnonzero(np.r_[stratum[order][1:] != stratum[order][:-1], True])
    mask = np.zeros(len(draw), bool)
    mask[order[ends]] = True
    return mask
