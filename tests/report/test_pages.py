"""The pages say what the records say, stand alone, survive missing parts and hostile words."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.pages import Page
from tunewright.records import NEAR, ArmScore, Finding, Gate, Ledger, SliceScore, SourceFile, Verdict
from tunewright.report import CaseShown, DataEvidence, Evidence, Training, data_page, evidence_page

HOSTILE = '</style></pre><script>alert(1)</script>"><img src=x onerror=alert(1)>{{ 7*7 }}'


def arm(name: str, score: float, low: float, high: float, cases: int = 240, errors: int = 0) -> ArmScore:
    return ArmScore(name=name, score=score, low=low, high=high, cases=cases, seconds=0.1, errors=errors)


def case(question: str, untuned: dict[str, object] | str, tuned: dict[str, object] | str, **more: object) -> CaseShown:
    expected = {"category": "billing", "order_id": None}
    answers = [a if isinstance(a, str) else json.dumps(a) for a in (untuned, tuned)]
    scores = [1.0 if a == json.dumps(expected) else 0.5 if a.startswith("{") else 0.0 for a in answers]
    outcome = "won" if scores[1] > scores[0] else "lost" if scores[1] < scores[0] else "same"
    shown = CaseShown(question, json.dumps(expected), "few_shot", *answers, *scores, outcome)
    return dataclasses.replace(shown, **more)


RIGHT = {"category": "billing", "order_id": None}
EVIDENCE = Evidence(
    title="Support tickets",
    run="7f3a",
    base="seedling",
    parameters=3_400_000,
    date="23 Nov 2026",
    primary="json_fields",
    arms=(arm("base", 0.122, 0.096, 0.152), arm("tuned", 0.931, 0.91, 0.949), arm("few_shot", 0.614, 0.572, 0.655)),
    labels={"few_shot": "few-shot, 8 examples"},
    verdict=Verdict(decision="ship", against="few_shot", difference=0.317, low=0.283, high=0.352, p=1e-9),
    min_gain=0.05,
    gates=(
        Gate(name="leak", ok=True, message="0 of 240 cases seen in training"),
        Gate(name="worst_slice", ok=None, message="15 cases, cannot tell"),
        Gate(name="bad_rows", ok=False, message="6 % of rows", allowed_because="the export is old"),
        Gate(name="leak", ok=True, message="known", allowed_because="the test is meant to repeat"),
    ),
    slices=(
        SliceScore(slice="category", value="billing", cases=64, tuned=0.96, low=0.9, high=0.99, untuned=0.71),
        SliceScore(slice="category", value="hardware", cases=38, tuned=0.71, low=0.6, high=0.8, untuned=0.73),
    ),
    cases=(
        case("two charges", {"category": "returns", "order_id": None}, RIGHT),
        case("invoice of March", RIGHT, {"category": "billing", "order_id": "March"}),
        case("hello", RIGHT, RIGHT),
    ),
    training=Training(
        180,
        32,
        tuple((s, 3.0 / s) for s in range(1, 181)),
        ((60, 0.9, 0.7), (120, 0.5, 0.93), (180, 0.6, 0.91)),
        120,
    ),
    ledger=Ledger(read=6638, kept=6390, changed=10, set_aside={"exact_duplicate": 212, "leak_exact": 19, "bad_row": 7}),
    splits={"train": 5120, "validation": 640, "test": 640},
    facts=(("240", "paired cases"), ("1.1 MB", "adapter")),
    command="tunewright run tunewright.yaml",
    limits=("one data source", "English only"),
    hashes={"base": "a41f" * 16},
    files={"every case": "runs/7f3a/predictions.jsonl"},
)
DATA = DataEvidence(
    title="Support tickets",
    date="23 Nov 2026",
    ledger=Ledger(read=420, kept=412, set_aside={"exact_duplicate": 6, "broken_line": 2}),
    splits={"train": 330, "validation": 41, "test": 41},
    dataset="9c1e44aa00bb",
    findings=(
        Finding(code="exact_duplicate", severity="warning", count=6, rows=("t.jsonl:9",), message="Six repeat."),
        Finding(
            code="contradiction",
            severity="error",
            count=2,
            rows=("t.jsonl:4",),
            message="Two disagree.",
            evidence={"examples": [[{"row": "t.jsonl:4", "input": "my headset broke", "output": "hardware"}]]},
        ),
    ),
    gates=(Gate(name="bad_rows", ok=True, message="0.5 % faulty, limit 5 %"),),
    sources=(SourceFile(path="t.jsonl", sha256="aa", rows=420, shape="messages", reason="`messages` with roles"),),
)


def alone(html: str) -> Page:
    """The page parses strictly, has one h1, runs nothing and asks nothing of the network."""
    page = Page(html)
    assert page.count("h1") == 1
    assert page.count("script") == page.count("img") == page.count("link") == page.count("iframe") == 0
    for place in page.attributes("src") + page.attributes("href"):
        assert not re.match(r"\s*[a-z]+:|//", place, re.IGNORECASE), place
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs.get("aria-label") or attrs.get("aria-hidden") == "true"
    return page


def test_the_numbers_on_the_page_are_the_records() -> None:
    text = alone(evidence_page(EVIDENCE)).text
    for score in EVIDENCE.arms:
        assert f"{100 * score.score:.1f}" in text
        assert f"{100 * score.low:.1f}–{100 * score.high:.1f}" in text
    assert "Ship it. The tuned model gets 93.1 % of the fields right; nothing untuned gets past 61.4 %." in text
    assert "On the same 240 held-out cases" in text
    assert "+31.7 points, 95 % interval +28.3 to +35.2, p < 0.0001. You asked for at least +5." in text
    assert "1 won, 1 same, 1 lost" in text
    assert "train 5,120 validation 640 suite 640 duplicates 212 leaks 19" in text
    assert "= 6,638 rows read" in text
    assert "repaired or cut, and used: 10" in text
    assert (
        "180 steps of 32 examples. The checkpoint with the best validation score was kept, not the last: step 120"
        in text
    )
    assert "seedling 3.4 M" in text
    assert "Allowed because: the export is old" in text
    assert text.count(": allowed") == 2
    assert "tunewright run tunewright.yaml" in text
    assert "Limits of this evidence. One data source. English only." in text


def test_sections_stand_in_the_order_in_which_one_decides() -> None:
    page = alone(evidence_page(EVIDENCE))
    assert page.headings == [
        "Every arm, same cases",
        "Gates",
        "Where it is weaker",
        "Won and lost",
        "Training",
        "The data behind it",
        "Do it again",
    ]


def test_each_figure_is_drawn_for_both_widths_and_the_style_shows_one() -> None:
    html = evidence_page(EVIDENCE)
    page = alone(html)
    sizes = [a.get("class") for tag, a in page.tags if tag == "svg"]
    assert sizes.count("wide") == sizes.count("narrow") == 2
    assert re.search(r"max-width:660px\)\{.*?svg\.wide\{display:none\} svg\.narrow\{display:block\}", html, re.DOTALL)
    assert "prefers-color-scheme:dark" in html
    assert "@media print" in html
    labels = " ".join(page.attributes("aria-label"))
    assert "tuned 93.1\u00a0%, interval 91.0\u00a0% to 94.9\u00a0%" in labels
    assert "best on validation at step 120" in labels
    assert "6,638 rows read" in labels


@pytest.mark.parametrize(
    "missing",
    [
        {"slices": ()},
        {"cases": (), "counts": None},
        {"training": None},
        {"training": Training(5, 8)},
        {"training": Training(5, 8, validation=((5, None, 0.5),), best_step=5)},
        {"training": Training(5, 8, train=((1, 2.0),), best_step=None)},
        {"training": Training(0, 8, train=((0, 0.0),), validation=((0, 0.0, None),))},
        {"gates": ()},
        {"ledger": None, "splits": {}},
        {"facts": (), "limits": (), "hashes": {}, "files": {}, "command": ""},
        {"arms": (EVIDENCE.arms[1],)},
        {"arms": (EVIDENCE.arms[0],), "verdict": None},
        {"arms": (), "verdict": None},
        {"verdict": None},
        {"parameters": None, "run": "", "labels": {}, "primary": "my.own_scorer"},
        {"cases": (EVIDENCE.cases[0],)},
        {"counts": {"won": 3}},
    ],
)
def test_any_part_may_be_missing(missing: dict[str, object]) -> None:
    page = alone(evidence_page(dataclasses.replace(EVIDENCE, **missing)))
    assert "None" not in page.text
    assert "nan" not in page.text.lower().split()
    if missing.get("training") == Training(5, 8) or "slices" in missing:
        assert len(page.headings) == 6


def test_only_what_was_decided_is_said() -> None:
    verdict = EVIDENCE.verdict
    assert verdict is not None

    def first_line(**changes: object) -> str:
        return alone(evidence_page(dataclasses.replace(EVIDENCE, **changes))).text.split(" On the same")[0]

    worse = verdict.model_copy(update={"decision": "do_not_ship", "difference": -0.1, "low": -0.15, "high": -0.05})
    assert "Do not ship. Tuned, 93.1 % of the fields right, is worse than few-shot" in first_line(verdict=worse)
    equal = verdict.model_copy(update={"decision": "do_not_ship", "difference": 0.0, "low": -0.02, "high": 0.02})
    assert "is no better than few-shot, 61.4 %." in first_line(verdict=equal)
    little = verdict.model_copy(update={"decision": "do_not_ship", "difference": 0.02, "low": 0.01, "high": 0.03})
    assert "better, but by less than you asked" in first_line(verdict=little)
    unsure = verdict.model_copy(update={"decision": "cannot_tell", "low": -0.1, "more_cases": 1200})
    assert "Cannot tell." in first_line(verdict=unsure)
    assert "About 1,200 more cases would tell." in first_line(verdict=unsure)
    leak = Gate(name="leak", ok=False, message="3 of 240 cases seen in training")
    assert "Do not ship yet." in first_line(gates=(leak,))
    assert "a gate says no: nothing leaked" in first_line(gates=(leak,))
    assert "Ship it." in first_line(gates=(leak.model_copy(update={"allowed_because": "known"}),))
    # As `decide` has it, the gate that asked for the gain stands beside a gain that is too small.
    short = Gate(name="min_gain", ok=False, message="+2.0 points; more than +5.0 wanted")
    assert "better, but by less than you asked" in first_line(verdict=little, gates=(short,))
    assert "better, but by less than you asked" in first_line(verdict=little, gates=(short, leak))
    few = Gate(name="suite_size", ok=False, message="8 cases; at least 30 are wanted")
    assert "too few cases to decide. About 1,200 more cases would tell." in first_line(verdict=unsure, gates=(few,))
    cheap = Gate(name="cheaper_means", ok=False, message="classifier")
    assert "but a cheaper means does as well." in first_line(gates=(short, cheap), verdict=little)
    assert "but a cheaper means does as well." in first_line(gates=(cheap,), verdict=little)
    assert "Untuned. Nothing gets past 61.4 % of the fields right." in first_line(verdict=None, arms=EVIDENCE.arms[::2])


def test_the_tuned_model_is_the_one_that_ships_however_well_it_does_with_documents() -> None:
    both = (arm("base", 0.6, 0.5, 0.7), arm("tuned_rag", 0.85, 0.8, 0.9), arm("tuned", 0.7, 0.6, 0.8))
    assert EVIDENCE.verdict is not None
    some = EVIDENCE.verdict.model_copy(update={"cases": 212})  # those that both could be scored on
    page = alone(evidence_page(dataclasses.replace(EVIDENCE, arms=both, verdict=some)))
    assert "The tuned model gets 70.0 %" in page.text and "On the same 212 held-out cases" in page.text


def test_without_a_verdict_the_page_says_how_much_is_left_to_win() -> None:
    page = alone(evidence_page(dataclasses.replace(EVIDENCE, verdict=None, arms=EVIDENCE.arms[::2])))
    assert "Few-shot, 8 examples leads on 240 held-out cases" in page.text
    assert "38.6 points left to win" in page.text


def test_where_nothing_is_right_that_is_said() -> None:
    zero = (arm("base", 0, 0, 0.086, 41), arm("few_shot", 0, 0, 0.086, 41))
    text = alone(evidence_page(dataclasses.replace(EVIDENCE, verdict=None, arms=zero))).text
    assert "Untuned. Nothing gets any of the fields right. 2 arms are level on 41 held-out cases" in text
    shipped = alone(evidence_page(dataclasses.replace(EVIDENCE, arms=(EVIDENCE.arms[1], zero[1])))).text
    assert "nothing untuned gets any." in shipped


def test_dates_are_written_out() -> None:
    assert "23 Nov 2026" in alone(evidence_page(dataclasses.replace(EVIDENCE, date="2026-11-23"))).text


def test_a_scorer_that_failed_is_told_apart_from_a_wrong_answer_and_drawn_answers_as_drawn() -> None:
    arms = (*EVIDENCE.arms[:2], arm("few_shot", 0.614, 0.572, 0.655, errors=3).model_copy(update={"drawn": True}))
    text = alone(evidence_page(dataclasses.replace(EVIDENCE, arms=arms))).text
    assert "3 answers could not be scored" in text and text.count("answers are drawn") == 1


def test_hostile_words_stay_words_everywhere() -> None:
    h = HOSTILE
    evidence = dataclasses.replace(
        EVIDENCE,
        title=h,
        run=h,
        base=h,
        date=h,
        primary=h,
        labels={"few_shot": h, "tuned": h},
        verdict=EVIDENCE.verdict.model_copy(update={"reason": h}) if EVIDENCE.verdict else None,
        gates=(Gate(name=h, ok=False, message=h, allowed_because=h),),
        slices=(SliceScore(slice=h, value=h, cases=1, tuned=0.1, low=0, high=1, untuned=0.1),),
        cases=(
            case(h, h, json.dumps({h: h})),
            case(h, json.dumps({h: h}), h, expected=h),
            case(h, h, json.dumps(RIGHT)),
        ),
        ledger=Ledger(read=1, kept=0, set_aside={h: 1}),
        facts=((h, h),),
        command=h,
        limits=(h,),
        hashes={h: h},
        files={h: "javascript:alert(1)", "data": "data:text/html,x"},
    )
    page = alone(evidence_page(evidence))
    assert page.text.count("alert(1)") >= 20
    assert "{{ 7*7 }}" in page.text
    finding = Finding(code=h, severity="error", count=1, rows=(h,), message=f"`{h}`", remedy=h)
    data = dataclasses.replace(
        DATA,
        title=h,
        dataset=h,
        findings=(
            finding,
            finding.model_copy(update={"code": "x", "evidence": {"examples": [{"row": h, "input": h, "output": h}]}}),
        ),
        sources=(SourceFile(path=h, sha256=h, rows=1, shape=h, reason=h),),
    )
    assert alone(data_page(data)).text.count("alert(1)") >= 8


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec=None), max_size=60), st.text(max_size=60))
def test_any_words_at_all_make_a_page_that_can_be_saved(first: str, second: str) -> None:
    shown = case(first, second, first, expected=second)
    page = evidence_page(dataclasses.replace(EVIDENCE, title=first, cases=(shown,), limits=(second,)))
    alone(page)
    assert page.encode("utf-8").decode("utf-8") == page
    assert "\x00" not in page


def test_halves_of_surrogate_pairs_and_control_signs_are_replaced() -> None:
    page = evidence_page(dataclasses.replace(EVIDENCE, cases=(case("\ud83d \x00 \x1b[2J", "no", RIGHT),)))
    assert "\ufffd \ufffd \ufffd[2J" in page


def test_five_thousand_cases_make_no_bigger_page_than_fifty() -> None:
    few = tuple(case(f"question {i}", {"category": str(i)}, RIGHT if i % 3 else "no") for i in range(50))
    many = tuple(dataclasses.replace(c, question=f"question {i}") for i in range(100) for c in few)
    small, big = (evidence_page(dataclasses.replace(EVIDENCE, cases=c)) for c in (few, many))
    assert len(big) < 1.1 * len(small)
    assert len(big) < 100_000
    assert "3,300 won, 0 same, 1,700 lost" in alone(big).text


def test_widest_differences_come_first_and_one_kind_of_failure_is_shown_twice_at_most() -> None:
    cases = [case(f"garbage {i}", "sorry", RIGHT) for i in range(9)]
    cases.append(case("telling", {"category": "returns", "order_id": None}, RIGHT))
    text = alone(evidence_page(dataclasses.replace(EVIDENCE, cases=tuple(cases)))).text
    assert text.count("garbage") == 2
    assert text.index("garbage") < text.index("telling")
    assert "10 won, 0 same, 0 lost" in text


def test_a_slice_is_weak_only_beyond_chance_and_a_reason_is_told_once() -> None:
    few = SliceScore(slice="label", value="few", cases=3, tuned=0.6, low=0.2, high=0.95, untuned=0.8)
    sure = SliceScore(slice="label", value="sure", cases=90, tuned=0.6, low=0.5, high=0.7, untuned=0.8)
    text = alone(evidence_page(dataclasses.replace(EVIDENCE, slices=(few, sure)))).text
    assert "! weak: label: sure" in text
    assert "weak: label: few" not in text
    verdict = EVIDENCE.verdict
    assert verdict is not None
    known = verdict.model_copy(update={"reason": "the gain is beyond chance and beyond what was asked"})
    assert "The gain is beyond chance" not in alone(evidence_page(dataclasses.replace(EVIDENCE, verdict=known))).text
    own = verdict.model_copy(update={"reason": "the suite has too few cases to decide"})
    assert (
        "The suite has too few cases to decide."
        in alone(evidence_page(dataclasses.replace(EVIDENCE, verdict=own))).text
    )


def test_of_many_slices_the_weakest_are_shown_and_the_rest_counted() -> None:
    many = tuple(
        SliceScore(slice="label", value=f"v{i:02}", cases=9, tuned=i / 80, low=0, high=1, untuned=0.0)
        for i in range(77)
    )
    text = alone(evidence_page(dataclasses.replace(EVIDENCE, slices=many))).text
    assert "The 12 weakest of 77, the weakest at the end." in text
    assert "label: v11" in text
    assert "label: v12" not in text
    assert text.index("label: v11") < text.index("label: v00")
    near = SliceScore(slice=NEAR, value="no", cases=229, tuned=0.97, low=0.9, high=1, untuned=0.1)
    text = alone(evidence_page(dataclasses.replace(EVIDENCE, slices=(*many, near)))).text
    assert f"{NEAR}: no" in text and "label: v10" in text and "label: v11" not in text


def test_what_is_better_but_still_wrong_is_shown_with_what_was_wanted() -> None:
    half = case("half right", "no", {"category": "billing", "order_id": "March"})
    page = alone(evidence_page(dataclasses.replace(EVIDENCE, cases=(*EVIDENCE.cases[:1], half))))
    assert "2 won, 0 same, 0 lost" in page.text
    assert "tuned – better, not right yet" in page.text
    assert page.text.count("wanted{") == 1


def test_the_data_page_says_what_was_found_worst_first() -> None:
    page = alone(data_page(DATA))
    assert "Look first. 412 of 420 rows can be used; 1 finding needs your judgement." in page.text
    assert "330 to train on, 41 to choose the checkpoint, 41 to decide. 8 set aside" in page.text
    assert page.text.index("Two disagree.") < page.text.index("Six repeat.")
    assert "my headset broke → hardware" in page.text
    assert "messages with roles" in page.text
    assert "Repeats (warning) 6 exact_duplicate · settled: set aside" in page.text
    assert "Same question, different answers (error) 2 contradiction Two" in page.text
    leak = Finding(code="exact_duplicate", severity="error", count=1, message="settled: set aside")
    assert "Good to train on." in alone(data_page(dataclasses.replace(DATA, findings=(leak,)))).text
    clean = dataclasses.replace(DATA, findings=())
    assert "Good to train on. 412 of 420 rows can be used; nothing stands in the way." in alone(data_page(clean)).text
    doubt = leak.model_copy(update={"code": "too_few", "severity": "warning"})
    assert "1 finding is worth a look." in alone(data_page(dataclasses.replace(DATA, findings=(doubt,)))).text
    stopped = dataclasses.replace(DATA, gates=(Gate(name="bad_rows", ok=False, message="9 %"),))
    assert "Not yet." in alone(data_page(stopped)).text


def test_rows_set_aside_by_an_accepted_fix_have_words_in_the_legend() -> None:
    fixed = Ledger(read=420, kept=412, set_aside={"near_duplicate": 6, "my_own_reason": 2})
    text = alone(data_page(dataclasses.replace(DATA, ledger=fixed))).text
    assert "near repeats 6 my own reason 2 = 420 rows read" in text


def test_a_ledger_that_does_not_sum_is_said_in_red() -> None:
    wrong = dataclasses.replace(DATA, ledger=Ledger(read=421, kept=412, set_aside={"exact_duplicate": 8}))
    assert "these numbers do not sum" in alone(data_page(wrong)).text
    assert "do not sum" not in alone(data_page(DATA)).text
