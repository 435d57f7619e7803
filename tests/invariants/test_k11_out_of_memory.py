"""K11: running out of memory lowers the micro-batch and changes nothing else; a full disk says what was kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.families import model_of, rows
from tunewright.errors import StorageError, TrainingError
from tunewright.train import Settings, checkpoint, fit
from tunewright.train.step import Computer

SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=8, steps=4, learning_rate=5e-3, checkpoints=2)


def _losses(folder: Path, told: list[Any]) -> list[float]:
    fit(model_of("llama"), rows(12), [], SETTINGS, directory=folder, on_event=told.append)
    return [event["loss"] for event in told if event["type"] == "step"]


def _limit(monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
    """A machine that holds `tokens` tokens: beyond them a refused allocation, half-way through the step."""
    real = Computer.accumulate

    def limited(self: Computer, batches: Any, total: float) -> float:
        loss = 0.0
        for batch in batches:
            loss += real(self, [batch], total)
            if batch.tokens > tokens:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        return loss

    monkeypatch.setattr(Computer, "accumulate", limited)


def test_the_same_losses_in_smaller_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plenty = _losses(tmp_path / "plenty", [])
    monkeypatch.setattr("tunewright.train.loop.choose", _fused)
    _limit(monkeypatch, 150)
    told: list[Any] = []
    scarce = _losses(tmp_path / "scarce", told)
    assert scarce == pytest.approx(plenty, abs=1e-5)
    lowered = [event["micro_batch_tokens"] for event in told if event["type"] == "memory"]
    assert lowered
    assert lowered[-1] <= 150


def _fused(model: Any, *_: Any) -> Any:
    from tunewright.train.choice import Choice

    return Choice(Computer(model, "float32", "forest", fused=True, share=True), "forest by fused", ())


def test_one_example_too_large_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.train.loop.choose", _fused)
    _limit(monkeypatch, 5)
    with pytest.raises(TrainingError, match="single example"):
        _losses(tmp_path, [])


def test_other_errors_are_not_taken_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.train.loop.choose", _fused)

    def broken(*_: Any) -> float:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Computer, "accumulate", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        _losses(tmp_path, [])


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = checkpoint.save_file

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if "step-4" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(StorageError, match="step 2 is kept"):
        _losses(tmp_path, [])
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-2"]
