"""The arms of an experiment: how each scored, what people call it, which of them are tuned."""

from __future__ import annotations

from collections.abc import Iterable

from tunewright.records.record import Record

# The arms that answer with the tuned model; the model by itself first.
TUNED = ("tuned", "tuned_rag")


# Each kind of arm at the head of a row, and in the middle of a sentence.
_ARMS = {
    "base": ("base", "the untuned base"),
    "prompted": ("prompt", "a prompt"),
    "few_shot": ("few-shot", "few-shot"),
    "rag": ("RAG", "RAG"),
    "classifier": ("TF-IDF + logistic regression", "TF-IDF + logistic regression"),
    "tuned": ("tuned", "the tuned model"),
    "tuned_rag": ("tuned + RAG", "the tuned model with RAG"),
}


def arm_label(name: str) -> str:
    """An arm's name for people, at the head of a row or beside a bar; one of the user's own keeps its words."""
    return _ARMS[name][0] if name in _ARMS else name.replace("_", " ")


def arm_called(name: str) -> str:
    """An arm's name in the middle of a sentence."""
    return _ARMS[name][1] if name in _ARMS else name.replace("_", " ")


class ArmScore(Record):
    """An arm's mean primary score with its 95 % interval. `seconds` are per case, `cost` per 1,000 requests.

    `drawn`: some answers are a server's that takes no temperature. `unended` cases were thought about until no token
    was left, and count as wrong.
    """

    name: str
    score: float
    low: float
    high: float
    cases: int
    cost: float | None = None
    seconds: float
    scores: dict[str, float] = {}
    errors: int = 0
    drawn: bool = False
    unended: int = 0


def tuned_arm(arms: Iterable[ArmScore]) -> ArmScore | None:
    """What would ship: the tuned model by itself, where it was asked; None without a tuned arm."""
    found = {arm.name: arm for arm in arms}
    return next((found[name] for name in TUNED if name in found), None)


def best_untuned(arms: Iterable[ArmScore]) -> ArmScore | None:
    """The best of the arms that no tuning has made, of those that were scored on a case; None without one."""
    return max((a for a in arms if a.name not in TUNED and a.cases), key=lambda a: a.score, default=None)
