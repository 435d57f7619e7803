"""What each finding's fix does: which rows go, which answers change. Nothing here is done unless it is accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tunewright.data import near, permits, whole
from tunewright.data.checks import groups_of
from tunewright.data.look import Look
from tunewright.errors import DataError

# Done while rows are read, not by dropping them.
REDACTED = ("pii", "secret")
SPELLING = "style_inconsistent"
# The other way to act on `imbalance`: all rows stay, and rare labels weigh more.
WEIGHING = "imbalance_weight"
_HEAVIEST = 10.0


def _noted(code: str) -> Callable[[Look], np.ndarray]:
    def rows(look: Look) -> np.ndarray:
        return _mask(look, look.table.notes.rows(code))

    return rows


def _mask(look: Look, index: Sequence[int] | np.ndarray) -> np.ndarray:
    mask = np.zeros(len(look.table), bool)
    mask[np.asarray(index, dtype=np.int64)] = True
    return mask


def _contradiction(look: Look) -> np.ndarray:
    """All rows but those of the answer given most often; where two lead, all rows: nobody said which is right."""
    table = look.table
    drop: list[int] = []
    for group in groups_of(table.c["input"], table.train & (table.c["output"] != 0)):
        answers = table.c["output"][group]
        ids, counts = np.unique(answers, return_counts=True)
        if len(ids) > 1:
            leads = ids[counts == counts.max()]
            drop += [int(i) for i, a in zip(group, answers, strict=True) if len(leads) > 1 or a != leads[0]]
    return _mask(look, drop)


def _contradiction_near(look: Look) -> np.ndarray:
    groups = near.contradicting(look.table, look.near)
    return _mask(look, np.concatenate(groups) if groups else [])


def _same_meaning(look: Look) -> np.ndarray:
    """All but the first of each cluster."""
    mask = np.zeros(len(look.table), bool)
    for group in near.components(len(look.table), look.same_meaning):
        mask[group[1:]] = True
    return mask


def _imbalance(look: Look) -> np.ndarray:
    """Rows above twice the (lower) median of rows per label, drawn by content."""
    table = look.table
    mask = np.zeros(len(table), bool)
    if not look.labels:
        return mask
    rows = np.flatnonzero(table.train)
    ids, counts = np.unique(table.c["answer"][rows], return_counts=True)
    most = 2 * whole.middle(counts)
    for label in ids[counts > most]:
        of_label = rows[table.c["answer"][rows] == label]
        mask[of_label[np.argsort(table.c["content"][of_label], kind="stable")][most:]] = True
    return mask


DROPS: dict[str, Callable[[Look], np.ndarray]] = {
    "contradiction": _contradiction,
    "contradiction_near": _contradiction_near,
    "imbalance": _imbalance,
    "inappropriate": _noted("inappropriate"),
    "label_suspect": lambda look: _mask(look, look.doubtful[0]),
    "language_mismatch": lambda look: whole.odd_languages(look.table),
    "leak_near": lambda look: near.leaking(look.table, look.near) | look.shared.rows(look.table, look.shared.near),
    "length_outlier": lambda look: whole.odd_lengths(look.table),
    "license": lambda look: permits.barred_rows(look.table, look.use),
    "mispaired": lambda look: _mask(look, look.swapped[0]),
    "near_duplicate": lambda look: near.surplus(look.table, look.near),
    "role_order": _noted("role_order"),
    "semantic_duplicate": _same_meaning,
    "teaches_facts": _noted("teaches_facts"),
    "tool_call_invalid": _noted("tool_call_invalid"),
    "truncation": lambda look: look.table.c["lost"] > 0,
}
CODES = tuple(sorted((*DROPS, *REDACTED, SPELLING, WEIGHING)))


def known(codes: Sequence[str]) -> None:
    """Raises `DataError` for a code that has no fix."""
    for code in codes:
        if code not in CODES:
            raise DataError(
                f"`{code}` has no fix that could be accepted.", remedy=f"Codes with a fix: {', '.join(CODES)}."
            )


def respelt(look: Look) -> dict[int, str]:
    """New answers by row: labels that differ only in spelling take the commonest spelling."""
    table = look.table
    rows = np.flatnonzero(table.train | table.test)
    counts = Counter(table.c["answer"][rows].tolist())
    better = {
        table.answers[text]: texts[0] for texts in whole.spellings(table, look.labels, counts) for text in texts[1:]
    }
    return {int(i): better[a] for i, a in zip(rows, table.c["answer"][rows].tolist(), strict=True) if a in better}


def weighed(look: Look, trains: np.ndarray) -> np.ndarray:
    """A loss weight per row: among the rows that train, as many times the middle label's as its label is rarer.

    Between a tenth and ten, and 1 on average, so that the learning rate keeps its meaning. All 1 without labels.
    """
    made = np.ones(len(look.table))
    if look.labels and trains.any():
        _, inverse, counts = np.unique(look.table.c["answer"][trains], return_inverse=True, return_counts=True)
        raw = np.clip(whole.middle(counts) / counts, 1 / _HEAVIEST, _HEAVIEST)[inverse]
        made[trains] = np.round(raw / raw.mean(), 4)
    return made
