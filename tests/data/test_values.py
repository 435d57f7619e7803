"""Values as their formats write them: what stands for nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tunewright.data import load

from .helpers import jsonl, pairs, run

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
