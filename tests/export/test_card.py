"""The model card says what was measured, and what was not."""

from __future__ import annotations

import yaml

from tunewright.export import model_card
from tunewright.records import (
    ArmScore,
    Certificate,
    DatasetRecord,
    Evaluation,
    Gate,
    Ledger,
    RunRecord,
    SourceFile,
    Verdict,
)

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


def test_a_merged_model_is_no_adapter() -> None:
    card = model_card(RUN, DATA, None, task=None, form="merged")
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "transformers"
    assert "Merged from a LoRA of `owner/base: 1`: run" in card and "A LoRA adapter" not in card
    tuned = RUN.model_copy(update={"resolved": {"method": "full"}})
    assert "All weights tuned from `owner/base: 1`: run" in model_card(tuned, DATA, None, task=None, form="merged")


PACKED = RUN.model_copy(update={"resolved": {"method": "qlora"}, "quantisation": {"type": "nf4"}})
VERDICT = Verdict(decision="ship", against="base", difference=0.5, low=0.4, high=0.6, p=0.0)
JUDGED = Evaluation(arms=(_arm("base", 0.2), _arm("tuned", 0.7)), verdict=VERDICT, gates=())


def test_what_4_bits_stand_for_is_said_of_each_form() -> None:
    adapter, merged = (model_card(PACKED, DATA, JUDGED, task=None, form=form) for form in ("adapter", "merged"))
    assert "A LoRA adapter for `owner/base: 1` held in 4 bits: run" in adapter and "which nobody has" in adapter
    assert "Merged from a LoRA of `owner/base: 1` held in 4 bits: run" in merged and "nobody has" not in merged
    assert "70.0 %" in adapter and "70.0 %" in merged


def test_on_the_base_as_published_no_score_is_claimed_but_its_own() -> None:
    """It is another model than the one that was judged: that one's verdict, gates and table are not its own."""
    proof = Certificate(
        ok=True,
        probes=4,
        tokens_equal=False,
        logprob_gap=0.3,
        differs_from_base=True,
        suite_score=0.725,
        suite_score_trained=0.7,
    )
    card = model_card(PACKED, DATA, JUDGED, task=None, form="merged_unquantised", certificate=proof)
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "transformers"
    assert "Merged from `owner/base: 1` as published" in card
    assert "Its score on the held-out cases is 72.5 %" in card and "that one has 70.0 %" in card
    assert "Verdict" not in card and "| tuned |" not in card and "nobody has measured" not in card
    unscored = proof.model_copy(update={"suite_score": None})
    card = model_card(PACKED, DATA, JUDGED, task=None, form="merged_unquantised", certificate=unscored)
    assert "Nobody has measured it" in card and "70.0 %" not in card
