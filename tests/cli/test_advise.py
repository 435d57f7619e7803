"""`tunewright advise`: in a project, on data files, on a person's answers alone; what it says, prints and returns."""

import json
import shlex
from typing import get_args

import pytest

from tests.command_line import colours
from tunewright import advising, journey
from tunewright.cli import advise as command
from tunewright.errors import RecipeError
from tunewright.recipe.deciding import DecideSpec

KEYS = {"fits", "memory_gb", "hours", "price", "choice", "rejected", "serves", "advice"}
SPAN = {"expected", "low", "high"}
TOWN = [f"{a} {b}" for a in ["Arden", "Belmar", "Corvin", "Elwick", "Farrow"] for b in ["Mill", "Bank", "Pier", "Inn"]]
HOUSES = [f"{name} {part}" for name in TOWN for part in ("North", "South", "East", "West", "Upper", "Lower")]
OUTCOMES = {"prompt", "few_shot", "rag", "tune", "tune_and_rag", "agent", "postpone"}


def shape(found):
    """The document has the shape that scripts rely on."""
    assert set(found) >= KEYS
    assert {"total", "low", "high"} <= set(found["memory_gb"])
    assert set(found["hours"]) >= SPAN
    assert set(found["price"]) >= {*SPAN, "currency"}
    assert isinstance(found["choice"], dict)
    assert all(r["option"] and r["why"] for r in found["rejected"])
    assert all({"engine", "ok", "why"} <= set(s) for s in found["serves"])
    advice = found["advice"]
    assert advice["outcome"] in OUTCOMES and all(isinstance(r, str) for r in advice["reasons"]) and advice["reasons"]
    assert all({"name", "ok", "evidence"} <= set(p) and p["evidence"] for p in advice["prerequisites"])
    return found


def test_plan_and_advise_print_one_shape_and_one_advice(cli, project, monkeypatch):
    monkeypatch.setattr("tunewright.joins.advising._free_gb", lambda device: 16.0)  # what is free changes between them
    folder = project(colours(400))
    plan, advice = cli("plan", folder, "--json"), cli("advise", folder, "--json")
    assert plan.code == 0 and advice.code == 0, advice.out
    planned, advised = shape(plan.document), shape(advice.document)
    assert planned["advice"] == advised["advice"]
    assert planned["choice"] == advised["choice"]
    assert advised["fits"] is True
    for name in ("memory_gb", "hours"):
        low, middle, high = (planned[name][k] for k in ("low", "total" if name == "memory_gb" else "expected", "high"))
        assert 0 < low < middle < high
    assert advised["advice"]["outcome"] == "tune"
    assert advised["next"].startswith("tunewright baseline")
    assert not (folder / ".tunewright" / "runs").exists(), "advice trains nothing and begins no run"


def test_what_was_measured_changes_the_advice(cli, project):
    folder = project(colours(400), "arms: [base, classifier, tuned]\ngates: {enough: 0.8}\n")
    before = cli("advise", folder, "--json").document
    assert any("classifier" in r for r in before["advice"]["reasons"]), "a cheap rival is named before it is measured"
    assert cli("baseline", folder, "--json").code == 3
    ran = cli("advise", folder, "--json")
    after = ran.document
    assert ran.code == 3
    assert (after["advice"]["outcome"], after["advice"]["instead"]) == ("postpone", "classifier")
    assert "80 % is enough" in " ".join(after["advice"]["reasons"])
    told = " ".join(cli("advise", folder).out.split())
    assert "Do not tune: take TF-IDF + logistic regression." in told
    more = cli("advise", folder, "--set", "gates.enough=1.0", "--json").document["advice"]
    assert more["outcome"] == "tune" and any("already reaches" in r for r in more["reasons"])


def test_answers_may_stand_in_the_recipe_or_beside_it(cli, project):
    folder = project(colours(400), "decide: {needs: [behaviour, knowledge], machine_hour: 3}\n")
    found = cli("advise", folder, "--json")
    assert found.code == 0 and found.document["advice"]["outcome"] == "tune_and_rag"
    assert found.document["price"]["expected"] > 0
    assert "rag" in found.document["next"]
    assert cli("plan", folder, "--json").document["advice"]["outcome"] == "tune_and_rag"
    beside = cli("advise", folder, "--needs", "actions", "--json")
    assert beside.code == 3 and beside.document["advice"]["outcome"] == "agent"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_data_file_is_enough(cli, rows, here):
    data = rows(colours(60))
    ran = cli("advise", data, "--task", "Name the colour", "--json")
    found = shape(ran.document)
    assert ran.code == 3 and found["advice"]["outcome"] == "few_shot"
    assert "60 rows are few" in found["advice"]["reasons"][0]
    words = shlex.split(found["next"])
    assert words[:2] == ["tunewright", "init"] and "rows.jsonl" in words and "Name the colour" in words
    many = cli("advise", rows(colours(400), "many.jsonl"), "--json")
    assert many.code == 0 and many.document["advice"]["outcome"] == "tune"
    priced = cli("advise", "many.jsonl", "--set", "decide.machine_hour=2", "--json").document["price"]
    assert priced["expected"] > 0


def test_rows_that_teach_nothing_but_facts_are_better_looked_up(cli, rows, here):
    asked = [{"prompt": f"When did {n} open?", "completion": f"It opened in {1700 + i}."} for i, n in enumerate(HOUSES)]
    data = rows(asked)
    ran = cli("advise", data, "--task", "Answer questions about our town", "--json")
    assert (ran.code, ran.document["advice"]["outcome"]) == (3, "rag")
    assert "120 of 120 answers (100 %)" in ran.document["advice"]["reasons"][0]
    both = cli("advise", data, "--needs", "behaviour", "--needs", "knowledge", "--json").document
    assert both["advice"]["outcome"] == "tune_and_rag"


def test_the_next_command_after_a_file_is_one_that_works(cli, rows, here):
    words = shlex.split(cli("advise", rows(colours(400)), "--json").document["next"])
    assert cli(*words[1:]).code == 0
    assert (here / "my-project" / "tunewright.yaml").is_file()


@pytest.mark.parametrize(
    ("asked", "outcome", "code"),
    [
        ((), "postpone", 3),
        (("--task", "Name the colour"), "prompt", 3),
        (("--task", "Answer from our handbook", "--needs", "knowledge", "--cite"), "rag", 3),
        (("--task", "Write in our voice", "--needs", "behaviour", "--rows", 800), "tune", 0),
        (("--task", "Write in our voice", "--needs", "behaviour", "--rows", 30), "few_shot", 3),
        (("--task", "Book a journey", "--needs", "actions"), "agent", 3),
        (("--task", "Grade claims", "--changes", "rules"), "prompt", 3),
    ],
)
def test_without_data_answers_will_do_and_nobody_is_asked(cli, here, asked, outcome, code):
    ran = cli("advise", *asked, "--json")
    found = shape(ran.document)
    assert (found["advice"]["outcome"], ran.code) == (outcome, code)
    assert found["fits"] is None and found["hours"]["expected"] is None
    assert found["next"].startswith("tunewright advise")
    assert not list(here.iterdir()), "nothing is written"


def test_on_a_terminal_a_person_is_asked_where_nothing_is_given(cli, here, monkeypatch):
    answers = iter(["Answer from our handbook", "knowledge, behaviour", True, False, False, 250])
    monkeypatch.setattr(command, "_somebody_answers", lambda as_json: not as_json)
    monkeypatch.setattr(command.typer, "prompt", lambda *a, **k: next(answers))
    monkeypatch.setattr(command.typer, "confirm", lambda *a, **k: next(answers))
    ran = cli("advise")
    assert ran.code == 0 and "Tune, and look the facts up beside it" in ran.out
    assert next(answers, None) is None
    assert cli("advise", "--task", "t").code == 3, "who has answered is not asked"


def test_its_options_offer_what_the_recipe_takes():
    for offered, setting in ((command.Needs, "needs"), (command.Changes, "changes")):
        taken = get_args(get_args(DecideSpec.model_fields[setting].annotation)[0])
        assert tuple(offered) == taken


def test_a_mistake_is_told_with_what_can_be(cli, project, rows, here):
    folder, data = project(), rows(colours(60), "more.jsonl")
    for asked, word in (
        (("advise", folder, "--rows", 5), "--rows"),
        (("advise", data, "--rows", 5), "--rows"),
        (("advise", folder, "--test", data), "--test"),
        (("advise", "--test", data), "--test"),
        (("advise", "--needs", "wishes"), "wishes"),
        (("advise", "--set", "decide.need=1"), "`decide.need` is not a setting. Did you mean `needs`?"),
        (("advise", "--task", "t", "--set", "decide.currency=Euros"), "decide.currency"),
        (("advise", here / "no.jsonl"), "no.jsonl"),
        (("advise", "--cost", "-1"), "decide.cost"),
    ):
        ran = cli(*asked)
        assert ran.code == 2 and word in ran.err and "Traceback" not in ran.err, (asked, ran.err)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_its_lines_end_where_the_terminal_does(cli, rows, here, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = cli("advise", rows(colours(60)))
    lines = ran.out.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("Do not tune"))
    end = next(i for i, line in enumerate(lines) if line.startswith("  next"))
    assert max(len(line) for line in lines[begin:end]) <= min(columns, 100)
    assert lines[end].startswith("  next     tunewright init my-project --data rows.jsonl")
    assert any(line.startswith("  ✗ enough good data") for line in lines)


def test_from_python(project, rows, here):
    opened = journey.open_project(project(colours(400)))
    decision = advising.decide(opened)
    assert decision.advice.tune and decision.plan is not None and decision.plan.fits
    json.dumps(decision.as_dict())
    assert advising.decide(journey.open_files([rows(colours(60))], model="seedling")).advice.outcome == "few_shot"
    assert advising.without_data(["task=Name it", "decide.needs=[behaviour]"], rows=500).advice.tune
    with pytest.raises(RecipeError):
        advising.without_data(["decide.requests=0"])
    with pytest.raises(RecipeError):
        advising.without_data(rows=-1)
