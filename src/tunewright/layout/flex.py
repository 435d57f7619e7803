"""The forest's mask for PyTorch's FlexAttention, the backend on a GPU.

A segment's descendants follow it in the row without a gap, so one number per key says who may see it: the row index
at which its segment's descendants end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from tunewright.layout.forest import MicroBatch

Sees = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def sees(batch: MicroBatch, window: int | None = None) -> Sees:
    """The mask as a function of (batch, head, query, key) indices; with a sliding `window`, as `allowed` has it."""
    lengths = torch.tensor([segment.length for segment in batch.segments])
    ends = torch.tensor([segment.end for segment in batch.segments]).repeat_interleave(lengths).to(batch.ids.device)
    positions = batch.positions

    def visible(_: torch.Tensor, __: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        seen = (key <= query) & (query < ends[key])
        return seen if window is None else seen & (positions[query] - positions[key] < window)

    return visible


def block_mask(batch: MicroBatch, window: int | None = None) -> BlockMask:
    """The mask in FlexAttention's sparse blocks, made once per micro-batch."""
    tokens, device = batch.tokens, batch.ids.device
    return create_block_mask(sees(batch, window), None, None, tokens, tokens, device=device.type)


def flexed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: BlockMask, scale: float, softcap: float | None
) -> torch.Tensor:
    """Attention [1, heads, tokens, size] under `mask`; scores are capped at ±`softcap` where it is given (Gemma 2)."""
    change = None
    if softcap is not None:

        def change(score: torch.Tensor, *_: Any) -> torch.Tensor:
            return softcap * torch.tanh(score / softcap)

    out: torch.Tensor = _kernel(query.device.type)(
        query, key, value, score_mod=change, block_mask=mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
    )
    return out


@cache
def _kernel(device: str) -> Callable[..., torch.Tensor]:
    """Compiled where there are kernels to compile to; a CPU computes the same without, forward only."""
    return torch.compile(flex_attention, dynamic=True) if device == "cuda" else flex_attention  # type: ignore[no-any-return]
