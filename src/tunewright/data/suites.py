"""Suites from files of their own, compared with what trains: cases of the recipe's suite, of general abilities, and of
this task from elsewhere must not be trained on either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.data.checks import EXAMPLES, snippet
from tunewright.data.table import BANDS, Table
from tunewright.records import Finding
from tunewright.text import said, similar

_MANY = 4
_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a suite: `suite` as the recipe calls it, `case` its name, `turns` all but the system's."""

    suite: str
    case: str
    turns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shared:
    """Pairs of (index of a question, train row) that ask the same, and those that ask nearly the same."""

    asked: tuple[Asked, ...]
    exact: np.ndarray
    near: np.ndarray

    def rows(self, table: Table, pairs: np.ndarray) -> np.ndarray:
        """Mask of the train rows in `pairs`."""
        mask = np.zeros(len(table), bool)
        mask[pairs[:, 1]] = True
        return mask


def shared(table: Table, asked: Sequence[Asked]) -> Shared:
    """What the suites and the rows that train (rehearsal too) have in common, by the table's normal form."""
    forms = [" ".join(map(table.normal, one.turns)) for one in asked]
    trains = table.train | table.rehearsal
    if not any(map(str.strip, forms)):
        none = np.zeros((0, 2), np.int64)
        return Shared(tuple(asked), none, none)
    pairs = _candidates(table, trains, forms)
    texts = {int(i): table.form(int(i))[0] for i in np.unique(pairs[:, 1])}
    same = np.array([forms[k] == texts[int(i)] for k, i in pairs], dtype=bool)
    close = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        close[start : start + _CHUNK] = similar.alike([forms[k] for k, _ in part], [texts[int(i)] for _, i in part])
    return Shared(tuple(asked), pairs[same], pairs[close & ~same])


def _candidates(table: Table, trains: np.ndarray, forms: list[str]) -> np.ndarray:
    """Pairs (question, row) that share a band of their sketches, or all of them, as equal texts do.

    Of the questions that share one band with a row at most four are paired with it, so that work grows with the rows.
    """
    bands = similar.sketch(forms)[:, :BANDS]
    asks = np.flatnonzero([bool(text.strip()) for text in forms])
    found = [_paired(asks, _whole(bands)[asks], trains, _whole(table.bands), most=None)]
    found += [
        _paired(asks, bands[asks, band], trains, np.asarray(table.bands[:, band]), most=_MANY) for band in range(BANDS)
    ]
    return np.unique(np.concatenate(found), axis=0)


def _whole(bands: np.ndarray) -> np.ndarray:
    """One number (uint64) for all bands of each row."""
    whole = np.zeros(len(bands), np.uint64)
    for band in range(bands.shape[1]):
        whole = (whole ^ bands[:, band]) * np.uint64(0x9E3779B97F4A7C15)
    return whole


def _paired(
    asks: np.ndarray, marks: np.ndarray, trains: np.ndarray, column: np.ndarray, most: int | None
) -> np.ndarray:
    """Pairs (question, row) of equal marks, at most `most` questions a row."""
    places: dict[int, list[int]] = {}
    for k, mark in zip(asks.tolist(), marks.tolist(), strict=True):
        places.setdefault(mark, []).append(k)
    rows = np.flatnonzero(trains & np.isin(column, marks))
    pairs = [(k, i) for i, mark in zip(rows.tolist(), column[rows].tolist(), strict=True) for k in places[mark][:most]]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def findings(table: Table, both: Shared) -> Iterator[Finding]:
    """`leak_exact` and `leak_near` of what the suites share with the rows that train."""
    for code, pairs in (("leak_exact", both.exact), ("leak_near", both.near)):
        if len(pairs):
            yield _finding(code, table, both, pairs)


def _finding(code: str, table: Table, both: Shared, pairs: np.ndarray) -> Finding:
    cases = [both.asked[k] for k in np.unique(pairs[:, 0])]
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.suite] = counts.get(case.suite, 0) + 1
    rows = np.unique(pairs[:, 1])
    how = "what a train row asks" if code == "leak_exact" else "nearly what a train row asks"
    aside = f"; {said(len(rows), 'train row')} set aside" if code == "leak_exact" else ""
    named = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    message = f"{said(len(cases), 'case asks', 'cases ask')} {how}, by suite: {named}{aside}."
    examples = [
        {"suite": {"row": both.asked[k].case, "input": both.asked[k].turns[-1][:300]}, "train": snippet(table, int(i))}
        for k, i in pairs[:EXAMPLES]
    ]
    evidence: dict[str, object] = {"train_rows": len(rows), "suites": counts, "examples": examples}
    if code == "leak_near":
        evidence["test_rows"] = [case.case for case in cases]
    return Finding(
        code=code,
        severity="error",
        count=len(cases),
        rows=(*(case.case for case in cases), *table.names(rows))[:1000],
        evidence=evidence,
        message=message,
        remedy=_REMEDIES[code],
    )


_REMEDIES = {
    "leak_exact": "Nothing to do: what would be asked is not trained on.",
    "leak_near": "Review the pairs. To drop the train rows: tunewright data fix --accept leak_near",
}
