"""The probe: what it takes, what it refuses and why, and that it leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MixtralConfig, OPTConfig

from tests.train.families import SMALL, model_of, rows
from tunewright.errors import TrainingError
from tunewright.layout import Attention, MicroBatch
from tunewright.train import Settings, fit
from tunewright.train.adapters import prepare, trainable
from tunewright.train.choice import Choice, choose
from tunewright.train.plain import gradients

SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=8, steps=2, learning_rate=5e-3, checkpoints=1)


def _of(config: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def _chosen(model: Any, **more: Any) -> Choice:
    settings = SETTINGS.model_copy(update=more)
    return choose(prepare(model, settings), rows(), settings)


def test_with_dropout_rows_are_packed_and_no_prefix_is_shared() -> None:
    choice = _chosen(model_of("llama"), dropout=0.1)
    assert choice.how == "forest by modules"
    assert choice.refused == ("forest by fused: an adapter drops inputs, or is no plain LoRA",)
    assert not choice.computer.share
    (batch,) = choice.computer.lay_out(rows(), 10_000)
    assert isinstance(batch, MicroBatch)
    assert batch.examples == len(batch.trees) == 8
    assert batch.tokens == sum(len(row.ids) for row in rows())
    assert _chosen(model_of("llama")).computer.share


# A fresh adapter hides nothing of these: they draw in the model itself.
DROPPING = {
    "residual": lambda: OPTConfig(
        vocab_size=96, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, word_embed_proj_dim=32
    ),
    "routing": lambda: MixtralConfig(**SMALL, num_local_experts=4, sliding_window=None, router_jitter_noise=0.1),
}


@pytest.mark.parametrize("what", DROPPING)
def test_whatever_is_drawn_at_random_is_not_shared(what: str) -> None:
    choice = _chosen(_of(DROPPING[what]()))
    assert choice.how == "forest by modules"
    assert not choice.computer.share


SCORES = {
    "llama": lambda: LlamaConfig(**SMALL, attention_dropout=0.1),
    "gpt2": lambda: GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=512),
}


@pytest.mark.parametrize("family", SCORES)
def test_where_scores_are_dropped_rows_are_padded_and_training_runs(family: str, tmp_path: Path) -> None:
    """Attention drops its scores in training alone: the probe, which drops nothing, has to look there too."""
    told: list[Any] = []
    fit(_of(SCORES[family]()), rows(), rows(3, seed=9), SETTINGS, directory=tmp_path, on_event=told.append)
    start = told[0]
    assert start["layout"] == "padded by modules"
    assert any(why.startswith("forest by modules: ") and "drops scores" in why for why in start["refused"])
    assert not start["share"]
    assert sum(event["type"] == "step" for event in told) == 2


@pytest.mark.parametrize(
    ("family", "more", "why"),
    [
        ("qwen3", {}, "no decoder is written out for qwen3"),
        ("llama", {"method": "full"}, "all weights move"),
        ("qwen2", {"target_modules": ("q_proj", "lm_head")}, "an adapter lies outside of the layers"),
    ],
)
def test_the_reason_is_told_where_the_decoder_is_not_written_out(family: str, more: dict[str, Any], why: str) -> None:
    choice = _chosen(model_of(family), **more)
    assert choice.how == "forest by modules"
    assert choice.refused == (f"forest by fused: {why}",)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_probe_leaves_nothing_behind(dropout: float) -> None:
    model = prepare(model_of("qwen3"), SETTINGS.model_copy(update={"dropout": dropout}))
    before = torch.get_rng_state()
    choose(model, rows(), SETTINGS)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_fails_half_way_back_leaves_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of a layout that was refused would be added to those of the next, and to the first step's."""
    backward, calls = Attention.backward, []

    def failing(self: Attention, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no kernel for this")
        return backward(self, *given)

    monkeypatch.setattr(Attention, "backward", failing)
    model, examples = prepare(model_of("qwen3"), SETTINGS), rows()
    choice = choose(model, examples, SETTINGS)
    assert choice.how == "padded by modules"
    assert choice.refused[-1] == "forest by modules: no kernel for this"
    assert all(parameter.grad is None for parameter in model.parameters())
    batches = choice.computer.lay_out(examples, 500)
    choice.computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = {name: p.grad.clone() for name, p in trainable(model).items()}
    model.zero_grad()
    gradients(model, examples)
    for name, parameter in trainable(model).items():
        assert float((got[name] - parameter.grad).norm()) <= 1e-5 * float(parameter.grad.norm()) + 1e-9, name


def test_an_example_that_the_base_has_no_places_for_is_told() -> None:
    config = GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    with pytest.raises(TrainingError, match="no more than 64") as error:
        _chosen(_of(config))
    assert error.value.where == "train.max_length"
