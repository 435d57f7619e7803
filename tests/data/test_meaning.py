"""Sameness of meaning: told by words, or by whatever makes vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright import journey
from tunewright.data import audit
from tunewright.recipe import DataSpec
from tunewright.records import Finding

from .helpers import finding, jsonl

PARAPHRASES = [
    ("Where is my parcel right now?", "At what place can the package be found?"),
    ("Please cancel the subscription I have", "I would like to end being a member"),
    ("The app crashes whenever I open it", "Starting your program makes it shut down"),
    ("Which payment methods do you take?", "By what means am I able to settle a bill?"),
    ("Do you have a shop in the old town?", "Is there any store among the ancient streets?"),
    ("My card was refused yesterday evening", "They would not accept the plastic last night"),
]
REORDERED = ("the red lamp on the left wall flickers at night", "the red lamp flickers on the left wall at night")


def rows() -> list[dict[str, str]]:
    pairs = [*PARAPHRASES, REORDERED]
    return [{"prompt": q, "completion": f"Answer {i}."} for i, pair in enumerate(pairs) for q in pair]


class Meanings:
    """Vectors that know what the paraphrases mean, and share a direction as a language model's do."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        places = {str(q).lower()[:12]: i for i, pair in enumerate(PARAPHRASES) for q in pair}
        made = np.zeros((len(texts), len(PARAPHRASES) + len(texts) + 1))
        for k, text in enumerate(texts):
            made[k, places.get(text[:12], len(PARAPHRASES) + k)] = 1.0
            made[k, -1] = 9.0
        return made


def found(root: Path, **more: Any) -> Finding | None:
    jsonl(root / "train.jsonl", rows())
    spec = DataSpec.model_validate({"train": "train.jsonl", "embedding": "made"})
    return finding(audit(spec, root=root, store=root / "s", **more), "semantic_duplicate")


def test_vectors_find_what_words_cannot(tmp_path: Path) -> None:
    by_words = found(tmp_path)
    assert by_words is not None and by_words.evidence["told_by"] == "words"
    assert set(by_words.rows) == {"train.jsonl:13", "train.jsonl:14"}, "another order is what words can tell"
    by_vectors = found(tmp_path, embed=Meanings())
    assert by_vectors is not None and by_vectors.evidence["told_by"] == "made"
    assert set(by_vectors.rows) == {f"train.jsonl:{i}" for i in range(1, 13)}


def test_the_base_can_be_asked_and_makes_no_pair_of_other_answers(tmp_path: Path) -> None:
    others = [{"prompt": f"{row['prompt']} Now?", "completion": "No."} for row in rows()]
    jsonl(tmp_path / "train.jsonl", [*rows(), *others])
    (tmp_path / "tunewright.yaml").write_text(
        "version: 1\nmodel: seedling\ndata: {train: [train.jsonl], embedding: base}\n", encoding="utf-8"
    )
    told = finding(journey.open_project(tmp_path).audit, "semantic_duplicate")
    assert told is not None and told.evidence["told_by"] == "base"
    assert {"train.jsonl:13", "train.jsonl:14"} <= set(told.rows), "its states at least know another order"
    for pair in told.evidence["examples"]:
        assert pair[0]["output"] == pair[1]["output"]
