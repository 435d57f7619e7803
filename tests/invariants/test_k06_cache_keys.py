"""K6: what is kept under a key is never taken for something else: data, template, tokenizer, code and recipe are in it.

Kept between commands are dataset versions, the last audit, a run's answers, a learning curve's trials, a local judge's
replies, and the state of a stopped run. One thing is changed at a time.
"""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from tests.command_line import colours
from tunewright import journey, models
from tunewright.errors import RunError
from tunewright.evaluate.arms import prediction_key
from tunewright.joins import curve, judging, tuned
from tunewright.joins.resuming import unfinished
from tunewright.joins.workshop import begin_run
from tunewright.recipe import ModelSpec
from tunewright.render import renderer
from tunewright.store import read_json

RECIPE = """
model: base
data:
  train: [rows.jsonl]
  split: {test: 0.3, validation: 0.2, folds: 0}
suite: {json_schema: schema.json, constrain: false}
train: {epochs: 1, effective_batch_size: 16, precision: float32}
"""
DATASET, AUDIT, ANSWERS, CURVE, JUDGE = "dataset", "audit", "answers", "curve", "judge"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(models.locate(ModelSpec(id="seedling", revision=None), tmp_path), tmp_path / "base")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in colours(60)))
    (tmp_path / "schema.json").write_text('{"type": "string"}')
    (tmp_path / "tunewright.yaml").write_text(RECIPE)
    return tmp_path


def keys(folder, *sets):
    """Every key under which something is kept, for the project as it is now."""
    project = journey.open_project(folder, sets)
    prompt = [{"role": "user", "content": "What colour is a tomato?"}]
    template = project.renderer.fingerprint
    engine = project.base_engine
    return {
        DATASET: project.audit.dataset.id,
        AUDIT: read_json(project.folder.store / "audit.json")["key"],
        ANSWERS: prediction_key(engine, template, project.sampling, project.render_prompt(prompt, ())),
        CURVE: curve._identity(project, curve._cases(project)),
        JUDGE: judging._local(project, "base", project.sampling)[0],
    }


def _a_row(folder):
    rows = (folder / "rows.jsonl").read_text()
    (folder / "rows.jsonl").write_text(rows.replace("Item 4:", "Item number 4:"))


def _an_answer(folder):
    rows = (folder / "rows.jsonl").read_text().splitlines()
    (folder / "rows.jsonl").write_text("\n".join([*rows[:-1], rows[-1].replace('"blue"', '"navy"')]) + "\n")


def _template(folder):
    path = folder / "base" / "chat_template.jinja"
    path.write_text("{# another #}" + path.read_text())


def _tokenizer(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    tokenizer.add_tokens(["<unheard-of>"])
    tokenizer.save_pretrained(folder / "base")


def _weights(folder):
    tensors = load_file(folder / "base" / "model.safetensors")
    name = min(tensors)
    tensors[name] = tensors[name] * 2  # less would be rounded away
    save_file(tensors, folder / "base" / "model.safetensors", metadata={"format": "pt"})


def _schema(folder):
    (folder / "schema.json").write_text('{"type": "string", "maxLength": 5}')


FILES = {
    "a question": (_a_row, {DATASET, AUDIT, CURVE}),
    "an answer": (_an_answer, {DATASET, AUDIT, CURVE}),
    "the template": (_template, {AUDIT, ANSWERS, CURVE, JUDGE}),
    "the tokenizer": (_tokenizer, {AUDIT, ANSWERS, CURVE, JUDGE}),
    "the base's weights": (_weights, {AUDIT, ANSWERS, CURVE, JUDGE}),
    "the schema answers are scored by": (_schema, {CURVE}),
}
SETTINGS = {
    "train.rank=4": {CURVE},
    "train.max_length=512": {AUDIT, CURVE},
    "suite.tone={contractions: false}": {CURVE},
    "suite.embedding=base": {CURVE},
    "suite.constrain=true": {ANSWERS, CURVE},
    "data.split.seed=1": {DATASET, AUDIT, CURVE},
    "data.system=You name colours.": {DATASET, AUDIT, CURVE},
    "data.train=[{path: rows.jsonl, license: MIT}]": {DATASET, AUDIT, CURVE},
}


def _moved(before, after):
    return {name for name in before if before[name] != after[name]}


@pytest.fixture(scope="module")
def as_it_was():
    """The keys of an unchanged project; every test's folder holds the same, so they are the same everywhere."""
    return {}


@pytest.fixture
def before(folder, as_it_was):
    if not as_it_was:
        as_it_was |= keys(folder)
    return as_it_was


def test_nothing_changed_changes_no_key(folder, before):
    assert keys(folder) == before


@pytest.mark.parametrize("what", FILES)
def test_a_changed_file_changes_the_keys_of_what_depends_on_it(folder, before, what):
    change, wanted = FILES[what]
    change(folder)
    assert _moved(before, keys(folder)) >= wanted


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_changed_setting_changes_the_keys_of_what_depends_on_it(folder, before, setting):
    assert _moved(before, keys(folder, setting)) >= SETTINGS[setting]


def test_another_release_computes_its_answers_itself(folder, before, monkeypatch):
    monkeypatch.setattr(tuned, "__version__", "another")
    assert _moved(before, keys(folder)) == {ANSWERS, CURVE, JUDGE}


def test_another_way_of_rendering_is_another_key(folder, before, monkeypatch):
    monkeypatch.setattr(renderer, "_VERSION", "render-another")
    assert _moved(before, keys(folder)) == {AUDIT, ANSWERS, CURVE, JUDGE}


def test_the_tuned_weights_are_in_the_key(folder):
    project = journey.open_project(folder)
    (folder / "one").mkdir()
    shutil.copyfile(folder / "base" / "model.safetensors", folder / "one" / "adapter_model.safetensors")
    found = {tuned.identity(project.base, None), tuned.identity(project.base, folder / "one")}
    _weights(folder)
    shutil.copyfile(folder / "base" / "model.safetensors", folder / "one" / "adapter_model.safetensors")
    assert len({*found, tuned.identity(project.base, folder / "one")}) == 3


@pytest.mark.parametrize(
    ("what", "change", "sets"),
    [
        ("data", _a_row, ()),
        ("data", _an_answer, ()),
        ("words around the turns", _template, ()),
        ("words around the turns", _tokenizer, ()),
        ("base weights", _weights, ()),
        (r"settings \(rank, alpha\)", None, ("train.rank=4",)),
        (r"settings \(max_length\)", None, ("train.max_length=512",)),
    ],
)
def test_a_run_goes_on_only_with_what_it_was_begun_with(folder, what, change, sets):
    run = begin_run(journey.open_project(folder))
    assert unfinished(journey.open_project(folder)) == run
    if change:
        change(folder)
    with pytest.raises(RunError, match=f"begun with other {what}"):
        unfinished(journey.open_project(folder, sets))
