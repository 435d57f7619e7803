"""K14: losses that are not numbers are seen raw, never reach the weights, and end the run when they stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.families import model_of, rows
from tunewright.errors import TrainingError
from tunewright.train import Settings, fit
from tunewright.train.step import Computer

SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=4, steps=8, learning_rate=5e-3, checkpoints=8)


def _poison(monkeypatch: pytest.MonkeyPatch, bad_steps: set[int]) -> None:
    real, calls = Computer.accumulate, [-1]

    def poisoned(self: Computer, batches: Any, total: float) -> float:
        # The probe before the run computes too; only steps of the run have all four examples.
        loss = real(self, batches, total)
        if sum(batch.examples for batch in batches) == 4:
            calls[0] += 1
            if calls[0] in bad_steps:
                for parameter in self.model.parameters():
                    if parameter.grad is not None:
                        parameter.grad.fill_(float("nan"))
                return float("nan")
        return loss

    monkeypatch.setattr(Computer, "accumulate", poisoned)


def test_a_single_spike_is_skipped_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _poison(monkeypatch, {3})
    told: list[Any] = []
    result = fit(model_of("llama"), rows(10), [], SETTINGS, directory=tmp_path, on_event=told.append)
    steps = [event for event in told if event["type"] == "step"]
    assert steps[3]["loss"] == "nan"
    assert "skipped" in steps[3]
    assert not any("skipped" in step for step in steps[:3] + steps[4:])
    assert all(bool(torch.isfinite(p).all()) for p in result.model.parameters())
    # The file is JSON that any reader takes.
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines if '"step"' in line[:16]][3] == "nan"


def test_when_they_stay_the_run_ends_with_its_weights_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _poison(monkeypatch, {4, 5, 6})
    model = model_of("llama")
    with pytest.raises(TrainingError, match="3 steps in a row, the last of them step 7"):
        fit(model, rows(10), [], SETTINGS, directory=tmp_path)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert (tmp_path / "checkpoints" / "step-6").is_dir()
