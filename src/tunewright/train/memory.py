"""How many tokens one forward pass may hold, and what running out of memory looks like."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from tunewright.train.settings import Settings

# A micro-batch beyond this gains nothing: matrix products are at full rate long before.
_MOST = 16_384
_LEAST = 512


def first_budget(model: Any, settings: Settings, neighbours: int = 1) -> int:
    """Tokens per micro-batch to begin with: as asked, else what a third of the free memory holds, within reason.

    The memory of a CPU is divided among the `neighbours` processes on this machine.
    """
    if settings.micro_batch_tokens != "auto":
        return settings.micro_batch_tokens
    device = next(model.parameters()).device
    free = (
        torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available / neighbours
    )
    return max(_LEAST, min(_MOST, int(free / 3 / _bytes_per_token(model))))


def _bytes_per_token(model: Any) -> float:
    """Activations kept for backward per token: every linear layer's input and output, twice for what lies between."""
    width = sum(sum(m.weight.shape) for m in model.modules() if isinstance(m, torch.nn.Linear))
    return 2.0 * 4 * float(width)


def is_out_of_memory(error: BaseException) -> bool:
    """True for a refused allocation, on a GPU or on a CPU."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text.lower()
