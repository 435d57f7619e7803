"""A learning curve end to end on the seedling: kept as it comes, stopped and gone on with, asked of validation only."""

import json

import pytest

from tests.command_line import colours
from tunewright import journey
from tunewright.errors import DataError, Interrupted, RecipeError
from tunewright.joins import curve
from tunewright.store import read_lines

RECIPE = """
model: seedling
data:
  train: [rows.jsonl]
  split: {test: 0.25, validation: 0.25}
train: {epochs: 1, effective_batch_size: 8, precision: float32}
"""
PARTS = (0.2, 0.4, 0.7, 1)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in colours(120)))
    (tmp_path / "tunewright.yaml").write_text(RECIPE)
    return tmp_path


def test_stopped_and_gone_on_with_nothing_is_trained_twice(folder, cli):
    def in_the_second() -> bool:
        return any(folder.glob(".tunewright/curves/*/unfinished/24-rows-seed-0/events.jsonl"))

    with pytest.raises(Interrupted) as stopped:
        curve.learning_curve(journey.open_project(folder, should_stop=in_the_second), PARTS, seeds=1)
    assert "24 rows, seed 0" in stopped.value.where
    kept = next(folder.glob(".tunewright/curves/*/trials.jsonl"))
    first = kept.read_text()
    assert [t["rows"] for t in read_lines(kept)] == [12]
    work = list(folder.glob(".tunewright/curves/*/unfinished/24-rows-seed-0/checkpoints/step-*"))
    assert work, "the stopped trial can go on"

    arguments = ["curve", folder, "--fractions", "0.2,0.4,0.7,1", "--seeds", "1"]
    ran = cli(*arguments, "--target", "0.9", "--minutes-per-row", "2", "--hourly", "30", "--json")
    assert ran.code == 0, ran.err
    found = ran.document
    assert kept.read_text().startswith(first)
    assert found["trained"] == 3 and [t["rows"] for t in found["trials"]] == [12, 24, 42, 60]
    assert [t["steps"] for t in found["trials"]] == [2, 3, 6, 8]
    assert [p["rows"] for p in found["points"]] == [12, 24, 42, 60] and found["cases"] == 30
    assert {"refused", "expected", "needed", "worth", "report"} <= set(found) and found["target"] == 0.9
    assert not list(folder.glob(".tunewright/curves/*/unfinished/*"))
    page = (folder / "curve.html").read_text()
    assert "Score by rows" in page and "<script" not in page

    again = cli(*arguments, "--json").document
    assert again["trained"] == 0 and again["points"] == found["points"]
    asked = {c.id for c in curve._cases(journey.open_project(folder)).cases}
    suite = {c.id for c in journey.open_project(folder).suite.cases}
    assert not asked & suite
    other = curve.learning_curve(journey.open_project(folder, ["train.rank=2"]), (0.2,), seeds=1)
    assert other.trained == 1, "other settings are another curve"


def test_what_cannot_be_measured_is_said(folder, cli):
    project = journey.open_project(folder)
    with pytest.raises(RecipeError, match="above 0"):
        curve.learning_curve(project, (0.5, 1.5))
    with pytest.raises(DataError, match="too few to train on"):
        curve.learning_curve(project, (0.01, 1))
    with pytest.raises(DataError, match="no validation rows"):
        curve.learning_curve(journey.open_project(folder, ["data.split={folds: 3}"]))
    for wrong in (["--fractions", "a,b"], ["--hourly", "40"], ["--point-value", "3"]):
        assert cli("curve", folder, *wrong).code == 2
