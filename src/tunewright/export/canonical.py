"""A LoRA adapter in the one form that every engine scales alike: the scale in `lora_B`, alpha equal to the rank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from tunewright.errors import RunError
from tunewright.store import read_json, write_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def write_canonical(source: Path, into: Path) -> None:
    """Write the LoRA adapter in the folder `source` into the folder `into`, the same function in canonical form (K22).

    PEFT multiplies BA by alpha / r, or alpha / √r with the flag of rsLoRA (Kalajdzievski 2023), each of which a pattern
    may change for some layers; there are engines that read alpha and nothing else. Here B is multiplied once and for
    all: alpha is the rank, the flag is off, patterns are gone. Layers of a lower rank are filled up with zeros, which
    add nothing. Scaling by a power of two is exact, by anything else right to a rounding of each weight.

    Raises `RunError` when the weights cannot be read.
    """
    config = read_json(source / CONFIG)
    try:
        tensors = load_file(source / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"the weights of the adapter cannot be read: {error}.",
            where=str(source / WEIGHTS),
            remedy="Bring the file back from a copy, or train again: tunewright run",
        ) from error
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    made = {name: _canonical(name, tensor, config, rank) for name, tensor in tensors.items()}
    # As bytes, so that a full disk is the operating system's error.
    (into / WEIGHTS).write_bytes(save(made, metadata={"format": "pt"}))
    plain = {"r": rank, "lora_alpha": rank, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {}}
    write_json(into / CONFIG, {**config, **plain})


def scales_exactly(source: Path) -> bool:
    """Whether `write_canonical` rounds nothing of the adapter in `source`: it scales by powers of two alone."""
    config = read_json(source / CONFIG)
    ranks = {config["r"], *(config.get("rank_pattern") or {}).values()}
    alphas = {config["lora_alpha"], *(config.get("alpha_pattern") or {}).values()}
    scales = [_times(alpha, rank, config) for alpha in alphas for rank in ranks]
    return all(math.frexp(scale)[0] == 0.5 for scale in scales)


def _canonical(name: str, tensor: torch.Tensor, config: Mapping[str, Any], rank: int) -> torch.Tensor:
    """The tensor called `name` scaled, where it is a B's, and filled up to `rank`; others as they are."""
    layer, _, part = name.removeprefix("base_model.model.").partition(".lora_")
    outer = part.startswith(("B", "embedding_B"))
    if not outer and not part.startswith(("A", "embedding_A")):
        return tensor
    own, scale = _scale(layer, config)
    if outer:
        tensor = (tensor.float() * scale).to(tensor.dtype)
    if own == rank or tensor.ndim == 1:
        return tensor.contiguous()
    along = 1 if outer else 0
    missing = [rank - own if side == along else size for side, size in enumerate(tensor.shape)]
    return torch.cat([tensor, tensor.new_zeros(missing)], dim=along)


def _scale(layer: str, config: Mapping[str, Any]) -> tuple[int, float]:
    """Rank of a layer's adapter and what PEFT multiplies its BA by."""
    from peft.utils.other import get_pattern_key

    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    rank = ranks.get(get_pattern_key(ranks, layer), config["r"])
    alpha = alphas.get(get_pattern_key(alphas, layer), config["lora_alpha"])
    return rank, _times(alpha, rank, config)


def _times(alpha: float, rank: int, config: Mapping[str, Any]) -> float:
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
