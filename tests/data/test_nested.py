"""Columns that lie within objects: named by their path, found by themselves where nothing else is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tunewright.data import load, recognise
from tunewright.errors import DataError

from .helpers import jsonl, run

PAIR = [{"translation": {"en": f"Good day number {i}", "de": f"Guten Tag Nummer {i}"}} for i in range(20)]
WHOLE = {"split": {"test": 0, "validation": 0}}


def learnt(root: Path, rows: list[Any], **columns: str) -> list[tuple[str, str]]:
    """What is asked and answered in each row that trains."""
    jsonl(root / "train.jsonl", rows)
    examples = load(run(root, **columns, **WHOLE).path, "train")
    return [(example.prompt[-1].content, example.answer.content) for example in examples]


def test_translations_are_named_by_their_paths(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two readings fit") as caught:
        recognise(jsonl(tmp_path / "train.jsonl", PAIR))
    assert caught.value.remedy == "Say which: --input translation.en --output translation.de"
    pairs = [(row["translation"]["en"], row["translation"]["de"]) for row in PAIR]
    assert learnt(tmp_path, PAIR, input="translation.en", output="translation.de") == pairs
    assert learnt(tmp_path, PAIR, input="translation.en") == pairs
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(PAIR), tmp_path / "a.parquet")
    assert recognise(tmp_path / "a.parquet", input="translation.en").output == "translation.de"
    with pytest.raises(DataError, match=r"no column `translation\.fr`") as caught:
        recognise(tmp_path / "a.parquet", input="translation.fr")
    assert "`translation.de`" in caught.value.remedy


def test_of_alternatives_the_first_is_the_answer(tmp_path: Path) -> None:
    answers = [{"text": ["A", "B"][: 1 + i % 2], "answer_start": [0, 1][: 1 + i % 2]} for i in range(6)]
    rows = [{"question": f"Q {i}", "answers": given} for i, given in enumerate(answers)]
    for columns in ({}, {"input": "question", "output": "answers.text"}):
        assert learnt(tmp_path, rows, **columns) == [(f"Q {i}", "A") for i in range(6)]


def test_an_only_entry_of_a_list_is_gone_into_and_one_of_several_is_not(tmp_path: Path) -> None:
    """Label Studio's annotations: with two of them, none is taken for the answer."""

    def row(i: int, *chosen: str) -> dict[str, Any]:
        results = [{"completed_by": i % 2, "result": [{"value": {"choices": [one]}}]} for one in chosen]
        return {"id": i, "data": {"text": f"This is a text {i}"}, "annotations": results}

    rows = [row(i, ["good", "bad"][i % 2]) for i in range(20)]
    reading = recognise(jsonl(tmp_path / "train.jsonl", rows))
    assert (reading.input, reading.output) == ("data.text", "annotations.0.result.0.value.choices.0")
    assert reading.shape == "labelled_text" and not reading.not_read
    assert learnt(tmp_path, rows)[1] == ("This is a text 1", "bad")
    with pytest.raises(DataError, match="no shape fits"):
        recognise(jsonl(tmp_path / "a.jsonl", [*rows, row(20, "good", "bad")]))
    jsonl(tmp_path / "train.jsonl", [*rows, row(20, "good", "bad")])
    named = {"input": "data.text", "output": "annotations"}
    assert run(tmp_path, **named).dataset.ledger.read == 21


def test_an_object_that_is_named_is_asked_as_json(tmp_path: Path) -> None:
    rows = [{"input": {"size": f"about {i}", "colour": "red"}, "output": f"A {i}"} for i in range(6)]
    pair = learnt(tmp_path, rows, input="input", output="output")[0]
    assert pair == ('{"size": "about 0", "colour": "red"}', "A 0")


def test_names_may_have_dots_of_their_own(tmp_path: Path) -> None:
    rows = [{"a.b": {"question": f"Q {i}"}, "c.d": f"A {i}"} for i in range(6)]
    assert learnt(tmp_path, rows, input="a.b.question", output="c.d")[0] == ("Q 0", "A 0")


def test_a_row_that_lacks_the_path_is_set_aside(tmp_path: Path) -> None:
    rows: list[Any] = [*PAIR, {"translation": {"en": "Good day"}}, {"translation": None}]
    jsonl(tmp_path / "train.jsonl", rows)
    ledger = run(tmp_path, input="translation.en", output="translation.de", **WHOLE).dataset.ledger
    assert ledger.set_aside == {"empty_output": 1, "mixed_format": 1}
