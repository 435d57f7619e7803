"""How many tokens one forward pass may hold, giving memory back, and what running out of it looks like."""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass
from typing import Any

import torch

from tunewright.machine import free_memory
from tunewright.train.adapters import is_linear
from tunewright.train.settings import Settings

# A micro-batch beyond this gains nothing: matrix products are at full rate long before.
_MOST = 16_384
_LEAST = 512
# A micro-batch's share of the free memory. Nobody else takes a GPU's; where that was too much, a step is tried smaller.
_SHARE, SHARE_OF_A_GPU = 1 / 3, 0.85
# Bytes of a number that is kept. Under autocast norms and what lies around them stay in float32, hence the odd ones.
_BYTES = {"float32": 4.0, "bfloat16": 2.3}


@dataclass(frozen=True)
class Room:
    """Tokens per forward pass to begin with, and whether layers are computed again in the backward pass."""

    tokens: int
    recompute: bool


def first_room(
    model: Any, settings: Settings, longest: int, neighbours: int = 1, each: tuple[float, float] | None = None
) -> Room:
    """What is asked for, else what a third of the free memory holds (of a GPU's more), within reason.

    Layers are computed again only where the `longest` example would not fit otherwise. The memory of a CPU is divided
    among the `neighbours` processes on this machine. `each` as in `room`.
    """
    device = next(model.parameters()).device
    if device.type != "cuda":
        return room(model, settings, longest, free_memory() / neighbours, each=each)
    # PyTorch holds on to what the probe took, and takes from there first.
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return room(model, settings, longest, torch.cuda.mem_get_info(device)[0] + held, SHARE_OF_A_GPU, each)


def room(
    model: Any,
    settings: Settings,
    longest: int,
    free: float,
    share: float = _SHARE,
    each: tuple[float, float] | None = None,
) -> Room:
    """The room that a `share` of `free` bytes gives to `model`, adapted or not yet.

    `each` is what a token takes, and where layers are computed again, if what computes it knows.
    """
    whole, layerwise = each or bytes_per_token(model, settings.precision)
    wanted = settings.activation_checkpointing
    recompute = longest * whole > free * share if wanted == "auto" else wanted
    if settings.micro_batch_tokens != "auto":
        return Room(settings.micro_batch_tokens, recompute)
    return Room(max(_LEAST, min(_MOST, int(free * share / (layerwise if recompute else whole)))), recompute)


def bytes_per_token(model: Any, precision: str) -> tuple[float, float]:
    """Activations kept for backward per token: of the whole model, and where only layers' inputs and one layer are.

    A layer keeps every linear layer's input and output, twice for what lies between. What adapters keep beside these is
    slim, and the head keeps a fixed number of logits, whatever the tokens.
    """
    head = model.get_output_embeddings()
    # A layer in 4 bits has a packed weight, GPT-2's has no `in_features`.
    width = sum(
        m.in_features + m.out_features if isinstance(m, torch.nn.Linear) else sum(m.weight.shape)
        for name, m in model.named_modules()
        if is_linear(m) and m is not head and ".lora_" not in name
    )
    config = model.config.get_text_config()
    layers = config.num_hidden_layers
    # Experts in one tensor [experts, outputs, inputs], of which a token passes through some.
    experts = (p for name, p in model.named_parameters() if ".experts." in name and p.ndim == 3)
    width += (getattr(config, "num_experts_per_tok", None) or 0) * sum(sum(p.shape[1:]) for p in experts)
    width = max(width, layers * config.hidden_size)  # where layers are of a kind of their own, at least their inputs
    every = 2.0 * _BYTES[precision] * width
    return every, 4.0 * config.hidden_size * layers + every / layers


def give_back() -> None:
    """Give memory that was freed back to the system, where the C library keeps it (glibc).

    It keeps it for later, but apart for each thread, and later tensors seldom fit into the holes.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """True for a refused allocation, on a GPU or on a CPU."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text.lower()
