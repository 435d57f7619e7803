"""Reordered weights: the same numbers to rounding, LoRA folded in, and nothing left behind."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from tunewright.engine import Sampling, TorchEngine
from tunewright.engine.packed import faster, packed, reorder
from tunewright.models import quantised

CONFIG = LlamaConfig(
    vocab_size=97,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)


def tuned(**lora):
    torch.manual_seed(0)
    base = LlamaForCausalLM(CONFIG)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", **lora))
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.3)
    return model.eval()


@pytest.mark.parametrize("lora", [{}, {"use_rslora": True}, {"use_dora": True}, {"lora_bias": True}])
def test_packed_gives_the_models_own_logits(lora):
    model = tuned(**lora)
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        theirs = model(ids).logits
        with model.disable_adapter():
            base = model(ids).logits
        with packed(model):
            ours = model(ids).logits
        assert torch.equal(model(ids).logits, theirs)
    assert (ours - theirs).abs().max() < 1e-4
    assert (base - theirs).abs().max() > 0.1
    assert not any("forward" in vars(m) for m in model.modules())


def test_4_bits_are_read_back_once_for_all_tokens_and_the_adapter_folded_in(monkeypatch):
    torch.manual_seed(0)
    base = quantised.quantise(LlamaForCausalLM(CONFIG))
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")).eval()
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.3)
    engines = [TorchEngine(model, stop_ids=frozenset(), pad_id=0, identity="x") for _ in range(2)]
    assert faster(model)
    with monkeypatch.context() as container:
        container.setattr("tunewright.engine.packed.free_memory", lambda: 1000)
        assert not faster(model)
    engines[0]._packs, engines[1]._packs = True, False
    engines[0]._writes = engines[1]._writes = False
    read = []
    really = quantised.weight_of
    monkeypatch.setattr(quantised, "weight_of", lambda layer: read.append(layer) or really(layer))
    prompts = [[3 + i, 9, 12 + i] for i in range(8)]
    one, two = (e.generate(prompts, Sampling(max_new_tokens=8)) for e in engines)
    assert [g.output_ids for g in one] == [g.output_ids for g in two]
    assert sum(map(quantised.is_quantised, read)) == 2 * 14  # once to find out what the engine may share, once to work
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        theirs = model(ids).logits
        with packed(model):
            assert (model(ids).logits - theirs).abs().max() < 1e-4


def test_packed_sees_weights_as_they_are_now():
    model = tuned()
    ids = torch.arange(3, 20)[None]
    engine = TorchEngine(model, stop_ids=frozenset(), pad_id=0, identity="x")
    engine._packs, engine._writes = True, False
    before = engine.logprobs([ids[0].tolist()], [1])
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.data.mul_(-1)
    after = engine.logprobs([ids[0].tolist()], [1])
    assert before != after
    direct = model(ids).logits[0].log_softmax(-1)[:-1].gather(-1, ids[0, 1:, None])[:, 0].tolist()
    assert after[0] == pytest.approx(direct, abs=1e-4)


def test_a_disabled_adapter_stays_disabled():
    model = tuned()
    ids = torch.arange(3, 20)[None]
    with torch.inference_mode(), model.disable_adapter():
        theirs = model(ids).logits
        with packed(model):
            assert (model(ids).logits - theirs).abs().max() < 1e-4


def test_half_precision_is_packed_and_its_adapter_kept_apart():
    try:
        reorder(torch.ones(32, 32, dtype=torch.bfloat16))
    except RuntimeError as error:
        pytest.skip(f"this processor reorders no bfloat16: {str(error)[:60]}")
    model = tuned().bfloat16()
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        theirs = model(ids).logits
        with packed(model):
            layer = next(m for m in model.modules() if type(m).__name__ == "Linear" and hasattr(m, "get_base_layer"))
            assert "forward" not in vars(layer) and "forward" in vars(layer.get_base_layer())
            ours = model(ids).logits
    assert (ours - theirs).abs().max() < 0.05


def test_packing_is_probed_and_changes_no_greedy_token():
    model = tuned()
    assert faster(model) in (True, False)
    engines = [TorchEngine(model, stop_ids=frozenset(), pad_id=0, identity="x") for _ in range(2)]
    engines[0]._packs, engines[1]._packs = True, False
    engines[0]._writes = engines[1]._writes = False
    prompts = [[3 + i, 9, 12 + i] for i in range(8)]
    one, two = (e.generate(prompts, Sampling(max_new_tokens=8)) for e in engines)
    assert [g.output_ids for g in one] == [g.output_ids for g in two]
