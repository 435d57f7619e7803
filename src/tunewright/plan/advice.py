"""Should you tune at all? Answered from what can be checked, with reasons (requirements A1 and A2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tunewright.records import Record

Outcome = Literal["prompt", "few_shot", "rag", "tune", "tune_and_rag", "agent", "postpone"]

# Below a hundred examples prompting with some of them is the better use of them.
_FEW_SHOT_BELOW = 100
_SEVERAL_HUNDRED = 300
_TOO_BAD = 0.2


class Prerequisite(Record):
    """Something that must be there before tuning is worth its cost; `ok` None means it cannot be told from here."""

    name: str
    ok: bool | None
    evidence: str


class Advice(Record):
    """What to do, why, and which of the prerequisites hold."""

    outcome: Outcome
    reasons: tuple[str, ...]
    prerequisites: tuple[Prerequisite, ...]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What can be checked before tuning. `bad_share` of the rows were set aside; `privacy` None: not stated."""

    task: str | None
    shape: str
    train_rows: int
    suite_cases: int
    least_cases: int
    fits: bool
    bad_share: float
    privacy: str | None


def advise(known: Circumstances) -> Advice:
    """Advice from the recipe's task, the rows that can train, the suite's size and whether training fits here."""
    prerequisites = _prerequisites(known)
    if known.suite_cases < known.least_cases:
        return Advice(
            outcome="postpone",
            reasons=(f"{known.suite_cases} cases cannot tell whether tuning helped: write {known.least_cases} first.",),
            prerequisites=prerequisites,
        )
    if known.train_rows < _FEW_SHOT_BELOW:
        reason = f"{known.train_rows} rows are few: put some of them in the prompt, and measure that first."
        return Advice(outcome="few_shot", reasons=(reason,), prerequisites=prerequisites)
    reason = (
        f"{known.train_rows:,} examples of one behaviour, and a suite of {known.suite_cases:,} cases to prove it on."
    )
    return Advice(outcome="tune", reasons=(reason,), prerequisites=prerequisites)


def _prerequisites(known: Circumstances) -> tuple[Prerequisite, ...]:
    task, privacy = known.task, known.privacy
    case = f"“{task}”, {known.shape} rows" if task else f"{known.shape} rows, but the recipe states no `task`"
    enough = known.train_rows >= _SEVERAL_HUNDRED and known.bad_share <= _TOO_BAD
    rows = f"{known.train_rows:,} rows can train; {100 * known.bad_share:.1f} % were set aside"
    holds = known.suite_cases >= known.least_cases
    suite = f"{known.suite_cases:,} held-out cases, at least {known.least_cases} wanted"
    stays = "nothing leaves this machine" if privacy in (None, "local") else f"rows may be sent: {privacy}"
    posture = f"privacy: {privacy}; {stays}" if privacy else f"the recipe states none, so {stays}"
    return (
        Prerequisite(name="one clear use case", ok=True if task else None, evidence=case),
        Prerequisite(name="enough good data", ok=enough, evidence=rows),
        Prerequisite(name="a suite before training", ok=holds, evidence=suite),
        Prerequisite(name="it fits this machine", ok=known.fits, evidence="estimated memory against what is free here"),
        Prerequisite(name="versioned and reproducible", ok=True, evidence="data version, recipe, seed, hashes kept"),
        Prerequisite(name="privacy stated", ok=True if privacy else None, evidence=posture),
    )
