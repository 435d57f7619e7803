"""`data fix|log|diff|card|convert`: what they write, what they say, and how they refuse."""

import importlib
import json
from pathlib import Path

from tests.command_line import colours

TURNS = [{"role": "user", "content": "Write to ann@x.org"}, {"role": "assistant", "content": "Done"}]


def test_fix_is_kept_in_the_recipe_when_asked(cli, project, tmp_path):
    folder = project()
    data = tmp_path / "rows.jsonl"
    data.write_text(data.read_text() + json.dumps({"messages": TURNS}) + "\n")
    before = (folder / "tunewright.yaml").read_text()
    tried = cli("data", "fix", folder, "--accept", "pii", "--json")
    assert tried.code == 0 and tried.document["diff"]["counts"]["changed"] == 1
    assert (folder / "tunewright.yaml").read_text() == before
    kept = cli("data", "fix", folder, "--accept", "pii", "--keep")
    assert kept.code == 0 and "1 changed" in kept.out
    assert "  accept: [pii]" in (folder / "tunewright.yaml").read_text()
    again = cli("data", "fix", folder, "--accept", "pii", "--keep")
    assert again.code == 0 and (folder / "tunewright.yaml").read_text().count("accept:") == 1
    recipe = folder / "tunewright.yaml"
    recipe.write_text(recipe.read_text().replace("  accept: [pii]\n", "\n  accept:\n    - pii  # ours\n"))
    more = cli("data", "fix", folder, "--accept", "near_duplicate", "--keep")
    assert more.code == 0 and "    - pii  # ours\n    - near_duplicate\n" in recipe.read_text()
    assert cli("data", "fix", folder, "--accept", "pii").code == 0, "the recipe still loads"

    listed = cli("data", "log", "--project", folder, "--json").document["versions"]
    assert listed[-1]["parent"] == listed[0]["id"]
    assert cli("data", "diff", listed[0]["id"][:6], listed[-1]["id"], "--project", folder).out.startswith("0 added")
    assert listed[-1]["id"] in cli("data", "card", "--project", folder).out
    assert cli("data", "card", "nope", "--project", folder).code == 2


def test_check_says_how_each_file_was_read_and_what_was_not(cli, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "faq.jsonl"
    rows = [{"question": f"Where is item {i}?", "answer": f"On shelf {i}.", "note": f"says row {i}"} for i in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = "prompt_completion. every row has `question` and `answer`; not read: `note`"
    checked = cli("check", file).out
    assert f"faq.jsonl: {told}" in checked
    assert checked.rstrip().endswith("next     tunewright init my-project --data faq.jsonl")
    folder = project()
    (folder / "tunewright.yaml").write_text("version: 1\nmodel: seedling\ndata: {train: [../faq.jsonl]}\n")
    assert f"../faq.jsonl: {told}" in cli("check", folder).out
    read = cli("check", folder, "--json").document["files"][0]
    assert (read["path"], read["rows"], read["not_read"]) == (str(folder / "../faq.jsonl"), 60, ["note"])
    assert read["shape"] == "prompt_completion" and read["reason"] in told
    assert cli("init", tmp_path / "new", "--data", file, "--json").document["files"][0]["not_read"] == ["note"]


def test_the_test_that_a_file_brings_is_held_out(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"Where is item {i}?", "answer": f"On shelf {i}."} for i in range(100)]
    parts = {"train": rows[:60], "test": rows[60:]}
    (tmp_path / "all.json").write_text(json.dumps(parts))
    made = cli("init", tmp_path / "new", "--data", tmp_path / "all.json")
    assert made.code == 0 and "its split `test` is held out" in made.out
    assert cli("check", tmp_path / "new", "--json").document["splits"]["test"] == 40
    assert cli("check", "all.json", "--json").document["splits"]["test"] == 40
    assert cli("check", "all.json").out.rstrip().endswith("next     tunewright init my-project --data all.json")


def test_fix_ends_with_no_where_a_gate_says_no(cli, project, rows, tmp_path):
    folder = project([*colours(), *["{broken"] * 10])
    ran = cli("data", "fix", folder, "--accept", "pii", "--json")
    assert ran.code == 3 and next(g for g in ran.document["gates"] if g["name"] == "bad_rows")["ok"] is False
    assert (Path(ran.document["dataset"]) / "train.jsonl").is_file(), "the version is written all the same"
    said = cli("data", "fix", folder, "--accept", "pii", "--keep")
    assert said.code == 3 and "✗ bad_rows" in said.out and "after" in said.out
    assert "  accept: [pii]" in (folder / "tunewright.yaml").read_text()
    rows([*colours(), "{broken"])
    assert cli("data", "fix", folder, "--accept", "pii").code == 0


def test_mistakes(cli, project, tmp_path):
    folder = project()
    for arguments, says in (
        (("fix", folder), "--accept"),
        (("fix", folder, "--accept", "too_few"), "has no fix"),
        (("card", "--project", folder), "no dataset version"),
        (("convert", tmp_path / "no.jsonl", "--to", "openai", "--out", tmp_path / "o"), "no such file"),
    ):
        ran = cli("data", *arguments)
        assert ran.code == 2 and says in ran.err, (arguments, ran.err)


def test_convert_leaves_faulty_rows_out_and_names_them(cli, tmp_path):
    rows = [json.dumps({"prompt": f"q{i}", "completion": f"a{i}"}) for i in range(12)]
    (tmp_path / "a.jsonl").write_text("\n".join([*rows, '{"prompt": "x"}']) + "\n")
    ran = cli("data", "convert", tmp_path / "a.jsonl", "--to", "openai", "--out", tmp_path / "o.jsonl", "--json")
    assert ran.document["rows"] == 12 and ran.document["left_out"] == [
        {"row": "a.jsonl:13", "reason": "no `completion`"}
    ]
    assert json.loads((tmp_path / "o.jsonl").read_text().splitlines()[0])["messages"][0]["content"] == "q0"
    assert ran.document["refused"] == []
    refused = cli("data", "convert", tmp_path / "a.jsonl", "--to", "xml", "--out", tmp_path / "x.jsonl")
    assert refused.code == 2 and not (tmp_path / "x.jsonl").exists()


def test_convert_writes_nothing_where_nothing_is_left(cli, tmp_path):
    (tmp_path / "good.jsonl").write_text("kept\n")
    for faulty, others, to, says in (
        (3, 0, "messages", "3 of 3 rows are faulty: a.jsonl:1: an empty answer; a.jsonl:2: "),
        (2, 3, "openai", "2 of 5 rows are faulty: a.jsonl:1: an empty answer; a.jsonl:2: an empty answer. 3 are left"),
    ):
        answers = ["" if i < faulty else "a" for i in range(faulty + others)]
        lines = [json.dumps({"prompt": f"q{i}", "completion": a}) for i, a in enumerate(answers)]
        (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
        ran = cli("data", "convert", tmp_path / "a.jsonl", "--to", to, "--out", tmp_path / "good.jsonl", "--json")
        assert ran.code == 2 and says in ran.document["error"]["message"]
        assert (tmp_path / "good.jsonl").read_text() == "kept\n"
    turns = [{"role": "user", "content": "System: q"}, {"role": "assistant", "content": "a"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": turns}) + '\n{"messages": []}\n')
    ran = cli("data", "convert", tmp_path / "a.jsonl", "--to", "bedrock", "--out", tmp_path / "b.jsonl", "--json")
    says = "2 of 2 rows are faulty or do not fit bedrock: a.jsonl:2: "
    assert ran.code == 2 and says in ran.document["error"]["message"]
    assert not (tmp_path / "b.jsonl").exists()


def test_check_compares_with_what_is_asked(cli, project, tmp_path, monkeypatch):
    folder = project()
    log = tmp_path / "log.txt"
    log.write_text("".join(f"please cancel my order number {i} today\n" for i in range(80)))
    monkeypatch.chdir(tmp_path)
    for given in (folder, tmp_path / "rows.jsonl"):
        found = {f["code"]: f for f in cli("check", given, "--requests", log, "--json").document["findings"]}
        assert [side["side"] for side in found["shift"]["evidence"]["sides"]] == ["requests"]
        assert found["coverage_gap"]["count"] == 80
        assert "shift" not in {f["code"] for f in cli("check", given, "--json").document["findings"]}
    refused = cli("check", folder, "--requests", tmp_path / "no.txt")
    assert refused.code == 2 and "no such file" in refused.err


def test_convert_lists_every_row_that_a_service_would_refuse(cli, tmp_path):
    said = [f"q{i}" if i % 2 else f"System: q{i}" for i in range(28)]
    rows = [json.dumps({"prompt": text, "completion": "a"}) for text in said]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n")
    arguments = ("data", "convert", tmp_path / "a.jsonl", "--to", "bedrock", "--out", tmp_path / "o.jsonl")
    ran = cli(*arguments)
    assert ran.code == 0 and "14 more left out" in ran.out and "and 4 more" in ran.out
    assert "a.jsonl:1: bedrock would refuse this row: the user's turn holds `System:`" in ran.out
    told = cli(*arguments, "--json").document
    assert told["rows"] == 14 == len((tmp_path / "o.jsonl").read_text().splitlines())
    assert [one["row"] for one in told["refused"]] == [f"a.jsonl:{i}" for i in range(1, 29, 2)]

    calls = [{"role": "user", "content": "Q"}, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {}}]}]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"messages": calls}) + "\n" for _ in range(3)))
    none = cli("data", "convert", tmp_path / "b.jsonl", "--to", "together", "--out", tmp_path / "p.jsonl")
    assert none.code == 2 and "3 of 3 rows" in none.err and "b.jsonl:3" in none.err
    assert not (tmp_path / "p.jsonl").exists()


def test_the_commands_of_a_group_lie_in_the_module_of_its_name():
    from tunewright.cli import app

    groups = {group.name: group.typer_instance for group in app.data_app.registered_groups}
    assert {command.callback.__module__ for command in groups["review"].registered_commands} == {
        "tunewright.cli.data_review"
    }
    assert {command.callback.__module__ for command in app.data_app.registered_commands} == {
        "tunewright.cli.data",
        "tunewright.cli.synthesis",
    }


def test_data_are_looked_at_without_a_bases_weights(cli, project, monkeypatch):
    """Those of a large base are minutes, and more memory than there may be: to count tokens nobody needs them."""

    def read(*_: object) -> None:
        raise AssertionError("the weights were read")

    monkeypatch.setattr(importlib.import_module("tunewright.models.load"), "_read", read)
    folder = project()
    assert "tokens" in cli("check", folder).out
    assert cli("data", "show", folder).code == 0
    assert cli("data", "fix", folder, "--accept", "pii").code == 0
    assert "the weights were read" in cli("plan", folder).err, "what is planned needs them: else this proved nothing"
