"""K13: each method learns 16 rows by heart; from shuffled labels nothing is learned that holds on other rows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.families import model_of, rows
from tunewright.records import Rendered
from tunewright.train import Settings, fit


def _accuracy(model: Any, examples: list[Rendered]) -> float:
    """Share of supervised tokens that the model ranks first."""
    right = total = 0
    for example in examples:
        with torch.no_grad():
            best = model(input_ids=torch.tensor([example.ids])).logits[0].argmax(-1)
        for index, weight in enumerate(example.weights):
            if weight:
                total += 1
                right += int(best[index - 1]) == example.ids[index]
    return right / total


@pytest.mark.parametrize(
    ("method", "rate", "precision"),
    [
        ("lora", 2e-2, "float32"),
        ("lora", 2e-2, "bfloat16"),
        ("qlora", 2e-2, "float32"),
        ("qlora", 2e-2, "bfloat16"),
        ("full", 1e-2, "float32"),
        ("full", 1e-2, "bfloat16"),
    ],
)
def test_sixteen_rows_by_heart(method: str, rate: float, precision: str, tmp_path: Path) -> None:
    examples = rows(16, prefix=20)
    settings = Settings.model_validate(
        {
            "method": method,
            "precision": precision,
            "rank": 16,
            "effective_batch_size": 16,
            "steps": 240,
            "learning_rate": rate,
            "checkpoints": 1,
        }
    )
    result = fit(model_of("llama"), examples, [], settings, directory=tmp_path)
    assert _accuracy(result.model, examples) > 0.99


def _labelled(count: int, shuffled: bool, seed: int) -> list[Rendered]:
    """The answer names which of two words the question holds; shuffled, it is drawn from a hat."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        word = draw.choice([5, 6])
        question = [draw.randrange(20, 90) for _ in range(6)]
        question[draw.randrange(6)] = word
        answer = draw.choice([11, 12]) if shuffled else word + 6
        ids = (*question, 3, answer)
        made.append(Rendered(ids, (0.0,) * 7 + (1.0,), 7))
    return made


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_planted_shuffle_does_not_beat_chance(shuffled: bool, tmp_path: Path) -> None:
    # Rows enough to learn the rule by: from fewer, whether it is found depends on the processor's rounding.
    settings = Settings(effective_batch_size=32, steps=150, learning_rate=2e-2, checkpoints=1)
    result = fit(model_of("llama"), _labelled(512, shuffled, 0), [], settings, directory=tmp_path)
    held_out = _accuracy(result.model, _labelled(200, False, 1))
    if shuffled:
        # Two standard deviations of 200 fair draws, and some: 0.5 ± 0.1.
        assert held_out < 0.6
    else:
        assert held_out > 0.95
