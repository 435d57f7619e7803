"""What the columns show: duplicates, leaks, contradictions, faults, lost tokens. Counts are on the rows as read."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tunewright.data.table import Table
from tunewright.records import Finding, Severity
from tunewright.text import said

EXAMPLES = 20
FREE_TEXT = 12
_NOT_LOOKED_FOR = "Names, postal addresses, ages and health are not looked for."
_NOTED: dict[str, tuple[Severity, str, str, str]] = {
    "bad_row": (
        "warning",
        "row cannot be read",
        "rows cannot be read",
        "Repair the rows named; they are set aside.",
    ),
    "role_order": (
        "warning",
        "row has an unknown role or unusual turns",
        "rows have unknown roles or unusual turns",
        "Use system, user, assistant and tool, and let user and assistant take turns.",
    ),
    "empty_output": (
        "warning",
        "row has no answer",
        "rows have no answer",
        "Write the answers, or leave the rows out; they are set aside.",
    ),
    "mixed_format": (
        "warning",
        "row is of another shape than the rest of its file",
        "rows are of another shape than the rest of their file",
        "Put them into a file of their own; they are set aside.",
    ),
    "preference_equal": (
        "warning",
        "preference pair has one answer, chosen and rejected",
        "preference pairs have one answer, chosen and rejected",
        "They say nothing of what is preferred: look at how the pairs were made. The answers are learnt all the same.",
    ),
    "tool_call_invalid": (
        "error",
        "row calls tools in a way that cannot work",
        "rows call tools in a way that cannot work",
        "Repair the calls; to drop the rows: tunewright data fix --accept tool_call_invalid",
    ),
    "unwritable": (
        "error",
        "row cannot be written for this base",
        "rows cannot be written for this base",
        "Mend what is told of the rows named, or use another base or template; they are set aside.",
    ),
    "thoughts": (
        "warning",
        "answer comes with a thought",
        "answers come with thoughts",
        "For a model that thinks before it answers: model.thinking: true in the recipe.",
    ),
    "thoughtless": (
        "info",
        "answer has no thought",
        "answers have no thoughts",
        "Some may be wanted; where none is, leave them out. If no row has any, leave model.thinking out.",
    ),
    "pii": (
        "warning",
        "row holds personal data",
        "rows hold personal data",
        f"To replace it consistently: tunewright data fix --accept pii. {_NOT_LOOKED_FOR}",
    ),
    "secret": (
        "error",
        "row holds a secret",
        "rows hold secrets",
        "Withdraw the keys, they are known now; to replace them: tunewright data fix --accept secret",
    ),
    "inappropriate": (
        "warning",
        "row holds abusive words",
        "rows hold abusive words",
        "Read them; a model repeats the tone it was shown. To drop them: tunewright data fix --accept inappropriate",
    ),
    "teaches_facts": (
        "warning",
        "answer states what its prompt does not hold",
        "answers state what their prompts do not hold",
        "Facts learnt by tuning are recalled badly: put the source into the prompt (retrieval) and tune the behaviour.",
    ),
}


def snippet(table: Table, i: int) -> dict[str, str]:
    """A row as evidence: its name and the ends of what was asked and answered."""
    row = table.row(i)
    turns = row["messages"]
    asked = " / ".join(str(t["content"]) for t in turns[:-1] if t["role"] != "system")
    answered = str(turns[-1]["content"]) or str(turns[-1].get("tool_calls", ""))
    return {"row": table.name(i), "input": asked[:300], "output": answered[:300]}


def groups_of(keys: np.ndarray, where: np.ndarray) -> list[np.ndarray]:
    """Row indices of each run of equal non-zero keys among the rows of `where`, longer than one, in reading order."""
    index = np.flatnonzero(where & (keys != 0))
    order = index[np.argsort(keys[index], kind="stable")]
    if not len(order):
        return []
    cuts = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
    starts, ends = np.r_[0, cuts], np.r_[cuts, len(order)]
    long = ends - starts > 1
    found = [order[a:b] for a, b in zip(starts[long], ends[long], strict=True)]
    return sorted(found, key=lambda g: int(g[0]))


def noted(table: Table) -> list[Finding]:
    """One finding per code that single rows showed, with the reasons counted."""
    found: list[Finding] = []
    for code, (severity, one, many, remedy) in _NOTED.items():
        where = table.notes.rows(code)
        count = len(where)
        if not count or (code == "teaches_facts" and count < _untaught(table)):
            continue
        reasons = table.notes.reasons[code].most_common(20)
        examples = [{"row": table.name(i), "reason": reason} for i, reason in table.notes.examples[code]]
        aside = count if code == "unwritable" else int((table.c["fault"][where] > 0).sum())
        found.append(
            Finding(
                code=code,
                severity=severity,
                count=count,
                rows=table.names(where),
                evidence={"reasons": dict(reasons), "set_aside": aside, "examples": examples},
                message=f"{said(count, one, many)}: {_told([reason for reason, _ in reasons])}.",
                remedy=remedy,
            )
        )
    return found


def _told(reasons: list[str]) -> str:
    """The commonest reasons; names of kinds are listed, sentences only begun with."""
    if all(re.fullmatch(r"\w+", reason) for reason in reasons[:4]):
        return ", ".join(reason.replace("_", " ") for reason in reasons[:4]) + (", …" if len(reasons) > 4 else "")
    return reasons[0] + (" and others" if len(reasons) > 1 else "")


def _untaught(table: Table) -> float:
    """How many rows must hold facts of their own before that is worth saying: a tenth of the free texts, and ten."""
    free = (table.train | table.test) & (table.c["answered"] >= FREE_TEXT)
    return max(10.0, 0.1 * float(free.sum()))


def encoding(table: Table) -> list[Finding]:
    """Rows whose bytes or characters had to be repaired."""
    where = np.flatnonzero((table.c["repaired"] > 0) & (table.c["fault"] == 0))
    if not len(where):
        return []
    return [
        Finding(
            code="encoding",
            severity="warning",
            count=len(where),
            rows=table.names(where),
            evidence={"examples": [snippet(table, int(i)) for i in where[:EXAMPLES]]},
            message=f"{said(len(where), 'row was', 'rows were')} not clean UTF-8 or showed mojibake; "
            "repaired and used.",
            remedy="Look at the examples; save the file as UTF-8 to be rid of this.",
        )
    ]


def exact_duplicates(table: Table) -> tuple[list[Finding], np.ndarray]:
    """Train rows that say what an earlier one says; the finding and the mask of the surplus."""
    groups = groups_of(table.pair, table.train)
    surplus = np.zeros(len(table), bool)
    for group in groups:
        surplus[group[1:]] = True
    count = int(surplus.sum())
    if not count:
        return [], surplus
    largest = sorted(groups, key=len, reverse=True)[:EXAMPLES]
    evidence = {
        "groups": len(groups),
        "examples": [{"rows": list(table.names(g)), **snippet(table, int(g[0]))} for g in largest],
    }
    return [
        Finding(
            code="exact_duplicate",
            severity="warning",
            count=count,
            rows=table.names(surplus),
            evidence=evidence,
            message=f"{said(count, 'train row repeats', 'train rows repeat')} an earlier row "
            "and its answer; the first of each is used.",
            remedy="Nothing to do: the repeats are set aside.",
        )
    ], surplus


def exact_leaks(table: Table) -> tuple[list[Finding], np.ndarray]:
    """Test rows whose question is in train; the finding and the mask of the train rows to set aside."""
    keys = table.c["input"]
    common = np.intersect1d(keys[table.test & (keys != 0)], keys[table.train])
    shared = np.isin(keys, common)
    test, train = shared & table.test, shared & table.train
    count = int(test.sum())
    if not count:
        return [], train
    pairs = groups_of(keys, test | train)[:EXAMPLES]
    examples = [
        {
            "train": [snippet(table, int(i)) for i in g if train[i]][:3],
            "test": [snippet(table, int(i)) for i in g if test[i]][:3],
        }
        for g in pairs
    ]
    return [
        Finding(
            code="leak_exact",
            severity="error",
            count=count,
            rows=table.names(np.r_[np.flatnonzero(test), np.flatnonzero(train)]),
            evidence={"train_rows": int(train.sum()), "examples": examples},
            message=f"{said(count, 'test row asks', 'test rows ask')} what a train row asks; "
            f"{said(int(train.sum()), 'train row')} set aside, so that the test stays a test.",
            remedy="Nothing to do. If the test was meant to repeat train rows, its score would say nothing.",
        )
    ], train


def contradictions(table: Table) -> list[Finding]:
    """Train rows with one question and different answers."""
    comparable = table.train & (table.c["output"] != 0)
    groups = [g for g in groups_of(table.c["input"], comparable) if len(np.unique(table.c["output"][g])) > 1]
    if not groups:
        return []
    rows = np.concatenate(groups)
    examples = [[snippet(table, int(i)) for i in g[:5]] for g in groups[:EXAMPLES]]
    return [
        Finding(
            code="contradiction",
            severity="error",
            count=len(rows),
            rows=table.names(rows),
            evidence={"groups": len(groups), "examples": examples},
            message=f"{said(len(rows), 'train row')} in {said(len(groups), 'group')} "
            "ask the same and are answered differently: a model cannot learn both.",
            remedy="Decide which answer is right and drop the others; to keep the answer given most often, and none "
            "where two lead: tunewright data fix --accept contradiction",
        )
    ]


def unwritable(table: Table) -> np.ndarray:
    """The rows that the base's chat template cannot write so that what is learned can be asked for."""
    found = np.zeros(len(table), bool)
    found[table.notes.rows("unwritable")] = True
    return found


def tokens(table: Table) -> tuple[list[Finding], np.ndarray]:
    """Rows that lose supervised tokens to the length limit, and the mask of those with nothing left to learn from."""
    counted = table.c["counted"] > 0
    lost = counted & (table.c["lost"] > 0)
    empty = counted & (table.c["supervised"] <= table.c["lost"]) & ~unwritable(table)
    found: list[Finding] = []
    total = int(table.c["supervised"][counted].sum())
    kinds: tuple[tuple[str, np.ndarray, Severity], ...] = (
        ("truncation", lost & ~empty, "warning"),
        ("unsupervised", empty, "error"),
    )
    for code, where, severity in kinds:
        count = int(where.sum())
        if count:
            gone = int(table.c["lost"][where].sum())
            found.append(_token_finding(table, code, where, severity, gone, total))
    return found, empty


def _token_finding(table: Table, code: str, where: np.ndarray, severity: Severity, gone: int, total: int) -> Finding:
    count = int(where.sum())
    evidence: dict[str, Any] = {
        "tokens_lost": gone,
        "tokens_supervised": total,
        "share": round(gone / max(1, total), 6),
        "examples": [snippet(table, int(i)) for i in np.flatnonzero(where)[:EXAMPLES]],
    }
    is_, has = ("is", "has") if count == 1 else ("are", "have")
    what = (
        f"{is_} longer than allowed: {gone:,} of {total:,} supervised tokens are cut off"
        if code == "truncation"
        else f"{has} nothing to learn from: no supervised token is left within the length allowed"
    )
    return Finding(
        code=code,
        severity=severity,
        count=count,
        rows=table.names(where),
        evidence=evidence,
        message=f"{said(count, 'row')} {what}.",
        remedy="Raise `train.max_length`, or shorten the rows."
        + (" To drop them: tunewright data fix --accept truncation" if code == "truncation" else ""),
    )
