"""What was thought before an answer: read as such where it is wanted, else told of and never half learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunewright.data import convert, load, recognise
from tunewright.data.table import plain
from tunewright.records import Example, Message

from .helpers import finding, jsonl, run

Q, A = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
THOUGHT = (Message("user", "Q"), Message("assistant", "A", thought="Hm."))
PIECES = [{"type": "thinking", "thinking": "Hm.", "signature": "x"}, {"type": "text", "text": "A"}]
WRITTEN = "<think>\nHm.\n</think>\n\nA"
FIELDS: list[Any] = [
    {"messages": [Q, {**A, "reasoning_content": "Hm."}]},
    {"messages": [Q, {**A, "reasoning": " Hm.\n"}]},
    {"messages": [Q, {**A, "thinking": "Hm."}]},
    {"messages": [Q, {**A, "content": PIECES}]},
    {"messages": [Q, {**A, "content": [{"thought": True, "text": "Hm."}, {"text": "A"}]}]},
    {"question": "Q", "reasoning": "Hm.", "answer": "A"},
    {"prompt": [Q], "completion": [{**A, "reasoning_content": "Hm."}]},
]
WORDS: list[Any] = [
    {"prompt": "Q", "completion": WRITTEN},
    {"prompt": "Q", "completion": "<thinking>Hm.</thinking>A"},
    {"prompt": "Q", "completion": "Hm.\n</think>\n\nA"},  # R1's own prompt has begun it
    {"messages": [Q, {**A, "content": WRITTEN}]},
]


def first(root: Path, row: Any, **more: Any) -> tuple[Example, Any]:
    jsonl(root / "train.jsonl", [row] * 3)
    found = run(root, split={"test": 0, "validation": 0}, **more)
    return load(found.path, "train")[0], found


@pytest.mark.parametrize("row", [*FIELDS, *WORDS])
def test_thoughts_are_read_apart_from_the_answer_where_they_are_wanted(tmp_path: Path, row: Any) -> None:
    example, found = first(tmp_path, row, thinking=True)
    assert example.messages == THOUGHT
    assert not [f for f in found.findings if f.code.startswith("thought")]
    assert "not read" not in found.dataset.sources[0].reason
    again, _ = first(tmp_path, dict(plain(example)), thinking=True)
    assert again.messages == THOUGHT
    assert next(iter(convert([example], "prompt_completion"))) == {"prompt": "Q", "completion": WRITTEN}
    assert next(iter(convert([example], "messages")))["messages"][1]["reasoning_content"] == "Hm."
    assert recognise(tmp_path / "train.jsonl").thoughts


@pytest.mark.parametrize("row", FIELDS)
def test_fields_of_thoughts_are_left_out_and_told_of_where_they_are_not(tmp_path: Path, row: Any) -> None:
    example, found = first(tmp_path, row)
    assert example.messages == (Message("user", "Q"), Message("assistant", "A"))
    told = finding(found, "thoughts")
    assert told.count == 3 and "which are not read" in told.message and "model.thinking: true" in told.remedy
    assert found.dataset.ledger.kept == 1 and found.dataset.ledger.read == 3  # two repeat the first


@pytest.mark.parametrize("row", WORDS)
def test_thoughts_in_an_answers_words_stay_its_words_where_they_are_not_wanted(tmp_path: Path, row: Any) -> None:
    example, found = first(tmp_path, row)
    given = row["completion"] if "completion" in row else row["messages"][1]["content"]
    assert example.answer == Message("assistant", given)
    assert "taken for words of the answers" in finding(found, "thoughts").message


@pytest.mark.parametrize("said", ["<think>Hm.", "<think>Hm.</think>\n", "Hm.</think>"])
def test_a_thought_without_an_answer_is_no_answer(tmp_path: Path, said: str) -> None:
    jsonl(tmp_path / "train.jsonl", [{"prompt": "Q", "completion": WRITTEN}, {"prompt": "P", "completion": said}])
    assert run(tmp_path, thinking=True).dataset.ledger.set_aside == {"empty_output": 1}


def test_answers_without_a_thought_are_told_of_and_labels_are_those_behind_it(tmp_path: Path) -> None:
    rows = [{"text": f"T {i}", "label": f"<think>T{i}</think>{['x', 'y'][i % 2]}"} for i in range(20)]
    jsonl(tmp_path / "train.jsonl", [*rows, {"text": "T", "label": "x"}])
    found = run(tmp_path, thinking=True, input="text", output="label")
    assert finding(found, "thoughtless").count == 1
    assert found.dataset.labels == ("x", "y")


def test_secrets_in_thoughts_are_found_and_hidden(tmp_path: Path) -> None:
    row = {"messages": [Q, {**A, "reasoning_content": "Write to jane.doe@example.com first."}]}
    _, found = first(tmp_path, row, thinking=True)
    assert finding(found, "pii").count == 3
    example, _ = first(tmp_path, row, thinking=True, accept=["pii"])
    assert "jane.doe" not in example.answer.thought and example.answer.thought.startswith("Write to ")


def test_rows_that_differ_in_their_thoughts_are_neither_repeats_nor_contradictions(tmp_path: Path) -> None:
    rows = [{"messages": [Q, {**A, "reasoning_content": f"Hm {i}."}]} for i in (0, 1, 1)]
    jsonl(tmp_path / "train.jsonl", rows)
    found = run(tmp_path, thinking=True)
    assert (found.dataset.ledger.kept, found.dataset.ledger.set_aside) == (2, {"exact_duplicate": 1})
    assert finding(found, "contradiction") is None
    assert run(tmp_path).dataset.ledger.kept == 1
