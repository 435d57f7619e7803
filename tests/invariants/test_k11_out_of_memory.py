"""K11: running out of memory lowers the micro-batch and changes nothing else; a full disk says what was kept."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from tests.train.families import model_of, rows
from tunewright.errors import StorageError, TrainingError
from tunewright.models import quantised
from tunewright.train import Settings, checkpoint, fit
from tunewright.train.adapters import prepare, trainable
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


_FULL = "Error while serializing: I/O error: No space left on device (os error 28)"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), SafetensorError(_FULL)], ids=["system", "library"]
)
def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whether the system says so itself or the library that writes weights, which has an error of its own."""
    real = checkpoint.save_file

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if "step-4" in str(path):
            raise error
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(StorageError, match="step 2 is kept"):
        _losses(tmp_path, [])
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-2"]


def test_memory_that_runs_out_while_weights_are_read_back_leaves_none_half_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Layers lend each other the place that weights in 4 bits are read back to; the step is computed again after."""
    model = prepare(model_of("llama"), SETTINGS.model_copy(update={"method": "qlora"})).eval()
    computer = Computer(model, "float32", "forest", fused=True, share=True)
    batches = computer.lay_out(rows(4), 10_000)

    def step() -> dict[str, torch.Tensor]:
        try:
            computer.accumulate(batches, sum(batch.weight for batch in batches))
            return {name: p.grad for name, p in trainable(model).items() if p.grad is not None}
        finally:
            model.zero_grad(set_to_none=True)

    want, really, reads = step(), quantised.weight_of, [0, 0]

    def read(layer: Any, *of: Any) -> torch.Tensor:
        reads[0] += 1
        if reads[0] == reads[1]:
            raise MemoryError
        return really(layer, *of)

    monkeypatch.setattr(quantised, "weight_of", read)
    # At the first reading of a step, at the second, … until a step comes to its end without one so late.
    while reads[0] == reads[1]:
        reads[:] = 0, reads[1] + 1
        with contextlib.suppress(MemoryError):
            step()
        failed, reads[0] = reads[0] == reads[1], -1_000
        got = step()
        assert all(torch.equal(got[name], want[name]) for name in want), reads
        reads[0] = reads[1] if failed else 0
    assert reads[1] > 20


def test_memory_that_runs_out_on_validation_rows_costs_no_step_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path) -> list[Any]:
        told: list[Any] = []
        fit(model_of("llama"), rows(12), rows(9, seed=9), SETTINGS, directory=folder, on_event=told.append)
        return [e["loss"] for kind in ("step", "validation") for e in told if e["type"] == kind] + [
            e for e in told if e["type"] == "memory"
        ]

    plenty, real, seen = run(tmp_path / "plenty"), Computer.summed_loss, []

    def limited(self: Computer, batches: Any) -> Any:
        seen.append(max(batch.tokens for batch in batches))
        if seen[-1] > 200:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        return real(self, batches)

    monkeypatch.setattr(Computer, "summed_loss", limited)
    assert run(tmp_path / "scarce") == pytest.approx(plenty, abs=1e-6)
    assert max(seen) > 200 >= seen[-1]
