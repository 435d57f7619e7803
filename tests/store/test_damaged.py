"""A file of ours that was cut off, or that another release wrote: what, where and how to mend it."""

from pathlib import Path

import pytest

from tunewright.errors import RunError
from tunewright.records import RunRecord
from tunewright.store import read_json, write_json


def test_a_record_cut_off_in_the_middle_is_told_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"id": "a", "more": [1, 2, 3]})
    path.write_text(path.read_text()[:-4])
    with pytest.raises(RunError, match="is damaged") as told:
        read_json(path, RunRecord)
    assert told.value.where == str(path) and told.value.remedy


def test_a_record_of_another_form_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"id": "a"})
    with pytest.raises(RunError, match="is not a RunRecord") as told:
        read_json(path, RunRecord)
    assert "created" in told.value.message or "recipe" in told.value.message
    assert read_json(path) == {"id": "a"}
