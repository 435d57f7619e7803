"""What is chosen is chosen on validation, on the record, and never on the suite."""

import re

from tunewright import journey
from tunewright.store import read_json, read_lines

PROMPTS = """
task: "Name the colour"
arms:
  - base
  - prompted: {variants: 2, instructions: ["Answer with one colour: red, green or blue.", "Say blue."]}
"""


def test_the_prompt_is_chosen_on_validation_and_every_score_is_kept(cli, project):
    folder = project(recipe=PROMPTS)
    ran = cli("baseline", folder, "--json")
    assert ran.code == 0
    choice = ran.document["prompts"]
    assert [v["name"] for v in choice["variants"]] == ["plain", "beside the question", "own 1", "own 2"]
    best = max(v["score"] for v in choice["variants"])
    assert next(v["name"] for v in choice["variants"] if v["score"] == best) == choice["chosen"]
    opened = journey.open_project(folder)
    run = opened.folder.run()
    tried = list(read_lines(run.path / "prompts.jsonl"))
    validation = {e.row for e in opened.examples("validation")}
    assert {p["case"] for p in tried} == validation and choice["cases"] == len(validation)
    assert not validation & {c.row for c in opened.suite.cases}
    assert {a["name"]: a["cases"] for a in ran.document["arms"]} == {"base": 32, "prompted": 32}
    said = next(v for v in choice["variants"] if v["name"] == choice["chosen"])
    prompt = next(p for p in read_lines(run.predictions) if p["arm"] == "prompted")
    assert said["text"].split("\n")[0] in opened.base.tokenizer.decode(prompt["prompt_ids"])
    page = re.sub(r"<[^>]+>", "", run.report.read_text())
    assert "Which prompt" in page and "– chosen" in page and "own 2" in page
    assert read_json(run.prompts) == choice


RAG = """
arms:
  - base
  - rag: {documents: ../handbook, retrieval: hybrid, passages: 2, words: 20, overlap: 5}
"""


def test_dense_retrieval_with_the_base_is_a_rival_whose_recall_is_told(cli, project, tmp_path):
    folder = project(recipe=RAG)
    (tmp_path / "handbook").mkdir()
    for name in ("red", "green", "blue"):
        (tmp_path / "handbook" / f"{name}.md").write_text(f"Things that are {name}: " + f"{name} stone. " * 12)
    ran = cli("baseline", folder, "--json")
    assert ran.code == 0, ran.err
    told = {r["retrieval"]: r for r in ran.document["retrieval"]}
    assert set(told) == {"bm25", "dense", "hybrid"} and told["hybrid"]["used"]
    assert all(r["k"] == 2 and r["passages"] == 6 and r["cases"] == 32 for r in told.values())
    page = re.sub(r"<[^>]+>", "", (folder / "report.html").read_text())
    assert "What was looked up" in page and "words and vectors – used" in page


def test_chunks_that_never_move_on_are_a_mistake_in_the_recipe(cli, project):
    ran = cli("baseline", project(recipe="arms: [{rag: {words: 20, overlap: 20}}]\n"), "--json")
    assert ran.code == 2 and "overlap" in ran.document["error"]["message"]
