"""The scorers that need more than an answer, through the whole command: every arm is scored, or counted apart."""

import json
import re

SUITE = """
suite:
  scorers: [similarity, perplexity, tone, toxicity, json_schema, exact]
  embedding: {embedding}
  json_schema: ../answer.json
  constrain: false
  tone: {{never: [cheers], most_words: 3}}
arms: [base, classifier]
"""


def test_every_arm_is_scored_or_counted_apart(cli, project, tmp_path):
    (tmp_path / "answer.json").write_text(json.dumps({"type": "string"}))
    folder = project(recipe=SUITE.format(embedding="base"))
    ran = cli("baseline", folder, "--json")
    assert ran.code == 0, ran.out
    arms = {a["name"]: a for a in ran.document["arms"]}
    assert set(arms["base"]["scores"]) >= {"similarity", "perplexity", "tone", "toxicity", "json_schema", "exact"}
    assert 0 < arms["base"]["scores"]["perplexity"] < 1 and arms["base"]["errors"] == 0
    assert arms["base"]["scores"]["json_schema"] == 0.0  # words are no JSON
    assert "perplexity" not in arms["classifier"]["scores"] and arms["classifier"]["cases"] == 32
    assert arms["classifier"]["score"] > arms["base"]["score"]
    assert arms["classifier"]["scores"]["macro_f1"] > 0.9
    assert {one["label"] for one in ran.document["labels"]} == {"red", "green", "blue"}
    page = re.sub(r"<[^>]+>", "", (folder / "report.html").read_text())
    assert "Likeness to the expected answer" in page and "Label by label" in page and "macro-F1" in page
    words = cli("baseline", folder, "--json", "--set", "suite.embedding=words").document
    assert {a["name"]: a["score"] for a in words["arms"]}["classifier"] > 0.9


def test_a_scorer_without_its_setting_is_a_mistake_in_the_recipe(cli, project):
    ran = cli("baseline", project(recipe="suite: {scorers: [tone]}\n"), "--json")
    assert ran.code == 2 and ran.document["error"]["where"] == "suite.tone"
