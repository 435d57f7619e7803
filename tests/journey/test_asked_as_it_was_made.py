"""A trained run is judged as it was made: not on what it has learnt, nor beside rivals that are shown other rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.command_line import colours
from tunewright import journey, models
from tunewright.errors import RunError
from tunewright.recipe import ModelSpec
from tunewright.store import read_json

RECIPE = """
model: base
data: {train: [rows.jsonl], test: [test.jsonl], split: {validation: 0.1, folds: 0}}
arms: [base, tuned]
gates: {suite_size: 4}
train: {epochs: 1, effective_batch_size: 16, checkpoints: 1, precision: float32}
"""
ROWS, MORE = colours(80)[:48], colours(80)[60:68]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trained and evaluated run, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(models.locate(ModelSpec(id="seedling", revision=None), folder), folder / "base")
    write(folder / "rows.jsonl", ROWS)
    write(folder / "test.jsonl", colours(80)[48:60])
    (folder / "tunewright.yaml").write_text(RECIPE)
    project = journey.open_project(folder)
    journey.train(project)
    journey.evaluate(project)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "project")


def outcome(folder):
    return read_json(next(folder.glob(".tunewright/runs/*/outcome.json")))


def test_rows_that_train_and_are_others_now_are_refused_with_their_number(cli, folder):
    before = outcome(folder)
    write(folder / "rows.jsonl", [*ROWS[1:], *MORE])
    said = cli("evaluate", "--project", folder, "--json")
    assert said.code == 2
    error = said.document["error"]
    assert "have changed since this run was trained" in error["message"] and "48 rows" in error["message"]
    assert "shown other rows" in error["message"]
    assert "Bring back" in error["remedy"] and "tunewright run" in error["remedy"]
    assert error["where"] == next((folder / ".tunewright/runs").iterdir()).name
    assert outcome(folder) == before
    tried = cli("trials", "--project", folder)
    assert tried.code == 2 and "have changed since" in tried.err
    write(folder / "rows.jsonl", ROWS)
    assert cli("evaluate", "--project", folder).code in (0, 3)


def test_cases_that_it_has_learnt_are_refused_with_their_number(cli, folder):
    write(folder / "test.jsonl", [*colours(80)[48:60], *ROWS[:3]])
    refused = cli("evaluate", "--project", folder)
    assert refused.code == 2 and "it has learnt 3 of the 15 questions" in refused.err


def test_a_row_that_moves_between_train_and_validation_is_a_change(folder):
    with pytest.raises(RunError, match="have changed since"):
        journey.evaluate(journey.open_project(folder, ["data.split.seed=7"]))


def test_other_cases_alone_are_another_experiment_and_that_is_said(cli, folder):
    write(folder / "test.jsonl", MORE)
    said = cli("evaluate", "--project", folder)
    assert said.code in (0, 3), said.err
    assert "other cases than were held out when it was trained; it has learnt none of them" in said.out
    found = outcome(folder)
    assert {arm["name"]: arm["cases"] for arm in found["arms"]} == {"base": 8, "tuned": 8}


def test_an_export_compares_no_scores_of_different_cases_and_says_so(cli, folder):
    same = cli("export", "--project", folder, "--json").document["certificate"]
    assert same["suite_score"] == same["suite_score_trained"] is not None and same["unscored"] == ""
    write(folder / "test.jsonl", MORE)
    told = cli("export", "--project", folder)
    assert told.code == 0 and "no score of the suite is compared" in told.out, told.out + told.err
    other = cli("export", "--project", folder, "--json").document["certificate"]
    assert other["ok"] and other["suite_score"] is None and other["suite_score_trained"] is None
    assert cli("evaluate", "--project", folder).code in (0, 3)
    assert cli("export", "--project", folder, "--json").document["certificate"]["suite_score"] is not None


BESIDE = [
    ("review", "export", "--second", "base", "--out", "OUT"),
    ("review", "judge"),
    ("exchange", "inspect", "--out", "OUT"),
    ("trials", "--cases", "2"),
]


@pytest.mark.parametrize("command", BESIDE, ids=lambda words: words[1] if words[0] != "trials" else "trials")
def test_stored_answers_are_not_laid_beside_other_cases(cli, folder, tmp_path, command):
    words = [tmp_path / "out" if word == "OUT" else word for word in command]
    write(folder / "test.jsonl", MORE)
    before = set(folder.rglob("*"))
    said = cli(*words, "--project", folder, "--json")
    assert said.code == 2, said.out
    error, run = said.document["error"], next((folder / ".tunewright/runs").iterdir()).name
    assert "others since this run's answers were scored" in error["message"] and error["where"] == run
    assert f"evaluate the run again: tunewright evaluate {run} --project" in error["remedy"]
    assert not (tmp_path / "out").exists() and not [f for f in set(folder.rglob("*")) - before if "runs" in f.parts]


def test_once_the_run_is_evaluated_again_they_are_answers_to_the_cases_of_now(cli, folder, tmp_path):
    write(folder / "test.jsonl", MORE)
    assert cli("evaluate", "--project", folder).code in (0, 3)
    logs = cli("exchange", "inspect", "--project", folder, "--out", tmp_path / "logs", "--json")
    assert logs.code == 0, logs.out
    asked = {sample["input"][-1]["content"] for sample in read_json(Path(logs.document["logs"][0]))["samples"]}
    assert asked == {row["messages"][0]["content"] for row in MORE}
    tried = cli("trials", "--project", folder, "--cases", "2")
    assert tried.code == 0, tried.err
    assert "other cases than were held out when it was trained; it has learnt none of them" in tried.out


def test_answers_of_an_evaluation_that_did_not_end_are_not_taken_for_those_that_were_scored(cli, folder, tmp_path):
    """It was stopped on other cases, and they were brought back: the file holds answers to both."""
    words = ("exchange", "inspect", "--project", folder, "--out", tmp_path / "logs")
    run = next((folder / ".tunewright/runs").iterdir())
    lines = (run / "predictions.jsonl").read_text().splitlines()
    answer = json.loads(lines[-1])
    (run / "predictions.jsonl").write_text("\n".join([*lines, json.dumps({**answer, "text": "another"})]) + "\n")
    refused = cli(*words)
    assert refused.code == 2 and "did not end" in refused.err and "tunewright evaluate" in refused.err
    (run / "outcome.json").unlink()
    assert "did not end" in cli(*words).err
    assert cli("evaluate", "--project", folder).code in (0, 3)
    assert cli(*words).code == 0


def test_answers_of_an_arm_that_was_not_scored_are_no_part_of_it(cli, folder, tmp_path):
    run = next((folder / ".tunewright/runs").iterdir())
    lines = (run / "predictions.jsonl").read_text().splitlines()
    old = [json.dumps({**json.loads(line), "arm": "few_shot"}) for line in lines if json.loads(line)["arm"] == "base"]
    (run / "predictions.jsonl").write_text("\n".join([*lines, *old]) + "\n")
    refused = cli("review", "export", "--second", "few_shot", "--project", folder, "--out", tmp_path / "out")
    assert refused.code == 2 and "Stored arms: base, tuned" in refused.err
    assert cli("exchange", "inspect", "--project", folder, "--out", tmp_path / "logs").code == 0


def test_the_same_rows_from_a_file_of_another_name_are_no_change(cli, folder):
    (folder / "rows.jsonl").rename(folder / "renamed.jsonl")
    said = cli("evaluate", "--project", folder, "--set", "data.train=[renamed.jsonl]")
    assert said.code in (0, 3), said.err
    assert "other cases" not in said.out


def test_where_the_version_it_learnt_is_gone_nobody_can_tell(folder):
    write(folder / "test.jsonl", MORE)
    for path in (folder / ".tunewright/datasets").iterdir():
        shutil.rmtree(path)
    with pytest.raises(RunError, match="no longer here"):
        journey.evaluate(journey.open_project(folder))


def _weights(base):
    tensors = load_file(base / "model.safetensors")
    name = min(tensors)
    tensors[name] = tensors[name] * 2
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def _template(base):
    path = base / "chat_template.jinja"
    path.write_text("{# another #}" + path.read_text())


@pytest.mark.parametrize(("what", "change"), [("base weights", _weights), ("words around the turns", _template)])
def test_another_base_or_template_is_refused(folder, what, change):
    change(folder / "base")
    with pytest.raises(RunError, match=f"trained with other {what}"):
        journey.evaluate(journey.open_project(folder))


def test_other_cases_that_the_start_has_learnt_are_refused(folder):
    run = next((folder / ".tunewright/runs").iterdir()).name
    write(folder / "rows.jsonl", MORE)
    write(folder / "test.jsonl", colours(90)[80:86])
    allow = {"cheaper_means": "a test"}
    warm = journey.open_project(folder, [f"train.init_from={run}", "data.split.validation=0"], allow=allow)
    journey.train(warm)
    newest = warm.folder.run().id
    assert newest != run
    write(folder / "test.jsonl", ROWS[:6])
    with pytest.raises(RunError, match="that adapter has learnt"):
        journey.evaluate(journey.open_run(folder, newest), newest)
