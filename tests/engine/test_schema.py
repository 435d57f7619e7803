"""Answers held to a JSON schema: valid whatever the weights say, on both ways of generating."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

from tunewright.engine import Sampling, TorchEngine
from tunewright.errors import RecipeError
from tunewright.models import locate
from tunewright.recipe import ModelSpec

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"kind": {"enum": ["refund", "reply"]}, "urgent": {"type": "boolean"}},
        "required": ["kind", "urgent"],
        "additionalProperties": False,
    }
)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(locate(ModelSpec(id="seedling"), Path()))


def model(family, size):
    torch.manual_seed(0)
    if family == "bloom":
        return BloomForCausalLM(BloomConfig(vocab_size=size, hidden_size=32, n_layer=2, n_head=4)).eval()
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2,
        )
    ).eval()  # fmt: skip


@pytest.mark.parametrize("family", ["llama", "bloom"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_random_weights_answer_in_the_schemas_form(tokenizer, family, temperature):
    stop = tokenizer.eos_token_id
    engine = TorchEngine(
        model(family, len(tokenizer)), stop_ids=frozenset({stop}), pad_id=0, identity="x", tokenizer=tokenizer
    )
    sampling = Sampling(max_new_tokens=80, temperature=temperature, schema=SCHEMA)
    prompts = [tokenizer.encode(f"ticket {i}") for i in range(6)]
    for answer in engine.generate(prompts, sampling):
        assert answer.output_ids[-1] == stop
        value = json.loads(tokenizer.decode(answer.output_ids[:-1]))
        assert value["kind"] in ("refund", "reply") and value["urgent"] in (True, False) and len(value) == 2


def test_a_schema_needs_a_tokenizer_and_must_make_sense(tokenizer):
    bare = TorchEngine(model("llama", len(tokenizer)), stop_ids=frozenset({2}), pad_id=0, identity="x")
    with pytest.raises(ValueError, match="tokenizer"):
        bare.generate([[5, 6]], Sampling(schema=SCHEMA))
    engine = TorchEngine(
        model("llama", len(tokenizer)), stop_ids=frozenset({2}), pad_id=0, identity="x", tokenizer=tokenizer
    )
    for broken in ('{"type": "no such type"}', "{not json"):
        with pytest.raises(RecipeError, match="schema"):
            engine.generate([[5, 6]], Sampling(schema=broken))


def test_the_schema_is_part_of_the_key():
    assert Sampling(schema=SCHEMA).key() != Sampling().key()
