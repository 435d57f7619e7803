"""A base without its weights: what training will prepare, in shapes alone."""

from __future__ import annotations

import copy
from typing import Any

import torch

from tunewright.models import quantised
from tunewright.train.adapters import prepare
from tunewright.train.settings import Settings


def twin(config: Any, dtype: torch.dtype, settings: Settings, layers: int) -> Any:
    """The model of `config` as training will prepare it, with so many layers: on the meta device, without a weight."""
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    text = config.get_text_config()
    if layers != text.num_hidden_layers:
        text.num_hidden_layers = layers
        if getattr(text, "layer_types", None):
            text.layer_types = text.layer_types[:layers]
    with torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(config, dtype=dtype).requires_grad_(False)
    if settings.method == "qlora":
        quantised.quantise(bare)
    with torch.device("meta"):
        return prepare(bare, settings.model_copy(update={"init_from": None})).train()
