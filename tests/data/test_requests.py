"""What is really asked, held against what trains: shift and gaps are told, and nothing of it is used."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tunewright.data import Audit
from tunewright.data.recognition import asking
from tunewright.data.requests import MOST, gathered
from tunewright.data.shapes import Columns
from tunewright.errors import DataError
from tunewright.text import normal

from .helpers import finding, jsonl, run
from .test_findings import NOUNS, VERBS

QUESTION = {"role": "user", "content": "Where is my parcel?"}
TURNS = [{"role": "system", "content": "S"}, QUESTION, {"role": "assistant", "content": "On its way."}]


def texts(path: Path, input: str | None = None) -> list[str]:
    return [one.text for one in gathered([(path.name, path)], normal, input).drawn]


def about(words: list[str], count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"{' '.join(draw.sample(words, 5))} {draw.randrange(10**9):x}" for _ in range(count)]


def checked(root: Path, train: list[str], asked: list[str], **more: Any) -> Audit:
    jsonl(root / "train.jsonl", [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(train)])
    (root / "log.txt").write_text("\n".join(asked) + "\n")
    return run(root, requests="log.txt", **more)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TURNS},
        {"messages": TURNS[:2]},
        {"conversations": [{"from": "human", "value": "Where is my parcel?"}]},
        {"request": {"model": "m", "messages": TURNS[:2]}, "response": {"id": "r"}, "time": "2026-01-01"},
        {"custom_id": "1", "body": {"messages": TURNS[:2]}},
        {"instruction": "Where is my parcel?", "output": ""},
        {"prompt": "Where is my parcel?", "chosen": "a", "rejected": "b"},
        {"chosen": TURNS[1:], "rejected": TURNS[1:]},
        {"question": "Where is my parcel?", "answer": "On its way.", "id": 1},
        {"text": "Where is my parcel?"},
        {"when": 5, "said": "Where is my parcel?"},
        "Where is my parcel?",
    ],
)
def test_logs_in_any_shape_are_read(tmp_path: Path, row: Any) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for _ in range(3)) + f"{json.dumps(row).replace('parcel', 'hat')}\n")
    assert sorted(texts(path)) == ["Where is my hat?", "Where is my parcel?"]


def test_tables_and_plain_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("day,request text\n1,Where is it?\n2,And when?\n")
    (tmp_path / "b.txt").write_text("Where is it?\n\n  And when?\n")
    assert sorted(texts(tmp_path / "a.csv")) == sorted(texts(tmp_path / "b.txt")) == ["And when?", "Where is it?"]
    (tmp_path / "c.csv").write_text("one,two\nWhere is it?,Who knows\nAnd when?,So late\n")
    assert asking(tmp_path / "c.csv", input="two") == ("text", Columns("two"))
    with pytest.raises(DataError, match="which column holds the questions"):
        texts(tmp_path / "c.csv")
    (tmp_path / "d.txt").write_text("?\n!\n")
    with pytest.raises(DataError, match="no row of it asks"):
        texts(tmp_path / "d.txt")
    with pytest.raises(DataError, match="no such file"):
        texts(tmp_path / "e.jsonl")


def test_the_same_requests_are_drawn_whatever_their_order(tmp_path: Path) -> None:
    lines = [f"request number {i} of many" for i in range(5 * MOST)]
    for name, seed in (("a.txt", 1), ("b.txt", 2)):
        random.Random(seed).shuffle(lines)
        (tmp_path / name).write_text("\n".join([*lines, *lines]))
    first, second = (gathered([(n, tmp_path / n)], normal, None) for n in ("a.txt", "b.txt"))
    assert [r.form for r in first.drawn] == [r.form for r in second.drawn] and len(first.drawn) == MOST
    assert (first.read, first.faulty) == (10 * MOST, 0)


def test_requests_unlike_the_train_rows_are_a_shift(tmp_path: Path) -> None:
    assert finding(checked(tmp_path, about(NOUNS + VERBS, 200, 1), about(NOUNS + VERBS, 80, 2)), "shift") is None
    other = finding(checked(tmp_path, about(NOUNS, 200, 1), about(VERBS, 80, 2)), "shift")
    assert other is not None and other.count == 80 and "log.txt" in other.message
    (side,) = other.evidence["sides"]
    assert side["side"] == "requests" and side["area_under_curve"] > 0.9
    assert set(side["words"]["requests"]) <= set(VERBS) and set(side["words"]["train"]) <= set(NOUNS)
    assert side["typical"]["requests"][0]["row"].startswith("log.txt:")
    assert side["typical"]["train"][0]["row"].startswith("train.jsonl:")


def test_requests_count_for_nothing(tmp_path: Path) -> None:
    """The version, the ledger and the splits are those without them."""
    beside, alone = checked(tmp_path, about(NOUNS, 200, 1), about(VERBS, 80, 2)), run(tmp_path)
    assert finding(beside, "shift") is not None and finding(alone, "shift") is None
    assert beside.dataset.id == alone.dataset.id
    assert beside.dataset.ledger == alone.dataset.ledger and beside.dataset.splits == alone.dataset.splits
    assert beside.dataset.sources == alone.dataset.sources
    written = "".join(p.read_text("utf-8") for p in beside.path.iterdir() if p.suffix in (".json", ".jsonl"))
    assert not any(line in written for line in (tmp_path / "log.txt").read_text().splitlines())


def test_groups_that_no_row_resembles_are_a_gap(tmp_path: Path) -> None:
    known = [f"please cancel the {noun} that I ordered on day {i}" for i in range(8) for noun in NOUNS]
    cards = [f"my bank card was stolen in {place}, block it" for place in ("Rome", "Paris", "Oslo", "Bonn", "Kiel")]
    gap = finding(checked(tmp_path, known, [*known[:60], *cards, "entirely odd one"]), "coverage_gap")
    assert gap is not None and (gap.count, gap.severity) == (5, "warning")
    assert sorted(gap.rows) == [f"log.txt:{i}" for i in range(61, 66)]
    (group,) = gap.evidence["groups"]
    assert group["requests"] == 5 and "stolen" in group["examples"][0]["input"]
    assert gap.evidence["requests_alone"] == 6
    assert finding(checked(tmp_path, [*known, *cards], [*known[:60], *cards]), "coverage_gap") is None


def test_labels_never_taught_and_groups_are_one_finding(tmp_path: Path) -> None:
    known = [f"please cancel the {noun} that I ordered on day {i}" for i in range(8) for noun in NOUNS]
    cards = [f"my bank card was stolen in {place}, block it" for place in ("Rome", "Paris", "Oslo", "Bonn", "Kiel")]
    jsonl(tmp_path / "test.jsonl", [{"text": f"untaught thing {i}", "label": "c"} for i in range(4)])
    gaps = [
        f
        for f in checked(tmp_path, known, [*known[:60], *cards], test="test.jsonl").findings
        if f.code == "coverage_gap"
    ]
    assert [f.count for f in gaps] == [9]
    assert gaps[0].evidence["labels"] == {"c": 4} and len(gaps[0].evidence["groups"]) == 1
