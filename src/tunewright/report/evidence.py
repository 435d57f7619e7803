"""What a page needs to know. Everything optional may be missing; the page then leaves its section out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tunewright.records import (
    Ability,
    ArmScore,
    Comparison,
    Finding,
    Forgetting,
    Gate,
    Hurdle,
    JudgeReport,
    LabelScore,
    Ledger,
    Probe,
    PromptChoice,
    Recall,
    Refusals,
    Robustness,
    SliceScore,
    SourceFile,
    Verdict,
)

Outcome = Literal["won", "lost", "same"]


@dataclass(frozen=True, slots=True)
class CaseShown:
    """One question with what the tuned and the best untuned arm answered; scores are 0…1, None where scoring failed.

    `outcome` is the tuned arm's: won, lost or same. `question` is what the person said last, as text.
    """

    question: str
    expected: str
    untuned_arm: str
    untuned: str
    tuned: str
    untuned_score: float | None
    tuned_score: float | None
    outcome: Outcome
    id: str = ""
    untuned_thought: str = ""
    tuned_thought: str = ""

    @property
    def solved(self) -> bool:
        """Whether either answer is fully right."""
        return max(self.tuned_score or 0.0, self.untuned_score or 0.0) >= 1.0

    @property
    def gap(self) -> float:
        """How far apart the two answers scored, 0…1."""
        return abs((self.tuned_score or 0.0) - (self.untuned_score or 0.0))


@dataclass(frozen=True, slots=True)
class Training:
    """How training went: `train` is (step, loss), `validation` is (step, loss or None, score 0…1 or None)."""

    steps: int
    batch: int
    train: tuple[tuple[int, float], ...] = ()
    validation: tuple[tuple[int, float | None, float | None], ...] = ()
    best_step: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything on the evidence page.

    `arms` come in any order; the one named `tuned` is the coloured one. Without `verdict` the page is the baseline
    page: what the untuned arms reach. `labels` gives the words for an arm's name ("few-shot, 8 examples").
    `primary` names the scorer. `min_gain` is what was asked for (0.05 = five points). `classes` are the labels of a
    classification, each with precision, recall and F1;
    `hurdle` is what tuning must beat, before it is tried, and
    `comparisons` are with every untuned arm. `counts` are the won, same and
    lost of all cases; by default those of `cases`, which may hold all of them: the page picks the telling ones.
    `forgetting`, `robustness`, `memorisation`, `refusals`, `abilities` and `probes` are what was tried beyond the
    suite, where it was; `judge` is what a judge model preferred; `prompts` are
    the prompts tried on validation, `recalls` how often passages looked up held the answer.
    `facts` are up to four (value, what it is) pairs. `files` maps words to paths relative to the page.
    `command` does it again, with the settings (`overrides`) that were given beside the recipe.
    With `folds` the tuned arm is so many models, each asked only cases it had not seen. `asked` is how many of the
    held-out rows the suite asks; None: all.
    """

    title: str
    base: str
    date: str
    arms: tuple[ArmScore, ...]
    primary: str = "exact"
    run: str = ""
    parameters: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    verdict: Verdict | None = None
    min_gain: float = 0.0
    gates: tuple[Gate, ...] = ()
    slices: tuple[SliceScore, ...] = ()
    classes: tuple[LabelScore, ...] = ()
    hurdle: Hurdle | None = None
    comparisons: tuple[Comparison, ...] = ()
    cases: tuple[CaseShown, ...] = ()
    counts: Mapping[str, int] | None = None
    training: Training | None = None
    forgetting: Forgetting | None = None
    robustness: tuple[Robustness, ...] = ()
    memorisation: tuple[Finding, ...] = ()
    refusals: tuple[Refusals, ...] = ()
    abilities: tuple[Ability, ...] = ()
    probes: tuple[Probe, ...] = ()
    judge: JudgeReport | None = None
    prompts: PromptChoice | None = None
    recalls: tuple[Recall, ...] = ()
    ledger: Ledger | None = None
    splits: Mapping[str, int] = field(default_factory=dict)
    folds: int = 0
    asked: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    command: str = ""
    overrides: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataEvidence:
    """Everything on the data page. Findings show the rows in their `evidence["examples"]`.

    `asked`: how many of the rows held out decide; None: all.
    `tokens_per_word`: under the base's tokenizer, of the rows' questions and of plain English.
    """

    title: str
    date: str
    ledger: Ledger
    splits: Mapping[str, int]
    folds: int = 0
    asked: int | None = None
    dataset: str = ""
    findings: tuple[Finding, ...] = ()
    gates: tuple[Gate, ...] = ()
    sources: tuple[SourceFile, ...] = ()
    tokens_per_word: tuple[float, float] | None = None
    command: str = ""
    overrides: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
