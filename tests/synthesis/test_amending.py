"""A source or accepted findings added to a recipe, whichever way it is written; nothing else in the file moves."""

from __future__ import annotations

import pytest

from tunewright.errors import RecipeError
from tunewright.joins.amending import add_source, keep_accepted
from tunewright.recipe import Recipe, read_spec

ENTRY = "{path: made.jsonl, synthetic: true}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  train: [a.jsonl]  # mine\n", f"  train: [a.jsonl, {ENTRY}]  # mine\n"),
        ("  train: [a.jsonl, ]\n", f"  train: [a.jsonl, {ENTRY}]\n"),
        ("  train: a.jsonl # one\n", f"  train: [a.jsonl, {ENTRY}] # one\n"),
        (
            "  train:\n    - a.jsonl  # one\n\n  input: x\n",
            f"  train:\n    - a.jsonl  # one\n    - {ENTRY}\n\n  input: x\n",
        ),
        (
            "  train:\n  - path: a.jsonl\n    license: MIT\n  # end\n  input: x\n",
            f"  train:\n  - path: a.jsonl\n    license: MIT\n  - {ENTRY}\n  # end\n  input: x\n",
        ),
        ("  train:\n  - a.jsonl", f"  train:\n  - a.jsonl\n  - {ENTRY}"),
    ],
)
def test_the_source_is_the_last_of_the_list(tmp_path, before: str, after: str) -> None:
    recipe = tmp_path / "tunewright.yaml"
    recipe.write_text(f"# top\nmodel: seedling\ndata:\n{before}")
    spec, given = add_source(recipe, "made.jsonl")
    assert recipe.read_text() == f"# top\nmodel: seedling\ndata:\n{after}"
    assert spec.data.train[-1].path == "made.jsonl" and spec.data.train[-1].synthetic
    assert given["data"]["train"][-1] == {"path": "made.jsonl", "synthetic": True}
    add_source(recipe, "made.jsonl")
    assert recipe.read_text().count("made.jsonl") == 1


def test_what_cannot_be_read_is_left(tmp_path) -> None:
    recipe = tmp_path / "tunewright.yaml"
    recipe.write_text("model: seedling\ndata: {}\n")
    with pytest.raises(RecipeError, match=r"data\.train"):
        add_source(recipe, "made.jsonl")
    assert recipe.read_text() == "model: seedling\ndata: {}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("data:\n  train: [a.jsonl]\n", "data:\n  accept: [pii]\n  train: [a.jsonl]\n"),
        ("data:  # mine\n\n    train: [a.jsonl]", "data:  # mine\n    accept: [pii]\n\n    train: [a.jsonl]"),
        ("data:\n# mine\n  train: [a.jsonl]\n", "data:\n  accept: [pii]\n# mine\n  train: [a.jsonl]\n"),
        ("data: {train: [a.jsonl]}\n", "data: {train: [a.jsonl], accept: [pii]}\n"),
        ("data:\r\n  train: [a.jsonl]\r\n", "data:\r\n  accept: [pii]\n  train: [a.jsonl]\r\n"),
        (
            "data:\n  train: [a.jsonl]\n  accept: [near_duplicate]  # why\n",
            "data:\n  train: [a.jsonl]\n  accept: [near_duplicate, pii]  # why\n",
        ),
        ("data:\n  train: [a.jsonl]\n  accept: []\n", "data:\n  train: [a.jsonl]\n  accept: [pii]\n"),
        (
            "data:\n  train: [a.jsonl]\n  accept:\n    - near_duplicate\n  input: x\n",
            "data:\n  train: [a.jsonl]\n  accept:\n    - near_duplicate\n    - pii\n  input: x\n",
        ),
        (
            "data:\n  accept: [near_duplicate,\n           label_suspect]\n  train: [a.jsonl]\n",
            "data:\n  accept: [near_duplicate,\n           label_suspect, pii]\n  train: [a.jsonl]\n",
        ),
        (
            "data:\n  accept: [\n    near_duplicate  # why\n  ]\n  train: [a.jsonl]\n",
            "data:\n  accept: [\n    near_duplicate, pii  # why\n  ]\n  train: [a.jsonl]\n",
        ),
    ],
)
def test_accepted_findings_are_kept_however_the_recipe_is_written(tmp_path, before: str, after: str) -> None:
    recipe = tmp_path / "tunewright.yaml"
    recipe.write_bytes(f"# top\nmodel: seedling\n{before}".encode())
    there = read_spec(Recipe, recipe)[0].data.accept
    for _ in range(2):
        keep_accepted(recipe, ["pii", *there, "pii"])
        assert recipe.read_bytes().decode() == f"# top\nmodel: seedling\n{after}"
        assert read_spec(Recipe, recipe)[0].data.accept == (*there, "pii")


@pytest.mark.parametrize(
    "text",
    [
        "model: seedling\ndata:\n  train: [a.jsonl]\n  accept: &it\n    - near_duplicate\n",
        "model: seedling\ndata:\n  train: &it [a.jsonl]\n  accept: *it\n",
    ],
)
def test_codes_that_have_no_place_leave_the_recipe_and_are_told_as_a_line(tmp_path, text: str) -> None:
    recipe = tmp_path / "tunewright.yaml"
    recipe.write_text(text)
    accepted = read_spec(Recipe, recipe)[0].data.accept
    with pytest.raises(RecipeError) as told:
        keep_accepted(recipe, ["pii"])
    assert f"accept: [{', '.join([*accepted, 'pii'])}]" in told.value.remedy
    assert recipe.read_text() == text
