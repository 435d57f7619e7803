"""Models that turn texts into vectors, from a folder or the hub. Safetensors only, no remote code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunewright.errors import ModelError
from tunewright.models.load import locate
from tunewright.recipe import ModelSpec


def load_encoder(name: str, *, root: Path, device: str = "cpu") -> tuple[Any, Any, bool]:
    """The embedding model `name` (hub id, or a folder relative to `root`), its tokenizer, and which state to take.

    The last is true where the folder's pooling settings (`1_Pooling/config.json`) ask for the first token's state.
    Raises `ModelError` when it cannot be loaded.
    """
    from transformers import AutoModel, AutoTokenizer

    source = locate(ModelSpec(id=name, revision=None), root)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = AutoModel.from_pretrained(source, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"cannot be loaded as an embedding model: {first[:300]}",
            where=name,
            remedy="Name a folder with config.json, safetensors and tokenizer, or leave it to the base.",
        ) from error
    pooling = Path(source) / "1_Pooling" / "config.json"
    asked = json.loads(pooling.read_text(encoding="utf-8")) if pooling.is_file() else {}
    return model.float().to(device).eval(), tokenizer, bool(asked.get("pooling_mode_cls_token"))
