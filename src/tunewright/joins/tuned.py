"""What a run tunes, counted for its plan; and what it has tuned, loaded again on its base and named for caches."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tunewright import __version__, models
from tunewright.errors import RunError
from tunewright.plan import facts
from tunewright.project import RunFolder
from tunewright.records import RunRecord
from tunewright.store import digest, read_json, tree_digest
from tunewright.train import Settings, adapters


def shape_of(base: models.Base, settings: Settings) -> facts.ModelFacts:
    """What the plan needs to know of `base`. Raises `TrainingError` where `target_modules` names no layer of it."""
    config, packed = base.model.config.get_text_config(), models.quantised
    words, tells = base.model.get_input_embeddings().weight, base.model.get_output_embeddings().weight
    table, head, apart = packed.size_of(words), packed.size_of(tells), tells is not words
    heads = getattr(config, "num_attention_heads", None) or 1
    return facts.ModelFacts(
        parameters=base.parameters,
        trainable=adapters.trained_weights(base.model, settings),
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        weight_bytes=packed.bytes_of(base.model),
        read_back_bytes=packed.read_back_bytes(base.model, settings.precision, settings.dequantise),
        whole_bytes=base.parameters * base.dtype.itemsize,
        body=_active(base) - (table + head if apart else table),
        head=head,
        features=heads * (getattr(config, "head_dim", None) or config.hidden_size // heads),
    )


def _active(base: models.Base) -> int:
    """The weights that a token passes through: of experts as many as it is sent to."""
    config = base.model.config.get_text_config()
    asked = (getattr(config, name, None) for name in ("num_local_experts", "num_experts", "n_routed_experts"))
    experts, passed = next((n for n in asked if n), 0), getattr(config, "num_experts_per_tok", None) or 0
    if not experts or not passed:
        return base.parameters
    held = sum(models.quantised.size_of(p) for name, p in base.model.named_parameters() if ".experts." in name)
    return base.parameters - held + held * min(passed, experts) // experts


def load(
    weights: Path, base: models.Base, fresh: Callable[[], models.Base], device: str, *, read_back: bool = False
) -> Any:
    """The tuned model whose weights lie in `weights`: a `fresh` base and the adapter, or all weights after full tuning.

    With `read_back` a base in 4 bits is what those bits stand for, in float32: the same model, in a form that an
    adapter can be merged into. Raises `RunError` when the run's base was in another form than `base` is (K24).
    """
    if not (weights / "adapter_config.json").is_file():
        return models.load(str(weights), device=device).model
    same_form(read_json(RunFolder(weights.parent).record, RunRecord), base)
    model = fresh().model
    return models.adapter_onto(models.quantised.read_back(model) if read_back else model, weights)


def same_form(record: RunRecord, base: models.Base) -> None:
    """Raise `RunError` when a run was tuned on the base whole and `base` is in 4 bits, or the other way round."""
    if record.quantisation != base.quantisation:
        was, now = ("in 4 bits" if form else "whole" for form in (record.quantisation, base.quantisation))
        raise RunError(
            f"this run was tuned on the base {was}, and the recipe asks for it {now}: that is another model.",
            where=record.id,
            remedy=f"Set train.method back to {record.resolved['method']}, or start a new run.",
        )


def identity(base: models.Base, weights: Path | None) -> str:
    """What a cache of answers is keyed by: our release, the base's weights, their form, the tuned ones (K6, K15)."""
    files = sorted(weights.glob("*.safetensors")) if weights else []
    form = [json.dumps(base.quantisation, sort_keys=True)] if base.quantisation else []
    form += ["bfloat16"] if base.dtype is torch.bfloat16 else []
    return digest(__version__, base.sha256, *form, *(tree_digest(f) for f in files))[:32]


def versions() -> dict[str, str]:
    """What the figures depend on besides the recipe."""
    names = ["tunewright", "torch", "transformers", "peft", "tokenizers"]
    names += ["bitsandbytes"] if models.quantised.installed() else []
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
