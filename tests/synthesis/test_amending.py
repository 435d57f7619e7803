"""A source added to a recipe, whichever way its list is written; nothing else in the file moves."""

from __future__ import annotations

import pytest

from tunewright.errors import RecipeError
from tunewright.joins.amending import add_source

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
