"""A run on a GPU: stopped and resumed it is what it would have been, and where memory is short it only takes longer.

Where there is no GPU it computes on the CPU, as `conftest` says; running out of memory needs one.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.gpu.dense import DEVICE
from tests.train.families import model_of, rows
from tunewright.errors import Interrupted
from tunewright.records import Rendered
from tunewright.train import Settings, fit

SETTINGS = Settings(
    rank=4, precision="bfloat16", steps=8, checkpoints=4, effective_batch_size=4, learning_rate=5e-3, dropout=0.1
)


def run(folder: Path, settings: Settings, **more: Any) -> list[Any]:
    """What a run in `folder` told, with a base in bfloat16."""
    told: list[Any] = []
    model = model_of("llama").to(torch.bfloat16).to(DEVICE)
    fit(model, rows(10), rows(4, seed=9), settings, directory=folder, on_event=told.append, **more)
    return told


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_resumed_is_uninterrupted_bit_for_bit(method: Any, dropout: float, tmp_path: Path) -> None:
    if method == "qlora":
        pytest.importorskip("bitsandbytes")
    settings = SETTINGS.model_copy(update={"method": method, "dequantise": "each_pass", "dropout": dropout})
    whole = run(tmp_path / "whole", settings)
    stops = iter([False] * 5)
    with pytest.raises(Interrupted):
        run(tmp_path / "parts", settings, should_stop=lambda: next(stops, True))
    again = run(tmp_path / "parts", settings, resume=True)
    steps = {e["step"]: (e["loss"], e["grad_norm"]) for e in whole if e["type"] == "step"}
    late = {e["step"]: (e["loss"], e["grad_norm"]) for e in again if e["type"] == "step"}
    assert 0 < len(late) < 8
    assert late.items() <= steps.items()
    for name in ("adapter_model.safetensors", "optimizer.safetensors"):
        ours, theirs = (load_file(tmp_path / f / "checkpoints" / "step-8" / name) for f in ("parts", "whole"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_where_memory_runs_out_a_step_is_done_in_smaller_parts(tmp_path: Path) -> None:
    draw = random.Random(0)
    examples = []
    for index in range(64):
        ids = tuple(draw.randrange(3, 96) for _ in range(500))
        examples.append(Rendered(ids, (0.0,) * 400 + (1.0,) * 100, 400, f"rows:{index + 1}"))
    settings = Settings(rank=4, steps=2, checkpoints=1, effective_batch_size=64, micro_batch_tokens=32_000)

    def losses(folder: str) -> tuple[list[float], list[Any], float]:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        told: list[Any] = []
        model = model_of("llama").to(DEVICE)
        fit(model, examples, (), settings, directory=tmp_path / folder, on_event=told.append)
        found = [e["loss"] for e in told if e["type"] == "step"]
        return found, [e for e in told if e["type"] == "memory"], torch.cuda.max_memory_reserved()

    plenty, unasked, peak = losses("plenty")
    assert not unasked
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction(0.6 * peak / total)
        scarce, told, _ = losses("scarce")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert told and told[-1]["micro_batch_tokens"] < 32_000
    assert scarce == pytest.approx(plenty, rel=1e-5)
