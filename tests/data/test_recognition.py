"""Shapes are recognised with the reason; doubt and nonsense are errors that say what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.data import recognise
from tunewright.errors import DataError

from .helpers import jsonl, pairs

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


@pytest.mark.parametrize(
    ("row", "shape", "reason"),
    [
        ({"messages": TURNS}, "messages", "`messages` holds turns with `role`"),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]}, "sharegpt", "`from`"),
        ({"instruction": "Add", "input": "1 2", "output": "3"}, "alpaca", "`instruction` and `output`"),
        ({"prompt": "Hi", "completion": "Yo"}, "prompt_completion", "`prompt` and `completion`"),
        ({"question": "Hi", "answer": "Yo"}, "prompt_completion", "`question` and `answer`"),
        ({"text": "Good film", "label": "pos"}, "labelled_text", "`text` with `label`"),
    ],
)
def test_shape_by_keys(tmp_path: Path, row: dict[str, Any], shape: str, reason: str) -> None:
    reading = recognise(jsonl(tmp_path / "a.jsonl", [row] * 3))
    assert reading.shape == shape
    assert reason in reading.reason


def sms(path: Path) -> Path:
    lines = ["v1,v2,,,"] + [f"{'ham' if i % 3 else 'spam'},see you at place number {i},,," for i in range(30)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_headers_that_say_nothing_are_read_by_content(tmp_path: Path) -> None:
    reading = recognise(sms(tmp_path / "spam.csv"))
    assert (reading.shape, reading.input, reading.output) == ("labelled_text", "v2", "v1")
    assert "only column of text" in reading.reason


def test_two_readings_are_listed_with_the_flags(tmp_path: Path) -> None:
    rows = [f"alpha {i % 4},beta {i % 3}" for i in range(60)]
    (tmp_path / "orders.csv").write_text("v1,v2\n" + "\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError, match="two readings fit") as caught:
        recognise(tmp_path / "orders.csv")
    assert "`v1` → `v2` (labels in v2) or `v2` → `v1` (labels in v1)" in str(caught.value)
    assert caught.value.remedy == "Say which: --input v2 --output v1"
    assert caught.value.exit_code == 2
    reading = recognise(tmp_path / "orders.csv", input="v2", output="v1")
    assert (reading.input, reading.output) == ("v2", "v1")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jsonl", "", "empty"),
        ("blank.jsonl", "\n \n", "no row of it can be read"),
        ("prose.jsonl", "hello\nworld\n", "no row of it can be read"),
        ("numbers.jsonl", "1\n2\n", "no row of it is an object"),
        ("nothing.jsonl", '{"a": {}}\n{"a": {}}\n', "no shape fits"),
        ("broken.json", '[{"prompt": "a", ', "not JSON"),
        ("header.csv", "text,label\n", "no row of it can be read"),
        ("fake.parquet", "not parquet at all", "not a Parquet file"),
        ("data.xyz", "x", "of this kind"),
    ],
)
def test_what_cannot_be_used_says_so(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=says) as caught:
        recognise(tmp_path / name)
    assert caught.value.where
    assert caught.value.remedy


def test_missing_file_and_unknown_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        recognise(tmp_path / "gone.jsonl")
    with pytest.raises(DataError, match="no column `question`") as caught:
        recognise(jsonl(tmp_path / "a.jsonl", pairs(3)), input="question", output="completion")
    assert "`prompt`, `completion`" in caught.value.remedy


def test_json_lists_wrappers_and_wrong_endings(tmp_path: Path) -> None:
    rows = pairs(4)
    (tmp_path / "list.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "wrapped.json").write_text(json.dumps({"version": 1, "data": rows}), encoding="utf-8")
    jsonl(tmp_path / "lines.json", rows)
    for name in ("list.json", "wrapped.json", "lines.json"):
        assert recognise(tmp_path / name).shape == "prompt_completion", name


def test_shared_tool_calls_are_sharegpt(shared_data: Path) -> None:
    reading = recognise(shared_data / "glaive_toolcall" / "glaive_toolcall_en_demo.json")
    assert (reading.shape, reading.turns) == ("sharegpt", "conversations")
