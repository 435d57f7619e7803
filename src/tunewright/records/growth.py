"""How a score grows with the rows: trials on parts of them, the curve, what follows."""

from __future__ import annotations

from tunewright.records.record import Record


class Trial(Record):
    """One training on a part of the rows: the mean score over the validation cases, and each one's (None: failed)."""

    rows: int
    seed: int
    steps: int
    score: float
    scores: tuple[float | None, ...]
    seconds: float


class GrowthPoint(Record):
    """The mean score of the trials on so many rows, with its 95 % interval."""

    rows: int
    score: float
    low: float
    high: float
    trials: int


class Expected(Record):
    """The score to expect with `rows` rows, and its gain over half as many, both with 95 % intervals."""

    rows: int
    score: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float


class Needed(Record):
    """Rows that a wanted score needs; None for a number too far out to be told.

    `decision`: `reached` with the rows there are, `reachable`, `out_of_reach` or `cannot_tell`.
    """

    score: float
    decision: str
    rows: int | None
    low: int | None
    high: int | None


class Worth(Record):
    """What so many more rows cost, what a point of score costs by that, and whether it is worth it (if that was asked).

    `decision`: `worth_it`, `not_worth_it`, `cannot_tell`, or None where no point was given a value.
    """

    rows: int
    cost: float
    per_point: float | None
    point_value: float | None
    decision: str | None


class Growth(Record):
    """How a score grows with the rows: what was measured, the curve through it, and what follows.

    `ceiling` and `exponent` are the curve's; `line` is (rows, score, low, high) for drawing. All of it is missing where
    `refused` says why nothing beyond the points can be told.
    """

    scorer: str
    cases: int
    points: tuple[GrowthPoint, ...]
    refused: tuple[str, ...] = ()
    ceiling: float | None = None
    exponent: float | None = None
    line: tuple[tuple[float, float, float, float], ...] = ()
    expected: Expected | None = None
    target: float | None = None
    asked_cost: bool = False
    needed: Needed | None = None
    worth: Worth | None = None
