"""Splits: by content and seed, whole clusters, labels in proportion, small sets with enough cases."""

from __future__ import annotations

import datetime
import math
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewright.data import load
from tunewright.data.rows import _group, moment
from tunewright.data.split import counts
from tunewright.errors import DataError

from .helpers import jsonl, pairs, run


def where(path: Path) -> dict[str, str]:
    """Split by question."""
    return {e.messages[0].content: s for s in ("train", "validation", "test") for e in load(path, s)}


def test_order_of_rows_and_files_makes_no_difference(tmp_path: Path) -> None:
    rows = pairs(400)
    jsonl(tmp_path / "train.jsonl", rows)
    first = where(run(tmp_path).path)
    random.Random(1).shuffle(rows)
    jsonl(tmp_path / "a.jsonl", rows[:150])
    jsonl(tmp_path / "b.jsonl", rows[150:])
    assert where(run(tmp_path, ["b.jsonl", "a.jsonl"]).path) == first
    other = where(run(tmp_path, split={"seed": 5}).path)
    assert other != first
    assert Counter(other.values()) == Counter(first.values()) == {"train": 320, "validation": 40, "test": 40}


def test_labels_keep_their_shares_and_every_tested_label_is_taught(tmp_path: Path) -> None:
    rows = [
        {"text": f"{label} case {i}", "label": label}
        for label, n in (("a", 300), ("b", 90), ("c", 8), ("d", 1))
        for i in range(n)
    ]
    jsonl(tmp_path / "train.jsonl", rows)
    path = run(tmp_path).path
    by = {s: Counter(e.label for e in load(path, s)) for s in ("train", "validation", "test")}
    assert abs(by["test"]["a"] - 30) <= 1 and abs(by["test"]["b"] - 9) <= 1
    assert all(by["train"][label] for label in "abcd")


def test_rows_of_a_group_stay_together(tmp_path: Path) -> None:
    rows = [{**p, "customer": i // 7} for i, p in enumerate(pairs(350))]
    jsonl(tmp_path / "train.jsonl", rows)
    path = run(tmp_path, split={"group": "customer"}).path
    seen: dict[str, set[str]] = {}
    for s in ("train", "validation", "test"):
        for e in load(path, s):
            assert e.group is not None
            seen.setdefault(e.group, set()).add(s)
    assert len(seen) == 50
    assert all(len(splits) == 1 for splits in seen.values())


def test_a_column_to_group_by_that_no_row_has_is_an_error(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [{**p, "customer_id": i // 7} for i, p in enumerate(pairs(350))])
    with pytest.raises(DataError, match="no row has a column `customer`") as error:
        run(tmp_path, split={"group": "customer"})
    assert "`prompt`, `completion`, `customer_id`" in error.value.remedy and "data.split.group" in error.value.remedy
    with pytest.raises(DataError, match="`customer`"):
        run(tmp_path, [{"path": "train.jsonl", "group": "customer"}])
    jsonl(tmp_path / "more.jsonl", pairs(20, 900))
    jsonl(tmp_path / "test.jsonl", pairs(40, 950))
    assert run(tmp_path, ["more.jsonl", "train.jsonl"], split={"group": "customer_id"}, test="test.jsonl").path
    with pytest.raises(DataError, match="`customer_id`") as error:
        run(tmp_path, ["train.jsonl", {"path": "more.jsonl", "group": "customer_id"}])
    assert error.value.where == "more.jsonl"
    with pytest.raises(DataError, match="`customer_id`"):
        run(tmp_path, ["more.jsonl"], split={"group": "customer_id"}, test="train.jsonl")


def test_the_column_that_the_recipe_names_goes_before_a_field_called_group(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "a"}], "group": f"g{i}"}
        for i in range(30)
    ]
    for i, row in enumerate(rows[:20]):
        row["customer"] = i // 4
    jsonl(tmp_path / "train.jsonl", rows)
    path = run(tmp_path, split={"group": "customer", "test": 0, "validation": 0}).path
    assert [e.group for e in load(path, "train")] == [str(i // 4) if i < 20 else f"g{i}" for i in range(30)]


def test_small_sets_keep_thirty_cases_where_they_can() -> None:
    assert counts(10_000, (0.1, 0.1)) == (1000, 1000)
    assert counts(250, (0.1, 0.1)) == (30, 25)
    assert counts(90, (0.1, 0.1)) == (30, 9)
    assert counts(30, (0.1, 0.1)) == (10, 3)
    assert counts(2, (0.1, 0.1)) == (0, 0)
    assert counts(1000, (0.0, 0.2)) == (0, 200)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.sampled_from("abc")), min_size=3, max_size=80),
    st.integers(0, 3),
)
def test_a_question_lies_in_one_split_only(tmp_path: Path, rows: list[tuple[int, int, str]], seed: int) -> None:
    jsonl(tmp_path / "train.jsonl", [{"prompt": f"Question {q}{'!' * m}", "completion": a} for q, m, a in rows])
    result = run(tmp_path, split={"seed": seed})
    seen: dict[str, set[str]] = {}
    for s in ("train", "validation", "test"):
        for e in load(result.path, s):
            seen.setdefault(e.messages[0].content.rstrip("!"), set()).add(s)
    assert all(len(splits) == 1 for splits in seen.values())
    assert sum(result.dataset.splits.values()) == result.dataset.ledger.used
    assert result.dataset.splits["train"] > 0


def _day(i: int) -> str:
    return (datetime.date(2025, 1, 1) + datetime.timedelta(days=i)).isoformat()


def test_by_time_the_newest_rows_judge_and_the_next_newest_choose(tmp_path: Path) -> None:
    rows = [{**p, "asked": _day(i)} for i, p in enumerate(pairs(400))]
    random.Random(0).shuffle(rows)
    jsonl(tmp_path / "train.jsonl", rows)
    path = run(tmp_path, split={"time": "asked"}).path
    number = {s: sorted(int(e.messages[0].content.split()[3]) for e in load(path, s)) for s in ("train", "validation")}
    number["test"] = sorted(int(e.messages[0].content.split()[3]) for e in load(path, "test"))
    assert number["test"] == list(range(360, 400))
    assert number["validation"] == list(range(320, 360))
    assert number["train"] == list(range(320))


def test_by_time_nothing_newer_than_a_tested_question_is_trained_on(tmp_path: Path) -> None:
    """A question asked again late takes its early copies along to the test rows, never the other way round."""
    rows = [{**p, "asked": _day(i)} for i, p in enumerate(pairs(400))]
    rows.append({"prompt": "What is number 5 called?", "completion": "Five.", "asked": _day(399)})
    jsonl(tmp_path / "train.jsonl", rows)
    lies = where(run(tmp_path, split={"time": "asked"}).path)
    assert lies["What is number 5 called?"] == "test"


def test_rows_without_a_time_are_named(tmp_path: Path) -> None:
    rows = [{**p, "asked": _day(i)} for i, p in enumerate(pairs(40))]
    rows[7]["asked"] = "last Tuesday"
    jsonl(tmp_path / "train.jsonl", rows)
    with pytest.raises(DataError) as error:
        run(tmp_path, split={"time": "asked"})
    assert "train.jsonl:8" in str(error.value.where) and "asked" in error.value.message
    rows[7] |= {"synthetic": True}
    jsonl(tmp_path / "train.jsonl", rows[:7] + rows[8:])
    jsonl(tmp_path / "made.jsonl", [pairs(1, 900)[0]])
    made = [{"path": "train.jsonl"}, {"path": "made.jsonl", "synthetic": True}]
    assert where(run(tmp_path, made, split={"time": "asked"}).path)["What is number 900 called?"] == "train"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1970-01-02", 86400),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:00:05Z", 5),
        (1_700_000_000, 1.7e9),
        ("1700000000000", 1.7e9),
        (datetime.date(1970, 1, 2), 86400),
    ],
)
def test_times_are_read(value: object, seconds: float) -> None:
    assert moment(value) == seconds


@pytest.mark.parametrize("value", [None, "", "soon", True, [], "12"])
def test_what_is_no_time_is_none(value: object) -> None:
    assert math.isnan(moment(value))


@pytest.mark.parametrize("missing", [None, "", math.nan])
def test_rows_without_a_group_are_not_one_group(missing: object) -> None:
    assert _group({"customer": missing}, "customer") is None
    assert _group({"customer": 7}, "customer") == "7"
