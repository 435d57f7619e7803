"""Rows from Arrow, saved dataset folders, databases and preference pairs; rows to other shapes and services."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from tunewright.data import convert, load, recognise, uploads
from tunewright.errors import DataError
from tunewright.records import Example, Message

from .helpers import finding, jsonl, pairs, run

NOT_SPLIT = {"test": 0, "validation": 0}


def test_saved_datasets_name_their_classes(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    saved = datasets.Dataset.from_dict({"text": [f"text {i} of it" for i in range(20)], "label": [0, 1] * 10}, features)
    saved.save_to_disk(tmp_path / "one", num_shards=2)
    datasets.DatasetDict({"train": saved, "test": saved}).save_to_disk(tmp_path / "several")
    saved.to_parquet(tmp_path / "flat.parquet")
    for name in ("one", "several", "flat.parquet"):
        result = run(tmp_path, name, split=NOT_SPLIT)
        assert result.dataset.labels == ("no", "yes"), name
        assert [e.label for e in load(result.path, "train")] == ["no", "yes"] * 10
    assert {s.sha256 for s in run(tmp_path, "one").dataset.sources} != {
        s.sha256 for s in run(tmp_path, "several").dataset.sources
    }


def test_arrow_files_and_streams(tmp_path: Path) -> None:
    table = pyarrow.Table.from_pylist(pairs(30))
    with pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    with pyarrow.OSFile(str(tmp_path / "b.arrow"), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    for name in ("a.arrow", "b.arrow"):
        assert run(tmp_path, name).dataset.ledger.used == 30
    (tmp_path / "c.arrow").write_text("no", "utf-8")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.md").write_text("# Hello", "utf-8")
    for name, says in (("c.arrow", "not an Arrow file"), ("texts", "neither a saved dataset")):
        with pytest.raises(DataError, match=says):
            recognise(tmp_path / name)


def test_a_query_is_read_and_what_it_gave_is_kept(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as base:
        base.execute("CREATE TABLE t (question TEXT, answer TEXT, day INTEGER)")
        base.executemany("INSERT INTO t VALUES (?, ?, ?)", [(r["prompt"], r["completion"], 1) for r in pairs(25)])
    base.close()
    source = {"path": f"sqlite:///{tmp_path}/shop.db", "query": "SELECT question, answer FROM t ORDER BY question"}
    result = run(tmp_path, [source])
    assert result.dataset.ledger.used == 25
    assert result.dataset.sources[0].path == source["query"]
    assert len(list((tmp_path / ".tunewright" / "inputs").glob("query-*.jsonl"))) == 1
    for query, says in (
        ("SELECT nothing FROM t", "cannot be read"),
        ("SELECT * FROM t WHERE day = 2", "gives no rows"),
    ):
        with pytest.raises(DataError, match=says):
            run(tmp_path, [{**source, "query": query}])


def test_a_database_beside_the_recipe_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "my-project"
    root.mkdir()
    with sqlite3.connect(root / "shop.db") as base:
        base.execute("CREATE TABLE t (question TEXT, answer TEXT)")
        base.executemany("INSERT INTO t VALUES (?, ?)", [(r["prompt"], r["completion"]) for r in pairs(25)])
    base.close()
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///shop.db", "sqlite:///file:shop.db?mode=ro&uri=true"):
        assert run(root, [{"path": url, "query": "SELECT question, answer FROM t"}]).dataset.ledger.used == 25
    for url in ("sqlite:///none.db", f"sqlite:///{tmp_path}/none.db", "sqlite:///file:none.db?uri=true"):
        with pytest.raises(DataError, match="no such database"):
            run(root, [{"path": url, "query": "SELECT question, answer FROM t"}])
    assert not list(tmp_path.glob("*.db")) and [path.name for path in root.glob("*.db")] == ["shop.db"]


def test_preference_pairs_teach_the_chosen_answer(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"prompt": f"q{i}?", "chosen": f"good {i}", "rejected": "bad"} for i in range(20)]
    reading = recognise(jsonl(tmp_path / "train.jsonl", rows))
    assert reading.shape == "preference" and "rejected" in reading.reason
    assert [e.answer.content for e in load(run(tmp_path, split=NOT_SPLIT).path, "train")] == [
        f"good {i}" for i in range(20)
    ]
    turns = [[{"role": "user", "content": f"q{i}?"}, {"role": "assistant", "content": f"good {i}"}] for i in range(20)]
    jsonl(tmp_path / "train.jsonl", [{"chosen": t, "rejected": t} for t in turns])
    assert run(tmp_path).dataset.ledger.used == 20


def test_pairs_that_reject_what_they_choose_are_told(tmp_path: Path) -> None:
    pairs = [{"prompt": f"Q{i}", "chosen": f"Good {i}.", "rejected": f"Bad {i}."} for i in range(20)]
    pairs[3]["rejected"] = " Good\n3. "
    pairs[5]["rejected"] = "good 5."  # another case may be the point
    pairs[7] = {"prompt": "Mail a@x.org?", "chosen": "To a@x.org.", "rejected": "To a@x.org."}
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    pairs[9] = {"chosen": turns, "rejected": turns}
    pairs[11] = {"chosen": turns, "rejected": [*turns[:1], {"role": "assistant", "content": "B"}]}
    jsonl(tmp_path / "train.jsonl", pairs)
    for more in ({}, {"accept": ["pii"]}):
        result = run(tmp_path, split=NOT_SPLIT, **more)
        told = finding(result, "preference_equal")
        assert told is not None and (told.severity, told.count) == ("warning", 3)
        assert told.rows == ("train.jsonl:4", "train.jsonl:8", "train.jsonl:10")
    assert "“To [EMAIL_1].”" in told.evidence["reasons"]
    assert result.dataset.ledger.used == 19  # one of two equal rows goes, none for this
    jsonl(tmp_path / "train.jsonl", pairs[:3])
    assert finding(run(tmp_path, split=NOT_SPLIT), "preference_equal") is None


CALL = Message("assistant", "", ({"name": "f", "arguments": {"x": 1}},))
TOOLS = ({"type": "function", "function": {"name": "f"}},)
PLAIN = Example((Message("system", "S"), Message("user", "Q"), Message("assistant", "A")), row="a:1")
LONG = Example((*PLAIN.messages, Message("user", "Q2"), Message("assistant", "A2")), row="a:2")
CALLS = Example((Message("user", "Q"), CALL, Message("tool", "1"), Message("assistant", "A")), row="a:3", tools=TOOLS)


@pytest.mark.parametrize("shape", ["messages", "sharegpt", "alpaca", "prompt_completion"])
def test_shapes_are_read_back_as_they_were(tmp_path: Path, shape: str) -> None:
    many = [PLAIN] if shape in ("alpaca", "prompt_completion") else [PLAIN, LONG, CALLS]
    path = jsonl(tmp_path / "train.jsonl", [row for e in many for row in convert([e] * 3, shape)])
    assert recognise(path).shape == shape
    back = load(run(tmp_path, split=NOT_SPLIT).path, "train")
    wanted = [e.messages for e in many]
    if shape == "prompt_completion":
        wanted = [(Message("user", "S\n\nQ"), Message("assistant", "A"))]
    assert [e.messages for e in back] == wanted


def test_services_get_what_they_take(tmp_path: Path) -> None:
    (row, *_) = convert([CALLS] * 10, "openai")
    assert json.loads(row["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"x": 1}
    assert row["messages"][2]["tool_call_id"] == row["messages"][1]["tool_calls"][0]["id"]
    assert row["tools"][0]["function"]["name"] == "f"
    (row,) = convert([LONG], "bedrock")
    assert row["system"] == [{"text": "S"}] and [m["role"] for m in row["messages"]] == ["user", "assistant"] * 2
    assert next(convert([LONG], "together"))["messages"][0] == {"role": "system", "content": "S"}


@pytest.mark.parametrize(
    ("example", "shape", "says"),
    [
        (LONG, "alpaca", "more than one question"),
        (CALLS, "prompt_completion", "more than one question"),
        (CALLS, "together", "would refuse"),
        (CALLS, "bedrock", "would refuse"),
        (PLAIN, "openai", "no fewer than 10"),
        (PLAIN, "xml", "not a shape"),
    ],
)
def test_what_a_shape_cannot_hold_is_an_error(example: Example, shape: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(convert([example], shape))


def test_all_that_do_not_fit_are_told_at_once() -> None:
    with pytest.raises(DataError, match=r"2 of 3 rows do not fit alpaca: a:2: .*; a:3: "):
        list(convert([LONG, PLAIN, CALLS], "alpaca"))
    left: list[tuple[str, str]] = []
    assert len(list(convert([LONG, PLAIN, CALLS], "alpaca", lambda row, why: left.append((row, why))))) == 1
    assert [row for row, _ in left] == ["a:2", "a:3"]
    with pytest.raises(DataError, match=r"12 of 20 rows .*and 2 more\. 8 are left, and openai takes no fewer than 10"):
        stray = Example((Message("user", "Q"), Message("tool", "1"), Message("assistant", "A")), row="a:4")
        list(convert([PLAIN] * 8 + [stray] * 12, "openai", lambda row, why: None))


def test_files_too_large_for_a_service_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(uploads.MOST_BYTES, "together", 300)
    with pytest.raises(DataError, match="no file above"):
        list(convert([PLAIN] * 10, "together"))
    assert len(list(convert([PLAIN] * 2, "together"))) == 2


@pytest.mark.parametrize("ends", ["\r", "\r\n", "\n"], ids=["old Mac", "DOS", "Unix"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json"])
def test_lines_end_as_any_system_ends_them(tmp_path: Path, name: str, ends: str) -> None:
    rows = [*pairs(30), {"prompt": "And in two\nlines?", "completion": "Würde, yes."}]
    if name == "rows.csv":
        quoted = [f'"{r["prompt"]}","{r["completion"]}"' for r in rows]
        text = "\n".join(["prompt,completion", *quoted]) + "\n"
    else:
        text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    (tmp_path / name).write_bytes(text.replace("\n", ends).encode())
    result = run(tmp_path, name, split=NOT_SPLIT)
    assert (result.dataset.ledger.used, result.dataset.ledger.read) == (31, 31)
    found = {" ".join(e.prompt[0].content.split()): e.answer.content for e in load(result.path, "train")}
    assert found == {" ".join(r["prompt"].split()): r["completion"] for r in rows}
