"""How fast this machine multiplies is kept for good, so a busy moment must not be taken for the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tunewright.models import probe


def clock(products: list[float]) -> Iterator[float]:
    """Times as the probe reads them: the start, then before and after each product, in the end far past it."""
    now = 0.0
    yield now
    for seconds in products:
        yield now
        now += seconds
        yield now
    yield now + 1


def test_a_busy_moment_is_not_taken_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # Somebody else has the processor most of the time: one product in three is undisturbed.
    times = clock([0.02, 0.001, 0.03, 0.02])
    monkeypatch.setattr(probe.time, "perf_counter", lambda: next(times))
    assert probe._rate((32, 64), torch.float32, "cpu") == pytest.approx(2 * 1024 * 64 * 32 / 1e9 / 0.001, rel=0.05)


def test_the_layers_are_measured_and_not_a_head_of_many_words() -> None:
    config = LlamaConfig(
        vocab_size=50_000, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4
    )
    with torch.device("meta"):
        assert probe._commonest_linear(LlamaForCausalLM(config)) == (64, 64)
