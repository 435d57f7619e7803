"""Training text that comes out again: what a tuned model may give away.

Form is no memory. What many training answers say alike, the keys and short values of JSON, and the words that a case
itself gives or asks for are left out; what remains is text of a few rows, as in the k-eidetic memorisation of Carlini
et al., "Extracting Training Data from Large Language Models" (2021).
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rapidfuzz import process
from rapidfuzz.fuzz import ratio

from tunewright.records import Case, Example, Finding, Prediction
from tunewright.text import normal

# Shorter answers (labels, numbers, a form filled in) repeat because they are right, not because they were learnt.
LONG_WORDS = 12
NEAR = 90.0
# What more training rows say than these, and than this share of all, is how the answers are put.
FEW_ROWS = 3
SHARED = 0.01
# Where fewer of a passage's words than this share are new to its case, the case explains the passage.
FOREIGN = 1 / 3

_WORD = re.compile(r"\w+")
_STRUCTURED = re.compile(r'\s*(?:```\w*\s*)?(?:\{\s*["}]|\[\s*["{\[\]])')
# A text of JSON and what ends it: a key's end is told by its colon; an answer cut short may end nowhere.
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)("\s*:|"|$)', re.DOTALL)
_BREAK = re.compile(r"\\[nrt]")

Words = tuple[str, ...]
Said = TypeVar("Said", bound=Hashable)


@dataclass
class _Held:
    """The first row that says something, and how many do."""

    row: str
    rows: int = 1


def memorisation(predictions: Sequence[Prediction], train: Sequence[Example], cases: Sequence[Case]) -> list[Finding]:
    """Outputs that hold `LONG_WORDS` or more words of a training answer in a row, or nearly a whole one.

    Such a passage counts where at most three rows have it (of a large set one in a hundred), and where at least a
    third of its words stand neither in what its case gives nor in what it asks for. Of JSON each text is looked at by
    itself. Counts are cases; findings are `memorised` (verbatim) and `memorised_near` (90 % alike).
    """
    known = {case.id: _known(case) for case in cases}
    said = {p.case: [*_passages(p.text)] for p in predictions}
    most = max(FEW_ROWS, int(SHARED * len(train)))
    whole, runs = _learnt(train, {run for passages in said.values() for words in passages for run in _runs(words)})
    texts = [*whole]
    verbatim: list[tuple[str, str]] = []
    near: list[tuple[str, str]] = []
    for case, passages in said.items():
        own = known.get(case, set())
        row = next((r for words in passages if (r := _verbatim(words, runs, own, most)) is not None), None)
        if row is not None:
            verbatim.append((case, row))
            continue
        row = next((r for words in passages if (r := _nearly(words, texts, whole, own, most)) is not None), None)
        if row is not None:
            near.append((case, row))
    total = len(predictions)
    return [
        _finding("memorised", f"repeat {LONG_WORDS} or more words of a training answer", verbatim, total),
        _finding("memorised_near", "are nearly a whole training answer", near, total),
    ]


def _words(text: str) -> Words:
    return tuple(_WORD.findall(normal(text)))


def _known(case: Case) -> set[str]:
    """The words that a case gives or asks for."""
    given = [str(message.get("content") or "") for message in case.messages]
    return {word for text in (*given, case.expected) for word in _words(text)}


def _passages(text: str) -> Iterator[Words]:
    """What an answer says, as words, where it is long: all of it, or each text of its JSON by itself."""
    for part in text.split("<tool_call>"):
        texts = [part]
        if _STRUCTURED.match(part):
            texts = [_BREAK.sub(" ", inner) for inner, end in _TEXT.findall(part) if not end.endswith(":")]
        yield from (words for words in map(_words, texts) if len(words) >= LONG_WORDS)


def _runs(words: Words) -> Iterator[Words]:
    return (words[i : i + LONG_WORDS] for i in range(len(words) - LONG_WORDS + 1))


def _learnt(train: Sequence[Example], wanted: set[Words]) -> tuple[dict[str, _Held], dict[Words, _Held]]:
    """Whole training passages, and those of the `wanted` runs of words that stand in one, by how many rows hold them.

    Only runs that some output holds are kept: all runs of a large set would not fit.
    """
    whole: dict[str, _Held] = {}
    runs: dict[Words, _Held] = {}
    for example in train:
        calls = (json.dumps(dict(call), ensure_ascii=False) for call in example.answer.tool_calls)
        passages = [words for text in (example.answer.content, *calls) for words in _passages(text)]
        _count(whole, dict.fromkeys(" ".join(words) for words in passages), example.row)
        _count(runs, dict.fromkeys(run for words in passages for run in _runs(words) if run in wanted), example.row)
    return whole, runs


def _count(held: dict[Said, _Held], found: Iterable[Said], row: str) -> None:
    for one in found:
        if one in held:
            held[one].rows += 1
        else:
            held[one] = _Held(row)


def _foreign(words: Sequence[str], own: set[str]) -> bool:
    return sum(word not in own for word in words) >= FOREIGN * len(words)


def _verbatim(words: Words, runs: dict[Words, _Held], own: set[str], most: int) -> str | None:
    for run in _runs(words):
        held = runs.get(run)
        if held is not None and held.rows <= most and _foreign(run, own):
            return held.row
    return None


def _nearly(words: Words, texts: list[str], whole: dict[str, _Held], own: set[str], most: int) -> str | None:
    if not _foreign(words, own):
        return None
    alike = process.extract(" ".join(words), texts, scorer=ratio, score_cutoff=NEAR, limit=most + 1)
    held = [whole[text] for text, *_ in alike]
    return held[0].row if 0 < sum(one.rows for one in held) <= most else None


def _finding(code: str, what: str, hits: Sequence[tuple[str, str]], total: int) -> Finding:
    return Finding(
        code=code,
        severity="warning" if hits else "info",
        count=len(hits),
        rows=tuple(row for pair in hits[:500] for row in pair),
        evidence={"cases": total},
        message=f"{len(hits)} of {total} outputs {what} that their case neither gives nor asks for.",
        remedy="Read them; fewer epochs, or taking the rows out, helps." if hits else "",
    )
