"""Near leaks and contradictions count, list and drop every row concerned, however often it is repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .helpers import finding, jsonl, run
from .test_findings import varied

ASKED = "please cancel the subscription for my brother today"


def others(count: int = 60) -> list[dict[str, str]]:
    return [{"prompt": row["text"], "completion": row["label"]} for row in varied(count)]


def asks(question: str, *answers: str) -> list[dict[str, str]]:
    return [{"prompt": question, "completion": answer} for answer in answers]


def test_every_test_row_that_is_nearly_in_train_counts(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [*asks(ASKED, "done"), *others()])
    same = asks(f"{ASKED} thx", "done", "done", "?!")
    jsonl(tmp_path / "test.jsonl", [*same, *asks("what is the meaning of this", "none")])
    leak = finding(run(tmp_path, test="test.jsonl"), "leak_near")
    assert leak is not None and leak.count == 3 and leak.evidence["train_rows"] == 1
    assert leak.evidence["test_rows"] == ["test.jsonl:1", "test.jsonl:2", "test.jsonl:3"]
    assert leak.rows == ("test.jsonl:1", "test.jsonl:2", "test.jsonl:3", "train.jsonl:1")


def test_every_train_row_that_nearly_asks_what_the_test_asks_is_dropped(tmp_path: Path) -> None:
    answers = ["one", "two", "three", "four", "five", "six", "six"]
    jsonl(tmp_path / "train.jsonl", [*asks(ASKED, *answers), *others()])
    jsonl(tmp_path / "test.jsonl", [*asks(f"{ASKED} thx", "done"), *asks("what is the meaning of this", "none")])
    more: dict[str, Any] = {"test": "test.jsonl", "accept": ["leak_near"]}
    result = run(tmp_path, **more)
    assert finding(result, "leak_near").evidence["train_rows"] == 7  # type: ignore[union-attr]
    assert result.dataset.ledger.set_aside == {"exact_duplicate": 1, "leak_near": 6}


def test_a_test_row_is_seen_behind_many_answers_in_train(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [*asks(ASKED, "1", "2", "3", "4", "5"), *asks(f"{ASKED} thx", "6"), *others()])
    jsonl(tmp_path / "test.jsonl", [*asks(ASKED, "done"), *asks("what is the meaning of this", "none")])
    leak = finding(run(tmp_path, test="test.jsonl"), "leak_near")
    assert leak is not None and leak.rows == ("test.jsonl:1", "train.jsonl:6")


def test_near_contradictions_count_exact_repeats_and_drop_the_groups(tmp_path: Path) -> None:
    rows = [*asks(ASKED, "yes", "yes"), *asks(f"{ASKED} now", "no", *"abcde"), *others()]
    jsonl(tmp_path / "train.jsonl", rows)
    found = finding(run(tmp_path), "contradiction_near")
    assert found is not None and found.count == 8 and found.evidence["groups"] == 1
    assert found.rows == tuple(f"train.jsonl:{i}" for i in range(1, 9))
    fixed = run(tmp_path, accept=["contradiction_near"])
    assert fixed.dataset.ledger.set_aside == {"exact_duplicate": 1, "contradiction_near": 7}
    assert finding(fixed, "contradiction_near") == found, "counts are taken on the rows as read"


def test_a_row_that_only_the_test_contradicts_stays(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [*asks(ASKED, "yes"), *others()])
    jsonl(tmp_path / "test.jsonl", [*asks(f"{ASKED} thx", "no"), *asks("what is the meaning of this", "none")])
    result = run(tmp_path, test="test.jsonl", accept=["contradiction_near"])
    assert finding(result, "contradiction_near") is None and result.dataset.ledger.set_aside == {}
