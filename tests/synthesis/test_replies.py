"""Whatever a teacher says becomes exactly as many drafts as were asked for, each with its fault or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.synthesis import Wish, drafts, requests

from .rows import QUESTIONS, labelled, row, said

ROWS = labelled({"refund": 4, "delivery": 2})
LABELS = ("delivery", "refund")
JSON = [row(q, json.dumps({"kind": "ab"[i % 2], "n": i}, separators=(",", ":"))) for i, q in enumerate(QUESTIONS)]


@pytest.mark.parametrize(
    "reply",
    [
        '{"inputs": ["One.", "Two."]}',
        '```json\n{"inputs": ["One.", "Two."]}\n```',
        'Sure! Here they are:\n["One.", "Two."]\nAnything else?',
        '{"paraphrases": [{"input": "One."}, {"text": "Two."}]}',
        '{"input": "One."}\n{"input": "Two."}',
        '{"rewordings": ["One.", "Two."]}',
        '{"rows": [{"input": "One."}, {"input": "Two."}, {"inp',
    ],
)
def test_json_is_found_wherever_it_stands(reply: str) -> None:
    found = said(ROWS[:1], reply, count=2)
    assert [(d.input, d.output, d.fault) for d in found] == [("One.", "refund", ""), ("Two.", "refund", "")]


@pytest.mark.parametrize(
    ("reply", "faults"),
    [
        ("", ["unparseable"] * 3),
        ("no JSON at all", ["unparseable"] * 3),
        ("{[}{", ["unparseable"] * 3),
        ("[" * 5000, ["unparseable"] * 3),
        ('{"inputs": [1, 2, 3]}', ["unparseable"] * 3),
        ('{"inputs": []}', ["missing"] * 3),
        ('{"inputs": ["One."]}', ["", "missing", "missing"]),
        ('{"inputs": ["One.", 7, "  "]}', ["", "empty", "unparseable"]),
        ("I'm sorry, but I can't help with that.", ["refusal"] * 3),
        ('{"inputs": ["As an AI language model I have no parcel.", "Two.", "Three."]}', ["refusal", "", ""]),
    ],
)
def test_garbage_is_counted(reply: str, faults: list[str]) -> None:
    assert [d.fault for d in said(ROWS[:1], reply, count=3)] == faults


def test_what_was_not_asked_for_is_left_and_counted() -> None:
    request = requests(ROWS[:1], Wish("paraphrase", 2))[0]
    found, surplus = drafts(request, 0, '{"inputs": ["1", "2", "3", "4"]}')
    assert [d.input for d in found] == ["1", "2"] and surplus == 2


def test_labels_are_held_to_the_labels() -> None:
    rows = [{"input": f"Text {i}", "output": o} for i, o in enumerate(["refund", "Refund!", "delivery", "party", None])]
    found = said(ROWS, {"rows": rows}, LABELS, kind="augment", only=("refund",), count=5)
    assert [d.fault for d in found] == ["", "", "wrong_form", "wrong_form", ""]
    assert found[1].output == "refund" and "asked for" in found[2].detail and "not among" in found[3].detail
    bare = said(ROWS, {"rows": [{"input": "Text"}]}, LABELS, kind="augment", only=("refund",))
    assert bare[0].output == "refund" and not bare[0].fault


def test_json_answers_keep_fields_kinds_choices_and_spelling() -> None:
    answers = [
        {"n": 9, "kind": "a"},
        '{"n": 9, "kind": "a"}',
        {"kind": "a"},
        {"kind": "a", "n": 9, "extra": 1},
        {"kind": "a", "n": "9"},
        "a",
    ]
    # Two values among six rows are a choice; a third value is none.
    found = said(JSON, {"rows": [{"input": "T", "output": a} for a in answers[:5]]}, kind="generate", count=5)
    assert [d.fault for d in found] == ["", "", "wrong_form", "wrong_form", "wrong_form"]
    assert found[0].output == found[1].output == '{"kind":"a","n":9}'
    plain, other = said(
        JSON,
        {"rows": [{"input": "T", "output": a} for a in (answers[5], {"kind": "c", "n": 1})]},
        kind="generate",
        count=2,
    )
    assert "no JSON object" in plain.detail and "values of `kind`" in other.detail


def test_refused_answers_are_seen_unless_the_rows_refuse_too() -> None:
    declined = {"rows": [{"input": "Tell me.", "output": "I cannot help with that."}]}
    free = [row(q, f"Answer to it: {q}") for q in QUESTIONS]
    assert said(free, declined, kind="generate")[0].fault == "refusal"
    careful = [row(q, "I cannot help with this.") for q in QUESTIONS]
    assert said(careful, declined, kind="generate")[0].fault == ""


@given(st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.text(max_size=5), st.lists).map(json.dumps)))
def test_as_many_drafts_as_asked_for_whatever_is_said(reply: str) -> None:
    for kind in ("paraphrase", "generate"):
        for request in requests(ROWS[:2], Wish(kind, 6), LABELS):
            found, surplus = drafts(request, 3, reply)
            assert len(found) == request.wanted and surplus >= 0
            assert all(d.place == 3 for d in found)
