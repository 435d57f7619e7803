"""Tiny random models of the families that people tune, and rows for them."""

from __future__ import annotations

import random
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    BambaConfig,
    BloomConfig,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GPTNeoXConfig,
    GptOssConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
)

from tunewright.records import Rendered

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# What memory is counted of.
SHAPE: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_WITHOUT_HEADS = {k: v for k, v in SMALL.items() if k not in ("num_key_value_heads", "head_dim")}
CONFIGS: dict[str, Any] = {
    "llama": lambda: LlamaConfig(**SMALL, tie_word_embeddings=True),
    "mistral": lambda: MistralConfig(**SMALL, sliding_window=None),
    "mistral-sliding": lambda: MistralConfig(**SMALL, sliding_window=16),
    "qwen2": lambda: Qwen2Config(**SMALL),
    "qwen3": lambda: Qwen3Config(**SMALL),
    "mixtral": lambda: MixtralConfig(**SMALL, num_local_experts=4, sliding_window=None),
    "qwen-moe": lambda: Qwen2MoeConfig(
        **SMALL, num_experts=4, moe_intermediate_size=16, shared_expert_intermediate_size=16
    ),
    "phi3": lambda: Phi3Config(**{k: v for k, v in SMALL.items() if k != "head_dim"}),
    # Scores and logits large enough for the caps to bite.
    "gemma2": lambda: Gemma2Config(
        **SMALL,
        sliding_window=16,
        query_pre_attn_scalar=8,
        initializer_range=0.2,
        attn_logit_softcapping=1.0,
        final_logit_softcapping=1.0,
    ),
    "granite": lambda: GraniteConfig(
        **{k: v for k, v in SMALL.items() if k != "head_dim"},
        logits_scaling=0.2,
        attention_multiplier=0.5,
        residual_multiplier=0.7,
        embedding_multiplier=3.0,
    ),
    "gemma3": lambda: Gemma3TextConfig(**SMALL, sliding_window=256, query_pre_attn_scalar=8),
    "gemma3-sliding": lambda: Gemma3TextConfig(**SMALL, sliding_window=16, query_pre_attn_scalar=8),
    "gpt-neox": lambda: GPTNeoXConfig(**_WITHOUT_HEADS),
    "gpt-oss": lambda: GptOssConfig(**SMALL, num_local_experts=4, num_experts_per_tok=2, sliding_window=16),
    "bloom": lambda: BloomConfig(vocab_size=96, hidden_size=32, n_layer=3, n_head=4),
    "bamba": lambda: BambaConfig(
        **SMALL, attn_layer_indices=[1], mamba_n_heads=4, mamba_d_head=16, mamba_d_state=8, mamba_n_groups=1
    ),
}


def model_of(family: str) -> Any:
    """A random model of the family, its norms moved off their start so that a forgotten one shows."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[family]())
    for name, parameter in model.named_parameters():
        if "norm" in name and parameter.ndim == 1:
            parameter.data += 0.3 * torch.rand_like(parameter)
    return model.eval()


def seeing() -> Any:
    """A tiny random Gemma 3 that takes images beside text."""
    torch.manual_seed(0)
    sight = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(
        text_config={**SMALL, "sliding_window": 256, "query_pre_attn_scalar": 8},
        vision_config={"model_type": "siglip_vision_model", **sight, "image_size": 8, "patch_size": 4},
        mm_tokens_per_image=4,
        image_token_index=2,
        boi_token_index=0,
        eoi_token_index=1,
    )
    return AutoModelForCausalLM.from_config(config).eval()


def rows(count: int = 8, *, prefix: int = 40, seed: int = 0, weighted: bool = True) -> list[Rendered]:
    """Examples behind a common prefix, half of them behind a second one too, with weights and two answers each."""
    draw = random.Random(seed)

    def tokens(size: int) -> list[int]:
        return [draw.randrange(3, 96) for _ in range(size)]

    first, second = tokens(prefix), tokens(prefix)
    made = []
    for index in range(count):
        own = (first + second if index % 2 else first) + tokens(draw.randint(2, 20))
        turn, middle, answer = tokens(draw.randint(1, 6)), tokens(3), tokens(draw.randint(1, 8))
        weight = 1.0 + (index % 3 if weighted else 0)
        ids = own + turn + middle + answer
        weights = [0.0] * len(own) + [weight] * len(turn) + [0.0] * len(middle) + [weight] * len(answer)
        made.append(Rendered(tuple(ids), tuple(weights), len(own), f"rows:{index + 1}"))
    return made
