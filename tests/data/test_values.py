"""Values as their formats write them: what stands for nothing, and which rows had bytes that were not UTF-8."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tunewright.data import load

from .helpers import finding, jsonl, pairs, run

NOT_SPLIT = {"test": 0, "validation": 0}


def test_an_answer_that_is_not_a_number_is_none(tmp_path: Path) -> None:
    rows: list[Any] = pairs(20)
    rows[3]["completion"] = math.nan
    rows[5]["completion"] = math.inf
    rows[7]["completion"] = 10**400
    result = run(tmp_path, jsonl(tmp_path / "train.jsonl", rows).name, split=NOT_SPLIT)
    assert result.dataset.ledger.set_aside == {"empty_output": 1} and result.dataset.ledger.used == 19
    answers = {e.row: e.answer.content for e in load(result.path, "train")}
    assert answers["train.jsonl:6"] == "inf" and answers["train.jsonl:8"] == str(10**400)


def test_a_column_of_numbers_with_gaps_has_no_answer_in_them(tmp_path: Path) -> None:
    columns = {"prompt": [f"What is half of {i}?" for i in range(20)], "completion": [i / 2 for i in range(20)]}
    columns["completion"][4] = math.nan
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    result = run(tmp_path, "t.parquet", split=NOT_SPLIT)
    assert result.dataset.ledger.set_aside == {"empty_output": 1}
    assert [e.answer.content for e in load(result.path, "train")][:5] == ["0.0", "0.5", "1.0", "1.5", "2.5"]


def test_a_context_that_is_not_a_number_is_not_asked(tmp_path: Path) -> None:
    rows: list[Any] = [{"instruction": f"Say {i}", "input": math.nan, "output": f"{i}!"} for i in range(20)]
    result = run(tmp_path, jsonl(tmp_path / "train.jsonl", rows).name, split=NOT_SPLIT)
    assert [e.messages[0].content for e in load(result.path, "train")] == [f"Say {i}" for i in range(20)]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("indent", [None, 1])
def test_one_byte_that_is_not_utf8_repairs_one_row(tmp_path: Path, wrapped: bool, indent: int | None) -> None:
    rows = pairs(300)
    rows[99]["completion"] = "It is a Caf@."
    rows[199] = {"prompt": "Ist das schön?", "completion": "Ja."}
    text = json.dumps({"data": rows} if wrapped else rows, indent=indent, ensure_ascii=indent is None)
    (tmp_path / "t.json").write_bytes(text.encode().replace(b"@", b"\xe9"))
    result = run(tmp_path, "t.json", split=NOT_SPLIT)
    told = finding(result, "encoding")
    assert told is not None and (told.count, told.rows) == (1, ("t.json:100",))
    assert result.dataset.ledger.changed == 1 and result.dataset.ledger.used == 300
    answers = {e.row: e.answer.content for e in load(result.path, "train")}
    assert answers["t.json:100"] == "It is a Café."
