"""What people and judge models prefer, and how far either is to be believed."""

from __future__ import annotations

from tunewright.records.findings import Gate
from tunewright.records.record import Record


class Preference(Record):
    """How often reviewers prefer the first arm to the second: share of votes (ties half), and how far they agree."""

    first: str
    second: str
    share: float
    low: float
    high: float
    p: float
    cases: int
    votes: int
    ties: int
    reviewers: int
    agreement: dict[str, float | None] = {}


class Calibration(Record):
    """A judge measured against people: `accuracy` over both orders, `flip_rate` where the order changed its mind."""

    pairs: int
    accuracy: float
    low: float
    high: float
    kappa: float
    kappa_low: float
    kappa_high: float
    flip_rate: float
    first_share: float


class JudgeReport(Record):
    """What a judge model prefers. `winners` maps judged cases to `first`, `second` or None (flipped or unreadable).

    `alike` cases have the same answer twice and were not asked; `cost` is of the requests made now, in the prices'
    currency, None where unknown; `reused` of the `asked` replies were kept from before, `refused` were none: the server
    would not answer for what was asked (too long, filtered), which cannot be read.
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
    refused: int = 0
    calibration: Calibration | None
    gate: Gate
    asked: int
    reused: int
    cost: float | None
    winners: dict[str, str | None] = {}
