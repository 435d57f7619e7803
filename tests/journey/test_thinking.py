"""A model that thinks before it answers, from `init` to chat: scored by its answers, exported as it was asked."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from tests.command_line import colours
from tests.render.conversations import FIELDS_LIKE, OPENING_LIKE
from tunewright import journey
from tunewright.errors import RecipeError
from tunewright.recipe import Recipe
from tunewright.records import Message
from tunewright.store import read_json, read_lines


def thoughtful(count: int, spoken: bool = False) -> list[dict]:
    """Colours, each with a thought: in a field, or in the answer's own words."""
    rows = colours(count)
    for row in rows:
        answer, thing = row["messages"][1], row["messages"][0]["content"].split()[-1].rstrip("?")
        thought = f"A {thing}: {answer['content']}."
        if spoken:
            answer["content"] = f"<think>{thought}</think>\n\n{answer['content']}"
        else:
            answer["reasoning_content"] = thought
    return rows


def test_from_the_rows_to_an_export_and_a_talk(cli, rows, tmp_path):
    data, template, folder = rows(thoughtful(90, spoken=True)), tmp_path / "own.jinja", tmp_path / "p"
    template.write_text(FIELDS_LIKE)
    made = cli("init", folder, "--data", data, "--template", template)
    assert made.code == 0 and "model.thinking is on" in made.out and "⟦<think>\nA " in made.out
    recipe = folder / "tunewright.yaml"
    assert "thinking: true" in recipe.read_text()
    recipe.write_text(
        recipe.read_text()
        + "suite: {cases: 12}\ngates: {suite_size: 4}\narms: [base, few_shot]\n"
        + "train: {epochs: 4, effective_batch_size: 16, checkpoints: 1}\n"
    )
    project = journey.open_project(folder)
    assert project.suite.labels == ("blue", "green", "red") and project.suite.primary == "choice"
    found = journey.run(project)
    stored = list(read_lines(folder / ".tunewright" / "runs" / found.run / "predictions.jsonl"))
    tuned = [row for row in stored if row["arm"] == "tuned"]
    assert len(tuned) == 12 and sum(row["thought"].startswith("A ") for row in tuned) >= 10
    assert not any("think>" in row["text"] for row in stored)
    score = {arm.name: arm.score for arm in found.arms}
    assert score["tuned"] > score["base"]
    # As many tokens as the rows need with their thoughts.
    assert project.sampling.max_new_tokens > 15
    page = project.folder.report.read_text()
    assert "thought:</span> A " in page and "scored without the thoughts before them" in page

    # Whoever asks, the export asks for thoughts, with the prompt that was learnt.
    exported = found.paths["adapter"]
    plain = AutoTokenizer.from_pretrained(exported)
    asked = [{"role": "user", "content": "Item 1: what colour is a tomato?"}]
    for more in ({}, {"enable_thinking": False}):
        ids = plain.apply_chat_template(asked, add_generation_prompt=True, return_dict=True, **more)["input_ids"]
        assert ids == project.renderer.prompt([Message("user", asked[0]["content"])])
    assert "It thinks before it answers" in (folder / ".tunewright").joinpath(exported, "README.md").read_text()
    assert read_json(folder / ".tunewright" / "artifacts" / f"{found.run}-adapter.json")["certificate"]["ok"]
    for where in (folder, exported):
        said = cli("chat", where, "--say", asked[0]["content"], "--json").document
        assert said["thought"].startswith("A ") and "think>" not in said["answer"]
    short = cli("chat", folder, "--say", asked[0]["content"], "--max-new-tokens", "6")
    assert "did not end within 6 tokens" in short.out + short.err


def test_off_it_is_what_it_was_and_the_finding_says_how_to_turn_it_on(project):
    off = journey.open_project(project(thoughtful(60)))
    told = next(f for f in off.audit.findings if f.code == "thoughts")
    assert told.count == 60 and "model.thinking: true" in told.remedy
    plain = off.audit.dataset.splits
    assert off.examples("train")[0].answer.thought == ""
    on = journey.open_project(off.folder.root, ["model.thinking=true"])
    assert on.audit.dataset.splits == plain and on.audit.dataset.id != off.audit.dataset.id
    assert on.examples("train")[0].answer.thought and on.renderer.fingerprint != off.renderer.fingerprint
    assert on.longest_answer > off.longest_answer


def test_a_base_that_cannot_write_thoughts_is_not_told_to(cli, rows, tmp_path):
    data, template, folder = rows(thoughtful(60)), tmp_path / "r1.jinja", tmp_path / "p"
    template.write_text(OPENING_LIKE.replace("<think>\n{%", "{%"))
    made = cli("init", folder, "--data", data, "--template", template)
    assert made.code == 0 and "thinking: true" not in (folder / "tunewright.yaml").read_text()
    assert "has no place for them" in made.out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"suite": {"json_schema": "s.json"}}, "suite.constrain: false"),
        ({"suite": {"scorers": ["perplexity"]}}, "perplexity"),
    ],
)
def test_what_would_read_the_thought_as_the_answer_is_refused(tmp_path, more, says):
    given = {"model": {"id": "seedling", "thinking": True}, "data": {"train": ["a.jsonl"]}, **more}
    path = tmp_path / "tunewright.yaml"
    path.write_text(json.dumps(given))
    with pytest.raises(RecipeError, match=says):
        Recipe.load(path)
    assert not Recipe.load(path, ["model.thinking=false"]).model.thinking


def test_more_tokens_can_be_given(project):
    opened = journey.open_project(project(thoughtful(60)), ["model.thinking=true", "suite.max_tokens=300"])
    assert opened.sampling.max_new_tokens == 300
