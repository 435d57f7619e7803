"""Bits per byte of a model on token streams: windows of `length`, nothing carried over, scaled to its bytes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from .corpus import Stream


@torch.no_grad()
def bits_per_byte(logits, stream: Stream, length: int = 512, batch: int = 8, device: str = "cpu") -> float:
    """`logits` takes `(batch, length)` ids on `device`. Whole windows only, the rest by proportion."""
    ids = torch.from_numpy(stream.ids.astype("int64")).to(device)
    windows = (len(ids) - 1) // length
    x = ids[: windows * length].view(windows, length)
    y = ids[1 : windows * length + 1].view(windows, length)
    nats = 0.0
    for at in range(0, windows, batch):
        scores = logits(x[at : at + batch]).float()
        nats += F.cross_entropy(scores.flatten(0, 1), y[at : at + batch].flatten(), reduction="sum").item()
    return nats / math.log(2) / stream.size * len(ids) / (windows * length)
