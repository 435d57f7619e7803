"""Files whichever way round they were written: no row is lost, and none is made of a whole column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.data import recognise
from tunewright.data.files import read
from tunewright.errors import DataError

from .helpers import jsonl, pairs

ROWS = pairs(12)
NAMES = ["prompt", "completion"]
BY_COLUMN = {name: [row[name] for row in ROWS] for name in NAMES}


@pytest.mark.parametrize(
    "whole",
    [
        BY_COLUMN,
        {name: {str(i): cell for i, cell in enumerate(cells)} for name, cells in BY_COLUMN.items()},
        {str(i): row for i, row in enumerate(ROWS)},
        {"columns": NAMES, "index": list(range(12)), "data": [[row[name] for name in NAMES] for row in ROWS]},
        {"rows": [{"row_idx": i, "row": row, "truncated_cells": []} for i, row in enumerate(ROWS)]},
        {"corpus": {"examples": ROWS}},
    ],
    ids=["lists", "columns", "index", "split", "viewer", "nested"],
)
def test_a_table_in_json_is_read_row_by_row(tmp_path: Path, whole: Any) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(whole), "utf-8")
    assert [raw.value for raw in read(tmp_path / "rows.json")] == ROWS
    assert recognise(tmp_path / "rows.json").shape == "prompt_completion"


def test_json_under_the_ending_of_json_lines(tmp_path: Path) -> None:
    texts = [json.dumps(ROWS), json.dumps(ROWS, indent=1), "\n".join(json.dumps(row, indent=2) for row in ROWS)]
    for text in texts:
        (tmp_path / "rows.jsonl").write_text(text + "\n", "utf-8")
        assert [raw.value for raw in read(tmp_path / "rows.jsonl")] == ROWS


def test_lines_of_a_list_keep_their_commas(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + ",\n" for row in ROWS)
    for name, text in (("rows.jsonl", lines), ("rows.json", f"[\n{lines}]\n")):
        (tmp_path / name).write_text(text, "utf-8")
        assert [(raw.value, raw.fault) for raw in read(tmp_path / name)] == [(row, "") for row in ROWS]


def test_a_list_of_turns_is_a_conversation(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]
    (tmp_path / "list.json").write_text(json.dumps([turns] * 3), "utf-8")
    for path in (tmp_path / "list.json", jsonl(tmp_path / "lines.jsonl", [turns] * 3)):
        assert [raw.value for raw in read(path)] == [{"messages": turns}] * 3


def test_wide_text_needs_no_mark(tmp_path: Path) -> None:
    text = "Question,Answer\n" + "".join(f"{row['prompt']},{row['completion']}\n" for row in ROWS)
    for encoding in ("utf-16-le", "utf-16-be", "utf-16"):
        (tmp_path / "rows.csv").write_bytes(text.encode(encoding))
        assert next(read(tmp_path / "rows.csv")).value == {
            "Question": ROWS[0]["prompt"],
            "Answer": ROWS[0]["completion"],
        }


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rows.7z", "Unpack it"),
        ("faq.xlsx", "as CSV"),
        ("rows.txt", r"call it \.jsonl"),
        ("rows.yaml", "as JSON"),
    ],
)
def test_what_is_not_read_says_how_it_can_be(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_text("x", "utf-8")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path / name)
    assert says.replace("\\", "") in caught.value.remedy
