"""Files that hold splits: the one that trains is read, the others are named, and a test is held out by its name."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from tunewright.data import load, recognise
from tunewright.errors import DataError

from .helpers import pairs, run

TRAIN, TEST = pairs(30), pairs(6, start=100)


def columns(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    """The rows as a table by columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.fixture(params=["lists", "columns", "saved"])
def divided(request, tmp_path: Path) -> str:
    """A file or folder of three splits, by its name below the folder of the test."""
    parts = {"train": TRAIN, "test": TEST, "validation": pairs(3, start=200)}
    if request.param == "saved":
        saved = {name: datasets.Dataset.from_list(rows) for name, rows in parts.items()}
        datasets.DatasetDict(saved).save_to_disk(str(tmp_path / "saved"))
        return "saved"
    given = parts if request.param == "lists" else {name: columns(rows) for name, rows in parts.items()}
    (tmp_path / "all.json").write_text(json.dumps({"version": "1", **given}), "utf-8")
    return "all.json"


def test_the_splits_of_a_file_are_what_they_are(tmp_path: Path, divided: str) -> None:
    reading = recognise(tmp_path / divided)
    assert reading.test == "test"
    assert reading.reason.endswith("; of its splits `train` is read here and not `test`, `validation`")
    audit = run(tmp_path, divided, test=[{"path": divided, "split": "test"}], split={"validation": 0})
    assert audit.dataset.splits == {"train": 30, "validation": 0, "test": 6}
    assert [e.answer.content for e in load(audit.path, "test")] == [row["completion"] for row in TEST]
    assert [s.path for s in audit.dataset.sources] == [divided, f"{divided}[test]"]
    assert load(audit.path, "test")[0].row == f"{divided}[test]:1"
    with pytest.raises(DataError, match="no split `tets`") as caught:
        recognise(tmp_path / divided, split="tets")
    assert "train, test, validation" in caught.value.remedy


def test_a_file_that_is_not_divided_has_no_split(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(TRAIN), "utf-8")
    assert recognise(tmp_path / "rows.json").test == ""
    with pytest.raises(DataError, match="no split `test`") as caught:
        recognise(tmp_path / "rows.json", split="test")
    assert "leave `split` out" in caught.value.remedy


def test_splits_of_which_none_trains_are_listed(tmp_path: Path) -> None:
    datasets.DatasetDict({"easy": datasets.Dataset.from_list(TRAIN)}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match="no split `train`") as caught:
        recognise(tmp_path / "saved")
    assert "split: easy" in caught.value.remedy
    assert recognise(tmp_path / "saved", split="easy").shape == "prompt_completion"
