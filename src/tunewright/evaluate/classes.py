"""Answers that are classes: which one an answer names, and how well each is told from the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from tunewright.records import LabelScore, Prediction, Suite
from tunewright.text import normal


def named(text: str, labels: Sequence[str]) -> str | None:
    """The label an answer names, in normal form: said alone, or as the only known label in its first line."""
    answer, known = normal(text), {normal(label) for label in labels} - {""}
    if answer in known:
        return answer
    said = _said(normal(text.strip().partition("\n")[0]), known) if known else set()
    return said.pop() if len(said) == 1 else None


def _said(line: str, known: Collection[str]) -> set[str]:
    """The labels that stand in a line as words. A label inside a longer one ("card" in "card arrival") is not said."""
    longest_first = "|".join(map(re.escape, sorted(known, key=lambda label: (-len(label), label))))
    found = re.finditer(rf"(?<!\w)(?=({longest_first})(?!\w))", line)
    said, end = set(), 0
    for label in found:
        # They come by where they begin, so one lies inside an earlier one if it ends no later.
        if label.end(1) > end:
            said.add(label.group(1))
            end = label.end(1)
    return said


def label_scores(suite: Suite, rows: Sequence[Prediction], untuned: Sequence[Prediction] = ()) -> list[LabelScore]:
    """Precision, recall and F1 of every expected label under an arm, the lowest F1 first; nothing without labels.

    An answer that names no label misses its own and is no false alarm for another. Cases whose scorer failed are left
    out. `untuned` is the arm it is compared with, for its F1.
    """
    ours, theirs = _f1(suite, rows), _f1(suite, untuned)
    found = [
        LabelScore(label=label, cases=n, precision=p, recall=r, f1=f, untuned=theirs[label][3] if theirs else None)
        for label, (n, p, r, f) in ours.items()
    ]
    return sorted(found, key=lambda one: (one.f1, one.label))


def macro(suite: Suite, rows: Sequence[Prediction]) -> dict[str, float]:
    """Mean precision, recall and F1 over the expected labels, each counting alike however rare it is."""
    table = list(_f1(suite, rows).values())
    names = ("macro_precision", "macro_recall", "macro_f1")
    return {name: sum(row[place] for row in table) / len(table) for place, name in enumerate(names, 1) if table}


def _f1(suite: Suite, rows: Sequence[Prediction]) -> Mapping[str, tuple[int, float, float, float]]:
    """By label: cases, precision, recall, F1; 0 where nothing can be divided by."""
    if not suite.labels:
        return {}
    words = {normal(label): label for label in suite.labels}
    gold = {case.id: normal(case.expected) for case in suite.cases}
    told = [(gold[p.case], named(p.text, suite.labels)) for p in rows if p.score is not None and p.case in gold]
    wanted, said = Counter(g for g, _ in told), Counter(s for _, s in told)
    right = Counter(g for g, s in told if g == s)
    found = {}
    for label in sorted(wanted):
        precision = right[label] / said[label] if said[label] else 0.0
        recall = right[label] / wanted[label]
        both = precision + recall
        f1 = 2 * precision * recall / both if both else 0.0
        found[words.get(label, label)] = (wanted[label], precision, recall, f1)
    return found
