"""Decoding steps that are recorded and replayed give what the model's own `generate` gives.

Where there is no GPU the step stands in for its recording: all but the replaying itself.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from tests.gpu.dense import DEVICE
from tests.train.families import model_of
from tunewright.engine import Sampling, TorchEngine, recorded
from tunewright.train import Settings
from tunewright.train.adapters import prepare, trainable


@pytest.fixture(autouse=True)
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a recording was played, for each that was made."""
    plays: list[int] = []
    real = recorded.capture

    def capture(run: Any) -> Any:
        play = real(run) if DEVICE == "cuda" else run
        plays.append(0)

        def counted() -> torch.Tensor:
            plays[-1] += 1
            return play()  # type: ignore[no-any-return]

        return counted

    monkeypatch.setattr(recorded, "capture", capture)
    monkeypatch.setattr(recorded, "possible", lambda device: True)
    return plays


def tuned(family: str, method: Any) -> Any:
    model = model_of(family).to(DEVICE)
    if method is None:
        return model
    model = prepare(model, Settings(rank=4, method=method))
    torch.manual_seed(1)
    for parameter in trainable(model).values():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def engine_of(model: Any, stops: frozenset[int] = frozenset(), records: bool = True) -> TorchEngine:
    engine = TorchEngine(model, stop_ids=stops, pad_id=0, identity="tiny")
    engine._writes, engine._records = False, records
    return engine


def prompts_of(count: int) -> list[list[int]]:
    draw = random.Random(0)
    shared = [draw.randrange(3, 96) for _ in range(30)]
    return [
        shared * (index % 2) + [draw.randrange(3, 96) for _ in range(draw.randint(3, 25))] for index in range(count)
    ]


@pytest.mark.parametrize("method", [None, "lora", "qlora"])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_answers_are_generates(family: str, method: Any, replayed: list[int]) -> None:
    if method == "qlora":
        pytest.importorskip("bitsandbytes")
    model, prompts = tuned(family, method).eval(), prompts_of(9)
    found = engine_of(model).generate(prompts, Sampling(max_new_tokens=20))
    assert replayed == [18], "the first token comes of the prompt, the second of the step that makes kernels ready"
    for prompt, ours in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt], device=DEVICE)
        own = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, eos_token_id=None,
            pad_token_id=0,
        )  # fmt: skip
        assert ours.output_ids == tuple(own[0, len(prompt) :].tolist())


def test_rows_leave_and_another_recording_is_made(replayed: list[int]) -> None:
    model, prompts = tuned("llama", None).eval(), prompts_of(24)
    stops, warm = frozenset(range(0, 96, 9)), Sampling(max_new_tokens=40, temperature=1.0)
    found = engine_of(model, stops).generate(prompts, warm)
    assert len(replayed) > 1 and min(replayed) > 0
    plain = engine_of(model, stops, records=False).generate(prompts, warm)
    assert [g.output_ids for g in found] == [g.output_ids for g in plain]


def test_what_cannot_be_recorded_is_computed_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(run: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    model, prompts = tuned("llama", None).eval(), prompts_of(6)
    want = engine_of(model, records=False).generate(prompts, Sampling(max_new_tokens=16))
    monkeypatch.setattr(recorded, "capture", refused)
    found = engine_of(model).generate(prompts, Sampling(max_new_tokens=16))
    assert [g.output_ids for g in found] == [g.output_ids for g in want]
