"""Whether to tune at all: what is advised, why, and what must be there first."""

from __future__ import annotations

from typing import Literal

from tunewright.records.record import Record

Means = Literal["prompt", "few_shot", "rag", "tune", "tune_and_rag", "agent", "postpone"]
# What to do next: tell more of it, collect rows, measure what is cheaper, look things up, tune, mend what the audit
# names, bring more rows or cases, take less memory or time, export what was tuned, or use what was measured.
Step = Literal["tell", "collect", "measure", "look_up", "run", "check", "more", "smaller", "export", "use"]


class Prerequisite(Record):
    """Something that must be there before tuning is worth its cost; `ok` None means it cannot be told from here."""

    name: str
    ok: bool | None
    evidence: str


class Advice(Record):
    """What to do, why, and which of the prerequisites hold; `step` is what to do next.

    `instead` names an arm that does the task and is no language model's: the outcome is then `postpone`, for good.
    """

    outcome: Means
    reasons: tuple[str, ...]
    prerequisites: tuple[Prerequisite, ...]
    step: Step
    instead: str | None = None

    @property
    def tune(self) -> bool:
        """Whether tuning is part of what is advised."""
        return self.outcome in ("tune", "tune_and_rag")
