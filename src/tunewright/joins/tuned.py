"""What a run tunes, counted for its plan; and what it has tuned, loaded again on its base and named for caches."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tunewright import __version__, models
from tunewright.errors import RunError
from tunewright.plan import ModelFacts
from tunewright.project import RunFolder
from tunewright.records import RunRecord
from tunewright.store import digest, read_json, tree_digest


def facts(base: models.Base, resolved: Mapping[str, Any]) -> ModelFacts:
    """What the plan needs to know of `base` under the `resolved` training settings."""
    config, packed = base.model.config.get_text_config(), models.quantised
    head = base.model.get_output_embeddings()
    linear = [m for m in base.model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    return ModelFacts(
        name=base.name,
        parameters=base.parameters,
        # A LoRA on every linear layer but the head.
        trainable=sum(resolved["rank"] * (m.in_features + m.out_features) for m in linear),
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        vocabulary=config.vocab_size,
        weight_bytes=packed.bytes_of(base.model),
        read_back_bytes=packed.read_back_bytes(base.model, resolved["precision"], resolved["dequantise"]),
    )


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
