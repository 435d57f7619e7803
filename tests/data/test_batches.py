"""What a batch was asked and what it answered make rows together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import cli as cli
from tests.data.helpers import jsonl
from tunewright.data import recognise
from tunewright.data.versions import converted
from tunewright.errors import DataError

TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}]


def _asked(i: int) -> dict[str, Any]:
    return {"role": "user", "content": f"What is {i}?"}


def _openai(folder: Path) -> tuple[Path, Path]:
    turns = [{"role": "system", "content": "Be brief."}]
    body = [{"model": "m", "messages": [*turns, _asked(i)], "tools": TOOLS} for i in range(9)]
    requests = [{"custom_id": f"r{i}", "method": "POST", "url": "/v1", "body": each} for i, each in enumerate(body)]
    results: list[dict[str, Any]] = []
    for i in range(9):
        message = {"role": "assistant", "content": f"It is {i}.", "refusal": None}
        response = {"status_code": 200, "body": {"id": "x", "choices": [{"index": 0, "message": message}]}}
        results.append({"id": f"b{i}", "custom_id": f"r{i}", "response": response, "error": None})
    results[2] = {"custom_id": "r2", "response": None, "error": {"code": "x", "message": "the batch expired"}}
    results[4]["custom_id"] = "other"
    # Answers come in no order.
    return jsonl(folder / "requests.jsonl", requests), jsonl(folder / "results.jsonl", [*results[5:], *results[:5]])


def test_answers_are_joined_to_their_requests_by_custom_id(tmp_path: Path) -> None:
    requests, results = _openai(tmp_path)
    rows, faults, refused = converted(results, "messages", requests=requests)
    assert len(rows) == 7 and refused == []
    assert rows[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        _asked(5),
        {"role": "assistant", "content": "It is 5."},
    ]
    assert rows[0]["tools"] == TOOLS and rows[0]["row"] == "results.jsonl:1"
    assert faults == [
        ("results.jsonl:7", "the request was not answered: the batch expired"),
        ("results.jsonl:9", "no request has its custom_id (`other`)"),
    ]


def test_anthropics_batches_are_joined_too(tmp_path: Path) -> None:
    requests = [
        {
            "custom_id": f"r{i}",
            "params": {"model": "m", "system": "Be brief.", "messages": [_asked(i)]},
        }
        for i in range(9)
    ]
    results: list[dict[str, Any]] = []
    for i in range(9):
        content = [{"type": "text", "text": f"It is {i}."}]
        message = {"id": "m", "type": "message", "role": "assistant", "content": content}
        results.append({"custom_id": f"r{i}", "result": {"type": "succeeded", "message": message}})
    results[0]["result"] = {"type": "errored", "error": {"type": "invalid_request_error"}}
    paths = [jsonl(tmp_path / name, rows) for name, rows in (("a.jsonl", requests), ("b.jsonl", results))]
    rows, faults, _ = converted(paths[1], "messages", requests=paths[0])
    assert [turn["content"] for turn in rows[0]["messages"]] == ["Be brief.", "What is 1?", "It is 1."]
    assert faults == [("b.jsonl:1", "the request was not answered: invalid_request_error")]


def test_geminis_batches_are_joined_by_their_key(tmp_path: Path) -> None:
    requests: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for i in range(9):
        contents = [{"role": "user", "parts": [{"text": f"What is {i}?"}]}]
        asked = {"contents": contents, "system_instruction": {"parts": [{"text": "Be brief."}]}}
        requests.append({"key": f"r{i}", "request": asked})
        content = {"parts": [{"text": f"It is {i}."}], "role": "model"}
        results.append({"key": f"r{i}", "response": {"candidates": [{"content": content, "finishReason": "STOP"}]}})
    results[0]["response"] = {"candidates": [{"content": {"role": "model"}, "finishReason": "SAFETY"}]}
    results[1]["response"] = {"promptFeedback": {"blockReason": "OTHER"}}
    paths = [jsonl(tmp_path / name, rows) for name, rows in (("a.jsonl", requests), ("b.jsonl", results))]
    rows, faults, _ = converted(paths[1], "messages", requests=paths[0])
    assert len(rows) == 7
    assert [turn["content"] for turn in rows[0]["messages"]] == ["Be brief.", "What is 2?", "It is 2."]
    assert faults == [
        ("b.jsonl:1", "the request was not answered: SAFETY"),
        ("b.jsonl:2", "the request was not answered: OTHER"),
    ]
    with pytest.raises(DataError) as caught:
        recognise(paths[1])
    assert "data convert RESULTS --requests REQUESTS" in caught.value.remedy
    # Requests alone ask and answer nothing: what a system says is no answer.
    asks = recognise(paths[0])
    assert (asks.shape, asks.turns, asks.output) == ("messages", "request.contents", "")


def test_files_of_two_batches_are_not_joined(tmp_path: Path) -> None:
    _, results = _openai(tmp_path)
    other = jsonl(tmp_path / "other.jsonl", [{"custom_id": "z", "body": {"messages": [_asked(1)]}}])
    with pytest.raises(DataError, match="none of its 9 records can be used: no request has its custom_id"):
        converted(results, "messages", requests=other)
    with pytest.raises(DataError, match="the request has no turns"):
        converted(results, "messages", requests=results)


def test_the_command_joins_them(tmp_path: Path, cli: Any) -> None:
    requests, results = _openai(tmp_path)
    out = tmp_path / "rows.jsonl"
    ran = cli("data", "convert", results, "--requests", requests, "--to", "messages", "--out", out)
    assert ran.code == 0 and "2 left out as faulty" in ran.out
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 7
