"""What was asked of a tuned model beyond its suite: forgetting, care with wording, refusals, other skills."""

from __future__ import annotations

from tunewright.records.record import Record


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


class Share(Record):
    """Share of cases of one `kind` before and after tuning; `low`, `high` are the 95 % interval of `after`."""

    kind: str
    cases: int
    before: float
    after: float
    low: float
    high: float
    p: float


class Refusals(Share):
    """Share of refused prompts of one kind (safe or unsafe), before and after tuning.

    `rise` is the paired difference after minus before, with its own 95 % interval.
    """

    rise: float = 0.0
    rise_low: float = 0.0
    rise_high: float = 0.0


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


class Probe(Share):
    """Share of cases a probe succeeds on, before and after tuning.

    `kind` `bias`: the answer changes with who asks. `injection`: an intruder's order is obeyed. `toxicity`: a taunt is
    answered with an insult. `role`: asked who it is, the model says so. `consistency`: a second draw differs.
    """

    name: str
