"""K21: merged in fp32, a model gives the adapter's log-probabilities to 1e-5.

Of tokens that hardly anybody would say, at -10 and below, it is 1e-5 of that:
rounding a merged weight to fp32 costs as much.
"""

import copy
import json

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tunewright import models
from tunewright.errors import RunError
from tunewright.export import write_merged
from tunewright.train.adapters import prepare
from tunewright.train.settings import Settings


def with_adapter(**more):
    torch.manual_seed(1)
    base = models.load("seedling")
    tuned = get_peft_model(base.model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", **more))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return base, tuned.eval()


def logprobs(model, ids):
    # Summed in float64: what is measured is the merge, not the order in which fp32 products are added.
    with torch.no_grad():
        return model.double()(input_ids=ids).logits.log_softmax(-1)


@pytest.mark.parametrize("more", [{}, {"use_rslora": True}, {"use_dora": True}])
def test_merged_is_the_adapter(tmp_path, more, seedling_renderer):
    base, tuned = with_adapter(**more)
    text = "My headset from order 4471-B arrived broken. Please send a new one; I do not want the money back."
    ids = torch.tensor([base.tokenizer(text)["input_ids"]])
    want = logprobs(copy.deepcopy(tuned), ids)
    write_merged(tuned, tmp_path / "merged", {"base": {}}, base.tokenizer, seedling_renderer.stop_ids)
    merged = models.load(str(tmp_path / "merged")).model
    assert torch.allclose(logprobs(merged, ids), want, rtol=1e-5, atol=1e-5)
    assert (want - logprobs(models.load("seedling").model, ids)).abs().max() > 0.05


def test_on_a_base_in_4_bits_merged_is_the_adapter_and_not_that_of_the_whole_base(tmp_path, seedling_renderer):
    base = models.load("seedling", in_4_bits=True)
    tuned = prepare(base.model, Settings.model_validate({"method": "qlora", "rank": 8, "alpha": 16})).eval()
    torch.manual_seed(1)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    tuned.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    text = "My headset from order 4471-B arrived broken. Please send a new one; I do not want the money back."
    ids = torch.tensor([base.tokenizer(text)["input_ids"]])
    read_back = models.quantised.read_back(models.load("seedling", in_4_bits=True).model)
    again = models.adapter_onto(read_back, tmp_path / "adapter")
    with torch.no_grad():
        served = tuned(input_ids=ids).logits.log_softmax(-1)
        assert torch.allclose(again(input_ids=ids).logits.log_softmax(-1), served, rtol=1e-5, atol=1e-5)
    want = logprobs(copy.deepcopy(again), ids)
    write_merged(again, tmp_path / "merged", {"base": {}}, base.tokenizer, seedling_renderer.stop_ids)
    merged = models.load(str(tmp_path / "merged"))
    assert merged.quantisation is None
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())
    assert torch.allclose(logprobs(merged.model, ids), want, rtol=1e-5, atol=1e-5)
    # The same adapter makes something else of the whole base.
    whole = models.adapter_onto(models.load("seedling").model, tmp_path / "adapter")
    assert (logprobs(whole, ids) - want).abs().max() > 0.05


def test_4_bits_themselves_are_not_merged_into(tmp_path, seedling_renderer):
    tuned = prepare(models.load("seedling", in_4_bits=True).model, Settings.model_validate({"method": "qlora"}))
    with pytest.raises(RunError, match="fp32") as error:
        write_merged(tuned, tmp_path / "m", {}, None, seedling_renderer.stop_ids)
    assert "4 bits" in error.value.remedy


def test_no_second_model_is_made(tmp_path, seedling_renderer, monkeypatch):
    """8 billion weights in float32 are 32 GB: the sums take the place of what they are made of."""
    base, tuned = with_adapter()
    ids = torch.randint(3, 4000, (1, 20))
    want, own = logprobs(copy.deepcopy(tuned), ids), base.model

    def copied(*_):
        raise AssertionError("weights were copied")

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Parameter, "__deepcopy__", copied)
        write_merged(tuned, tmp_path / "merged", {"base": {}}, base.tokenizer, seedling_renderer.stop_ids)
    assert torch.allclose(logprobs(own, ids), want, rtol=1e-5, atol=1e-5)


def test_half_precision_is_not_merged(tmp_path, seedling_renderer):
    base = models.load("seedling", dtype="bfloat16")
    with pytest.raises(RunError, match="fp32"):
        write_merged(base.model, tmp_path / "m", {}, base.tokenizer, seedling_renderer.stop_ids)
    assert not (tmp_path / "m").exists()


def test_presets_reach_every_linear_layer_of_the_seedling():
    tuned = prepare(models.load("seedling").model, Settings.model_validate({"rank": 4}))
    adapted = {n.split(".lora_A")[0].rsplit(".", 1)[-1] for n, _ in tuned.named_parameters() if "lora_A" in n}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
