"""K20: what the test asks is not in train, whether the test is given or drawn; exact leaks are counted."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewright.data import audit, load
from tunewright.errors import DataError
from tunewright.recipe import DataSpec
from tunewright.text import normal

_rows = st.lists(
    st.tuples(st.sampled_from(["a-b", "A B!", "c", "C?", "d", "e.", "é", "..."]), st.sampled_from("xyz")), max_size=30
)


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    path.write_text("\n".join(json.dumps({"prompt": q, "completion": a}) for q, a in rows), encoding="utf-8")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_rows, _rows)
def test_no_question_is_on_both_sides(
    tmp_path: Path, train: list[tuple[str, str]], test: list[tuple[str, str]]
) -> None:
    train, test = [*train, ("kept", "x")], [*test, ("only here", "y")]
    _write(tmp_path / "train.jsonl", train)
    _write(tmp_path / "test.jsonl", test)
    result = audit(
        DataSpec.model_validate({"train": "train.jsonl", "test": "test.jsonl"}), root=tmp_path, store=tmp_path
    )
    asked = {
        s: {normal(e.messages[0].content) for e in load(result.path, s)} - {""} for s in ("train", "validation", "test")
    }
    assert not asked["test"] & (asked["train"] | asked["validation"])
    both = {normal(q) for q, _ in train} - {""}
    leaks = sum(normal(q) in both for q, _ in test)
    assert next((f.count for f in result.findings if f.code == "leak_exact"), 0) == leaks


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_rows)
def test_a_drawn_test_shares_no_question_either(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    _write(tmp_path / "train.jsonl", [*rows, ("kept", "x")])
    try:
        result = audit(DataSpec.model_validate({"train": "train.jsonl"}), root=tmp_path, store=tmp_path)
    except DataError as error:
        raise AssertionError("a good row was there") from error
    asked = [
        {normal(e.messages[0].content) for e in load(result.path, s)} - {""} for s in ("train", "validation", "test")
    ]
    assert not (asked[0] & asked[1] or asked[0] & asked[2] or asked[1] & asked[2])
