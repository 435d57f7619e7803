"""One matched experiment: scores, the paired comparison, the decision."""

from __future__ import annotations

from typing import Literal, Protocol

from tunewright.records.arms import ArmScore
from tunewright.records.findings import Gate
from tunewright.records.record import Record

Decision = Literal["ship", "do_not_ship", "cannot_tell"]


class _Score(Protocol):
    @property
    def score(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def scored(found: _Score) -> str:
    """A score with its interval in a sentence: 93.1 % [90.2, 95.3]."""
    return f"{100 * found.score:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


class Verdict(Record):
    """The decision and the paired comparison behind it: tuned minus `against`, in score units.

    `cases` are those that both arms could be scored on. `detectable` is the smallest true gain that so many cases,
    spread so, find four times in five.
    """

    decision: Decision
    against: str
    difference: float
    low: float
    high: float
    p: float
    more_cases: int | None = None
    reason: str = ""
    detectable: float | None = None
    cases: int = 0


class SliceScore(Record):
    """Scores of the cases that share one value of a slice."""

    slice: str
    value: str
    cases: int
    tuned: float
    low: float
    high: float
    untuned: float


class Comparison(Record):
    """Tuned minus one untuned arm, paired, with its 95 % interval; p is corrected (Holm) for comparing with several."""

    against: str
    difference: float
    low: float
    high: float
    p: float
    cases: int


class Hurdle(Record):
    """What tuning must beat: the best untuned arm with its 95 % interval, all in score units.

    `min_gain` is what the recipe asks for; `detectable` is about the smallest gain that the cases would show four times
    in five; `left` is what is left to win at most; `enough` is the score with which any means would do, where stated.
    """

    arm: str
    score: float
    low: float
    high: float
    cases: int
    min_gain: float
    detectable: float
    left: float
    enough: float | None = None


class LabelScore(Record):
    """How well one label is told from the others under an arm, and its F1 under the arm it is compared with."""

    label: str
    cases: int
    precision: float
    recall: float
    f1: float
    untuned: float | None = None


class Evaluation(Record):
    """One matched experiment: every arm on the same cases, the decision, the gates, and the slices, worst first.

    With `folds`, each case was answered by one of so many models that had not seen it. `basis` is a hash of what the
    untuned arms' scores rest on, `asked` of which these arms are and how they ask: with another basis, scores say
    nothing of one another; asked otherwise, they are not all of the recipe's. `answered` is a hash of the answers
    that were scored.
    """

    arms: tuple[ArmScore, ...]
    verdict: Verdict
    gates: tuple[Gate, ...]
    slices: tuple[SliceScore, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    hurdle: Hurdle | None = None
    comparisons: tuple[Comparison, ...] = ()
    folds: int = 0
    basis: str = ""
    asked: str = ""
    answered: str = ""
