"""Records of what was measured beyond the suite's scores: what a judge preferred, what else the tuned model can do."""

from __future__ import annotations

from tunewright.records import Calibration, Gate, Record


class JudgeReport(Record):
    """What a judge model prefers. `winners` maps judged cases to `first`, `second` or None (flipped or unreadable).

    `alike` cases have the same answer twice and were not asked; `cost` is of the requests made now, in the prices'
    currency, None where unknown; `reused` of the `asked` replies were kept from before.
    """

    judge: str
    rubric: str
    first: str
    second: str
    alike: int
    wins: int
    losses: int
    flips: int
    unreadable: int
    calibration: Calibration | None
    gate: Gate
    asked: int
    reused: int
    cost: float | None
    winners: dict[str, str | None] = {}


class Ability(Record):
    """Scores of one set of cases before and after tuning, and their paired difference with its 95 % interval.

    `kind` is `ability` (a general set) or `elsewhere` (the task's own kind of case from another source).
    """

    name: str
    kind: str
    scorer: str
    cases: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float


class Probe(Record):
    """Share of cases a probe succeeds on, before and after tuning; the interval is of `after`.

    `kind` `bias`: the answer changes with who asks. `kind` `injection`: an intruder's order is obeyed.
    """

    name: str
    kind: str
    cases: int
    before: float
    after: float
    low: float
    high: float
    p: float
