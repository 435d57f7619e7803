"""From the records of a run to the page's content: nothing invented, nothing lost."""

from __future__ import annotations

import dataclasses
import json
import re

from tests.report.pages import Page
from tunewright.records import (
    NEAR,
    ArmScore,
    Case,
    DatasetRecord,
    Evaluation,
    Finding,
    Forgetting,
    Ledger,
    Prediction,
    Refusals,
    Robustness,
    RunRecord,
    SliceScore,
    SourceFile,
    Suite,
    Verdict,
)
from tunewright.report import Evidence, evidence_of, evidence_page
from tunewright.report.compose import _limits

CASES = tuple(
    Case(
        id=f"f:{i}", messages=({"role": "system", "content": "s"}, {"role": "user", "content": f"q{i}"}), expected="yes"
    )
    for i in range(4)
)
SUITE = Suite(id="s", cases=CASES, scorers=("exact",), primary="exact", source="test")
DATASET = DatasetRecord(
    id="d1",
    sources=(SourceFile(path="f.jsonl", sha256="0", rows=40, shape="messages", reason="keys"),),
    ledger=Ledger(read=40, kept=39, set_aside={"bad_row": 1}),
    splits={"train": 31, "validation": 4, "test": 4},
)
RUN = RunRecord(
    id="r1",
    created="2026-11-23T21:00:00Z",
    recipe={"gates": {"min_gain": 0.1}},
    resolved={"method": "lora", "rank": 8, "effective_batch_size": 16},
    dataset="d1",
    base="seedling",
    base_sha256="0",
    renderer="0",
    versions={},
)
EVENTS = (
    {"type": "start"},
    {"type": "step", "step": 1, "loss": 2.0},
    {"type": "step", "step": 2, "loss": "nan"},
    {"type": "validation", "step": 2, "loss": 1.0, "score": 0.5},
    {"type": "checkpoint", "step": 2, "best_step": 2},
    {"type": "step", "step": 3, "loss": 0.5},
)


def arm(name: str, score: float) -> ArmScore:
    return ArmScore(name=name, score=score, low=score, high=score, cases=4, seconds=0.1)


def prediction(name: str, case: int, score: float | None) -> Prediction:
    return Prediction(case=f"f:{case}", arm=name, text="yes" if score else "no", score=score, seconds=0.1)


def evidence(
    *, tuned: bool = True, trials: dict[str, object] | None = None, slices: tuple[SliceScore, ...] = ()
) -> Evidence:
    scores: dict[str, tuple[float | None, ...]] = {"base": (0.0, 1.0, 1.0, 0.0)}
    if tuned:
        scores["tuned"] = (1.0, 0.0, 1.0, None)
    verdict = Verdict(decision="cannot_tell", against="base", difference=0.0, low=-0.5, high=0.5, p=1.0)
    return evidence_of(
        title="t",
        shots=8,
        run=RUN,
        parameters=3_400_000,
        suite=SUITE,
        evaluation=Evaluation(arms=tuple(arm(n, 0.5) for n in scores), verdict=verdict, gates=(), slices=slices),
        predictions={n: [prediction(n, i, s) for i, s in enumerate(v)] for n, v in scores.items()},
        events=EVENTS,
        dataset=DATASET,
        facts=(("4", "paired cases"),),
        hashes={"base": "0"},
        files={},
        trials=trials,
    )


def test_cases_meet_the_best_untuned_answer_and_are_told_won_or_lost() -> None:
    cases = evidence().cases
    assert [(c.question, c.outcome) for c in cases] == [
        ("q0", "won"),
        ("q1", "lost"),
        ("q2", "same"),
    ]  # q3's scorer failed
    assert all(c.untuned_arm == "base" and c.expected == "yes" for c in cases)
    assert (cases[0].untuned, cases[0].tuned) == ("no", "yes")


def test_the_slices_on_the_page_are_those_of_the_evaluation() -> None:
    near = SliceScore(slice=NEAR, value="no", cases=4, tuned=0.5, low=0, high=1, untuned=0.5)
    page = evidence(slices=(near,))
    assert page.slices == (near,)
    assert "near a training row: no" in Page(evidence_page(page)).text


def test_training_is_read_from_its_events_and_losses_that_are_no_numbers_are_left_out() -> None:
    training = evidence().training
    assert training is not None
    assert training.train == ((1, 2.0), (3, 0.5))
    assert training.validation == ((2, 1.0, 0.5),)
    assert (training.steps, training.batch, training.best_step) == (3, 16, 2)


def test_what_was_asked_and_how_it_was_tuned_are_on_the_page() -> None:
    text = Page(evidence_page(evidence())).text
    assert "You asked for at least +10." in text
    assert "tuned (LoRA r8)" in text
    assert "= 40 rows read" in text
    assert "4 cases are few" in text


def test_where_the_cases_come_from_and_how_many_of_them_were_asked() -> None:
    assert (
        "One source of training rows. Held-out cases come from the same source" in Page(evidence_page(evidence())).text
    )
    few = dataclasses.replace(evidence(), splits={"train": 31, "validation": 4, "test": 9})
    assert "held out, 4 of them asked 9" in Page(evidence_page(few)).text
    assert "suite 4" in Page(evidence_page(evidence())).text
    own = RUN.model_copy(update={"recipe": {"data": {"train": "f.jsonl", "test": ["../../t.jsonl"]}}})
    both = (*DATASET.sources, DATASET.sources[0].model_copy(update={"path": "../../t.jsonl"}))
    apart = _limits(SUITE, DATASET.model_copy(update={"sources": both}), "cpu", own)
    assert [*apart][:2] == [
        "One source of training rows.",
        "Held-out cases come from t.jsonl, given apart from the training rows.",
    ]
    other = SUITE.model_copy(update={"source": "cases.jsonl"})
    four = RUN.model_copy(update={"quantisation": {"bits": 4}})
    said = [*_limits(other, DATASET, "cuda", four)]
    assert said[1] == "The cases come from cases.jsonl."
    assert said[2] == "Greedy answers, computed in fp32 on a GPU, on a base in 4 bits; no human judged them."


def test_what_was_tried_beyond_the_suite_is_told_with_its_intervals() -> None:
    tried = {
        "run": "r1",
        "forgetting": Forgetting(before=41.2, after=43.0, rise=0.043, low=0.031, high=0.056, tokens=4096),
        "robustness": [
            Robustness(change="lower_case", score=0.9, difference=0.0, low=-0.01, high=0.01, p=1, cases=9),
            Robustness(change="typos", score=0.8, difference=-0.1, low=-0.15, high=-0.05, p=0.01, cases=9),
        ],
        "memorisation": [Finding(code="memorised", severity="info", count=0, message="nothing is recited")],
        "refusals": [
            Refusals(
                kind="unsafe",
                cases=200,
                before=0.12,
                after=0.1,
                low=0.06,
                high=0.15,
                p=0.6,
                rise=-0.02,
                rise_low=-0.06,
                rise_high=0.03,
            )
        ],
    }
    page = evidence_page(evidence(trials=json.loads(json.dumps(tried, default=lambda r: r.model_dump(mode="json")))))
    text = Page(page).text
    assert "harder to predict by 4.3 %, 95 % interval +3.1 to +5.6: perplexity 41.2 → 43.0 over 4,096 tokens." in text
    assert "nothing is recited" in text
    assert "Unsafe prompts refused: 12 % → 10 % of 200 prompts, a difference of −2.0 points" in text
    assert text.index("typos") < text.index("lower case"), "the worst first"
    drawing = page[page.index("Change of the score") :].split("</svg>")[0]
    kinds = re.findall(r'circle [^>]*class="(\w+)"', drawing)
    assert kinds == ["own", "other"], "coloured only where chance is not enough"
    assert "Beyond the suite" not in evidence_page(evidence())


def test_without_a_tuned_arm_it_is_the_baseline_page() -> None:
    made = evidence(tuned=False)
    assert made.verdict is None
    assert made.training is None
    assert made.cases == ()
    assert "Untuned. Nothing gets past 50.0 % of the answers exactly right." in Page(evidence_page(made)).text
