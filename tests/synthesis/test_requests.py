"""What a teacher is shown and asked: from training rows only, aimed where rows are few, the same every time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tunewright.errors import DataError
from tunewright.records import Example, Message
from tunewright.synthesis import Wish, requests

from .rows import QUESTIONS, labelled, row

ROWS = labelled({"refund": 9, "delivery": 3, "account": 1})
LABELS = ("account", "delivery", "refund")


def test_augmenting_fills_up_the_rarest_classes() -> None:
    asked = requests(ROWS, Wish("augment", 12), LABELS)
    wanted: Counter[str] = Counter()
    for request in asked:
        wanted[str(request.target)] += request.wanted
        assert request.wanted <= 5 and {e.label for e in request.seeds} == {request.target}
        assert f'"{request.target}"' in request.prompt and all(
            e.prompt[0].content in request.prompt for e in request.seeds
        )
    # 9, 3 and 1 become 9, 8 and 8.
    assert wanted == {"account": 7, "delivery": 5}
    assert [r.wanted for r in requests(ROWS, Wish("augment", 7, only=("refund",)), LABELS)] == [5, 2]


def test_classes_may_be_values_of_a_field() -> None:
    rows = [row(f"Case {i}: {q}", f'{{"kind": "{"ab"[i == 0]}", "n": {i}}}') for i, q in enumerate(QUESTIONS)]
    found = requests(rows, Wish("augment", 4, slice="kind"))
    assert [(r.target, r.field, r.wanted) for r in found] == [("b", "kind", 4)]
    with pytest.raises(DataError, match="no labels"):
        requests(rows, Wish("augment", 4))
    with pytest.raises(DataError, match="field `colour`"):
        requests(rows, Wish("augment", 4, slice="colour"))


def test_paraphrases_take_every_row_in_turn_and_many_are_asked_in_parts() -> None:
    asked = requests(ROWS, Wish("paraphrase", 15), LABELS)
    assert sum(r.wanted for r in asked) == 15 and len(asked) == 13
    assert len({r.seeds[0].row for r in asked}) == 13
    many = requests(ROWS[:1], Wish("paraphrase", 12))
    assert [r.wanted for r in many] == [5, 5, 2] and len({r.prompt for r in many}) == 3
    few = requests(ROWS, Wish("paraphrase", 4), LABELS)
    assert [r.wanted for r in few] == [1, 1, 1, 1]


def test_the_same_rows_in_any_order_give_the_same_requests() -> None:
    for kind in ("paraphrase", "augment", "generate"):
        first = requests(ROWS, Wish(kind, 10, task="Route questions."), LABELS)
        mixed = random.Random(1).sample(ROWS, len(ROWS))
        assert requests(mixed, Wish(kind, 10, task="Route questions."), LABELS) == first
        assert all("Route questions" in r.prompt for r in first)
        assert requests(ROWS, Wish(kind, 10, seed=1), LABELS) != first


def test_secrets_are_shown_to_nobody_and_conversations_are_not_invented() -> None:
    key = "sk-proj-" + "a1B2" * 8
    rows = [*ROWS, row(f"My key is {key}", "refund", label="refund")]
    for kind in ("paraphrase", "augment", "generate"):
        assert not any(key in r.prompt for r in requests(rows, Wish(kind, 60), LABELS))
    call = {"name": "log_in", "arguments": {"password": "hunter2222"}}
    signed = Example((Message("user", "Sign me in"), Message("assistant", "", (call,))), row="calls:1")
    shown = requests([*ROWS, signed], Wish("paraphrase", 60), LABELS)
    assert not any("Sign me in" in r.prompt for r in shown), "nor what a call holds"
    talk = Example(
        (
            Message("user", "Hello there"),
            Message("assistant", "Yes?"),
            Message("user", "Where is it?"),
            Message("assistant", "Here."),
        )
    )
    assert "Where is it?" in requests([talk], Wish("paraphrase", 1))[0].prompt
    with pytest.raises(DataError, match="one question and one answer"):
        requests([talk], Wish("generate", 1))
    with pytest.raises(DataError, match="not a kind"):
        requests(ROWS, Wish("invent", 1))
    with pytest.raises(DataError, match="class `nothing`"):
        requests(ROWS, Wish("paraphrase", 1, only=("nothing",)), LABELS)
