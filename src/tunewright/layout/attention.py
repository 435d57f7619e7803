"""Attention over a token forest, registered with transformers under our own name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask

from tunewright.errors import TrainingError
from tunewright.layout.attend import Attention
from tunewright.layout.flex import block_mask, flexed
from tunewright.layout.forest import MicroBatch

NAME = "tunewright_forest"
# What some families hand to their attention besides: sinks, biases of positions, weights of heads.
_UNKNOWN = ("s_aux", "position_bias", "head_mask")


@dataclass
class _InFlight:
    batch: MicroBatch
    plans: dict[tuple[int | None, float | None], Attention] = field(default_factory=dict)
    masks: dict[int | None, BlockMask] = field(default_factory=dict)


# The micro-batch in flight. Models do not all hand keyword arguments down to their attention, so it is kept here.
_in_flight: list[_InFlight] = []


@contextlib.contextmanager
def computing(model: Any, batch: MicroBatch) -> Iterator[None]:
    """While the block runs, `model`'s attention follows the forest of `batch`; forward and backward belong inside."""
    _register()
    configs = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}.values()
    before = [(config, config._attn_implementation) for config in configs if hasattr(config, "_attn_implementation")]
    for config, _ in before:
        config._attn_implementation = NAME
    _in_flight.append(_InFlight(batch))
    try:
        yield
    finally:
        _in_flight.pop()
        for config, name in before:
            config._attn_implementation = name


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, how: Attention) -> Any:
        out, kept = how.forward(query, key, value)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.how = how
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        query, key, value, *kept = ctx.saved_tensors
        return (*ctx.how.backward(grads[0].contiguous(), query, key, value, list(kept)), None)


def forest_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one flat row: `query` [1, heads, tokens, size], keys and values with as many or fewer heads.

    Raises `TrainingError` for what it does not compute (the caller then lays out plainly): dropout, sinks, biases.
    """
    flight = _in_flight[-1]
    heads, tokens, size = key.shape[1], query.shape[2], query.shape[3]
    scale = size**-0.5 if scaling is None else scaling
    if dropout > 0:
        raise TrainingError("attention drops scores in training")
    unknown = [name for name in _UNKNOWN if others.get(name) is not None]
    if unknown:
        raise TrainingError(f"attention asks for {', '.join(unknown)}, which a forest does not compute")
    # A GPU takes FlexAttention, anything else the blocks. Both want one type, and under autocast rotary positions leave
    # queries and keys in float32.
    if flight.batch.ids.is_cuda:
        if sliding_window not in flight.masks:
            flight.masks[sliding_window] = block_mask(flight.batch, sliding_window)
        mask = flight.masks[sliding_window]
        query, key = query.to(value.dtype), key.to(value.dtype)
        return flexed(query, key, value, mask, scale, softcap).transpose(1, 2).contiguous(), None
    plan = (sliding_window, softcap)
    if plan not in flight.plans:
        flight.plans[plan] = Attention(flight.batch, window=sliding_window, softcap=softcap)
    # [1, heads × group, tokens, size] → [heads, tokens, group, size]
    grouped = (query[0] * scale).view(heads, -1, tokens, size).transpose(1, 2).contiguous()
    with torch.autocast(flight.batch.ids.device.type, enabled=False):
        out = _Differentiable.apply(grouped.to(value.dtype), key[0].to(value.dtype), value[0], flight.plans[plan])
    return out.permute(1, 0, 2, 3).reshape(1, tokens, -1, out.shape[-1]), None


def _no_mask(*_: Any, **__: Any) -> None:
    """The forest says who sees whom; no mask is built."""


@cache
def _register() -> None:
    """Make it known to transformers, whose modelling takes seconds to import: when something is computed."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, forest_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
