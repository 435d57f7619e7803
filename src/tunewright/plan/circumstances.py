"""What there is to know before tuning: told by a person, counted by the audit, measured by a run, estimated here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunewright.records import ArmScore, Evaluation, Finding, Gate, best_untuned, tuned_arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What advice rests on. `needs` … `currency` are the recipe's `decide`; `privacy` None: not stated.

    `rows` are the examples there are to learn from, `train` those of them that train; with `counted` off no row has
    been read, and `rows` is what a person expects, if anything. `one_answer`: a question has one right answer, so that
    rows can contradict each other. `tool_rows` read what a tool gave back before they answer. `documents`: the recipe
    names some to look things up in. `measured` is the newest experiment (run `run`) on this data, base and suite, and
    `hurdle` the gate on what it left for tuning to win.
    """

    task: str | None
    privacy: str | None
    needs: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    cite: bool = False
    requests: int | None = None
    cost: float | None = None
    hours: float | None = None
    budget: float | None = None
    machine_hour: float | None = None
    currency: str = "EUR"
    rows: int | None = None
    counted: bool = True
    train: int = 0
    dataset: str | None = None
    project: bool = True
    shapes: tuple[str, ...] = ()
    read: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    gates: tuple[Gate, ...] = ()
    cases: int = 0
    least_cases: int = 30
    labels: int = 0
    one_answer: bool = False
    tool_rows: int = 0
    documents: bool = False
    enough: float | None = None
    measured: Evaluation | None = None
    run: str = ""
    hurdle: Gate | None = None

    def finding(self, code: str) -> Finding | None:
        return next((f for f in self.findings if f.code == code), None)

    def share(self, code: str) -> float:
        """Of the rows read, those that a finding counts."""
        found = self.finding(code)
        return found.count / max(1, self.read) if found else 0.0

    @property
    def knowledge(self) -> bool:
        """Whether a person says that facts are wanted which the question does not hold."""
        return "knowledge" in self.needs or "knowledge" in self.changes or self.cite

    @property
    def best(self) -> ArmScore | None:
        """The best untuned arm that was measured."""
        arms = self.measured.arms if self.measured else ()
        return best_untuned(arms)

    @property
    def tuned(self) -> ArmScore | None:
        """The tuned arm that was measured: the model by itself, where it was asked so."""
        arms = self.measured.arms if self.measured else ()
        return tuned_arm(arm for arm in arms if arm.cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the run would take: GB and hours with their intervals, a price, and the GB that are free."""

    memory: Mapping[str, float]
    hours: Mapping[str, float]
    price: Mapping[str, float | str]
    free_gb: float

    @property
    def fits(self) -> bool | None:
        """Whether memory is enough; None where the interval holds both answers."""
        free = round(self.free_gb, 4)  # as what is needed is rounded: a run may need exactly what is free
        if self.memory["high"] <= free:
            return True
        return None if self.memory["low"] <= free else False
