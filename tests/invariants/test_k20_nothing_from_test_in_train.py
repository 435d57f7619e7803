"""K20: what the test asks is not in train, whether the test is given or drawn, nor what any suite of the recipe asks;
exact leaks are counted, near ones listed."""

from __future__ import annotations

import json
import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewright import journey
from tunewright.data import Asked, audit, load
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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_rows, st.lists(st.sampled_from(["a b", "C!!", "ab", "f", "É", "?"]), max_size=6))
def test_no_question_of_a_suite_trains(tmp_path: Path, rows: list[tuple[str, str]], cases: list[str]) -> None:
    rows = [*rows, ("kept", "x")]
    _write(tmp_path / "train.jsonl", rows)
    spec = DataSpec.model_validate({"train": "train.jsonl", "system": "Be brief.", "split": {"test": 0}})
    asked = [Asked("trials.abilities (x)", f"x:{i}", (case,)) for i, case in enumerate(cases)]
    result = audit(spec, root=tmp_path, store=tmp_path, asked=asked)
    written = {normal(e.messages[1].content) for s in ("train", "validation") for e in load(result.path, s)}
    assert not {normal(case) for case in cases} - {""} & written
    there = {normal(q) for q, _ in rows} - {""}
    wanted = sum(normal(case) in there for case in cases)
    assert next((f.count for f in result.findings if f.code == "leak_exact"), 0) == wanted
    assert result.dataset.ledger.sums()


def test_every_suite_of_the_recipe_is_held_apart(tmp_path: Path) -> None:
    """A case of the suite, of a general ability and of this task from elsewhere; one exactly, one nearly."""
    words = ["bread", "lamp", "chair", "kettle", "garden", "ribbon", "pencil", "blanket", "mirror", "candle", "barrel"]
    questions = [f"{' '.join(random.Random(i).sample(words, 8))}, all told?" for i in range(20)]
    _write(tmp_path / "train.jsonl", [(q, f"It costs {i}.") for i, q in enumerate(questions)])
    cases = [{"input": questions[0].upper(), "expected": "It costs 0."}, {"input": "Else?", "expected": "No."}]
    (tmp_path / "suite.jsonl").write_text("\n".join(map(json.dumps, cases)), encoding="utf-8")
    cases = [{"input": questions[1].replace("all told", "al told"), "expected": "It costs 1."}]
    (tmp_path / "elsewhere.jsonl").write_text(json.dumps(cases[0]), encoding="utf-8")
    line = {"question": questions[2], "answer": "It is\n#### 2"}
    (tmp_path / "maths.jsonl").write_text(json.dumps(line), encoding="utf-8")
    (tmp_path / "tunewright.yaml").write_text(
        "version: 1\nmodel: seedling\ndata: {train: [train.jsonl]}\nsuite: {source: suite.jsonl}\n"
        "trials: {abilities: [maths.jsonl], elsewhere: elsewhere.jsonl}\n",
        encoding="utf-8",
    )
    project = journey.open_project(tmp_path)
    found = {f.code: f for f in project.audit.findings}
    exact, near = found["leak_exact"], found["leak_near"]
    assert exact.count == 2 and exact.evidence["train_rows"] == 2
    assert exact.evidence["suites"] == {"suite.source (suite.jsonl)": 1, "trials.abilities (maths.jsonl)": 1}
    assert set(exact.rows) == {"suite.jsonl:1", "maths.jsonl:1", "train.jsonl:1", "train.jsonl:3"}
    assert near.evidence["suites"] == {"trials.elsewhere (elsewhere.jsonl)": 1} and "train.jsonl:2" in near.rows
    assert project.audit.dataset.ledger.set_aside == {"leak_exact": 2}
    fixed = project.fixed(["leak_near"]).audit
    assert fixed.dataset.ledger.set_aside == {"leak_exact": 2, "leak_near": 1}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_rows, st.sampled_from(["auto", 2, 3]))
def test_what_a_fold_asks_is_in_no_other(tmp_path: Path, rows: list[tuple[str, str]], folds: str | int) -> None:
    _write(tmp_path / "train.jsonl", [*rows, ("one", "x"), ("two", "x"), ("three", "y")])
    spec = DataSpec.model_validate({"train": "train.jsonl", "split": {"folds": folds}})
    result = audit(spec, root=tmp_path, store=tmp_path)
    examples = load(result.path, "train")
    assert result.dataset.folds and sum(result.dataset.folds) == len(examples) == result.dataset.ledger.used
    by_question: dict[str, set[int]] = {}
    for example in examples:
        by_question.setdefault(normal(example.messages[0].content), set()).add(example.fold)
    by_question.pop("", None)
    assert all(len(folds) == 1 for folds in by_question.values())
