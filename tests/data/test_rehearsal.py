"""General rows that train along: drawn to a share, by content, and never judged by."""

from __future__ import annotations

from pathlib import Path

from tunewright.data import load

from .helpers import finding, jsonl, pairs, run


def _general(count: int) -> list[dict[str, str]]:
    return [
        {"instruction": f"Tell me of thing {i}.", "output": f"Thing {i} is a thing like others."} for i in range(count)
    ]


def _mixed(root: Path, share: float = 0.1, **more: object):
    return run(root, rehearsal={"files": ["general.jsonl"], "share": share}, **more)


def test_rehearsal_rows_are_a_share_of_what_trains(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(400))
    jsonl(tmp_path / "general.jsonl", _general(100))
    plain, mixed = run(tmp_path), _mixed(tmp_path)
    assert plain.dataset.splits == {"train": 320, "validation": 40, "test": 40}
    assert mixed.dataset.splits == {**plain.dataset.splits, "rehearsal": 36}
    ledger = mixed.dataset.ledger
    assert ledger.set_aside == {"not_drawn": 64}
    assert ledger.read == 500 == ledger.used + 64
    for split in ("train", "validation", "test"):
        assert load(mixed.path, split) == load(plain.path, split)
    rehearsed = load(mixed.path, "rehearsal")
    assert len(rehearsed) == 36 and all(e.source == "general.jsonl" for e in rehearsed)
    more = {e.row for e in load(_mixed(tmp_path, 0.2).path, "rehearsal")}
    assert len(more) == 80 and {e.row for e in rehearsed} < more


def test_rows_that_ask_what_is_judged_are_not_rehearsed(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(60))
    jsonl(tmp_path / "test.jsonl", pairs(30, 500))
    jsonl(tmp_path / "general.jsonl", pairs(3, 900) + pairs(5, 500))
    found = _mixed(tmp_path, 0.5, test=["test.jsonl"])
    assert found.dataset.splits["rehearsal"] == 3
    assert found.dataset.ledger.set_aside == {"leak_exact": 5}


def test_rehearsal_makes_no_labels_and_must_be_licensed(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [{"text": f"It is {i} of them.", "label": "ab"[i % 2]} for i in range(100)])
    jsonl(tmp_path / "general.jsonl", _general(40))
    files = [{"path": "general.jsonl", "license": "CC-BY-NC-4.0"}]
    found = run(tmp_path, rehearsal={"files": files, "share": 0.2})
    assert found.dataset.labels == ("a", "b")
    assert found.dataset.splits["rehearsal"] == 15  # a fifth of 75; 60 of the 100 train
    barred = finding(found, "license")
    assert barred is not None and barred.count == 40
