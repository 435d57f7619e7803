"""The adapter folded into the base: one model, no PEFT needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tunewright.errors import RunError
from tunewright.export.adapter import hashes
from tunewright.store import directory, write_json


def write_merged(model: Any, into: Path, facts: dict[str, Any], tokenizer: Any, stop_ids: frozenset[int]) -> Path:
    """Write `model` (with or without an adapter on it) as what `from_pretrained` takes, in fp32. It is used up thereby.

    The sum W + BA is computed and kept in fp32: rounding it to bf16 would lose most of a small BA (K21). It takes the
    place of W, a layer at a time: a second model would take as much memory again. Every stop token reaches
    `generation_config` (K1). Raises `RunError` if the weights are not fp32 to begin with.
    """
    if any(p.dtype != torch.float32 for p in model.parameters()):
        raise RunError(
            "a merge needs fp32 weights.",
            remedy="Load the base with dtype float32; where it is in 4 bits, read those back to float32 first.",
        )
    merged = model.merge_and_unload(safe_merge=True) if hasattr(model, "merge_and_unload") else model
    merged.generation_config.eos_token_id = sorted(stop_ids)
    with directory(into) as draft:
        merged.save_pretrained(str(draft), safe_serialization=True)
        tokenizer.save_pretrained(str(draft))
        write_json(draft / "manifest.json", {**facts, **hashes(draft)})
    return into
