"""Full tuning, a CSV of labels with a given test file, and the command line's JSON: the same journey by other ways."""

import json
from pathlib import Path

import pytest

from tests.command_line import colours
from tunewright import journey
from tunewright.store import read_lines


@pytest.fixture
def table(tmp_path):
    """A labelled table with its own test file."""

    def write(name, rows):
        lines = [f'"{r["messages"][0]["content"]}",{r["messages"][1]["content"]}' for r in rows]
        (tmp_path / name).write_text("text,label\n" + "\n".join(lines) + "\n")
        return tmp_path / name

    rows = colours(150)
    return write("train.csv", rows[:110]), write("test.csv", rows[110:])


def test_full_tuning_of_a_labelled_table_from_the_command_line(cli, table, tmp_path):
    train, test = table
    folder = tmp_path / "shop"
    assert cli("init", folder, "--data", train, "--test", test, "--task", "Name the colour.").code == 0
    ran = cli("run", folder, "--json", "--set", "train.method=full", "--set", "train.epochs=5")
    found = ran.document
    assert ran.code == 3  # the classifier is as good and costs nothing: the verdict says no
    scores = {a["name"]: a["score"] for a in found["arms"]}
    assert scores["tuned"] > scores["base"] + 0.5
    assert scores["classifier"] > 0.9
    assert {a["cases"] for a in found["arms"]} == {40}
    assert found["paths"]["merged"]
    assert next(g for g in found["gates"] if g["name"] == "parity")["ok"]
    assert {"data", "plan", "baseline", "train", "evaluate", "export"} <= set(found["seconds"])
    facts = (folder / "report.html").read_text().partition("Every arm")[0]
    assert "all weights" in facts
    assert "adapter" not in facts, "there is none"
    shown = cli("runs", "--project", folder, "--json").document["runs"]
    assert [r["status"] for r in shown] == ["evaluated"]
    answer = cli("chat", folder, "--say", "Item 3: what colour is a frog?", "--json").document["answer"]
    assert answer in {"red", "green", "blue"}
    wrong = cli("export", "--to", "adapter", "--project", folder)
    assert wrong.code == 2
    assert "--to merged" in wrong.err


def test_stages_one_by_one_speak_json(cli, project):
    folder = project(colours(100), recipe="arms: [base, tuned]\n")
    plan = cli("plan", folder, "--json").document
    assert {"fits", "memory_gb", "hours", "price", "choice", "rejected", "serves", "advice"} <= set(plan)
    assert {"total", "low", "high"} <= set(plan["memory_gb"])
    base = cli("baseline", folder, "--json")
    assert base.code == 0
    assert [a["name"] for a in base.document["arms"]] == ["base"]
    trained = cli("train", folder, "--json").document
    wanted = "run steps best_step loss validation_score trainable_parameters tokens_per_second peak_gb paths"
    assert set(wanted.split()) <= set(trained)
    judged = cli("evaluate", "--project", folder, "--json")
    assert judged.code in (0, 3)
    assert judged.document["run"] == trained["run"]
    exported = cli("export", "--to", "merged", "--project", folder, "--json").document
    assert {"artifact", "path", "bytes", "sha256", "certificate"} <= set(exported)
    assert exported["certificate"]["ok"]
    shown = cli("data", "show", folder, "--count", "2", "--json").document["examples"]
    assert any(span["supervised"] for span in shown[0]["spans"])
    schema = cli("schema").document
    json.dumps(schema)
    assert "properties" in schema


def test_the_few_shot_arm_shows_as_many_examples_as_the_recipe_says_and_the_page_says_so(cli, project):
    folder = project(colours(), "arms: [base, {few_shot: {examples: 2}}]\nsuite: {cases: 6}\ngates: {suite_size: 4}\n")

    def shown(*sets):
        ran = cli("baseline", folder, "--json", *sets)
        assert ran.code == 0, ran.out
        decode = journey.open_project(folder).renderer.decode
        kept = read_lines(Path(ran.document["paths"]["predictions"]))
        prompts = [decode(p["prompt_ids"]) for p in kept if p["arm"] == "few_shot"]
        return {text.count("what colour is") - 1 for text in prompts}, (folder / "report.html").read_text()

    examples, page = shown()
    assert examples == {2} and "few-shot, up to 2 examples" in page
    examples, page = shown("--set", "arms=[few_shot]")
    assert examples == {8} and "few-shot, up to 8 examples" in page
