"""A person's mistake is answered with what, where and the remedy; exit code 2; no traceback, nothing half-written."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

import tunewright
from tests.command_line import colours, typed
from tunewright import journey, models
from tunewright.errors import RecipeError
from tunewright.recipe import ModelSpec, Recipe
from tunewright.recipe.load import parse_spec
from tunewright.records import GATES


def wrong(ran, *words):
    assert ran.code == 2, (ran.out, ran.err)
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err, ran.err


def test_missing_file(cli, tmp_path):
    wrong(cli("init", tmp_path / "p", "--data", tmp_path / "no.jsonl"), "no.jsonl")
    assert not (tmp_path / "p").exists()


def test_empty_file(cli, tmp_path):
    (tmp_path / "e.jsonl").write_text("")
    wrong(cli("init", tmp_path / "p", "--data", tmp_path / "e.jsonl"), "e.jsonl", "empty")
    assert not (tmp_path / "p").exists()


def test_an_init_that_fails_leaves_nothing_behind_so_that_it_can_be_typed_again(cli, rows, tmp_path, monkeypatch):
    data, new, old = rows(colours(60)), tmp_path / "a" / "p", tmp_path / "old"
    broken = tmp_path / "broken"
    shutil.copytree(models.locate(ModelSpec(id="seedling", revision=None), tmp_path), broken)
    (broken / "model.safetensors").write_bytes(b"cut off")
    old.mkdir()
    (old / "notes.txt").write_text("mine")
    for folder in (new, old):
        for mistake in (["--test", data], ["--model", broken]):
            ran = cli("init", folder, "--data", data, *mistake)
            assert ran.code == 2 and "there is a recipe here already" not in ran.err, ran.err
            assert sorted(p.name for p in old.iterdir()) == ["notes.txt"] and not (tmp_path / "a").exists()
    with monkeypatch.context() as stopping:
        stopping.setattr(journey, "rendered", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        stopped = cli("init", new, "--data", data)
    assert stopped.code == 130 and not (tmp_path / "a").exists(), stopped.err
    assert cli(*typed(stopped.err.splitlines()[-1])).code == 0
    assert (new / "tunewright.yaml").is_file()


def test_no_recognisable_shape(cli, rows, tmp_path):
    data = rows([{"a": 1, "b": {"c": 2}}] * 5)
    wrong(cli("init", tmp_path / "p", "--data", data), "rows.jsonl")
    assert not (tmp_path / "p").exists()


def test_two_readings_fit(cli, tmp_path):
    lines = [f"{'yes' if i % 2 else 'no'},{'left' if i % 3 else 'right'}" for i in range(40)]
    (tmp_path / "t.csv").write_text("v1,v2\n" + "\n".join(lines) + "\n")
    wrong(cli("init", tmp_path / "p", "--data", tmp_path / "t.csv"), "--input", "--output")


def test_a_misspelt_setting_has_its_line_and_the_one_meant(cli, project):
    folder = project()
    recipe = folder / "tunewright.yaml"
    recipe.write_text(recipe.read_text() + "gates:\n  min_gian: 0.1\n")
    wrong(cli("check", folder), "tunewright.yaml:7", "Did you mean `min_gain`?", "^^^^^^^^")
    assert not (folder / ".tunewright").exists()


@pytest.mark.parametrize(
    "asked",
    [
        "train.epochs=0",
        "train.epochs=.nan",
        "train.micro_batch_size=0",
        "suite.cases=-3",
        "train.rank=2026-99-99",
        "train.seed=-1",
        "data.split.seed=-1",
    ],
)
def test_a_setting_that_cannot_be_is_refused_before_anything_is_read(asked):
    with pytest.raises(RecipeError):
        parse_spec(Recipe, "model: seedling\ndata: {train: [rows.jsonl]}\n", overrides=[asked])


def test_every_auto_can_be_written_out():
    asked = [f"train.{name}=auto" for name in ("epochs", "micro_batch_size", "learning_rate", "effective_batch_size")]
    found, _ = parse_spec(Recipe, "model: seedling\ndata: {train: [rows.jsonl]}\n", overrides=asked)
    assert found.train.learning_rate == "auto"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_outside_training_has_its_own_code_and_says_how_to_go_on(cli, monkeypatch, number, code):
    monkeypatch.setattr("tunewright.journey.open_project", lambda *_, **__: os.kill(os.getpid(), number))
    ran = cli("plan", "--json")
    assert ran.code == code
    assert "same command: tunewright plan --json" in ran.document["error"]["remedy"]


def test_what_the_machine_refuses_is_not_called_our_mistake(cli, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "/p/.tunewright")

    monkeypatch.setattr("tunewright.journey.open_project", refuse)
    ran = cli("plan", "--json")
    assert ran.code == 1
    assert ran.document["error"]["type"] == "StorageError"
    assert ran.document["error"]["where"] == "/p/.tunewright"


@pytest.mark.parametrize("wrongly", ["rank: -1", "rank: many", "learning_rate: -2e-4", "method: lorra"])
def test_a_value_that_cannot_be(cli, project, wrongly):
    folder = project()
    wrong(cli("check", folder, "--set", "train." + wrongly.replace(": ", "=")), "train.")


def test_unknown_flag_and_command(cli):
    wrong(cli("check", "--fast"), "--fast", "See: tunewright check --help")
    wrong(cli("chekc"), "chekc", "See: tunewright --help")
    wrong(cli("data", "convert", "x.jsonl"), "--to", "See: tunewright data convert --help")


def test_no_recipe(cli, tmp_path):
    wrong(cli("run", tmp_path), "tunewright init")


def test_a_folder_that_is_not_a_model(cli, project, tmp_path):
    (tmp_path / "notamodel").mkdir()
    wrong(cli("check", project(), "--set", f"model={tmp_path / 'notamodel'}"), "not a model")


def test_pickled_weights_are_not_loaded(cli, project, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    wrong(cli("check", project(), "--set", f"model={folder}"), "safetensors")


@pytest.mark.parametrize("cut", [0, 7, 100_000], ids=["empty", "no header", "half of it"])
def test_weights_that_are_broken(cli, project, tmp_path, cut):
    folder = tmp_path / "broken"
    shutil.copytree(models.locate(ModelSpec(id="seedling", revision=None), tmp_path), folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:cut])
    ran = cli("check", project(), "--set", f"model={folder}", "--json")
    assert ran.code == 2 and "Traceback" not in ran.err
    error = ran.document["error"]
    assert (error["type"], error["where"]) == ("ModelError", str(folder)) and error["remedy"]


def test_no_arm_at_all(cli, project):
    wrong(cli("check", project(recipe="arms: []\n")), "tunewright.yaml:6", "`arms`", "names nothing to compare")


@pytest.mark.parametrize("command", [("runs",), ("data", "log")])
def test_a_project_that_is_not_there(cli, tmp_path, command):
    ran = cli(*command, "--project", tmp_path / "nosuch", "--json")
    assert ran.code == 2
    error = ran.document["error"]
    assert error["where"] == str(tmp_path / "nosuch") and "--project" in error["remedy"]


def test_the_demo_never_replaces_what_a_person_wrote(cli, tmp_path, monkeypatch):
    from tunewright.cli import show
    from tunewright.cli.start import make_demo

    ran = []
    monkeypatch.setattr(show, "run_all", lambda *_, **__: ran.append(1) or 0)
    for _ in range(2):  # an unchanged one is made again as it was
        assert cli("demo", "--out", tmp_path / "demo").code == 0
    recipe = make_demo(tmp_path / "demo") / "tunewright.yaml"
    mine = recipe.read_text() + "# mine\n"
    recipe.write_text(mine)
    wrong(cli("demo", "--out", tmp_path / "demo"), "tunewright.yaml", "--out", "delete this file")
    assert recipe.read_text() == mine and len(ran) == 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    wrong(cli("demo", "--out", "."), "README.md")
    assert not (tmp_path / "tunewright.yaml").exists()


def test_allow_needs_a_reason(cli, project):
    wrong(cli("check", project(), "--allow", "bad_rows"), "--because")


def test_a_gate_that_does_not_exist_cannot_be_allowed(cli, project):
    wrong(cli("check", project(), "--allow", "bad_row", "--because", "a slip"), "--allow", "`bad_row`", "bad_rows")


def test_every_gate_that_is_made_can_be_allowed_by_name():
    source = Path(tunewright.__file__).parent
    made = {n for f in source.rglob("*.py") for n in re.findall(r"Gate\(\s*name=\"(\w+)\"", f.read_text())}
    assert len(made) >= 10
    assert made <= set(GATES)


def test_an_option_that_would_be_passed_over_is_refused(cli, project, rows):
    wrong(
        cli("check", project(), "--test", "t.jsonl", "--model", "m"), "--test and --model", "with data files", "--set"
    )
    data = rows([{"prompt": f"Question {i}?", "completion": str(i)} for i in range(5)])
    wrong(cli("check", data, "--set", "use=research"), "--set", "with a recipe")


def test_a_run_that_does_not_exist(cli, project):
    wrong(cli("evaluate", "nosuch", "--project", project()), "nosuch")


def test_an_error_is_one_json_document(cli, tmp_path):
    ran = cli("run", tmp_path, "--json")
    assert ran.code == 2
    assert set(ran.document["error"]) == {"type", "message", "where", "remedy"}


def test_bad_rows_are_findings_not_failures(cli, project):
    good = colours(80)
    broken = [
        '{"messages": [{"role": "user", "content"',
        {"messages": [{"role": "user", "content": "no answer"}]},
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": ""}]},
        {"messages": [{"role": "wizard", "content": "q"}, {"role": "assistant", "content": "a"}]},
    ]
    folder = project(good[:40] + broken + good[40:])
    ran = cli("check", folder, "--json")
    found = ran.document
    assert ran.code == 0
    assert found["ledger"]["read"] == 84
    ledger = found["ledger"]
    assert ledger["read"] == ledger["kept"] + ledger["changed"] + sum(ledger["set_aside"].values())
    assert sum(ledger["set_aside"].values()) == 4
    assert any("rows.jsonl:41" in f["rows"] for f in found["findings"])


def test_too_many_bad_rows_is_a_no_that_can_be_passed_on_the_record(cli, project):
    folder = project(colours(80) + ["{broken"] * 20)
    ran = cli("check", folder, "--json")
    gate = next(g for g in ran.document["gates"] if g["name"] == "bad_rows")
    assert ran.code == 3
    assert gate["ok"] is False
    again = cli("check", folder, "--allow", "bad_rows", "--because", "a test of the gate", "--json")
    gate = next(g for g in again.document["gates"] if g["name"] == "bad_rows")
    assert again.code == 0
    assert gate["ok"] is False  # what was found stays found
    assert gate["allowed_because"] == "a test of the gate"


def test_a_small_suite_is_a_no_before_anything_is_trained(cli, project):
    folder = project(colours(24))
    ran = cli("run", folder, "--json")
    assert ran.code == 3
    assert ran.document["verdict"] is None
    assert next(g for g in ran.document["gates"] if g["name"] == "suite_size")["ok"] is False
    assert not (folder / ".tunewright" / "runs").exists()


def test_a_small_suite_can_be_passed_on_the_record(cli, project):
    folder = project(colours(40), recipe="arms: [base, tuned]\n")
    asked = ["--set", "data.split.folds=0", "--allow", "suite_size", "--because", "a first look"]
    ran = cli("run", folder, "--json", *asked)
    gate = next(g for g in ran.document["gates"] if g["name"] == "suite_size")
    assert gate["ok"] is False
    assert gate["allowed_because"] == "a first look"
    assert [a["name"] for a in ran.document["arms"]] == ["base", "tuned"]


def test_text_that_is_not_utf8_is_repaired_or_set_aside_and_counted(cli, project):
    folder = project()
    data = folder.parent / "rows.jsonl"
    row = json.dumps(colours(1)[0], ensure_ascii=False).replace("colour is", "colour é is").encode("latin-1")
    data.write_bytes(data.read_bytes() + row + b"\n")
    ran = cli("check", folder, "--json")
    assert ran.code == 0
    assert any(f["code"] == "encoding" for f in ran.document["findings"])


def test_a_base_without_a_chat_template_is_begun_with_the_command_that_the_refusal_names(cli, rows, tmp_path):
    data, base = rows(colours(60)), tmp_path / "base"
    shutil.copytree(models.locate(ModelSpec(id="seedling", revision=None), tmp_path), base)
    (base / "chat_template.jinja").unlink()
    wrong(cli("init", tmp_path / "p", "--data", data, "--model", base), "no chat template", "--template plain")
    assert cli("init", tmp_path / "p", "--data", data, "--model", base, "--template", "plain").code == 0
    assert Recipe.load(tmp_path / "p").model == ModelSpec(id="../base", template="plain")
    written = (Path(models.locate(ModelSpec(id="seedling"), tmp_path)) / "chat_template.jinja").read_text()
    (tmp_path / "own.jinja").write_text(written)
    own = ["--model", base, "--template", tmp_path / "own.jinja"]
    assert cli("init", tmp_path / "q", "--data", data, *own).code == 0
    assert Recipe.load(tmp_path / "q").model.template == "../own.jinja"
