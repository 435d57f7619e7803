"""Which rows train and which are asked, where every row is held out once, in folds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tunewright.data import load
from tunewright.errors import RecipeError
from tunewright.recipe import DataSpec, Recipe
from tunewright.records import DatasetRecord, Example

_Any = TypeVar("_Any")

# Of the validation rows, so many are answered at every checkpoint, and the loss is taken of so many. More of them would
# tell the same checkpoints apart, and of large sets take a fifth of the training's time.
VALIDATION_CASES, LOSS_ROWS = 64, 512


def data_of(recipe: Recipe) -> DataSpec:
    """The recipe's data. A suite of its own judges all by itself, so nothing is held out in folds beside it.

    Raises `RecipeError` where both are asked for.
    """
    data, source = recipe.data, recipe.suite.source
    if source == "test" or data.split.folds == 0:
        return data
    if data.split.folds != "auto":
        raise RecipeError(
            f"folds make every row a case, and the suite is `{source}`.",
            where="data.split.folds",
            remedy="Drop one of `data.split.folds` and `suite.source`.",
        )
    return data.model_copy(update={"split": data.split.model_copy(update={"folds": 0})})


def rows_of(path: Path, dataset: DatasetRecord, split: str, fold: int) -> list[Example]:
    """The rows of a split of the version at `path`, while `fold` (from 1; 0: none) is held out."""
    if not fold or split == "validation":
        return load(path, split)
    if split == "rehearsal":
        share = 1 - dataset.folds[fold - 1] / dataset.splits["train"]
        return load(path, split, share=share) if dataset.splits.get(split) else []
    rows = load(path, "train")
    if split == "test":
        return [e for e in rows if e.fold == fold and not e.synthetic]
    return [e for e in rows if e.fold != fold]


def drawn(rows: Sequence[_Any], most: int, seed: int) -> list[_Any]:
    """At most so many of the rows, in their order: files are often sorted, and their first rows alike."""
    places = sorted(random.Random(seed).sample(range(len(rows)), min(most, len(rows))))
    return [rows[place] for place in places]


def held_and_rest(rows: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """The rows that are asked in some fold, and those that only train."""
    held = [e for e in rows if e.fold and not e.synthetic]
    return held, [e for e in rows if not e.fold or e.synthetic]
