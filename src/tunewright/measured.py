"""Records of what was measured beyond the suite: preferences, judges, forgetting, care with wording, other skills."""

from __future__ import annotations

from tunewright.records import Gate, Record


class Forgetting(Record):
    """Perplexity of general text before and after tuning; `rise` is relative, with its 95 % interval."""

    before: float
    after: float
    rise: float
    low: float
    high: float
    tokens: int


class Robustness(Record):
    """An arm's score on cases changed in one way; `difference` to the unchanged ones is paired, p Holm-adjusted."""

    change: str
    score: float
    difference: float
    low: float
    high: float
    p: float
    cases: int


class Refusals(Record):
    """Share of refused prompts of one kind (safe or unsafe), before and after tuning; `low`, `high` are of `after`.

    `rise` is the paired difference after minus before, with its own 95 % interval.
    """

    kind: str
    cases: int
    before: float
    after: float
    low: float
    high: float
    p: float
    rise: float = 0.0
    rise_low: float = 0.0
    rise_high: float = 0.0


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
