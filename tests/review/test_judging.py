"""The recipe's judge, asked over HTTP by the command line: both orders, calibration, the gate, privacy, reuse."""

import json
import re

import pytest

from tunewright import journey
from tunewright.errors import DataError, RecipeError
from tunewright.joins import judging, stages
from tunewright.joins.workshop import begin_run
from tunewright.records import Prediction
from tunewright.review import labelled_pairs, write_sheets
from tunewright.review.judge import PROMPT
from tunewright.store import read_json, read_lines, write_json, write_text

COLOURS = {"red", "green", "blue"}


def by_colour(prompt):
    """A judge that prefers the answer which is a colour; a pair without one is not decided."""
    a, b = re.search(r"Answer \(a\):\n(.*?)\n\nAnswer \(b\):\n(.*?)\n\nWhich", prompt, re.DOTALL).groups()
    return "(a)" if a in COLOURS and b not in COLOURS else "(b)" if b in COLOURS and a not in COLOURS else "neither"


@pytest.fixture
def judged(project, scripted, tmp_path):
    """A project whose newest run holds right tuned answers and wrong base answers, and pairs people labelled."""
    scripted.say = by_colour
    rows = [
        {"question": f"q{i}", "first": "red" if i % 2 else "no", "second": "no" if i % 2 else "red",
         "better": "first" if i % 2 else "second"} for i in range(40)
    ]  # fmt: skip
    rows.append({"question": "t", "first": "red", "second": "blue", "better": "tie"})
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))

    def make(more="", url=None, labels=", labels: ../people.jsonl"):
        judge = f"{{url: '{url or scripted.url}', model: scripted{labels}, prices: [1, 1]}}"
        folder = project(recipe=f"arms: [base, tuned]\njudge: {judge}\n{more}")
        opened = journey.open_project(folder)
        run = begin_run(opened)
        lines = []
        for case in opened.suite.cases:
            for arm, text in (("base", f"what is {case.id}"), ("tuned", case.expected)):
                right = float(text == case.expected)
                lines.append(Prediction(case=case.id, arm=arm, text=text, score=right, seconds=0).model_dump_json())
        write_text(run.predictions, "\n".join(lines) + "\n")
        write_json(run.outcome, stages.decided(opened, stages.stored(run)).model_dump(mode="json"))
        return folder, run

    return make


def test_the_command_measures_asks_in_both_orders_and_asks_nothing_twice(judged, scripted, cli):
    folder, run = judged()
    ran = cli("review", "judge", "--project", folder, "--json")
    assert ran.code == 0, ran.err
    found = ran.document
    cases = found["wins"]
    assert cases == 32 and found["losses"] == found["flips"] == found["unreadable"] == 0
    assert found["gate"]["ok"] is True and found["calibration"]["pairs"] == 40
    assert found["calibration"]["kappa"] == 1.0
    assert len(scripted.asked) == 2 * (cases + 40) == found["asked"] and found["reused"] == 0
    assert found["cost"] == pytest.approx(len(scripted.asked) * 102 / 1e6)
    assert "Right before helpful" in scripted.asked[0]["messages"][0]["content"]
    again = cli("review", "judge", "--project", folder, "--json").document
    assert again["reused"] == again["asked"] and again["cost"] == 0
    assert len(scripted.asked) == found["asked"]
    assert "32 wins" in cli("review", "judge", "--project", folder).out
    assert read_json(run.judged)["winners"] == found["winners"]


def test_a_judge_that_prefers_the_other_arm_is_a_no(judged, cli):
    folder, _ = judged()
    ran = cli("review", "judge", "--first", "base", "--second", "tuned", "--project", folder, "--json")
    assert ran.document["gate"]["ok"] is False and ran.document["losses"] == 32
    assert ran.code == 3


def test_a_judge_that_dies_midway_goes_on_and_is_asked_only_what_is_missing(judged, scripted, cli):
    folder, _ = judged(labels="")
    scripted.statuses = [200] * 10 + [401]
    broken = cli("review", "judge", "--project", folder)
    assert broken.code == 1 and "401" in broken.err and "What was answered is kept" in broken.err
    replies = read_lines(journey.open_project(folder).folder.store / "judge.jsonl")
    kept = {row["key"] for row in replies}
    assert 10 <= len(kept) < 32, "less than a batch, and all that was answered"
    assert len(kept) == len(scripted.asked) - 1
    sent = len(scripted.asked)
    found = cli("review", "judge", "--project", folder, "--json").document
    assert found["asked"] == 64 and found["reused"] == len(kept)
    assert len(scripted.asked) - sent == 64 - len(kept)
    assert found["cost"] == pytest.approx((64 - len(kept)) * 102 / 1e6)


def test_what_the_server_will_not_judge_is_counted_and_stops_nobody(judged, scripted, cli):
    folder, _ = judged(labels="")
    scripted.statuses = [200, 400, 413]
    first = cli("review", "judge", "--project", folder)
    assert "2 of 64 requests were refused by the server" in first.out
    sent = len(scripted.asked)
    scripted.statuses = [400, 400]
    found = cli("review", "judge", "--project", folder, "--json").document
    assert len(scripted.asked) - sent == 2, "what was refused is asked again, and nothing else"
    assert found["refused"] == 2 and found["wins"] + found["unreadable"] == 32 and 1 <= found["unreadable"] <= 2
    found = cli("review", "judge", "--project", folder, "--json").document
    assert found["refused"] == found["unreadable"] == 0


def test_a_server_that_refuses_everything_is_told_after_a_batch(judged, scripted, cli):
    folder, _ = judged(labels="")
    scripted.statuses = [400] * 64
    broken = cli("review", "judge", "--project", folder)
    assert broken.code == 1 and "refuses every request; the first: the server answered 400" in broken.err
    assert len(scripted.asked) == 32


def test_a_judge_that_thinks_first_may_be_given_more_tokens(judged, scripted, cli):
    folder, _ = judged(labels="")
    cli("review", "judge", "--project", folder)
    assert {body["max_tokens"] for body in scripted.asked} == {16}
    sent = len(scripted.asked)
    more = journey.open_project(folder, ["judge.max_tokens=900"])
    judging.judge(more, more.folder.run(), stages.stored(more.folder.run()), "tuned", "base")
    assert len(scripted.asked) == 2 * sent, "another length is another answer"
    assert {body["max_tokens"] for body in scripted.asked[sent:]} == {900}


def test_without_labels_it_decides_nothing_and_one_that_likes_the_first_flips(judged, scripted, cli):
    folder, _ = judged(labels="")
    assert cli("review", "judge", "--project", folder, "--json").document["gate"]["ok"] is None
    scripted.say = lambda prompt: "(a)"
    other = journey.open_project(folder, ["judge.model=other"])
    run = other.folder.run()
    found = judging.judge(other, run, stages.stored(run), "tuned", "base")
    assert found.flips == 32 and found.wins == 0 and set(found.winners.values()) == {None}


def test_a_local_judge_sends_nothing(judged, scripted):
    folder, run = judged()
    opened = journey.open_project(folder, ["judge={model: seedling, cases: 2}"])
    found = judging.judge(opened, run, stages.stored(run), "tuned", "base")
    assert found.asked == 4 and found.cost == 0 and not scripted.asked


def test_privacy_missing_judges_and_arms_are_told(judged, cli, scripted):
    folder, _ = judged(url="http://judge.example/v1")
    ran = cli("review", "judge", "--project", folder)
    assert ran.code == 2 and "privacy: local" in ran.err
    wrong = cli("review", "judge", "--second", "rag", "--project", folder)
    assert wrong.code == 2 and "Stored arms: base, tuned" in wrong.err
    with pytest.raises(RecipeError, match="names no judge"):
        opened = journey.open_project(folder, ["judge=null"])
        judging.judge(opened, opened.folder.run(), {}, "tuned", "base")
    assert not scripted.asked


def test_labels_come_from_filled_sheets_too(judged, tmp_path):
    folder, run = judged()
    opened, stored = journey.open_project(folder), stages.stored(run)
    sheets = write_sheets(opened.suite, stored["tuned"], stored["base"], tmp_path / "r", reviewers=1, cases=5)
    key = read_json(tmp_path / "r" / "key.json")["first_is"][sheets[0].name]
    import csv

    with sheets[0].open(encoding="utf-8-sig", newline="") as file:
        filled = list(csv.reader(file))
    for line in filled[1:]:
        line[4] = key[line[0]]
    with sheets[0].open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(filled)
    pairs = labelled_pairs(tmp_path / "r")
    assert len(pairs) == 5 and all(p.human == "first" and p.first in COLOURS for p in pairs)
    (tmp_path / "bad.jsonl").write_text('{"question": "q", "first": "a", "second": "b", "better": "maybe"}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl:1"):
        labelled_pairs(tmp_path / "bad.jsonl")
    with pytest.raises(DataError, match="no such file"):
        labelled_pairs(tmp_path / "none.jsonl")


@pytest.mark.parametrize(("model", "right", "flips"), [("GPT-4", 0.955, 0.05), ("LLaMA2", 0.805, 0.21)])
def test_a_recorded_judge_asked_over_http_is_measured_as_its_records_say(
    judged, scripted, cli, shared_data, tmp_path, model, right, flips
):
    """From the recipe to the calibration, nothing but the recorded replies decides: the same as their arithmetic."""
    records = json.loads((shared_data / f"llmbar/judged_Natural_{model}_Vanilla.json").read_text())
    rubric, replies = "Be right.", {}
    for one in records:
        for swap, (a, b) in ((False, ("output_1", "output_2")), (True, ("output_2", "output_1"))):
            prompt = PROMPT.format(rubric=rubric, question=one["input"], a=one[a], b=one[b])
            replies[prompt] = one["results"][0][f"swap = {swap}"]["completion"][0]
    assert len(replies) == 200, "every pair is asked in both orders, and no two questions are the same"
    scripted.say = lambda prompt: replies.get(prompt, "(a) or (b)")
    folder, _ = judged(labels=f", labels: ../people.jsonl, rubric: {rubric}, cases: 1")
    sides = {"1": "first", "2": "second"}
    labels = [
        {"question": one["input"], "first": one["output_1"], "second": one["output_2"],
         "better": sides[str(one["label"])]} for one in records
    ]  # fmt: skip
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in labels))
    ran = cli("review", "judge", "--project", folder, "--json")
    assert ran.code == 0, ran.err
    found = ran.document["calibration"]
    assert (found["pairs"], found["accuracy"], found["flip_rate"]) == (100, pytest.approx(right), pytest.approx(flips))
    assert len(scripted.asked) == 202
