"""Every filter on a draft it must stop and on one it must let pass."""

from __future__ import annotations

import json

import pytest

from tunewright.licences import terms_of
from tunewright.records import Example, Message
from tunewright.synthesis import Sieve, candidate

from .rows import QUESTIONS, row, said

ROWS = [row(q, f"An answer of some length to question {i}.", row=f"t.jsonl:{i + 1}") for i, q in enumerate(QUESTIONS)]
JUDGED = {"test.jsonl:1": (Message("user", "Do you also sell garden chairs made of oak wood?"),)}
NEW = "What are the opening hours of your branch by the harbour?"


def reason(question: str, *, answer: str = "It is an answer of the usual length.", kind: str = "generate") -> str:
    drafts = said(ROWS, {"rows": [{"input": question, "output": answer}]}, kind=kind)
    return Sieve(ROWS, JUDGED, ["May I bring my dog into the shop?"]).sift(drafts)[0][0]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (NEW, ""),
        ("do you also sell garden chairs made of OAK wood", "leak_exact"),
        ("Do you also sell garden chairs made from oak wood?", "leak_near"),
        (QUESTIONS[2].upper(), "copy_exact"),
        ("How do I change the address that is in my account?", "copy_near"),
        ("May I bring my dogs into the shop?", "duplicate"),
        ("Wo ist der Laden, in dem ich das mit der Karte zahlen kann?", "language"),
        ("Hm?", "length"),
        (NEW + " " + "I ask since it is important to me." * 3, "length"),
        ("Write to ann.lee@example.org what the opening hours are", "personal"),
    ],
)
def test_inputs(question: str, expected: str) -> None:
    assert reason(question) == expected


def test_answers() -> None:
    assert reason(NEW, answer="Yes.") == "length"
    assert reason(NEW, answer="My password: hunter2hunter and more words") == "personal"


def test_of_candidates_that_repeat_each_other_the_first_that_passes_stays() -> None:
    asked = ["Hm?", NEW, NEW.lower(), NEW.replace("your", "the"), QUESTIONS[0]]
    drafts = said(
        ROWS,
        {"rows": [{"input": q, "output": "It is an answer of the usual length."} for q in asked]},
        kind="generate",
        count=5,
    )
    found = [r for r, _ in Sieve(ROWS, JUDGED).sift(drafts)]
    assert found == ["length", "", "duplicate", "duplicate", "copy_exact"]


def _reworded(rows: list[Example], text: str) -> tuple[str, str]:
    return Sieve(rows, {}).sift(said(rows, {"inputs": [text]}))[0]


def test_rewordings_keep_what_the_answer_needs() -> None:
    answer = json.dumps({"item": "blue kettle", "order": 4711})
    rows = [row("The blue kettle of order 4711 has not come, where is it?", answer)]
    assert _reworded(rows, "Order 4711: any news of my blue kettle? I still wait.") == ("", "")
    assert _reworded(rows, "Order 4712: any news of my blue kettle? I still wait.")[0] == "changed"
    assert _reworded(rows, "Any news of my blue kettle? I am still waiting.")[0] == "changed"
    lost = _reworded(rows, "Order 4711: any news of the thing to boil water? I wait.")
    assert lost[0] == "changed" and "blue kettle" in lost[1]
    assert _reworded(rows, "The blue kettle of order 4711 has not come; where is it?")[0] == "copy_exact"


def test_personal_data_of_the_row_itself_may_stay() -> None:
    rows = [row("Please write to ann.lee@example.org about the invoice", "Done, the letter is sent.")]
    assert _reworded(rows, "About the invoice, ann.lee@example.org wants a letter") == ("", "")
    assert _reworded(rows, "About the invoice, bob.lee@example.org wants a letter")[0] == "personal"


def test_in_a_conversation_the_new_turn_is_what_is_compared() -> None:
    first = "I have bought a lamp that I do not like any more, what can I do about that now?"
    talk = Example(
        (
            Message("user", first),
            Message("assistant", "Send it."),
            Message("user", "Where shall the parcel go?"),
            Message("assistant", "Here."),
        )
    )
    assert _reworded([talk], "To which address?") == ("", "")
    assert _reworded([talk], "Where shall the parcel go??")[0] == "copy_exact"
    assert _reworded([talk], "Where shall a parcel go?")[0] == "copy_near"


def test_a_reviewer_cannot_take_what_judges_or_has_another_form() -> None:
    made = {"teacher": "t", "url": "u", "date": "d", "cost": None, "batch": "b"}
    answers = {"rows": [{"input": NEW, "output": "An answer of the usual length, it is."}]}
    one = candidate(said(ROWS, answers, kind="generate")[0], made, license=None, system=None)
    sieve = Sieve(ROWS, JUDGED)
    assert sieve.barred(one) == ("", "")
    assert sieve.barred(one.reworded(JUDGED["test.jsonl:1"][0].content, one.output)) == ("leak_exact", "test.jsonl:1")
    assert sieve.barred(one.reworded(NEW, " "))[0] == "empty"
    held = Sieve([row(q, "ab"[i % 2], label="ab"[i % 2]) for i, q in enumerate(QUESTIONS)], {}, labels=("a", "b"))
    assert held.barred(one)[0] == "wrong_form"


def test_licences_of_the_rows_shown_go_along() -> None:
    rows = [
        row(q, "An answer of the usual length.", license=("MIT", "CC-BY-NC-4.0")[i % 2])
        for i, q in enumerate(QUESTIONS)
    ]
    draft = said(rows, {"rows": [{"input": NEW, "output": "It is so."}]}, kind="generate")[0]
    made = {"teacher": "t", "url": "u", "date": "d", "cost": None, "batch": "b"}
    one = candidate(draft, made, license="Terms-of-T", system=None)
    assert one.license == "CC-BY-NC-4.0 AND MIT AND Terms-of-T"
    assert terms_of(one.license.replace("Terms-of-T", "Apache-2.0")).commercial == "no"
    some = candidate(draft, made, license=None, system=None)
    assert some.license == "CC-BY-NC-4.0 AND MIT AND NOASSERTION"
    plain = said(ROWS, {"rows": [{"input": NEW, "output": "It is so."}]}, kind="generate")[0]
    assert candidate(plain, made, license=None, system=None).license is None
    assert candidate(plain, made, license="MIT OR GPL-3.0-only", system=None).license == (
        "(MIT OR GPL-3.0-only) AND NOASSERTION"
    )
