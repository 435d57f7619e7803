"""A twin: another model over the same weights."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tunewright import models


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "in 4 bits"])
def base(request):
    return models.load("seedling", in_4_bits=request.param)


def test_weights_are_shared_and_adapters_are_not(base):
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        before = base.model(ids).logits
        twin = base.twin()
        shape = LoraConfig(target_modules=["q_proj", "down_proj"], init_lora_weights=False)
        adapted = get_peft_model(twin.model, shape)
        assert not torch.equal(adapted(ids).logits, before)
        assert torch.equal(base.model(ids).logits, before)
    assert not [name for name, _ in base.model.named_parameters() if "lora_" in name]
    own = {id(p) for p in base.model.parameters()}
    assert {name for name, p in adapted.named_parameters() if id(p) not in own} == {
        name for name, _ in adapted.named_parameters() if "lora_" in name
    }


def test_modes_and_settings_are_its_own(base):
    twin = base.twin().model
    twin.train()
    twin.config.use_cache = not base.model.config.use_cache
    twin.set_attn_implementation("eager")
    assert not base.model.training
    assert base.model.config.use_cache != twin.config.use_cache
    assert base.model.config._attn_implementation != "eager"
