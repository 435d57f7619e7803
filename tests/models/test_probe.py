"""How fast this machine multiplies is kept for good, so a busy moment must not be taken for the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A GPU, as far as it is asked what it is and how fast it multiplies."""
    found = {"name": "A100", "capability": (8, 0), "bfloat16": True, "rates": {"float32": 10.0, "bfloat16": 90.0}}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: found["name"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: found["capability"])
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: found["bfloat16"])
    monkeypatch.setattr(probe, "_rate", lambda shape, dtype, *more: found["rates"][str(dtype).partition(".")[2]])
    return found


def test_what_one_card_did_is_not_taken_for_another(card: dict[str, Any]) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 32))
    model.get_output_embeddings = lambda: None  # type: ignore[assignment]
    assert (probe.precision(model, "cuda"), probe.rate(model, "bfloat16", "cuda")) == ("bfloat16", 90.0)
    card |= {"name": "T4", "capability": (7, 5), "rates": {"float32": 4.0, "bfloat16": 1.0}}
    assert (probe.precision(model, "cuda"), probe.rate(model, "float32", "cuda")) == ("float32", 4.0)


def test_a_rate_that_was_kept_while_the_machine_was_busy_does_not_stay(card: dict[str, Any]) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 32))
    model.get_output_embeddings = lambda: None  # type: ignore[assignment]
    assert probe.precision(model, "cuda") == "bfloat16"
    card["rates"] = {"float32": 500.0, "bfloat16": 400.0}
    assert probe.rate(model, "bfloat16", "cuda") == 400.0
    assert probe.precision(model, "cuda") == "bfloat16", "a run that is resumed goes on in the type it began in"
    for now in (1.0, 430.0):
        card["rates"] = {"float32": now, "bfloat16": now}
        assert probe.rate(model, "bfloat16", "cuda") == 400.0, "a busy moment and a little more change nothing"


def test_a_card_that_only_imitates_bfloat16_computes_in_float32(card: dict[str, Any]) -> None:
    card["bfloat16"] = False
    model = torch.nn.Sequential(torch.nn.Linear(64, 32))
    model.get_output_embeddings = lambda: None  # type: ignore[assignment]
    assert probe.precision(model, "cuda") == "float32"
    assert probe.precision(model, "cpu") == "bfloat16", "a processor is asked by its rates alone"
