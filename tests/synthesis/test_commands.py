"""Too few rows, a teacher, a review, and the next audit: the command line against a scripted server."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import threading
import time

import pytest

from tunewright import journey
from tunewright.data import load, versions
from tunewright.errors import Interrupted
from tunewright.joins import synthesising

COUNTS = {"delivery": 55, "refund": 50, "account": 6}
TEXTS = {
    "delivery": "Where is the parcel number {i} that I have ordered from you?",
    "refund": "I was charged twice for item {i} and want the money back.",
    "account": "How can I change the address of my account {i} with you?",
}
WORDS = [f"{a}{b}" for a in ("am", "bir", "ced", "del", "em", "fjo") for b in ("ber", "ch", "ar", "ta", "rd", "ona")]


def _data(tmp_path, name="few.jsonl"):
    lines = [
        json.dumps({"text": TEXTS[label].format(i=f"{label[0]}{i}"), "label": label})
        for label, count in COUNTS.items()
        for i in range(count)
    ]
    (tmp_path / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def shop(tmp_path):
    """A project with 111 labelled rows, few of one label, and room for more settings."""
    _data(tmp_path)

    def make(more=""):
        folder = tmp_path / "shop"
        folder.mkdir()
        (folder / "tunewright.yaml").write_text(
            f"# mine\nmodel: seedling\ntask: Route a question.\ndata:\n  train: [../few.jsonl]  # all I have\n{more}"
        )
        return folder

    return make


class Teacher:
    """Rewords a text by putting its words behind others, and invents rows of the class it is asked for."""

    def __init__(self):
        self.made = 0
        self.lock = threading.Lock()

    def __call__(self, prompt):
        wanted = int(re.search(r"Write (\d+)", prompt).group(1))
        with self.lock:
            start, self.made = self.made, self.made + wanted
        texts = [self.text(prompt, start + i) for i in range(wanted)]
        if '"inputs"' in prompt:
            return "Sure:\n```json\n" + json.dumps({"inputs": texts}) + "\n```"
        aimed = re.search(r'the output "(\w+)"', prompt)
        label = aimed.group(1) if aimed else "refund"
        return json.dumps({"rows": [{"input": t, "output": label} for t in texts]})

    def text(self, prompt, number):
        words = " ".join(random.Random(number).sample(WORDS, 7))
        code = re.search(r"\b[dra]\d+\b", prompt)
        about = f" It concerns {code.group()}." if code and '"inputs"' in prompt else ""
        return f"Dear team, {words}, please.{about}"


def test_from_too_few_rows_to_a_dataset_version(shop, scripted, cli):
    scripted.say = Teacher()
    folder = shop()
    before = cli("check", folder, "--json").document
    assert any(f["code"] == "too_few" for f in before["findings"])
    recipe = (folder / "tunewright.yaml").read_text()
    teacher = ("--url", scripted.url, "--model", "wise", "--prices", "10,20")
    ran = cli("data", "synthesise", folder, *teacher, "--kind", "augment", "--count", 5, "--json")
    assert ran.code == 0, ran.err
    made = ran.document
    assert made["asked"] == 5 == made["pending"] + sum(made["set_aside"].values())
    assert made["pending"] >= 4 and made["requests"] == 1 == len(scripted.asked)
    assert made["cost"] == pytest.approx((100 * 10 + 2 * 20) / 1e6)
    asked = "\n".join(body["messages"][-1]["content"] for body in scripted.asked)
    assert 'the output "account"' in asked and "Route a question." in asked and 'the output "refund"' not in asked
    judged = [e.prompt[0].content for split in ("validation", "test") for e in load(_path(before), split)]
    assert judged and not any(text in asked for text in judged)

    # Nothing trains on them yet.
    assert cli("check", folder, "--json").document["dataset"] == before["dataset"]
    assert not (folder / "synthetic.jsonl").exists() and (folder / "tunewright.yaml").read_text() == recipe

    listed = cli("data", "review", "list", "--project", folder, "--json").document["candidates"]
    assert [c["id"] for c in listed] == made["candidates"] and {c["decision"] for c in listed} == {"pending"}
    first, second = listed[0]["id"], listed[1]["id"]
    assert cli("data", "review", "reject", second, "--project", folder).code == 0
    done = cli("data", "review", "accept", "--all", "--keep", "--by", "Ann", "--project", folder, "--json")
    assert done.code == 0, done.err
    taken = made["pending"] - 1
    assert len(done.document["accepted"]) == taken == done.document["rows"] and done.document["pending"] == 0
    assert (
        "train: [../few.jsonl, {path: synthetic.jsonl, synthetic: true}]  # all I have"
        in (folder / "tunewright.yaml").read_text()
    )

    after = cli("check", folder, "--json").document
    assert after["synthetic"] == taken and after["dataset"] != before["dataset"]
    assert after["splits"] == before["splits"] | {"train": before["splits"]["train"] + taken}
    for split in ("validation", "test"):
        assert load(_path(after), split) == load(_path(before), split)
    drafted = [e for e in load(_path(after), "train") if e.synthetic]
    assert len(drafted) == taken and {e.label for e in drafted} == {"account"}
    assert f"({taken} synthetic)" in cli("check", folder).out

    record = versions.log(folder / ".tunewright")[-1]
    assert record.parent == _path(before).name and record.note == f"{taken} reviewed rows drafted by wise"
    row = json.loads((folder / "synthetic.jsonl").read_text().splitlines()[0])
    assert row["synthetic"] is True and row["made"]["id"] == first
    assert row["made"]["teacher"] == "wise" and row["made"]["kind"] == "augment" and row["made"]["target"] == "account"
    assert all(name.startswith("few.jsonl:") for name in row["made"]["rows"])
    assert row["made"]["cost"] > 0 and row["made"]["date"] and row["made"]["reviewed"]["by"] == "Ann"


def _path(checked):
    from pathlib import Path

    return Path(checked["dataset"])


def test_rewordings_stay_with_their_rows_and_a_sheet_can_correct_them(shop, scripted, cli, tmp_path):
    scripted.say = Teacher()
    folder = shop(f"teacher: {{url: '{scripted.url}', model: wise, license: Free-Terms}}\n")
    made = cli("data", "synthesise", folder, "--count", 6, "--json").document
    assert made["pending"] == 6 and made["cost"] is None
    sheet = tmp_path / "sheet.csv"
    assert cli("data", "review", "export", "--project", folder, "--out", sheet).code == 0
    assert sheet.read_bytes().startswith(b"\xef\xbb\xbf"), "spreadsheets would garble accents"
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    assert len(lines) == 7 and all(line[2] for line in lines[1:])
    leak = load(journey.open_project(folder).audit.path, "test")[0].prompt[0].content
    lines[1][5], lines[1][3] = "yes", lines[1][3] + " Thanks!"
    lines[2][5], lines[2][3] = "yes", leak
    lines[3][5] = "no"
    lines[4][5], lines[4][4] = "yes", "party"
    with sheet.open("w", newline="") as file:  # as a spreadsheet saves it where a comma is in numbers
        csv.writer(file, delimiter=";").writerows(lines)
    done = cli("data", "review", "import", sheet, "--project", folder, "--keep", "--json").document
    assert done["accepted"] == [lines[1][0]] and done["rejected"] == [lines[3][0]] and done["pending"] == 4
    assert done["refused"][lines[2][0]].startswith("leak_exact") and done["refused"][lines[4][0]].startswith(
        "wrong_form"
    )
    row = json.loads((folder / "synthetic.jsonl").read_text())
    assert row["messages"][0]["content"].endswith("Thanks!") and row["made"]["reviewed"]["edited"] is True
    assert row["license"] == "Free-Terms AND NOASSERTION" and row["rewords"] == lines[1][2]
    for seed in range(4):
        opened = journey.open_project(folder, [f"data.split.seed={seed}"])
        assert row["rewords"] in [e.prompt[0].content for e in opened.examples("train")]
    lines[5][5] = "perhaps"
    with sheet.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    wrong = cli("data", "review", "import", sheet, "--project", folder)
    assert wrong.code == 2 and "sheet.csv:6" in wrong.err
    gone = cli("data", "review", "reject", lines[1][0][:8], "--project", folder)
    assert gone.code == 0 and "take synthetic.jsonl out" in gone.out and not (folder / "synthetic.jsonl").exists()


def test_a_teacher_that_leaks_copies_babbles_and_repeats(shop, scripted, cli, tmp_path):
    elsewhere = "My other matter is one that only the suite from elsewhere asks about."
    (tmp_path / "elsewhere.jsonl").write_text(json.dumps({"input": elsewhere, "expected": "refund"}) + "\n")
    folder = shop("trials: {elsewhere: ../elsewhere.jsonl}\n")
    opened = journey.open_project(folder)
    test, train = (opened.examples(split)[0].prompt[0].content for split in ("test", "train"))
    replies = [
        {"rows": [{"input": text, "output": "refund"} for text in (test, test + " Thanks", train, elsewhere, "Hm")]},
        "I would rather talk about the weather.",
        {
            "rows": [
                {"input": "My own new matter concerns something else entirely.", "output": o} for o in ("refund", "x")
            ]
        },
    ]

    def say(prompt):
        part = re.search(r"request (\d)", prompt)
        reply = replies[int(part.group(1)) - 1 if part else 0]
        return reply if isinstance(reply, str) else json.dumps(reply)

    scripted.say = say
    teacher = ("--url", scripted.url, "--model", "m", "--kind", "generate", "--count", 14)
    ran = cli("data", "synthesise", folder, *teacher, "--json")
    assert ran.code == 0, ran.err
    made = ran.document
    assert made["asked"] == 14 == made["pending"] + sum(made["set_aside"].values())
    aside = made["set_aside"]
    assert aside["leak_exact"] == 2 and aside["leak_near"] == aside["copy_exact"] == 1 and made["pending"] == 1
    assert aside["wrong_form"] == 1 and aside["length"] == 1 and aside["unparseable"] + aside["missing"] == 7
    kept = synthesising.shelf(opened)
    assert [c.input for c in kept.pending()] == ["My own new matter concerns something else entirely."]


def test_nothing_is_asked_twice_and_a_stop_loses_nothing(shop, scripted, cli):
    scripted.say = Teacher()
    folder = shop(f"teacher: {{url: '{scripted.url}', model: wise, prices: [1, 1]}}\n")
    scripted.statuses = [429, 503, 200, 200, 401]
    broken = cli("data", "synthesise", folder, "--count", 12)
    assert broken.code == 1 and "401" in broken.err and "kept" in broken.err
    kept = len(synthesising.shelf(journey.open_project(folder)).replies())
    assert 2 <= kept < 12
    sent = len(scripted.asked)
    made = cli("data", "synthesise", folder, "--count", 12, "--json").document
    assert len(scripted.asked) - sent == 12 - kept and made["reused"] == kept
    assert made["cost"] == pytest.approx((12 - kept) * 102 / 1e6) and made["cost_in_all"] == pytest.approx(
        12 * 102 / 1e6
    )
    again = cli("data", "synthesise", folder, "--count", 12, "--json").document
    assert len(scripted.asked) - sent == 12 - kept and again["cost"] == 0 and again["reused"] == 12
    same = ("batch", "asked", "pending", "set_aside", "candidates", "details")
    assert [again[k] for k in same] == [made[k] for k in same]
    other = cli("data", "synthesise", folder, "--count", 3, "--seed", 1, "--json").document
    assert other["batch"] != made["batch"] and other["asked"] == 3
    assert len({c.id for c in synthesising.shelf(journey.open_project(folder)).candidates().values()}) == (
        made["pending"] + other["pending"]
    )


def test_a_request_that_is_refused_is_accounted_for_and_stops_no_other(shop, scripted, cli):
    scripted.say = Teacher()
    folder = shop(f"teacher: {{url: '{scripted.url}', model: wise, prices: [1, 1], max_tokens: 4000}}\n")
    scripted.statuses = [200, 400, 422]
    made = cli("data", "synthesise", folder, "--count", 12, "--json").document
    assert made["asked"] == 12 == made["pending"] + sum(made["set_aside"].values())
    assert made["set_aside"]["refused"] == 2 and made["cost"] == pytest.approx(10 * 102 / 1e6)
    told = [d["detail"] for d in made["details"] if d["reason"] == "refused"]
    assert {t[:23] for t in told} == {"the server answered 400", "the server answered 422"}
    assert {body["max_tokens"] for body in scripted.asked} == {4000}


def test_the_same_replies_give_the_same_candidates_in_whatever_order_they_come(shop, scripted):
    def by_prompt(prompt):
        time.sleep(random.random() / 50)
        wanted = int(re.search(r"Write (\d+)", prompt).group(1))
        rng = random.Random(prompt)
        return json.dumps({"inputs": [" ".join(rng.sample(WORDS[:14], 9)) for _ in range(wanted)]})

    scripted.say = by_prompt
    folder = shop(f"teacher: {{url: '{scripted.url}', model: wise}}\n")
    one = synthesising.synthesise(journey.open_project(folder), count=40)
    shutil.rmtree(folder / ".tunewright")
    other = synthesising.synthesise(journey.open_project(folder), count=40)
    assert other.model_dump() == one.model_dump() and one.asked == 40 == one.pending + sum(one.set_aside.values())


def test_a_stop_asked_for_is_obeyed_between_requests_and_says_how_to_go_on(shop, scripted):
    scripted.say = Teacher()
    folder = shop(f"teacher: {{url: '{scripted.url}', model: wise}}\n")
    project = journey.open_project(folder)
    assert project.audit
    project.should_stop = lambda: bool(scripted.asked)
    with pytest.raises(Interrupted, match="all replies are kept"):
        synthesising.synthesise(project, kind="generate", count=5 * 40)
    assert len(scripted.asked) == 32 == len(synthesising.shelf(project).replies())


def test_privacy_and_mistakes(shop, scripted, cli):
    folder = shop("teacher: {url: 'https://teacher.example/v1', model: m, key_env: SECRET_OF_TEACHER}\n")
    far = cli("data", "synthesise", folder)
    assert far.code == 2 and "privacy: local" in far.err
    here = cli("data", "synthesise", folder, "--url", scripted.url, "--model", "m", "--kind", "invent")
    assert here.code == 2 and "not a kind" in here.err, "the key of another server is not asked for"
    for arguments, says in (
        (("--url", scripted.url), "--model"),
        (("--url", scripted.url, "--model", "m", "--prices", "cheap"), "cheap"),
        (("--url", scripted.url, "--model", "m", "--prices", "1"), "prices"),
        (("--url", scripted.url, "--model", "m", "--label", "party"), "party"),
        (("--url", scripted.url, "--model", "m", "--key-env", "NOT_THERE"), "NOT_THERE"),
    ):
        ran = cli("data", "synthesise", folder, *arguments)
        assert ran.code == 2 and says in ran.err, ran.err
    assert not scripted.asked
    for command in (("accept",), ("accept", "abc"), ("export",), ("import", "none.csv")):
        assert cli("data", "review", *command, "--project", folder).code == 2
    assert "Nothing waits" in cli("data", "review", "list", "--project", folder).out


def test_without_a_teacher(shop, cli):
    ran = cli("data", "synthesise", shop())
    assert ran.code == 2 and "names no teacher" in ran.err and "--url" in ran.err
