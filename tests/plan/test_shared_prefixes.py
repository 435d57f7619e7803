"""What a step computes where rows begin alike, and so how long training takes."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from tests.train.families import SHAPE, SMALL
from tunewright.joins import tuned
from tunewright.joins.sharing import shares, step_work
from tunewright.models import Base
from tunewright.records import Rendered
from tunewright.train import Settings
from tunewright.train.adapters import prepare, trainable

PROMPT, OWN = 663, 31
CHOICE = Settings(rank=4, effective_batch_size=32)


def _rows(count: int) -> list[Rendered]:
    draw = random.Random(0)
    prompt = tuple(range(3, 3 + PROMPT))
    own = (tuple(draw.randrange(1_000, 30_000) for _ in range(OWN)) for _ in range(count))
    return [Rendered((*prompt, *each), (0.0,) * (PROMPT + OWN - 3) + (1.0,) * 3, PROMPT + OWN - 3) for each in own]


def test_a_shared_prompt_is_counted_once_a_pass() -> None:
    rows = _rows(100)
    apart, shared = (step_work(rows, CHOICE, 16_384, share=share) for share in (False, True))
    assert shared.tokens == pytest.approx(PROMPT + 32 * OWN, rel=0.01)
    assert apart.tokens == 32 * (PROMPT + OWN)
    # What is looked back at is looked back at by each token that is computed; what is predicted is the same.
    whole = PROMPT + OWN
    assert apart.looked == 32 * whole * (whole + 1) / 2
    own = OWN * PROMPT + OWN * (OWN + 1) / 2
    assert shared.looked == pytest.approx(PROMPT * (PROMPT + 1) / 2 + 32 * own, rel=0.01)
    assert apart.predicted == shared.predicted == 32 * 3
    # A pass that holds about half of a step begins with the prompt again, and so does one of eight rows.
    assert step_work(rows, CHOICE, 1_200, share=True).tokens == pytest.approx(2 * PROMPT + 32 * OWN, rel=0.01)
    few = CHOICE.model_copy(update={"micro_batch_size": 8})
    assert step_work(rows, few, 16_384, share=True).tokens == pytest.approx(4 * PROMPT + 32 * OWN, rel=0.01)


def test_a_step_of_more_rows_than_are_known_is_told_from_those() -> None:
    assert step_work(_rows(16), CHOICE, 1 << 20, share=False).tokens == 32 * (PROMPT + OWN)


def test_what_is_shared_is_what_training_will_share() -> None:
    llama = LlamaForCausalLM(LlamaConfig(**SMALL))
    assert shares(llama, CHOICE)
    assert not shares(llama, CHOICE.model_copy(update={"dropout": 0.1}))
    assert shares(llama, CHOICE.model_copy(update={"dropout": 0.1, "method": "full"})), (
        "full tuning has no adapter to drop"
    )
    assert not shares(LlamaForCausalLM(LlamaConfig(**SMALL, attention_dropout=0.1)), CHOICE)
    shape = {"vocab_size": 96, "n_embd": 32, "n_layer": 2, "n_head": 4}
    assert not shares(GPT2LMHeadModel(GPT2Config(**shape)), CHOICE), "it drops as published"


def _base(model: Any) -> Base:
    return Base(lambda: model, SimpleNamespace(), model.config, name="m", path=None, sha256="")  # type: ignore[arg-type]


def test_a_token_passes_through_the_experts_that_it_is_sent_to() -> None:
    model = MixtralForCausalLM(MixtralConfig(**SHAPE, num_local_experts=8, num_experts_per_tok=2))
    found = tuned.shape_of(_base(model), CHOICE)
    experts = SHAPE["num_hidden_layers"] * 8 * 3 * SHAPE["hidden_size"] * SHAPE["intermediate_size"]
    table = model.get_input_embeddings().weight.numel()
    assert (found.body, found.head) == (found.parameters - experts * 6 // 8 - 2 * table, table)
    for tied in (False, True):
        dense = tuned.shape_of(_base(LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=tied))), CHOICE)
        assert (dense.body, dense.head) == (dense.parameters - (1 if tied else 2) * table, table)
        assert dense.features == SHAPE["hidden_size"]


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("wanted", ["all-linear", "standard", "minimal", ["down_proj"]])
def test_what_is_trained_is_counted_as_it_was_asked_for(wanted: Any, method: Any) -> None:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE)).requires_grad_(False)
    settings = Settings(method=method, rank=4, target_modules=wanted if isinstance(wanted, str) else tuple(wanted))
    told = tuned.shape_of(_base(model), settings).trainable
    tuning = prepare(model, settings)
    assert told == sum(p.numel() for p in trainable(tuning).values())


def test_a_base_is_told_in_the_type_that_it_is_held_in() -> None:
    found = tuned.shape_of(_base(LlamaForCausalLM(LlamaConfig(**SHAPE)).to(torch.bfloat16)), CHOICE)
    assert found.whole_bytes == found.weight_bytes == 2 * found.parameters
