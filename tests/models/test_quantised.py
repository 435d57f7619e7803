"""Bases in 4 bits: the same bits however they are made, their size, and an answer that is the same on every machine."""

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.train.families import model_of
from tunewright import models
from tunewright.models import quantised
from tunewright.recipe import ModelSpec

# A weight: its level, the magnitude of its 64 in 8 bits, and what 256 of those share.
BITS = 4 + 8 / 64 + 32 / (64 * 256)


@pytest.fixture(scope="module")
def base():
    return models.load("seedling", in_4_bits=True)


def _bits(model):
    return {
        name: (p.data, p.quant_state.absmax, p.quant_state.state2.absmax, p.quant_state.offset)
        for name, p in model.named_parameters()
        if hasattr(p, "quant_state")
    }


def test_the_bits_are_those_that_transformers_makes(base, tmp_path):
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    folder = models.locate(ModelSpec(id="seedling", revision=None), tmp_path)
    theirs = _bits(AutoModelForCausalLM.from_pretrained(folder, quantization_config=how, dtype=torch.float32))
    in_memory = _bits(quantised.quantise(models.load("seedling").model))
    ours = _bits(base.model)
    assert len(ours) == 7 * base.model.config.num_hidden_layers
    assert ours.keys() == theirs.keys() == in_memory.keys()
    for name, parts in ours.items():
        assert all(torch.equal(a, b) for a, b in zip(parts, theirs[name], strict=True))
        assert all(torch.equal(a, b) for a, b in zip(parts, in_memory[name], strict=True))


def test_weights_are_counted_and_weighed_as_what_they_are(base):
    whole = models.load("seedling")
    assert base.parameters == whole.parameters
    assert quantised.bytes_of(whole.model) == 4 * whole.parameters
    held = quantised.layers(base.model)
    weights = sum(layer.in_features * layer.out_features for layer in held)
    assert 8 * sum(map(quantised.bytes_of, held)) / weights == pytest.approx(BITS, abs=1e-3)
    assert quantised.bytes_of(base.model) == pytest.approx(
        4 * (whole.parameters - weights) + weights * BITS / 8, rel=1e-3
    )


def test_read_back_it_is_a_plain_model_with_the_same_logits():
    ids = torch.randint(3, 4000, (1, 40), generator=torch.Generator().manual_seed(0))
    base = models.load("seedling", in_4_bits=True).model
    with torch.no_grad():
        want, whole = base(ids).logits, models.load("seedling").model(ids).logits
        plain = quantised.read_back(base)
        assert torch.equal(plain(ids).logits, want)
    assert not quantised.layers(plain)
    assert all(p.dtype == torch.float32 for p in plain.parameters())
    assert (want - whole).abs().max() > 0.1


@pytest.mark.parametrize("family", ["llama", "phi3", "gpt-neox", "bloom"])
def test_no_layer_turns_its_weights_round_or_forgets_its_type(family):
    model = quantised.quantise(model_of(family)).eval()
    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    assert linear == quantised.layers(model)
    assert not any(layer.support_avx512bf16_for_cpu for layer in linear)
    ids = torch.arange(3, 30)[None]
    with torch.no_grad():
        before = model(ids).logits
        with quantised.computing_in(linear, torch.bfloat16):
            coarse = model(ids).logits
        assert torch.equal(model(ids).logits, before)
    assert 0 < (coarse - before).abs().max() < 0.2


@pytest.mark.parametrize(("device", "most"), [("cpu", 4), ("cuda", 10)])
def test_nobody_asked_weights_are_read_back_once_where_they_are_a_small_part(base, monkeypatch, device, most):
    """On a GPU a smaller part: a base that is kept read back is there twice, and one in bfloat16 once."""
    weights = 2 * sum(layer.in_features * layer.out_features for layer in quantised.layers(base.model))
    for free, kept in ((most * weights, True), (most * weights - 1, False)):
        held = SimpleNamespace(
            parameters=lambda: iter([SimpleNamespace(device=torch.device(device))]),
            modules=base.model.modules,
            config=base.model.config,
        )
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 0))
        monkeypatch.setattr(quantised, "free_memory", lambda free=free: free)
        assert quantised.worth_keeping(held, torch.bfloat16) is kept
        assert (quantised.read_back_bytes(held, "bfloat16", "auto") == weights) is kept
