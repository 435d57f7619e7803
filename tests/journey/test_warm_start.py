"""`train.init_from`: on from an earlier run's adapter, which the record names by its digest; never from another's."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from safetensors.torch import load_file, save_file

from tests.command_line import colours
from tunewright import journey, models
from tunewright.errors import RunError
from tunewright.joins.workshop import begin_run
from tunewright.recipe import ModelSpec
from tunewright.store import read_json, read_lines

RECIPE = {
    "model": "seedling",
    "data": {"train": ["rows.jsonl"], "test": ["test.jsonl"], "split": {"validation": 0.1}},
    "arms": ["base", "tuned"],
    "train": {"epochs": 3, "effective_batch_size": 8, "checkpoints": 1, "rank": 8},
    "gates": {"suite_size": 4},
}


def _write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project with a trained and exported run, and its name."""
    folder = tmp_path_factory.mktemp("first")
    rows = colours(80)
    _write(folder / "rows.jsonl", rows[:60])
    _write(folder / "test.jsonl", rows[60:])
    (folder / "tunewright.yaml").write_text(yaml.safe_dump(RECIPE))
    project = journey.open_project(folder)
    result, _ = journey.train(project)
    assert result is not None
    artifact = journey.export(project)
    return folder, result.run, artifact.path


def _opened(first, start, *sets):
    """The project, asked to start warm."""
    return journey.open_project(first[0], [f"train.init_from={start}", "train.epochs=1", *sets])


def _refused(first, start, *sets, match):
    """The error that such a start is answered with, before anything is trained."""
    with pytest.raises(RunError, match=match) as error:
        journey.make_the_plan(_opened(first, start, *sets))
    return error.value


def _losses(project, run):
    return [event["loss"] for event in read_lines(project.folder.run(run).events) if event["type"] == "step"]


def test_a_run_starts_where_an_earlier_one_ended_and_says_so(first, cli):
    folder, run, artifact = first
    cold = _losses(journey.open_project(folder), run)
    said = cli("train", folder, "--set", f"train.init_from='{run[-4:]}'", "--set", "train.epochs=1", "--json")
    assert said.code == 0
    assert f"started from .tunewright/runs/{run}/adapter" in " ".join(said.err.split())
    project = journey.open_project(folder)
    warm = _losses(project, said.document["run"])
    assert warm[0] < 0.5 * cold[0]
    record = read_json(project.folder.run(said.document["run"]).record)["resolved"]
    assert record["init_from"] == f".tunewright/runs/{run}/adapter" and record["init_rows"] == "apart"
    assert len(record["init_sha256"]) == 64
    exported = cli("export", said.document["run"], "--project", folder, "--json").document
    assert read_json(project.folder.artifacts / exported["artifact"] / "manifest.json")["resolved"] == record

    # The same adapter as it was exported, its scale in its weights, is the same start.
    again = cli("train", folder, "--set", f"train.init_from={artifact}", "--set", "train.epochs=1", "--json").document
    assert _losses(project, again["run"])[0] == pytest.approx(warm[0], rel=1e-4)
    assert read_json(project.folder.run(again["run"]).record)["resolved"]["init_sha256"] != record["init_sha256"]


def test_it_is_said_what_does_not_fit(first):
    run = first[1]
    for sets, words, remedy in [
        (["train.rank=4"], "rank 8", "train.rank: 8"),
        (["train.target_modules=minimal"], "other layers", "q_proj"),
    ]:
        error = _refused(first, run, *sets, match=words)
        assert error.exit_code == 2 and remedy in error.remedy
        assert error.where == f"train.init_from: {run}"


def test_another_base_is_refused(first):
    folder, run, artifact = first
    shutil.copytree(models.locate(ModelSpec(id="seedling", revision=None), folder), folder / "other")
    tensors = load_file(folder / "other" / "model.safetensors")
    name = min(tensors)
    save_file({**tensors, name: tensors[name] * 2}, folder / "other" / "model.safetensors", {"format": "pt"})
    for start in (run, artifact):
        assert "model: seedling" in _refused(first, start, "model=other", match="another base").remedy


@pytest.mark.parametrize("start", ["nobody", "no/such/folder", "."])
def test_what_is_no_adapter_is_told_with_code_2(first, cli, start):
    said = cli("train", first[0], "--set", f"train.init_from={start}", "--json")
    assert said.code == 2
    error = said.document["error"]
    assert error["where"] == f"train.init_from: {start}" and error["remedy"]


def test_a_part_of_an_id_that_looks_like_a_number_wants_quotes(first, cli):
    for part in ("2829", "12e4"):
        said = cli("plan", first[0], "--set", f"train.init_from={part}", "--json")
        assert said.code == 2 and "in quotes" in said.document["error"]["message"]


def test_full_tuning_has_no_adapter_to_start_from(first, cli):
    said = cli("plan", first[0], "--set", f"train.init_from={first[1]}", "--set", "train.method=full", "--json")
    assert said.code == 2 and "full tuning" in said.document["error"]["message"]


def test_an_adapter_that_has_learnt_what_is_held_out_now_is_refused(first):
    _, run, artifact = first
    for start in (run, artifact):
        _refused(first, start, "data.test=rows.jsonl", "data.train=test.jsonl", match="held out now")
    _refused(first, run, "data.split.folds=4", "data.test=[]", match="has learnt")


def test_what_was_learnt_before_the_start_is_known_too(first):
    """The second run's own rows are others; what it started from has learnt the questions that are held out here."""
    folder, run, _ = first
    _write(folder / "more.jsonl", colours(200)[120:])
    second = _opened(first, run, "data.train=more.jsonl")
    result, _ = journey.train(second)
    _refused(first, result.run, "data.train=more.jsonl", "data.test=rows.jsonl", match="has learnt")


def test_a_strangers_adapter_is_taken_and_what_is_not_known_is_said(first, cli, tmp_path):
    folder, _, artifact = first
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(f"{artifact}/{name}", stranger / name)
    said = cli("train", folder, "--set", f"train.init_from={stranger}", "--set", "train.epochs=1", "--json")
    assert said.code == 0 and "is not known" in " ".join(said.err.split())
    project = journey.open_project(folder)
    assert read_json(project.folder.run(said.document["run"]).record)["resolved"]["init_rows"] == "unknown"


def test_a_stopped_run_does_not_go_on_from_another_adapter(first, tmp_path):
    artifact = first[2]
    moving = tmp_path / "moving"
    shutil.copytree(artifact, moving)
    begin_run(_opened(first, moving))
    config = read_json(moving / "adapter_config.json")
    (moving / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 3}))
    with pytest.raises(RunError, match="init_sha256"):
        journey.train(_opened(first, moving), resume=True)


def test_a_curve_begins_at_the_base(first, cli):
    said = cli("curve", first[0], "--set", f"train.init_from={first[1]}", "--json")
    assert said.code == 2 and "init_from=null" in said.document["error"]["remedy"]
