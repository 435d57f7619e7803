"""A set too small for one split: every row answered once, by models that never saw it; the last one has all rows."""

import json

import pytest

from tests.command_line import colours
from tunewright import journey
from tunewright.errors import Interrupted, RunError
from tunewright.joins import folding, trying
from tunewright.store import read_json, read_lines

RECIPE = """
model: seedling
data:
  train: [rows.jsonl]
  split: {folds: 2}
arms: [base, few_shot, tuned]
train: {epochs: 5, effective_batch_size: 8, checkpoints: 1, precision: float32}
"""


def make(folder, rows=36, recipe=RECIPE):
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in colours(rows)))
    (folder / "tunewright.yaml").write_text(recipe)
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A journey stopped in its second fold and gone on with: the project, the outcome, fold 1 as it was before."""
    folder = make(tmp_path_factory.mktemp("folds"))

    def in_fold_2():
        return any(len(p.read_text().splitlines()) > 4 for p in folder.glob(".tunewright/runs/*/folds/fold-2/events*"))

    with pytest.raises(Interrupted, match="fold 2: stopped after step") as stopped:
        journey.run(journey.open_project(folder, should_stop=in_fold_2))
    assert "--resume" in stopped.value.remedy
    first = next(folder.glob(".tunewright/runs/*/folds/fold-1/train.json"))
    before = (first, first.stat().st_mtime_ns)
    assert not list(folder.glob(".tunewright/runs/*/train.json"))
    project = journey.open_project(folder)
    return project, journey.run(project, resume=True), before


def run_of(done):
    project, outcome, _ = done
    return project.folder.run(outcome.run)


def test_every_row_is_answered_once_by_every_arm(done):
    _, outcome, _ = done
    predictions = list(read_lines(run_of(done).predictions))
    rows = sorted(f"rows.jsonl:{i}" for i in range(1, 37))
    for arm in ("base", "few_shot", "tuned"):
        assert sorted(p["case"] for p in predictions if p["arm"] == arm) == rows
    assert [a.cases for a in outcome.arms] == [36, 36, 36]
    assert outcome.as_dict({})["folds"] == 2
    assert next(g for g in outcome.gates if g.name == "suite_size").ok


def test_no_model_saw_what_it_was_asked(done):
    """By the rows each fold's model is trained on, and by what the few-shot prompts show."""
    project, _, _ = done
    run = run_of(done)
    fold_of = {e.row: e.fold for e in project.train_examples}
    questions = {e.row: e.messages[0].content for e in project.train_examples}
    for fold in (1, 2):
        view, kept = folding.part(project, fold), folding.folder(run, fold)
        trained = {e.row for e in view.train_examples}
        asked = {p["case"] for p in read_lines(kept.predictions)}
        assert asked == {row for row, held in fold_of.items() if held == fold}
        assert trained | asked == set(fold_of) and not trained & asked
        start = next(e for e in read_lines(kept.events) if e["type"] == "start")
        assert start["examples"] == len(trained) and start["validation_examples"] == 0
        for p in read_lines(kept.predictions):
            shown = project.renderer.decode(p["prompt_ids"])
            seen = {row for row, question in questions.items() if question in shown} - {p["case"]}
            assert not seen & asked
            assert bool(seen) == (p["arm"] == "few_shot")
    whole = next(e for e in read_lines(run.events) if e["type"] == "start")
    assert whole["examples"] == 36


def test_a_stopped_run_goes_on_in_its_fold_and_trains_nothing_twice(done):
    _, _, (first, when) = done
    assert first.stat().st_mtime_ns == when
    steps = [e["step"] for e in read_lines(folding.folder(run_of(done), 2).events) if e["type"] == "step"]
    assert steps == list(range(1, len(steps) + 1))


def test_the_page_and_the_card_say_that_the_score_is_the_folds(done):
    project, outcome, _ = done
    page = outcome.report.read_text()
    assert "This judges the procedure, not one model: in 2 folds" in page
    assert "share most of their rows, so the interval is somewhat too narrow" in page
    card = (project.folder.artifacts / f"{outcome.run}-adapter" / "README.md").read_text()
    assert "2 models were trained as this one was" in card
    artifact = read_json(project.folder.artifacts / f"{outcome.run}-adapter.json")
    assert artifact["certificate"]["ok"] and artifact["certificate"]["suite_score"] is None


def test_evaluating_again_generates_nothing_and_other_data_is_refused(done):
    project, outcome, _ = done
    before = run_of(done).predictions.read_text()
    again = journey.evaluate(journey.open_project(project.folder.root), outcome.run)
    assert again.verdict == outcome.verdict and again.folds == 2
    assert run_of(done).predictions.read_text() == before
    for split in ("data.split={test: 0.85}", "data.split={folds: 3}", "data.split={folds: 2, seed: 1}"):
        with pytest.raises(RunError, match="have changed since"):
            journey.evaluate(journey.open_project(project.folder.root, [split]), outcome.run)


def test_wording_is_tried_on_models_that_had_not_seen_the_case(done):
    project, _, _ = done
    run = run_of(done)
    suite = project.suite.model_copy(update={"cases": project.suite.cases[:6]})
    made = trying._own(project, run, suite, "tuned", "probe", "probe")
    kept = {(p["case"]): p["text"] for p in read_lines(run.predictions) if p["arm"] == "tuned"}
    assert [p.case for p in made] == [c.id for c in suite.cases]
    assert all(p.text == kept[p.case] for p in made)


def test_in_words_and_below_a_hundred_rows_by_itself(cli, tmp_path):
    folder = make(tmp_path, 33, RECIPE.replace("  split: {folds: 2}\n", "").replace("epochs: 5", "epochs: 1"))
    checked = cli("check", folder, "--json").document
    assert checked["splits"] == {"train": 33, "validation": 0, "test": 0} and sum(checked["folds"]) == 33
    assert "in 5 folds each is held out once" in (folder / "report.html").read_text()
    told = cli("run", folder, "--set", "arms=[base,tuned]")
    assert told.code in (0, 3)
    assert "33 of them are the suite too, in 5 folds" in told.out
    assert "this judges the procedure: 5 models" in told.out
    assert "the score is not its own" in told.out
    (tmp_path / "cases.jsonl").write_text('{"input": "Item 3: what colour is a frog?", "expected": "green"}\n')
    assert cli("check", folder, "--set", "suite.source=cases.jsonl", "--json").document["folds"] == []
    refused = cli("check", folder, "--set", "suite.source=cases.jsonl", "--set", "data.split.folds=3")
    assert refused.code == 2 and "suite.source" in refused.err
