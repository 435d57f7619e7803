"""Synthetic rows train and do nothing else: they are never judged by, and no other row changes sides for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.data import load

from .helpers import jsonl, pairs, run

BOTH = [{"path": "train.jsonl"}, {"path": "made.jsonl", "synthetic": True}]


def _made(question: str, answer: str, **marks: str) -> dict[str, object]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, **marks}


def _asked(path: Path, split: str) -> list[str]:
    return [e.messages[0].content for e in load(path, split)]


@pytest.mark.parametrize("count", [120, 400])
@pytest.mark.parametrize("labels", [False, True])
def test_no_other_row_changes_sides(tmp_path: Path, count: int, labels: bool) -> None:
    rows = [{"text": f"Case {i} has word{i}.", "label": "abc"[i % 3]} for i in range(count)] if labels else pairs(count)
    jsonl(tmp_path / "train.jsonl", rows)
    before = run(tmp_path)
    seeds = load(before.path, "train")[: count // 4]
    made = [
        _made(f"Reworded thing {chr(97 + i % 26) * (5 + i)}?", e.answer.content, rewords=e.messages[0].content)
        for i, e in enumerate(seeds)
    ]
    jsonl(tmp_path / "made.jsonl", made)
    after = run(tmp_path, BOTH)
    for split in ("validation", "test"):
        assert _asked(after.path, split) == _asked(before.path, split)
    assert set(_asked(before.path, "train")) < set(_asked(after.path, "train"))
    assert after.dataset.labels == before.dataset.labels
    assert after.dataset.synthetic == len(made) == after.as_dict()["synthetic"]
    kept = next(e for e in load(after.path, "train") if e.synthetic)
    assert kept.rewords == seeds[0].messages[0].content


def test_what_is_reworded_stays_in_train_whatever_the_draw(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(120))
    jsonl(
        tmp_path / "made.jsonl",
        [_made("Say how one calls the fifth!", "It is called 5.", rewords="what is number 5 called")],
    )
    for seed in range(10):
        assert "What is number 5 called?" in _asked(run(tmp_path, BOTH, split={"seed": seed, "folds": 0}).path, "train")
    jsonl(tmp_path / "made.jsonl", [_made("Say how one calls the fifth!", "It is called 5.")])
    alone = [_asked(run(tmp_path, BOTH, split={"seed": seed, "folds": 0}).path, "train") for seed in range(10)]
    assert any("What is number 5 called?" not in asked for asked in alone), "the tie is what kept it"


def test_rewording_marks_are_redacted_with_their_rows(tmp_path: Path) -> None:
    question = "Write to ann@x.org today"
    jsonl(tmp_path / "train.jsonl", [*pairs(12), {"prompt": question, "completion": "Done."}])
    jsonl(tmp_path / "made.jsonl", [_made("Today, ann@x.org wants a letter", "Done.", rewords=question)])
    found = run(tmp_path, BOTH, accept=["pii"])
    row = next(e for e in load(found.path, "train") if e.synthetic)
    assert row.rewords == "Write to [EMAIL_1] today" and "[EMAIL_1]" in row.messages[0].content


def test_conversations_beside_a_table_with_named_columns(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [{"v1": "ab"[i % 2], "v2": f"Thing {i} is so."} for i in range(30)])
    jsonl(tmp_path / "made.jsonl", [_made("Another matter entirely.", "a", label="a")])
    found = run(tmp_path, BOTH, input="v2", output="v1")
    assert found.dataset.labels == ("a", "b") and found.dataset.synthetic == 1
