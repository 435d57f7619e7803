"""Writes weights as a folder that `transformers` loads: config, bf16 weights, tokenizer, template, generation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from .network import Shape
from .tokenizer import END, END_ID, STOP, STOP_ID


def config(shape: Shape) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.positions,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "rms_norm_eps": shape.epsilon,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        "bos_token_id": END_ID,
        "eos_token_id": STOP_ID,
        "pad_token_id": END_ID,
        "dtype": "bfloat16",
        "use_cache": True,
    }


def write(folder: Path, shape: Shape, weights: dict[str, Tensor], tokenizer: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().to(torch.bfloat16).contiguous() for name, p in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,
        "eos_token": STOP,
        "pad_token": END,
        "model_max_length": shape.positions,
        "clean_up_tokenization_spaces": False,
    }
    generation = {"bos_token_id": END_ID, "eos_token_id": [STOP_ID, END_ID], "pad_token_id": END_ID}
    for name, content in (
        ("config.json", config(shape)),
        ("tokenizer_config.json", tokens),
        ("generation_config.json", generation),
    ):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    shutil.copyfile(Path(__file__).with_name("chat_template.jinja"), folder / "chat_template.jinja")
