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
    repeat each other and whether they contradict each other (they may do neither).

    `inputs` are the pairs of inputs, the first row of each standing for all that ask it. Of rows with one input `pairs`
    holds one per answer and side, and four at most: whoever counts rows or drops them widens by input.
    """

    inputs: np.ndarray
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
    inputs = np.concatenate(kept) if kept else np.zeros((0, 2), np.int64)
    pairs = _spread(table, inputs)
    repeat, contradict = np.zeros(len(pairs), bool), np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _CHUNK):
        progress("answers of like pairs compared", start, len(pairs))
        part = slice(start, start + _CHUNK)
        repeat[part], contradict[part] = _answers(table, pairs[part])
    return Near(inputs, pairs, repeat, contradict)


def _first(keys: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The first row of each distinct non-zero key, ascending."""
    index = np.flatnonzero(where & (keys != 0))
    return np.sort(index[np.unique(keys[index], return_index=True)[1]])


def _spread(table: Table, pairs: np.ndarray) -> np.ndarray:
    """Pairs of inputs to pairs of rows: where an input has several answers or is on both sides, each one counts."""
    several: dict[int, list[int]] = {}
    # What answers nothing that could be compared is told by its input alone.
    said = np.where(table.pair != 0, table.pair, table.c["input"])
    distinct = [np.zeros(len(table), bool), np.zeros(len(table), bool)]
    for mask, side in zip(distinct, (table.train, table.test), strict=True):
        mask[_first(said, side)] = True
    touched = np.isin(table.c["input"], table.c["input"][np.unique(pairs)])
    for group in groups_of(table.c["input"], (table.train | table.test) & touched):
        several[int(group[0])] = [int(i) for mask in distinct for i in group[mask[group]][:_MANY]]
    single = ~np.isin(pairs, np.fromiter(several, np.int64, len(several))).any(axis=1)
    ends = [[several.get(i, [i]) for i in pair] for pair in pairs[~single].tolist()]
    wide = [(i, j) for left, right in ends for i in left for j in right]
    both = np.concatenate([pairs[single], np.array(wide, dtype=np.int64).reshape(-1, 2)])
    return both[np.lexsort((both[:, 1], both[:, 0]))]


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
    train = _trained(table, near)
    return [
        *_duplicates(table, near.pairs[train & near.repeat]),
        *_leaks(table, near),
        *_contradictions(table, near),
    ]


def _trained(table: Table, near: Near) -> np.ndarray:
    """Which of the pairs have both sides in train."""
    return table.train[near.pairs].all(axis=1) if len(near.pairs) else np.zeros(0, bool)


def surplus(table: Table, near: Near) -> np.ndarray:
    """Train rows that nearly repeat an earlier one: all but the first of each cluster."""
    mask = np.zeros(len(table), bool)
    for group in components(len(table), near.pairs[_trained(table, near) & near.repeat]):
        mask[group[1:]] = True
    return mask


def leaking(table: Table, near: Near) -> np.ndarray:
    """Train rows that ask nearly what a test row asks."""
    return _on_both_sides(table, near) & table.train


def _on_both_sides(table: Table, near: Near) -> np.ndarray:
    """Test rows that ask nearly what a train row asks, and those train rows: all that ask it, however often."""
    mask = np.zeros(len(table), bool)
    if not len(near.inputs) or not table.test.any():
        return mask
    keys = table.c["input"]
    asked = np.concatenate([keys[near.inputs], keys[near.inputs[:, ::-1]]])
    for side, other in ((table.train, table.test), (table.test, table.train)):
        mask |= side & np.isin(keys, asked[np.isin(asked[:, 1], keys[other]), 0])
    return mask


def contradicting(table: Table, near: Near) -> list[np.ndarray]:
    """Train rows in groups that ask nearly the same and are answered differently; by input, as exact ones are."""
    pairs = near.pairs[_trained(table, near) & near.contradict]
    if not len(pairs):
        return []
    keys = table.c["input"]
    asks = table.train & (table.c["output"] != 0) & np.isin(keys, keys[np.unique(pairs)])
    alike = [np.stack([group[:-1], group[1:]], axis=1) for group in groups_of(keys, asks)]
    return components(len(table), np.concatenate([pairs, *alike]))


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


def _leaks(table: Table, near: Near) -> Iterator[Finding]:
    rows = _on_both_sides(table, near)
    test, train = np.flatnonzero(rows & table.test), np.flatnonzero(rows & table.train)
    if not len(test):
        return
    pairs = near.pairs[table.train[near.pairs].any(axis=1) & table.test[near.pairs].any(axis=1)]
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


def _contradictions(table: Table, near: Near) -> Iterator[Finding]:
    groups = contradicting(table, near)
    if not groups:
        return
    pairs = near.pairs[_trained(table, near) & near.contradict]
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
