"""How untuned arms were made: the words they are told the task in, the passages they are given."""

from __future__ import annotations

from tunewright.records.record import Record


class PromptScore(Record):
    """One way to say the task, and its score on validation cases with the 95 % interval.

    `place` is where it stands: `system`, or `question` for after the question.
    """

    name: str
    text: str
    place: str
    score: float
    low: float
    high: float


class PromptChoice(Record):
    """Which way of saying the task was taken to the suite. Chosen on `cases` validation cases and on nothing else."""

    chosen: str
    cases: int
    variants: tuple[PromptScore, ...]


class Recall(Record):
    """Share of cases whose expected answer is in the `k` passages found, by one way of finding them; 95 % interval.

    `used` is the way the arm itself took; `passages` how many there were to choose from.
    """

    retrieval: str
    used: bool
    k: int
    passages: int
    cases: int
    recall: float
    low: float
    high: float
