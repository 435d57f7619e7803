"""The decoder written out for generation: the model's own numbers, with biases and LoRA, and only where it fits."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

from tunewright.engine import Sampling, TorchEngine, written
from tunewright.engine.sampling import choose
from tunewright.models import quantised

SIZES = {
    "vocab_size": 256, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.3,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 10_000.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "llama3 positions": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=LLAMA3)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=64, head_dim=16)),
}


def built(name, **lora):
    torch.manual_seed(0)
    model = MODELS[name]()
    for key, parameter in model.named_parameters():
        if "norm" in key or key.endswith("bias"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    if lora:
        model = get_peft_model(model, LoraConfig(lora_alpha=8, target_modules="all-linear", **lora))
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def engine(model):
    return TorchEngine(model, stop_ids=frozenset({5}), pad_id=0, identity="x")


@pytest.mark.parametrize("lora", [{}, {"r": 4}])
@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities_and_greedy_tokens_are_the_models_own(name, lora):
    model = built(name, **lora)
    assert written.fits(model)
    ours, modules = engine(model), engine(model)
    modules._writes = False
    shared = [7 + i % 200 for i in range(40)]
    prompts = [[*shared, 9 + i, 3 * i % 50 + 6] for i in range(8)] + [[30 + i] * (i + 1) for i in range(5)]
    for one, two in zip(ours.logprobs(prompts, [1] * 13), modules.logprobs(prompts, [1] * 13), strict=True):
        assert one == pytest.approx(two, abs=2e-4)
    found, wanted = (e.generate(prompts, Sampling(max_new_tokens=12)) for e in (ours, modules))
    assert ours._writes and [g.output_ids for g in found] == [g.output_ids for g in wanted]
    plain = model.generate(
        torch.tensor([prompts[0]]), max_new_tokens=12, do_sample=False, eos_token_id=5, pad_token_id=0
    )
    assert list(found[0].output_ids) == plain[0, len(prompts[0]) :].tolist()


def test_trained_weights_are_seen_at_the_next_call():
    model = built("llama", r=4)
    one = engine(model)
    before = one.logprobs([[7, 8, 9, 10]], [1])
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.mul_(-1)
    assert one.logprobs([[7, 8, 9, 10]], [1]) != before


@pytest.mark.parametrize("lora", [{"r": 4, "use_dora": True}, {"r": 4, "lora_bias": True}])
def test_other_adapters_keep_their_modules(lora):
    model = built("qwen2", **lora)
    assert not written.fits(model)
    assert engine(model).logprobs([[7, 8, 9, 10]], [1])


def test_a_disabled_adapter_and_half_precision_keep_their_modules():
    model = built("llama", r=4)
    with model.disable_adapter():
        assert not written.fits(model)
    assert not written.fits(built("llama").bfloat16())


def test_one_that_computes_otherwise_is_found_out_and_left(monkeypatch):
    model = built("llama")
    monkeypatch.setattr(written, "_paired", lambda weight, size: weight)
    one = engine(model)
    assert one.shares_prefixes and not one._writes


def test_of_equal_logits_the_first_is_chosen():
    torch.manual_seed(0)
    logits = torch.randint(0, 9, (20, 512)).float()
    assert choose(logits, Sampling(), []) == [int(row.eq(row.max()).nonzero()[0]) for row in logits]


@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_a_base_in_4_bits_is_computed_as_what_it_stands_for_where_there_is_room(name, monkeypatch):
    model = get_peft_model(quantised.quantise(built(name)), LoraConfig(lora_alpha=8, target_modules="all-linear", r=4))
    for key, parameter in model.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.3)
    ours, modules = engine(model.eval()), engine(model)
    modules._writes = modules._packs = False
    prompts = [[9 + i, 3 * i % 50 + 6] * (i + 1) for i in range(8)]
    for one, two in zip(ours.logprobs(prompts, [1] * 8), modules.logprobs(prompts, [1] * 8), strict=True):
        assert one == pytest.approx(two, abs=2e-4)
    assert ours._writes
    monkeypatch.setattr(quantised, "fits_beside", lambda model, dtype: False)
    assert not written.fits(model)
