"""Which run `--resume` takes up: one that has something left, and of those one in training before a mere baseline."""

from __future__ import annotations

import json

import pytest

from tests.command_line import colours, typed
from tunewright import journey
from tunewright.errors import Interrupted, RunError
from tunewright.joins.workshop import begin_run
from tunewright.project import ProjectFolder


def made(root, name: str, *, events: str = "", gates: tuple[str, ...] | None = None) -> None:
    """The files of a run, as far as it got."""
    run = root / ".tunewright" / "runs" / name
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    if events:
        (run / events).parent.mkdir(parents=True, exist_ok=True)
        (run / events).write_text("")
    if gates is not None:
        (run / "outcome.json").write_text(json.dumps({"arms": [], "gates": [{"name": name} for name in gates]}))


@pytest.mark.parametrize("events", ["events.jsonl", "folds/fold-1/events.jsonl"])
def test_the_newest_in_training_is_taken_before_a_baseline_and_never_a_finished_one(tmp_path, events):
    folder = ProjectFolder(tmp_path)
    with pytest.raises(RunError, match="no run yet"):
        folder.unfinished()
    made(tmp_path, "1-done", events="events.jsonl", gates=("min_gain", "parity"))
    with pytest.raises(RunError, match="newest run is finished"):
        folder.unfinished()
    made(tmp_path, "2-baseline", gates=("suite_size",))
    assert folder.unfinished().id == "2-baseline"
    made(tmp_path, "3-stopped", events=events)
    made(tmp_path, "4-stopped", events=events, gates=("suite_size",))
    made(tmp_path, "5-baseline", gates=("suite_size",))
    made(tmp_path, "6-done", events="events.jsonl", gates=("parity",))
    assert folder.unfinished().id == "4-stopped"
    assert folder.unfinished("3-").id == "3-stopped" and folder.unfinished("5-baseline").id == "5-baseline"
    with pytest.raises(RunError, match="this run is finished") as told:
        folder.unfinished("6-done")
    assert told.value.where == "6-done"


def test_a_stopped_training_goes_on_although_a_baseline_was_measured_since(cli, project):
    folder = project(colours(60), "arms: [base, tuned]\ngates: {suite_size: 4}\n")

    def training() -> bool:
        return any(folder.glob(".tunewright/runs/*/events.jsonl"))

    begun = journey.open_project(folder, ["train.epochs=2"], should_stop=training)
    with pytest.raises(Interrupted) as stopped:
        journey.run(begun)
    run = begun.begun.id
    assert f"tunewright run {folder} --resume --run {run}" in stopped.value.remedy
    later = begin_run(journey.open_project(folder))
    # Either way, with the settings it was begun with.
    went_on = cli("train", folder, "--resume", "--json")
    assert went_on.code == 0 and went_on.document["run"] == run, went_on.err
    assert went_on.document["steps"] == begun.resolved["steps"]
    assert "train.epochs=2" in went_on.err and f"goes on with run {run}" in went_on.err
    to_the_end = cli(*typed(stopped.value.remedy), "--json")
    assert to_the_end.document["run"] == run
    named = cli("train", folder, "--resume", "--run", run, "--json")
    assert named.code == 2 and "finished" in named.document["error"]["message"]

    # What has nothing trained says how it goes on, from wherever that is typed.
    with pytest.raises(RunError, match="no trained weights") as told:
        journey.open_run(folder, later.id)
    went_on = cli(*typed(told.value.remedy), "--json")
    assert went_on.document["run"] == later.id, went_on.err


def test_a_run_is_named_only_to_go_on_with_it(cli, project):
    ran = cli("run", project(), "--run", "2026", "--json")
    assert ran.code == 2 and "--resume" in ran.document["error"]["message"]


def test_a_recipe_of_another_name_is_named_in_what_is_printed_and_is_the_one_that_is_changed(cli, project, monkeypatch):
    folder = project(colours(60) + colours(4), "arms: [base, tuned]\ngates: {suite_size: 4}\n")
    (folder / "tunewright.yaml").rename(folder / "other.yaml")
    opened = journey.open_project(folder / "other.yaml")
    assert opened.command("run") == f"tunewright run {folder / 'other.yaml'}"
    monkeypatch.chdir(folder)
    assert opened.command("run") == "tunewright run other.yaml"
    assert cli("data", "fix", "other.yaml", "--accept", "near_duplicate", "--keep").code == 0
    assert "near_duplicate" in (folder / "other.yaml").read_text() and not (folder / "tunewright.yaml").exists()
