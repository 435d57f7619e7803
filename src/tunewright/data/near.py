"""Rows that ask nearly the same: repeats, leaks and contradictions that exact comparison misses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tunewright.data.checks import EXAMPLES, groups_of, snippet
from tunewright.data.progress import Progress, silent
from tunewright.data.table import Table
from tunewright.records import Finding
from tunewright.text import said, similar

_CHUNK = 20_000
_SHORT = 60
_MANY = 4
_WORD = re.compile(r"\w+")
_NOT = frozenset(("no", "not", "never", "none", "cannot", "without", "nicht", "kein", "keine", "non", "pas", "nunca"))


@dataclass(frozen=True, slots=True)
class Near:
    """Pairs of rows whose inputs are nearly, not exactly, the same (n × 2 indices), and per pair whether the answers
    repeat each other and whether they contradict each other (they may do neither)."""

    pairs: np.ndarray
    repeat: np.ndarray
    contradict: np.ndarray


def find(table: Table, progress: Progress = silent) -> Near:
    """All near pairs among usable rows; one row stands for all that ask and answer exactly what it does."""
    rows = table.train | table.test
    index = _first(table.c["input"], rows)
    lengths = table.c["asked"].astype(np.int64)
    local = similar.candidates(
        table.sketches, lengths, index, lambda done, total: progress("bands of like rows compared", done, total)
    )
    kept: list[np.ndarray] = []
    for start in range(0, len(local), _CHUNK):
        progress("like pairs verified", start, len(local))
        part = local[start : start + _CHUNK]
        texts = {int(i): table.form(int(i))[0] for i in np.unique(part)}
        close = similar.alike([texts[int(a)] for a, _ in part], [texts[int(b)] for _, b in part])
        kept.append(part[close])
    pairs = np.concatenate(kept) if kept else np.zeros((0, 2), np.int64)
    pairs = _spread(table, pairs)
    repeat, contradict = np.zeros(len(pairs), bool), np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _CHUNK):
        progress("answers of like pairs compared", start, len(pairs))
        part = slice(start, start + _CHUNK)
        repeat[part], contradict[part] = _answers(table, pairs[part])
    return Near(pairs, repeat, contradict)


def _first(keys: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The first row of each distinct non-zero key, ascending."""
    index = np.flatnonzero(where & (keys != 0))
    return np.sort(index[np.unique(keys[index], return_index=True)[1]])


def _spread(table: Table, pairs: np.ndarray) -> np.ndarray:
    """Pairs of inputs to pairs of rows: where an input has several answers or is on both sides, each one counts."""
    several: dict[int, list[int]] = {}
    distinct = [np.zeros(len(table), bool), np.zeros(len(table), bool)]
    for mask, side in zip(distinct, (table.train, table.test), strict=True):
        mask[_first(table.pair, side)] = True
    touched = np.isin(table.c["input"], table.c["input"][np.unique(pairs)])
    for group in groups_of(table.c["input"], (table.train | table.test) & touched):
        several[int(group[0])] = [int(i) for mask in distinct for i in group[mask[group]]]
    single = ~np.isin(pairs, np.fromiter(several, np.int64, len(several))).any(axis=1)
    wide = [(i, j) for a, b in pairs[~single] for i in _rows(several, int(a)) for j in _rows(several, int(b))]
    both = np.concatenate([pairs[single], np.array(wide, dtype=np.int64).reshape(-1, 2)])
    return both[np.lexsort((both[:, 1], both[:, 0]))]


def _rows(several: dict[int, list[int]], i: int) -> list[int]:
    return several.get(i, [i])[:_MANY] or [i]


def _answers(table: Table, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    forms = {int(i): table.form(int(i)) for i in np.unique(pairs)}
    left = [forms[int(a)] for a, _ in pairs]
    right = [forms[int(b)] for _, b in pairs]
    output = table.c["output"]
    equal = output[pairs[:, 0]] == output[pairs[:, 1]]
    labels = (table.c["answer"][pairs] >= 0).all(axis=1)
    repeat = equal | (similar.alike([a for _, a in left], [b for _, b in right]) & ~labels)
    contradict = np.array(
        [not r and _contradict(a, b) for a, b, r in zip(left, right, repeat, strict=True)], dtype=bool
    )
    return repeat, contradict


def _contradict(left: tuple[str, str], right: tuple[str, str]) -> bool:
    """Whether two answers to nearly one question cannot both be right.

    Where the questions differ in words that the answers use, the answers may differ as well. Long answers may be
    worded differently; they contradict when one denies or when their numbers differ.
    """
    asked = set(_WORD.findall(left[0])) ^ set(_WORD.findall(right[0]))
    words, others = set(_WORD.findall(left[1])), set(_WORD.findall(right[1]))
    answered = words ^ others
    if not left[1] or not right[1] or asked & answered:
        return False
    if max(len(left[1]), len(right[1])) <= _SHORT or left[1][:1] in "{[":
        return True
    if asked & _NOT:
        return False
    figures = {w for w in answered if w[0].isdigit()}
    return bool(answered & _NOT) or (figures & words != set() and figures & others != set())


def findings(table: Table, near: Near) -> list[Finding]:
    """`near_duplicate`, `leak_near` and `contradiction_near`."""
    train = table.train[near.pairs].all(axis=1) if len(near.pairs) else np.zeros(0, bool)
    mixed = table.train[near.pairs].any(axis=1) & ~train if len(near.pairs) else train
    return [
        *_duplicates(table, near.pairs[train & near.repeat]),
        *_leaks(table, near.pairs[mixed]),
        *_contradictions(table, near.pairs[train & near.contradict]),
    ]


def surplus(table: Table, near: Near) -> np.ndarray:
    """Train rows that nearly repeat an earlier one: all but the first of each cluster."""
    mask = np.zeros(len(table), bool)
    train = table.train[near.pairs].all(axis=1) if len(near.pairs) else np.zeros(0, bool)
    for group in components(len(table), near.pairs[train & near.repeat]):
        mask[group[1:]] = True
    return mask


def leaking(table: Table, near: Near) -> np.ndarray:
    """Train rows that ask nearly what a test row asks."""
    mask = np.zeros(len(table), bool)
    if len(near.pairs):
        both = near.pairs[table.test[near.pairs].any(axis=1)]
        mask[both.ravel()] = True
    return mask & table.train


def components(rows: int, pairs: np.ndarray) -> list[np.ndarray]:
    """Sets of rows connected by pairs, each ascending, by first row."""
    if not len(pairs):
        return []
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(rows, rows))
    label = connected_components(graph, directed=False)[1].astype(np.uint64) + np.uint64(1)
    touched = np.zeros(rows, bool)
    touched[pairs.ravel()] = True
    return groups_of(label, touched)


def _shown(table: Table, groups: list[np.ndarray]) -> list[list[dict[str, str]]]:
    return [[snippet(table, int(i)) for i in group[:4]] for group in groups[:EXAMPLES]]


def _duplicates(table: Table, pairs: np.ndarray) -> Iterator[Finding]:
    groups = components(len(table), pairs)
    if not groups:
        return
    rows = np.concatenate(groups)
    extra = len(rows) - len(groups)
    yield Finding(
        code="near_duplicate",
        severity="warning",
        count=len(rows),
        rows=table.names(rows),
        evidence={"clusters": len(groups), "surplus": extra, "pairs": len(pairs), "examples": _shown(table, groups)},
        message=f"{said(len(rows), 'train row')} in {said(len(groups), 'cluster')} nearly repeat each other "
        "with the same answer.",
        remedy=f"Kept together in one split. To drop the {extra:,} that add least: tunewright data fix "
        "--accept near_duplicate",
    )


def _leaks(table: Table, pairs: np.ndarray) -> Iterator[Finding]:
    if not len(pairs):
        return
    rows = np.unique(pairs)
    test, train = rows[table.test[rows]], rows[table.train[rows]]
    yield Finding(
        code="leak_near",
        severity="error",
        count=len(test),
        rows=table.names(np.concatenate([test, train])),
        evidence={
            "train_rows": len(train),
            "pairs": len(pairs),
            "test_rows": [table.name(int(i)) for i in test],
            "examples": [[snippet(table, int(i)) for i in pair] for pair in pairs[:EXAMPLES]],
        },
        message=f"{said(len(test), 'test row asks', 'test rows ask')} nearly what a train row asks; "
        "scores are also worth reading without them.",
        remedy="Review the pairs. To drop the train rows: tunewright data fix --accept leak_near",
    )


def _contradictions(table: Table, pairs: np.ndarray) -> Iterator[Finding]:
    groups = components(len(table), pairs)
    if not groups:
        return
    rows = np.concatenate(groups)
    yield Finding(
        code="contradiction_near",
        severity="error",
        count=len(rows),
        rows=table.names(rows),
        evidence={"groups": len(groups), "pairs": len(pairs), "examples": _shown(table, groups)},
        message=f"{said(len(rows), 'train row')} in {said(len(groups), 'group')} ask nearly the same and are answered "
        "differently.",
        remedy="Review the pairs: some are fine distinctions, some are label errors. To drop both sides of each: "
        "tunewright data fix --accept contradiction_near",
    )
