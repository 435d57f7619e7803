"""Scorers for answers in prose: how much of the expected text, or of the given text, the answer holds.

They compare surfaces, not meanings: two good summaries of one talk may share few words. ROUGE and word overlap are
our own code (checked against rouge-score); BLEU, chrF and TER are sacrebleu's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER

from tunewright.records import Case
from tunewright.text import normal

_WORD = re.compile(r"[^\W_]+")
# Letters and digits of alphabets (Latin, Greek, Cyrillic) whose words are parted by spaces.
_LETTER = "[0-9a-z_\u00c0-\u052f]"
Overlap = Callable[[str, Case, Sequence[str]], float]


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded: on ASCII text the tokens of rouge-score."""
    return _WORD.findall(text.casefold())


def _f(common: float, answer: int, expected: int) -> float:
    return 2 * common / (answer + expected) if answer and expected else 0.0


def _grams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _rouge_n(n: int) -> Overlap:
    def rouge(text: str, case: Case, labels: Sequence[str]) -> float:
        answer, expected = _grams(words(text), n), _grams(words(case.expected), n)
        return _f(sum((answer & expected).values()), answer.total(), expected.total())

    rouge.__doc__ = f"F1 of {n}-grams of words (Lin 2004)."
    return rouge


def rouge_l(text: str, case: Case, labels: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words (Lin 2004)."""
    answer, expected = words(text), words(case.expected)
    return _f(_longest_common(answer, expected), len(answer), len(expected))


def _longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyrö 2004): one big-integer step per word of `b`."""
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(a)) - 1
    rows = full
    for word in b:
        hit = rows & places.get(word, 0)
        rows = ((rows + hit) | (rows - hit)) & full
    return len(a) - rows.bit_count()


def _share(which: str) -> Overlap:
    def overlap(text: str, case: Case, labels: Sequence[str]) -> float:
        answer, expected = Counter(words(text)), Counter(words(case.expected))
        common = (answer & expected).total()
        if not answer or not expected:
            return float(not answer and not expected)
        if which == "f1":
            return _f(common, answer.total(), expected.total())
        return common / (answer if which == "precision" else expected).total()

    overlap.__doc__ = f"{which} of the answer's words against the expected ones, order aside."
    return overlap


def holds(text: str, form: str) -> bool:
    """Whether a normal form stands in a text as words of its own: "no" does not stand in "know".

    In scripts that put no spaces between words it may stand anywhere.
    """
    return re.search(rf"(?<!{_LETTER}){re.escape(form)}(?!{_LETTER})", normal(text)) is not None


def contains(text: str, case: Case, labels: Sequence[str]) -> float:
    """The expected answer's normal form occurs in the answer's."""
    expected = normal(case.expected)
    return float(bool(expected) and holds(text, expected))


def grounded(text: str, case: Case, labels: Sequence[str]) -> float:
    """Share of the answer's numbers and words of four letters or more that occur in what the model was given.

    A lexical sign of faithfulness to the context: 1 does not prove it, a low value is reason to read. An arm that adds
    passages or examples is read against what it was given with them (see `measures`).
    """
    return share_given(text, case.messages)


def share_given(text: str, messages: Sequence[Mapping[str, Any]]) -> float:
    """The share of an answer's numbers and longer words that occur in the messages it answers; 1 where it has none."""
    given = {word for message in messages for word in words(str(message.get("content") or ""))}
    said = [word for word in words(text) if len(word) >= 4 or word.isdigit()]
    return sum(word in given for word in said) / len(said) if said else 1.0


@cache
def _metric(name: str) -> Any:
    return {"bleu": lambda: BLEU(effective_order=True), "chrf": CHRF, "ter": TER}[name]()


def _sacre(name: str) -> Overlap:
    def scored(text: str, case: Case, labels: Sequence[str]) -> float:
        value = _metric(name).sentence_score(text, [case.expected]).score / 100
        return float(min(1.0, max(0.0, 1 - value if name == "ter" else value)))

    scored.__doc__ = f"sacrebleu's sentence {name}" + (
        ", as 1 minus the share of words to edit." if name == "ter" else "."
    )
    return scored


OVERLAP: dict[str, Overlap] = {
    "bleu": _sacre("bleu"),
    "chrf": _sacre("chrf"),
    "contains": contains,
    "f1": _share("f1"),
    "grounded": grounded,
    "precision": _share("precision"),
    "recall": _share("recall"),
    "rouge_1": _rouge_n(1),
    "rouge_2": _rouge_n(2),
    "rouge_l": rouge_l,
    "ter": _sacre("ter"),
}
