"""The model card says what was measured, and what was not."""

from __future__ import annotations

import yaml

from tunewright.export import model_card
from tunewright.records import ArmScore, DatasetRecord, Evaluation, Gate, Ledger, RunRecord, SourceFile, Verdict

RUN = RunRecord(
    id="20260101-000000-abcd",
    created="2026-01-01T00:00:00Z",
    recipe={},
    resolved={"method": "lora", "rank": 16, "steps": 40},
    dataset="d1",
    base="owner/base: 1",
    base_sha256="0",
    renderer="0",
    versions={"torch": "2"},
)
DATA = DatasetRecord(
    id="d1",
    sources=(SourceFile(path="rows.jsonl", sha256="0", rows=90, shape="messages", reason=""),),
    ledger=Ledger(read=90, kept=90, changed=0, set_aside={}),
    splits={"train": 70, "validation": 10, "test": 10},
)


def _arm(name: str, score: float) -> ArmScore:
    return ArmScore(name=name, score=score, low=score - 0.05, high=score + 0.05, cases=40, seconds=0.1)


def test_scores_gates_and_data_stand_in_the_card() -> None:
    verdict = Verdict(
        decision="do_not_ship", against="base", difference=0.5, low=0.4, high=0.6, p=0.0, reason="too few"
    )
    gates = (Gate(name="forgetting", ok=False, message="worse by 9 %.", allowed_because="a narrow task"),)
    evaluation = Evaluation(arms=(_arm("base", 0.2), _arm("tuned", 0.7)), verdict=verdict, gates=gates)
    card = model_card(RUN, DATA, evaluation, task="Route a ticket")
    head = yaml.safe_load(card.split("---")[1])
    assert head["base_model"] == "owner/base: 1" and head["library_name"] == "peft"
    assert "**do not ship** – too few" in card and "+50.0 points [+40.0, +60.0]" in card
    assert "| tuned | 70.0 % | 65.0–75.0 | 40 |" in card
    assert "| forgetting | **no** | worse by 9 %. Passed all the same: a narrow task |" in card
    assert "| rows.jsonl | 90 | not stated |" in card and "No licence is stated for 1 of 1" in card
    assert "rank 16" in card


def test_what_nobody_measured_is_said() -> None:
    card = model_card(RUN, DATA, None, task=None)
    assert "Nobody has measured it" in card and "%" not in card
