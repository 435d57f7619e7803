"""Fixes do what was accepted and nothing else; versions know their history, differences and card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.data import Audit, fix, load, versions
from tunewright.data.accepting import CODES, DROPS
from tunewright.errors import DataError
from tunewright.recipe import DataSpec
from tunewright.records import Example, TokenFacts

from .helpers import finding, jsonl, pairs, run
from .test_findings import varied


def accepted(root: Path, *codes: str, tokens: Callable[[Example], TokenFacts] | None = None, **more: Any) -> Audit:
    spec = DataSpec.model_validate({"train": "train.jsonl", **more})
    return fix(spec, codes, root=root, store=root / ".tunewright", tokens=tokens).audit


def long(example: Example) -> TokenFacts:
    """Every tenth row loses three of its eight supervised tokens."""
    return TokenFacts(8, 3 if example.row.endswith("0") else 0)


def test_personal_data_is_replaced_consistently_and_only_then(tmp_path: Path) -> None:
    rows = [
        *pairs(20),
        {"prompt": "Mail ann@x.org about bob@x.org", "completion": "Mailed ann@x.org, see https://x.org"},
    ]
    rows.append({"prompt": "key AKIA" + "IOSFODNN7EXAMPLE of bob@x.org", "completion": "ok"})
    jsonl(tmp_path / "train.jsonl", rows)
    assert "ann@x.org" in (run(tmp_path, split={"test": 0, "validation": 0}).path / "train.jsonl").read_text("utf-8")
    result = accepted(tmp_path, "pii", split={"test": 0, "validation": 0})
    texts = [" | ".join(m.content for m in e.messages) for e in load(result.path, "train")]
    assert texts[20] == "Mail [EMAIL_1] about [EMAIL_2] | Mailed [EMAIL_1], see https://x.org"
    assert texts[21] == "key AKIA" + "IOSFODNN7EXAMPLE of [EMAIL_2] | ok"
    assert result.dataset.ledger.changed == 2
    assert finding(result, "encoding") is None, "what is redacted was not broken"
    assert finding(result, "pii") is None and finding(result, "secret") is not None


def test_dropped_rows_are_set_aside_under_the_code(tmp_path: Path) -> None:
    rows = varied(120, lambda i: "ab"[i % 2])
    rows += [{**rows[0], "label": "a"}, {**rows[2], "label": "b"}, {**rows[2], "label": "a"}]
    jsonl(tmp_path / "train.jsonl", rows)
    result = accepted(tmp_path, "contradiction")
    ledger = result.dataset.ledger
    assert ledger.set_aside == {"exact_duplicate": 2, "contradiction": 1} and ledger.sums()
    written = {e.row for s in ("train", "validation", "test") for e in load(result.path, s)}
    assert "train.jsonl:3" in written and "train.jsonl:122" not in written


def test_near_repeats_go_and_the_first_stays(tmp_path: Path) -> None:
    rows = varied(100, lambda i: "ab"[i % 2])
    rows += [{"text": f"{rows[i]['text']} x", "label": rows[i]["label"]} for i in range(10)]
    jsonl(tmp_path / "train.jsonl", rows)
    result = accepted(tmp_path, "near_duplicate")
    assert result.dataset.ledger.set_aside == {"near_duplicate": 10}
    written = {e.row for s in ("train", "validation", "test") for e in load(result.path, s)}
    assert "train.jsonl:1" in written and "train.jsonl:101" not in written


def test_labels_are_spelt_alike(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", varied(60, lambda i: "Refund" if i == 7 else ("refund", "delivery")[i % 2]))
    result = accepted(tmp_path, "style_inconsistent")
    examples = [e for s in ("train", "validation", "test") for e in load(result.path, s)]
    assert {e.label for e in examples} == {e.answer.content for e in examples} == {"refund", "delivery"}
    assert result.dataset.ledger.changed == 1


def test_common_labels_are_capped(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", varied(200, lambda i: "abc"[i % 40 % 20 % 3] if i < 60 else "a"))
    result = accepted(tmp_path, "imbalance")
    dropped = result.dataset.ledger.set_aside["imbalance"]
    assert 0 < dropped < 160 and result.dataset.ledger.sums()


def test_of_two_labels_the_commoner_is_capped_or_weighs_less(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", varied(220, lambda i: "b" if i % 22 == 0 else "a"))
    told = finding(run(tmp_path, split={"test": 0, "validation": 0}), "imbalance")
    assert told is not None and told.evidence["median"] == 10
    capped = accepted(tmp_path, "imbalance", split={"test": 0, "validation": 0})
    assert capped.dataset.ledger.set_aside == {"imbalance": 190}
    weighed = accepted(tmp_path, "imbalance_weight", split={"test": 0.1, "validation": 0.1})
    assert weighed.dataset.ledger.set_aside == {} and weighed.dataset.ledger.used == 220
    trained = load(weighed.path, "train")
    weights = {label: {e.weight for e in trained if e.label == label} for label in ("a", "b")}
    assert all(len(of_label) == 1 for of_label in weights.values()), "one weight a label"
    assert weights["b"].pop() / weights["a"].pop() == pytest.approx(10, rel=0.01)
    assert sum(e.weight for e in trained) / len(trained) == pytest.approx(1, abs=1e-3)
    assert {e.weight for e in load(weighed.path, "test")} == {1.0}


@pytest.mark.parametrize("code", sorted(DROPS))
def test_every_fix_keeps_the_ledger(tmp_path: Path, code: str) -> None:
    rows: list[Any] = varied(60, lambda i: "ab"[i % 2])
    rows += [
        {"text": "you bastard, mail a@x.org", "label": "a"},
        {"text": "wo ist das paket und die post nicht", "label": "b"},
        "x",
    ]
    jsonl(tmp_path / "train.jsonl", rows)
    result = accepted(tmp_path, code, tokens=long)
    assert result.dataset.ledger.sums()
    assert sum(result.dataset.splits.values()) == result.dataset.ledger.used
    tokens = result.dataset.tokens
    assert tokens is not None and tokens.sums() and tokens.read == 62 * 8
    if code == "truncation":
        assert result.dataset.ledger.set_aside == {"bad_row": 1, "truncation": 6}
        assert tokens.set_aside == {"truncation": 6 * 8}


def test_history_difference_and_card(tmp_path: Path) -> None:
    rows = varied(80, lambda i: "ab"[i % 2])
    rows += [
        {"text": f"{rows[3]['text']} too", "label": rows[3]["label"]},
        {"text": "write to ann@x.org", "label": "a"},
    ]
    jsonl(tmp_path / "train.jsonl", rows)
    spec = DataSpec.model_validate({"train": [{"path": "train.jsonl", "license": "MIT"}]})
    done = fix(spec, ["near_duplicate", "pii"], root=tmp_path, store=tmp_path / "s")
    assert done.diff.counts["removed"] == 1 and done.diff.removed == ("train.jsonl:81",)
    assert done.diff.changed == ("train.jsonl:82",)
    history = versions.log(tmp_path / "s")
    assert [r.id for r in history] == [done.before.id, done.audit.dataset.id]
    assert history[1].parent == done.before.id and "near_duplicate" in history[1].note
    again = fix(spec, ["near_duplicate", "pii"], root=tmp_path, store=tmp_path / "s")
    assert again.audit.dataset == done.audit.dataset and len(versions.log(tmp_path / "s")) == 2
    text = versions.card(done.audit.path)
    assert "MIT" in text and "82 rows read = 80 kept + 1 changed" in text and "1 near_duplicate" in text
    assert versions.diff(done.audit.path, done.audit.path).counts == {
        "added": 0,
        "removed": 0,
        "changed": 0,
        "moved": 0,
    }
    assert versions.log(tmp_path / "nowhere") == []
    with pytest.raises(DataError, match="not a dataset version"):
        versions.card(tmp_path)


def test_a_code_without_a_fix_is_an_error(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(10))
    with pytest.raises(DataError, match="`too_few` has no fix") as caught:
        accepted(tmp_path, "too_few")
    assert all(code in caught.value.remedy for code in CODES)


def test_shares_lie_within_each_other_and_keep_labels(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", varied(200, lambda i: "aab"[i % 3]))
    path = run(tmp_path, split={"test": 0, "validation": 0}).path
    rows = {share: [e.row for e in load(path, "train", share=share)] for share in (0.1, 0.3, 0.7, 1.0)}
    assert [len(r) for r in rows.values()] == [20, 60, 140, 200]
    assert set(rows[0.1]) < set(rows[0.3]) < set(rows[0.7]) < set(rows[1.0])
    tenth = load(path, "train", share=0.1)
    assert 12 <= sum(e.label == "a" for e in tenth) <= 14
    assert json.dumps(rows[0.3]) == json.dumps([e.row for e in load(path, "train", share=0.3)])
