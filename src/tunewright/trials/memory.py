"""Training text that comes out again word for word: what a tuned model may give away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rapidfuzz.fuzz import ratio

from tunewright.records import Example, Finding, Prediction
from tunewright.text import normal

# Shorter answers (labels, numbers, a form filled in) repeat because they are right, not because they were learnt.
LONG_WORDS = 12
NEAR = 90.0


def memorisation(
    predictions: Sequence[Prediction], train: Sequence[Example], expected: Mapping[str, str]
) -> list[Finding]:
    """Outputs that hold `LONG_WORDS` or more words of a training answer in a row, or nearly a whole one.

    `expected` maps case ids to the wanted answer: what a case itself asks for is no leak. Counts are cases; findings
    are `memorised` (verbatim) and `memorised_near` (90 % alike after normalisation).
    """
    answers = {normal(e.answer.content): e.row for e in train if len(e.answer.content.split()) >= LONG_WORDS}
    runs: dict[tuple[str, ...], str] = {}
    for answer, row in answers.items():
        for run in _runs(answer.split()):
            runs.setdefault(run, row)
    verbatim: list[tuple[str, str]] = []
    near: list[tuple[str, str]] = []
    for prediction in predictions:
        text = normal(prediction.text)
        wanted = set(_runs(normal(expected.get(prediction.case, "")).split()))
        hit = next((runs[run] for run in _runs(text.split()) if run in runs and run not in wanted), None)
        if hit is not None:
            verbatim.append((prediction.case, hit))
        elif len(text.split()) >= LONG_WORDS:
            alike = _nearest(text, answers)
            if alike is not None:
                near.append((prediction.case, alike))
    total = len(predictions)
    return [
        _finding("memorised", f"repeat {LONG_WORDS} or more words of a training answer", verbatim, total),
        _finding("memorised_near", "are nearly a whole training answer", near, total),
    ]


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + LONG_WORDS]) for i in range(len(words) - LONG_WORDS + 1)]


def _nearest(text: str, answers: Mapping[str, str]) -> str | None:
    for answer, row in answers.items():
        if abs(len(answer) - len(text)) <= 0.2 * len(text) and ratio(text, answer, score_cutoff=NEAR) >= NEAR:
            return row
    return None


def _finding(code: str, what: str, hits: Sequence[tuple[str, str]], total: int) -> Finding:
    return Finding(
        code=code,
        severity="warning" if hits else "info",
        count=len(hits),
        rows=tuple(row for pair in hits[:500] for row in pair),
        evidence={"cases": total},
        message=f"{len(hits)} of {total} outputs {what} that their case does not ask for.",
        remedy="Read them; fewer epochs, or taking the rows out, helps." if hits else "",
    )
