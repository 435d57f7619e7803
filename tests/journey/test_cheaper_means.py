"""The order of means is a gate: tuning stops where a cheaper arm is good enough, unless it is passed on the record."""

import json
import re

from tests.command_line import colours
from tunewright import journey
from tunewright.joins import hurdles
from tunewright.store import read_json

ENOUGH = "arms: [base, classifier, tuned]\ngates: {{enough: {enough}, min_gain: 0.02}}\n"


def test_the_baseline_says_what_tuning_must_beat(cli, project):
    folder = project(recipe=ENOUGH.format(enough=1.0))
    ran = cli("baseline", folder)
    assert ran.code == 0, ran.out + ran.err
    told = " ".join(ran.out.split())
    said = (
        r"TF-IDF \+ logistic regression already reaches 1?\d\d\.\d % \[\d+\.\d, \d+\.\d\] of 32 cases; tuning must beat"
    )
    assert re.search(said + r" that by 2 points to pay\.", told), told
    assert "four times in five" in told
    document = cli("baseline", folder, "--json").document
    hurdle = document["hurdle"]
    best = max(document["arms"], key=lambda a: a["score"])
    assert (hurdle["arm"], hurdle["score"], hurdle["low"]) == (best["name"], best["score"], best["low"])
    assert hurdle["min_gain"] == 0.02 and 0 < hurdle["detectable"] < 0.5 and hurdle["left"] == 1 - best["score"]
    page = re.sub(r"<[^>]+>", "", (folder / "report.html").read_text())
    assert "tuning must beat that by 2.0 points" in page


def test_run_and_train_stop_where_a_cheaper_arm_is_good_enough_unless_told_otherwise(cli, project):
    folder = project(recipe=ENOUGH.format(enough=0.8))
    ran = cli("run", folder, "--json")
    assert ran.code == 3
    gates = {g["name"]: g for g in ran.document["gates"]}
    assert gates["cheaper_means"]["ok"] is False and "80 % is enough" in gates["cheaper_means"]["message"]
    assert {a["name"] for a in ran.document["arms"]} == {"base", "classifier"}
    assert not list((folder / ".tunewright" / "runs").glob("*/train.json"))
    assert "Do not tune." in (folder / "report.html").read_text()
    refused = cli("train", folder, "--json")
    assert refused.code == 3 and refused.document["run"] is None
    assert not list((folder / ".tunewright" / "runs").glob("*/train.json"))
    allowed = cli("train", folder, "--json", "--allow", "cheaper_means", "--because", "it must run offline")
    assert allowed.code == 0, allowed.out
    gate = next(g for g in allowed.document["gates"] if g["name"] == "cheaper_means")
    assert gate["allowed_because"] == "it must run offline"
    judged = cli("evaluate", "--project", folder, "--json")
    gates = {g["name"]: g for g in judged.document["gates"]}
    assert judged.code == 3 and gates["cheaper_means"]["ok"] is False and "enough" in gates
    assert gates["cheaper_means"]["allowed_because"] == "it must run offline"


def test_train_alone_is_amber_where_nothing_cheaper_was_measured(cli, project):
    ran = cli("train", project(colours(60)), "--json", "--set", "gates.suite_size=10")
    gate = next(g for g in ran.document["gates"] if g["name"] == "cheaper_means")
    assert ran.code == 0 and gate["ok"] is None and "tunewright baseline" in gate["message"]


def test_without_a_suite_train_refuses_unless_it_is_told_on_the_record(cli, project):
    folder = project(colours(60))
    none = ("--set", "data.split.test=0", "--json")
    refused = cli("train", folder, *none)
    assert refused.code == 3 and refused.document["run"] is None
    gate = next(g for g in refused.document["gates"] if g["name"] == "suite_size")
    assert gate["ok"] is False and gate["message"].startswith("0 cases")
    told = cli("train", folder, *none, "--allow", "suite_size", "--because", "judged elsewhere")
    assert told.code == 0, told.out
    assert read_json(next((folder / ".tunewright" / "runs").glob("*/train.json")))["steps"] > 0


def test_a_baseline_of_other_arms_task_or_cases_is_not_taken_for_the_one_of_now(project, tmp_path):
    (tmp_path / "shop.md").write_text("Tomatoes are red.")
    (tmp_path / "cases.jsonl").write_text(
        "".join(json.dumps({"input": f"Case {i}: what colour is a pea?", "expected": "green"}) + "\n" for i in range(6))
    )
    rag = "{rag: {documents: ../shop.md}}"
    more = rag.replace("}}", ", passages: 1}}")
    recipe = "suite: {source: ../cases.jsonl}\ngates: {suite_size: 4}\n" + f"arms: [base, {rag}, tuned]\n"
    folder = project(recipe="task: Name a colour\n" + recipe)
    journey.baseline(journey.open_project(folder))

    def known(*sets):
        return "already reaches" in hurdles.before_training(journey.open_project(folder, sets)).message

    assert known() and known(f"arms=[{rag}, base]") and known("train.rank=4")
    others = ("arms=[base, tuned]", "arms=[base, few_shot, tuned]", "task=Name one colour", "suite.cases=5")
    assert not any(known(one) for one in others)
    assert not known(f"arms=[base, {more}]")
    # What was measured of other arms on the same cases stays true, and is what `advise` goes by.
    scored = [any(hurdles.measured(journey.open_project(folder, [one]))) for one in others]
    assert scored == [True, True, False, False]
    message = hurdles.before_training(journey.open_project(folder, ["task=another"])).message
    assert "with other" in message and "tunewright baseline" in message
    for file in ("shop.md", "cases.jsonl"):
        before = (tmp_path / file).read_text()
        (tmp_path / file).write_text(before.replace("pea", "frog").replace("red", "yellow"))
        assert not known(), file
        (tmp_path / file).write_text(before)
    assert known()
    # Scores of an evaluation that was asked otherwise than its run was begun are of that other way.
    journey.baseline(journey.open_project(folder, ["suite.cases=4"]))
    assert known() and known("suite.cases=4")
