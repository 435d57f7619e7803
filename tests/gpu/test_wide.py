"""The decoder written out for a GPU equals the model's own modules, one example at a time.

Where there is no GPU it computes on the CPU with a dense matrix in FlexAttention's place: all but the kernels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from tests.gpu.dense import DEVICE
from tests.train.families import model_of, rows
from tunewright.models import quantised
from tunewright.train import fit
from tunewright.train.adapters import prepare, trainable
from tunewright.train.memory import room
from tunewright.train.settings import Settings
from tunewright.train.step import Computer, place
from tunewright.train.wide import WideDecoder


def tuned(family: str, method: Any = "lora") -> Any:
    model = prepare(model_of(family).to(DEVICE), Settings(rank=4, method=method))
    torch.manual_seed(1)
    for parameter in trainable(model).values():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def outcome(model: Any, computer: Computer, budget: int) -> tuple[float, list[torch.Tensor]]:
    computer.refresh()
    batches = computer.lay_out(rows(8), budget)
    loss = computer.accumulate(batches, sum(batch.weight for batch in batches))
    grads = [parameter.grad for parameter in trainable(model).values()]
    for parameter in trainable(model).values():
        parameter.grad = None
    return loss, grads


def assert_equal(got: Any, want: Any) -> None:
    assert got[0] == pytest.approx(want[0], rel=1e-5)
    for one, other in zip(got[1], want[1], strict=True):
        assert float((one - other).norm()) <= 1e-5 * float(other.norm())


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("family", ["llama", "mistral", "mistral-sliding", "qwen2"])
def test_its_gradients_are_those_of_the_modules(family: str, share: bool, recompute: bool) -> None:
    model = tuned(family)
    want = outcome(model, Computer(model, "float32", "alone", fused=False, share=False), 1)
    wide = Computer(model, "float32", "forest", fused=True, share=share)
    assert isinstance(wide.decoder, WideDecoder)
    wide.recompute(recompute)
    for budget in (200, 10_000):
        assert_equal(outcome(model, wide, budget), want)


@pytest.mark.parametrize("kept", [False, True])
def test_it_reads_weights_in_4_bits_back(kept: bool) -> None:
    pytest.importorskip("bitsandbytes")
    model = tuned("llama", "qlora")
    want = outcome(model, Computer(model, "float32", "alone", fused=False, share=False), 1)
    assert_equal(outcome(model, Computer(model, "float32", "forest", fused=True, share=True, kept=kept), 300), want)


def test_weights_in_4_bits_are_rounded_once_from_float32() -> None:
    pytest.importorskip("bitsandbytes")
    for layer in quantised.layers(tuned("llama", "qlora")):
        assert torch.equal(quantised.weight_of(layer, torch.bfloat16), quantised.weight_of(layer).bfloat16())
        assert layer.weight.quant_state.dtype == torch.float32


def test_its_loss_without_gradients_is_the_same() -> None:
    model = tuned("llama")
    plain = Computer(model, "float32", "alone", fused=False, share=False)
    wide = Computer(model, "float32", "forest", fused=True, share=True)
    (want, weight), (got, same) = (each.summed_loss(each.lay_out(rows(8), 300)) for each in (plain, wide))
    assert got == pytest.approx(want, rel=1e-5)
    assert same == weight


def test_the_weights_lie_in_its_matrices_and_stay_what_they_are() -> None:
    model = tuned("llama")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wide = Computer(model, "float32", "forest", fused=True, share=True)
    assert isinstance(wide.decoder, WideDecoder)
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    inside = {product.matrix.untyped_storage().data_ptr() for each in wide.decoder.layers for product in each.products}
    gate = model.get_base_model().model.layers[0].mlp.gate_proj.base_layer.weight
    assert gate.untyped_storage().data_ptr() in inside
    # What answers afterwards reads them as it would from a file: each by itself.
    wide.close()
    assert all(torch.equal(after[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.is_contiguous() for parameter in model.parameters())
    assert gate.untyped_storage().data_ptr() not in inside
    assert all(product.place.matrix is None for each in wide.decoder.layers for product in each.products)


def test_a_layer_keeps_what_it_says_and_no_input_of_a_product() -> None:
    wide = Computer(tuned("llama"), "float32", "forest", fused=True, share=True)
    assert isinstance(wide.decoder, WideDecoder)
    batch = place(wide.lay_out(rows(8), 10_000)[0], torch.device(DEVICE))
    frame, spare = wide.decoder._begin(batch)
    tokens, layer = batch.tokens + spare, wide.decoder.layers[0]
    stream = torch.randn(tokens, layer.qkv.inputs, device=DEVICE)
    _, kept = layer.forward(stream, frame, True)
    out, heads = kept.attention
    held = [kept.before, kept.middle, kept.gate_up, *kept.narrow, out, *heads]
    assert sum(each.untyped_storage().nbytes() for each in held) == tokens * (layer.keeps - 4 * layer.queries)


def test_a_row_of_3000_tokens_of_8b_fits_beside_4_bits_on_a_card_of_24_gb() -> None:
    """On an H200 a row of 4,096 took 3.9 MB a token, head included, beside what is there before the first step."""
    shape = {"hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32, "vocab_size": 128_256}
    config = LlamaConfig(**shape, num_attention_heads=32, num_key_value_heads=8)
    with torch.device("meta"):
        model = prepare(AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16), Settings(rank=16))
        each = WideDecoder(model, torch.bfloat16, [None] * 32).bytes_per_token
    assert 3.9e6 < each[0] < 1.3 * 3.9e6
    found = room(model, Settings(), 3000, 24e9 - 0.6e9 - 6.3e9, 0.85, each)
    assert (found.tokens >= 3000, found.recompute) == (True, False)
    assert room(model, Settings(), 8000, 24e9 - 0.6e9 - 6.3e9, 0.85, each).recompute


def test_a_run_leaves_a_base_in_bfloat16_as_it_came(tmp_path: Path) -> None:
    """Other models may stand on the same weights, and answer by the same numbers as if there had been no run."""
    model = model_of("llama").to(torch.bfloat16).to(DEVICE)
    weights = dict(model.named_parameters())
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    settings = Settings(rank=4, precision="bfloat16", steps=2, checkpoints=1, effective_batch_size=4)
    events: list[Any] = []
    fit(model, rows(8), (), settings, directory=tmp_path, on_event=events.append)
    assert events[0]["layout"] == "forest by fused"
    assert events[0]["weights_dtype"] == events[0]["compute_dtype"] == "bfloat16"
    assert all(torch.equal(weight, before[name]) and weight.is_contiguous() for name, weight in weights.items())


def test_a_changed_adapter_is_taken_over() -> None:
    model = tuned("llama")
    wide = Computer(model, "float32", "forest", fused=True, share=True)
    before, _ = outcome(model, wide, 300)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter *= 0.5
    plain = outcome(model, Computer(model, "float32", "alone", fused=False, share=False), 1)
    assert plain[0] != pytest.approx(before, rel=1e-4)
    assert_equal(outcome(model, wide, 300), plain)


@pytest.mark.parametrize("fused", [False, True])
def test_a_base_in_bfloat16_is_probed_in_float32(fused: bool) -> None:
    model, same = model_of("llama"), model_of("llama")
    for one, other in zip(model.parameters(), same.parameters(), strict=True):
        other.data = one.data.bfloat16()
        one.data = other.data.float()
    model, same = (prepare(each.to(DEVICE), Settings(rank=4)) for each in (model, same))
    for one, other in zip(trainable(model).values(), trainable(same).values(), strict=True):
        assert other.dtype == torch.float32
        one.data += 0.05 * torch.randn_like(one)
        other.data = one.data.clone()
    want = outcome(model, Computer(model, "float32", "alone", fused=False, share=False), 1)
    got = outcome(same, Computer(same, "float32", "alone", fused=False, share=False), 1)
    assert_equal(got, want)
    if fused:
        assert_equal(outcome(same, Computer(same, "float32", "forest", fused=True, share=True), 300), want)
    assert same.get_base_model().lm_head.weight.dtype == torch.bfloat16
    assert not any("forward" in vars(module) for module in same.modules()), "its modules are as they were"
