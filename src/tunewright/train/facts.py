"""What a run says of itself before its first step: what is trained, in which types, and how it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tunewright.models import quantised
from tunewright.train.adapters import not_adapted
from tunewright.train.choice import Choice
from tunewright.train.settings import Settings


def facts(model: Any, trained: Sequence[torch.nn.Parameter], choice: Choice, settings: Settings) -> dict[str, Any]:
    """Of `model`, whose `trained` parameters (float32 all of them) and their moments are what moves."""
    computer = choice.computer
    return {
        "trainable_parameters": sum(p.numel() for p in trained),
        "parameters": sum(map(quantised.size_of, model.parameters())),
        "not_adapted": not_adapted(model),
        "weights_dtype": _frozen_dtype(model, trained),
        **_packing(model, trained, choice),
        "trainable_dtype": _name(trained[0]),
        # AdamW keeps its moments in the type of what they are of.
        "optimizer_dtype": _name(trained[0]),
        "compute_dtype": settings.precision,
        "device": computer.device.type,
        "layout": choice.how,
        "refused": list(choice.refused),
        "share": computer.share,
        "activation_checkpointing": computer.recomputes,
    }


def _name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _frozen_dtype(model: Any, trained: Sequence[torch.nn.Parameter]) -> str:
    """The type of the weights that stay as they are (of the trained ones, where all move)."""
    frozen = (p for p in model.parameters() if not p.requires_grad and not hasattr(p, "quant_state"))
    return _name(next(frozen, trained[0]))


def _packing(model: Any, trained: Sequence[torch.nn.Parameter], choice: Choice) -> dict[str, Any]:
    """What is held in 4 bits, how many bits a weight really takes, and how often it is read back."""
    layers = choice.computer.packed
    if not layers:
        return {"quantisation": None}
    weights = sum(quantised.size_of(layer.weight) for layer in layers)
    return {
        "weights_dtype": quantised.FORM["type"],
        "quantisation": {
            **quantised.FORM,
            "weights": weights,
            "other_weights_dtype": _frozen_dtype(model, trained),
            "bits_per_weight": round(8 * sum(map(quantised.bytes_of, layers)) / weights, 4),
            "dequantised": "once" if choice.computer.kept else "each_pass",
        },
    }
