"""What the memory benchmark tunes: small random models of several families, rows short and long, ways to tune them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _works import SHAPES as LLAMAS

SEEDLING = Path(__file__).resolve().parents[1] / "src/tunewright/models/seedling"
# Heads are 64 wide throughout. Special tokens are the seedling's, whose tokenizer all of them have.
_COMMON = {"max_position_embeddings": 4_096, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 2}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama_25m": ("LlamaConfig", LLAMAS["25m"]),
    "llama_135m": ("LlamaConfig", LLAMAS["135m"]),
    "llama_words": (  # many words, few layers; the head is a matrix of its own
        "LlamaConfig",
        {
            "vocab_size": 49_152,
            "hidden_size": 320,
            "intermediate_size": 896,
            "num_hidden_layers": 4,
            "num_attention_heads": 5,
            "num_key_value_heads": 5,
        },
    ),
    "llama_deep": (
        "LlamaConfig",
        {
            "vocab_size": 8_192,
            "hidden_size": 256,
            "intermediate_size": 640,
            "num_hidden_layers": 28,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "tie_word_embeddings": True,
        },
    ),
    "mistral": (  # a window of 128 tokens
        "MistralConfig",
        {
            "vocab_size": 8_192,
            "hidden_size": 384,
            "intermediate_size": 1_280,
            "num_hidden_layers": 8,
            "num_attention_heads": 6,
            "num_key_value_heads": 3,
            "head_dim": 64,
            "sliding_window": 128,
        },
    ),
    "qwen2": (
        "Qwen2Config",
        {
            "vocab_size": 32_768,
            "hidden_size": 256,
            "intermediate_size": 1_408,
            "num_hidden_layers": 8,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
    ),
    "qwen3": (
        "Qwen3Config",
        {
            "vocab_size": 16_384,
            "hidden_size": 320,
            "intermediate_size": 960,
            "num_hidden_layers": 8,
            "num_attention_heads": 5,
            "num_key_value_heads": 5,
            "head_dim": 64,
            "tie_word_embeddings": True,
        },
    ),
    "phi3": (
        "Phi3Config",
        {
            "vocab_size": 8_192,
            "hidden_size": 384,
            "intermediate_size": 1_024,
            "num_hidden_layers": 8,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,
        },
    ),
    "gpt_neox": (
        "GPTNeoXConfig",
        {
            "vocab_size": 8_192,
            "hidden_size": 384,
            "intermediate_size": 1_536,
            "num_hidden_layers": 8,
            "num_attention_heads": 6,
        },
    ),
    "bloom": ("BloomConfig", {"vocab_size": 8_192, "hidden_size": 256, "n_layer": 8, "n_head": 4}),
}


@dataclass(frozen=True)
class Configuration:
    """`batch` × `steps` rows of `data` train `shape` as `train` says, `validation` rows are answered at the end.

    `fitted`: the numbers of the plan's memory and time were fitted to its result.
    """

    shape: str
    data: str
    batch: int
    train: dict[str, Any] = field(default_factory=dict)
    steps: int = 2
    validation: int = 0
    fitted: bool = False

    @property
    def source(self) -> str:
        """The data set its rows are made of."""
        return "gsm8k" if self.data == "turns" else self.data


_FLOAT = {"precision": "float32"}
_QLORA = {"method": "qlora", **_FLOAT}
_EACH_PASS = {**_QLORA, "dequantise": "each_pass"}
_FULL = {"method": "full", **_FLOAT}
_AGAIN = {"activation_checkpointing": True}


def _lora(rank: int = 16, **more: Any) -> dict[str, Any]:
    return {"rank": rank, **_FLOAT, **more}


_25M = "llama_25m"
CONFIGURATIONS: dict[str, Configuration] = {
    # The seedling itself: what libraries and threads take is most of it.
    "seedling_tickets_b8": Configuration("seedling", "tickets", 8, _lora(), validation=4),
    "seedling_snips_b8": Configuration("seedling", "snips", 8, _lora(), validation=4, fitted=True),
    "seedling_gsm8k_b32": Configuration("seedling", "gsm8k", 32, _lora(64), fitted=True),
    "seedling_gsm8k_b2_answers": Configuration("seedling", "gsm8k", 2, _lora(), validation=32),
    "seedling_turns_b4": Configuration("seedling", "turns", 4, _lora(8)),
    "seedling_gsm8k_b16_full": Configuration("seedling", "gsm8k", 16, _FULL, fitted=True),
    "seedling_snips_b4_bfloat16": Configuration("seedling", "snips", 4, {"precision": "bfloat16"}),
    # The shape of the speed benchmark.
    "25m_tickets_b16": Configuration(_25M, "tickets", 16, _lora()),
    "25m_snips_b1": Configuration(_25M, "snips", 1, _lora(), fitted=True),
    "25m_snips_b16": Configuration(_25M, "snips", 16, _lora()),
    "25m_snips_b2_answers": Configuration(_25M, "snips", 2, _lora(), validation=32, fitted=True),
    "25m_snips_b4_bfloat16": Configuration(_25M, "snips", 4, {"precision": "bfloat16"}, fitted=True),
    "25m_gsm8k_b8": Configuration(_25M, "gsm8k", 8, _lora(), fitted=True),
    "25m_gsm8k_b8_r128_minimal": Configuration(_25M, "gsm8k", 8, _lora(128, target_modules="minimal")),
    "25m_gsm8k_b32": Configuration(_25M, "gsm8k", 32, _lora()),
    "25m_gsm8k_b16_micro4": Configuration(_25M, "gsm8k", 16, _lora(micro_batch_size=4), fitted=True),
    "25m_gsm8k_b8_again": Configuration(_25M, "gsm8k", 8, _lora(**_AGAIN), fitted=True),
    "25m_gsm8k_b8_dropout": Configuration(_25M, "gsm8k", 8, _lora(dropout=0.05)),
    "25m_gsm8k_b8_cut": Configuration(_25M, "gsm8k", 8, _lora(64, max_length=128)),
    "25m_banking77_b8": Configuration(_25M, "banking77", 8, _lora(), fitted=True),
    "25m_banking77_b32": Configuration(_25M, "banking77", 32, _lora(4)),
    "25m_turns_b4": Configuration(_25M, "turns", 4, _lora(), fitted=True),
    "25m_turns_b2_again": Configuration(_25M, "turns", 2, _lora(**_AGAIN)),
    "25m_gsm8k_b8_qlora": Configuration(_25M, "gsm8k", 8, _QLORA, fitted=True),
    "25m_snips_b8_qlora_each_pass": Configuration(_25M, "snips", 8, _EACH_PASS),
    "25m_snips_b8_full": Configuration(_25M, "snips", 8, _FULL),
    "25m_gsm8k_b4_full": Configuration(_25M, "gsm8k", 4, _FULL, fitted=True),
    "135m_snips_b8": Configuration("llama_135m", "snips", 8, _lora()),
    # Other shapes of the same decoder.
    "words_snips_b16": Configuration("llama_words", "snips", 16, _lora(), fitted=True),
    "words_gsm8k_b8": Configuration("llama_words", "gsm8k", 8, _lora()),
    "deep_gsm8k_b8": Configuration("llama_deep", "gsm8k", 8, _lora()),
    "mistral_turns_b2": Configuration("mistral", "turns", 2, _lora(32), fitted=True),
    "mistral_gsm8k_b8": Configuration("mistral", "gsm8k", 8, _lora()),
    "qwen2_gsm8k_b8_standard": Configuration("qwen2", "gsm8k", 8, _lora(target_modules="standard")),
    "qwen2_snips_b16_qlora": Configuration("qwen2", "snips", 16, _QLORA, fitted=True),
    # Families whose own modules compute.
    "qwen3_tickets_b8": Configuration("qwen3", "tickets", 8, _lora()),
    "qwen3_gsm8k_b8": Configuration("qwen3", "gsm8k", 8, _lora(), fitted=True),
    "qwen3_snips_b16_full": Configuration("qwen3", "snips", 16, _FULL),
    "phi3_gsm8k_b8": Configuration("phi3", "gsm8k", 8, _lora()),
    "gpt_neox_gsm8k_b8": Configuration("gpt_neox", "gsm8k", 8, _lora(), fitted=True),
    "gpt_neox_snips_b8": Configuration("gpt_neox", "snips", 8, _lora(32)),
    "bloom_snips_b8": Configuration("bloom", "snips", 8, _lora()),
    "bloom_gsm8k_b4": Configuration("bloom", "gsm8k", 4, _lora(), fitted=True),
}


def model_folder(shape: str, beside: Path) -> Path | str:
    """Where a random model of the shape lies, made in a folder `beside` the projects when it is first asked for."""
    import torch
    import transformers

    if shape == "seedling":
        return shape
    folder = beside / f"model_{shape}"
    if not folder.is_dir():
        family, numbers = SHAPES[shape]
        torch.manual_seed(0)
        config = getattr(transformers, family)(**{**_COMMON, **numbers})
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
            shutil.copy(SEEDLING / name, folder / name)
    return folder
