"""Activation checkpointing: the same gradients from less memory, nothing computed again below the lowest adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.train.families import model_of, rows
from tunewright.errors import TrainingError
from tunewright.train import Settings, fit, fused
from tunewright.train.adapters import prepare, trainable
from tunewright.train.alive import Alive
from tunewright.train.step import Computer

SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=4, steps=4, learning_rate=5e-3, checkpoints=1)


def _deep(target: str = "all-linear") -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=32,
        intermediate_size=96,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    settings = SETTINGS.model_copy(update={"target_modules": target if target == "all-linear" else (target,)})
    model = prepare(LlamaForCausalLM(config), settings).train()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    return model


def _step(model: Any, fused: bool, again: bool) -> tuple[dict[str, torch.Tensor], int]:
    computer = Computer(model, "float32", "forest", fused=fused, share=True)
    computer.recompute(again)
    batches = computer.lay_out(rows(8), 10_000)
    with Alive() as held:
        computer.accumulate(batches, sum(batch.weight for batch in batches))
    computer.recompute(False)
    grads = {name: p.grad.clone() for name, p in trainable(model).items()}
    model.zero_grad()
    return grads, held.peak


@pytest.mark.parametrize("fused", [True, False])
def test_the_same_gradients_from_less_than_half_the_memory(fused: bool) -> None:
    model = _deep()
    want, whole = _step(model, fused, again=False)
    got, less = _step(model, fused, again=True)
    assert all(torch.equal(got[name], want[name]) for name in want)
    assert less < 0.5 * whole, (less, whole)


def test_nothing_below_the_lowest_adapter_is_computed_again() -> None:
    model = _deep("layers.5.self_attn.q_proj")
    calls = [0] * 8
    for index, layer in enumerate(model.get_base_model().model.layers):

        def count(*_: Any, index: int = index) -> None:
            calls[index] += 1

        layer.register_forward_pre_hook(count)
        layer.mlp.register_forward_pre_hook(count)
    _step(model, fused=False, again=True)
    # Each pass counts twice, once for the layer and once inside it.
    assert calls[:5] == [2] * 5
    assert all(count > 2 for count in calls[5:])


def _run(folder: Path, family: str = "llama", **more: Any) -> tuple[list[float], list[Any]]:
    told: list[Any] = []
    settings = SETTINGS.model_copy(update=more)
    fit(model_of(family), rows(6), [], settings, directory=folder, on_event=told.append)
    return [event["loss"] for event in told if event["type"] == "step"], told


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_run_that_asks_for_it_has_the_same_losses(family: str, tmp_path: Path) -> None:
    want, told = _run(tmp_path / "without", family)
    assert told[0]["activation_checkpointing"] is False
    got, told = _run(tmp_path / "with", family, activation_checkpointing=True)
    assert told[0]["activation_checkpointing"] is True
    assert got == pytest.approx(want, abs=1e-6)


def test_auto_turns_to_it_when_one_example_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want, _ = _run(tmp_path / "plenty")
    real = Computer.accumulate

    def limited(self: Computer, batches: Any, total: float) -> float:
        if self.model.training and not self.recomputes:
            raise MemoryError
        return real(self, batches, total)

    monkeypatch.setattr(Computer, "accumulate", limited)
    got, told = _run(tmp_path / "auto")
    assert got == pytest.approx(want, abs=1e-5)
    assert [event.get("activation_checkpointing") for event in told if event["type"] == "memory"][-1] is True
    with pytest.raises(TrainingError, match="single example"):
        _run(tmp_path / "never", activation_checkpointing=False)


@pytest.mark.parametrize("again", [False, True])
def test_the_written_out_pass_back_ends_at_the_lowest_adapter(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _deep("layers.5.self_attn.q_proj")
    computer = Computer(model, "float32", "forest", fused=True, share=True)
    computer.recompute(again)
    assert computer.decoder is not None
    places = {id(layer): index for index, layer in enumerate(computer.decoder.layers)}
    calls: dict[str, list[int]] = {"forward": [], "backward": []}
    for name in calls:
        really = getattr(fused._Layer, name)

        def counted(self: Any, *given: Any, name: str = name, really: Any = really) -> Any:
            calls[name].append(places[id(self)])
            return really(self, *given)

        monkeypatch.setattr(fused._Layer, name, counted)
    batches = computer.lay_out(rows(8), 10_000)
    computer.accumulate(batches, sum(batch.weight for batch in batches))
    assert calls["backward"] == [7, 6, 5]
    # The last layer, which runs on few states, keeps what it needs.
    assert calls["forward"] == [*range(8), *([6, 5] if again else [])]
