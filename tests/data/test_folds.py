"""Folds of small sets: every row held out once, whole clusters, labels in proportion, whatever the order of rows."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from tunewright.data import load, versions
from tunewright.errors import DataError

from .helpers import jsonl, pairs, run


def held(path: Path) -> dict[str, int]:
    """Fold by question."""
    return {e.messages[0].content: e.fold for e in load(path, "train")}


def test_below_a_hundred_rows_every_row_is_held_out_once(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [*pairs(99), pairs(1)[0], "{broken"])
    result = run(tmp_path)
    assert result.dataset.splits == {"train": 99, "validation": 0, "test": 0}
    assert sorted(result.dataset.folds) == [19, 20, 20, 20, 20]
    assert Counter(held(result.path).values()) == dict(enumerate(result.dataset.folds, 1))
    assert result.dataset.ledger.sums() and sum(result.dataset.splits.values()) == result.dataset.ledger.used
    assert result.as_dict()["folds"] == list(result.dataset.folds)


def test_order_of_rows_makes_no_difference_and_the_seed_does(tmp_path: Path) -> None:
    rows = [{"text": f"{w} case {i}", "label": w} for i in range(30) for w in ("yes", "no")]
    jsonl(tmp_path / "train.jsonl", rows)
    first = held(run(tmp_path).path)
    random.Random(1).shuffle(rows)
    jsonl(tmp_path / "a.jsonl", rows[:20])
    jsonl(tmp_path / "b.jsonl", rows[20:])
    assert held(run(tmp_path, ["b.jsonl", "a.jsonl"]).path) == first
    assert held(run(tmp_path, split={"seed": 3}).path) != first


def test_labels_are_spread_over_the_folds(tmp_path: Path) -> None:
    rows = [{"text": f"{w} case {i}", "label": w} for w, n in (("a", 50), ("b", 20), ("c", 5)) for i in range(n)]
    jsonl(tmp_path / "train.jsonl", rows)
    found = Counter((e.fold, e.label) for e in load(run(tmp_path).path, "train"))
    assert [found[fold, "a"] for fold in range(1, 6)] == [10] * 5
    assert [found[fold, "b"] for fold in range(1, 6)] == [4] * 5
    assert [found[fold, "c"] for fold in range(1, 6)] == [1] * 5


def test_groups_and_rewordings_stay_in_one_fold(tmp_path: Path) -> None:
    rows = [{**p, "customer": i // 4} for i, p in enumerate(pairs(80))]
    rows += [{"prompt": f"Please tell me quickly what number {i} is called{e}", "completion": "x", "customer": 100 + i}
             for i in range(4) for e in ("?", " then?")]  # fmt: skip
    jsonl(tmp_path / "train.jsonl", rows)
    found: dict[str | None, set[int]] = {}
    for e in load(run(tmp_path, split={"group": "customer"}).path, "train"):
        found.setdefault(e.group, set()).add(e.fold)
    assert len(found) == 24
    assert all(len(folds) == 1 and 0 not in folds for folds in found.values())


def test_synthetic_rows_are_no_case_and_are_kept_from_the_model_asked_what_they_reword(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(40))
    jsonl(tmp_path / "made.jsonl", [*pairs(10, 500), {"prompt": "What is number 3 called?", "completion": "Three."}])
    result = run(tmp_path, [{"path": "train.jsonl"}, {"path": "made.jsonl", "synthetic": True}])
    examples = load(result.path, "train")
    folds = [{e.fold for e in examples if e.messages[0].content == f"What is number {i} called?"} for i in range(40)]
    assert all(len(fold) == 1 and 0 not in fold for fold in folds)
    assert [e.fold for e in examples if e.synthetic].count(0) == 10
    assert result.dataset.folds == (8, 8, 8, 8, 8)
    alone = run(tmp_path)
    assert {e.row: e.fold for e in load(alone.path, "train")} == {e.row: e.fold for e in examples if not e.synthetic}


@pytest.mark.parametrize(
    ("rows", "split", "folds"),
    [
        (100, {}, 0),
        (99, {}, 5),
        (99, {"test": 0.4}, 0),  # holds 30 cases and more: what was asked is enough
        (99, {"folds": 0}, 0),
        (99, {"test": 0}, 0),
        (250, {"folds": 10}, 10),
        (3, {}, 3),
        (1, {}, 0),
    ],
)
def test_when_there_are_folds(tmp_path: Path, rows: int, split: dict[str, object], folds: int) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(rows))
    result = run(tmp_path, split=split)
    assert len(result.dataset.folds) == folds
    assert (result.dataset.splits["test"] > 0) == (folds == 0 and rows > 2 and split != {"test": 0})


def test_a_test_file_is_honoured(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(50))
    jsonl(tmp_path / "test.jsonl", pairs(20, 100))
    assert run(tmp_path, test="test.jsonl").dataset.splits["test"] == 20
    with pytest.raises(DataError, match="test file"):
        run(tmp_path, test="test.jsonl", split={"folds": 5})


def test_what_cannot_be_folded_is_said(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [{**p, "customer": i % 3} for i, p in enumerate(pairs(50))])
    assert len(run(tmp_path, split={"group": "customer"}).dataset.folds) == 3
    with pytest.raises(DataError, match="only 3 groups"):
        run(tmp_path, split={"group": "customer", "folds": 4})
    for split in ({"folds": 1}, {"folds": 5, "time": "asked"}):
        with pytest.raises(ValidationError):
            run(tmp_path, split=split)


def test_rehearsal_rows_that_ask_what_a_fold_asks_leak(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(40))
    jsonl(tmp_path / "general.jsonl", [*pairs(3), *pairs(20, 900)])
    result = run(tmp_path, rehearsal={"files": ["general.jsonl"], "share": 0.2})
    assert result.dataset.ledger.set_aside["leak_exact"] == 3
    assert result.dataset.splits["rehearsal"] == 10


def test_a_card_and_a_diff_know_of_folds(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(40))
    before, after = run(tmp_path), run(tmp_path, split={"seed": 1})
    assert "in 5 folds of 8, 8, 8, 8, 8 rows" in versions.card(before.path)
    moved = versions.diff(before.path, after.path).counts["moved"]
    old, new = held(before.path), held(after.path)
    assert 0 < moved == sum(new[q] != fold for q, fold in old.items())
