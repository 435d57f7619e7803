"""The forest's mask for PyTorch's FlexAttention, the backend on a GPU.

A segment's descendants follow it in the row without a gap, so one number per key says who may see it: the row index
at which its segment's descendants end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from tunewright.layout.forest import MicroBatch

Sees = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# Tokens in a block of FlexAttention's masks, each way.
BLOCK = 128
# On Hopper in bfloat16 the backward pass is quicker in blocks of 64 × 64 by four warps than as it is by itself, with so
# many stages by the size of a head (design/2026-11-27-attention-on-a-gpu.md).
_STAGES = {64: 3, 128: 2}


def block_mask(batch: MicroBatch, window: int | None = None, spare: int = 0) -> BlockMask:
    """The mask in FlexAttention's sparse blocks, one per micro-batch; with a sliding `window` as `allowed` has it.

    `spare` rows behind the batch's see each other only. Which blocks hold anything follows from where segments end: no
    matrix of tokens × tokens is made, and nothing waits for the GPU.
    """
    device = batch.ids.device
    ends, positions = _reach(batch, spare)
    some, whole = _blocks(ends, positions, window)
    places = None if window is None else (_sent(positions, device), _sent(positions + window, device))
    mod = _sees(_sent(ends, device), places)
    partly, full = (_listed(blocks, device) for blocks in (some & ~whole, whole))
    size = len(ends)
    return BlockMask.from_kv_blocks(*partly, *full, BLOCK_SIZE=BLOCK, mask_mod=mod, seq_lengths=(size, size))


def _reach(batch: MicroBatch, spare: int) -> tuple[np.ndarray, np.ndarray]:
    """Of every row: where those end who may see it, and its position."""
    lengths = np.asarray([segment.length for segment in batch.segments])
    starts = np.asarray([segment.start for segment in batch.segments])
    depths = np.asarray([segment.depth for segment in batch.segments])
    ends = np.repeat(np.asarray([segment.end for segment in batch.segments]), lengths)
    positions = np.arange(len(ends)) + np.repeat(depths - starts, lengths)
    ends = np.append(ends, np.full(spare, len(ends) + spare))
    return ends.astype(np.int32), np.append(positions, np.arange(spare)).astype(np.int32)


def _sees(ends: torch.Tensor, places: tuple[torch.Tensor, torch.Tensor] | None) -> Sees:
    """The mask as a function of (batch, head, query, key) indices. `places`, with a sliding window: of every row its
    position, and the first that is too far on to see it."""
    # Tensors alone: a number in a mask would be one more thing that kernels are compiled for.
    if places is None:
        return lambda _, __, query, key: (key <= query) & (query < ends[key])
    positions, beyond = places
    return lambda _, __, query, key: (key <= query) & (query < ends[key]) & (positions[query] < beyond[key])


def _blocks(ends: np.ndarray, positions: np.ndarray, window: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks [queries, keys] may hold a pair that sees, and which hold no other. The first may be too many."""
    firsts = np.arange(0, len(ends), BLOCK)
    before = firsts[:, None] > firsts[None, :]
    some = before & (np.maximum.reduceat(ends, firsts)[None, :] > firsts[:, None])
    # A block that the row does not fill is never whole: what lies behind the row is nobody's.
    whole = before & (np.minimum.reduceat(ends, firsts)[None, :] > (firsts + BLOCK - 1)[:, None])
    if window is not None:
        low, high = np.minimum.reduceat(positions, firsts), np.maximum.reduceat(positions, firsts)
        some &= low[:, None] - high[None, :] < window
        whole &= high[:, None] - low[None, :] < window
    some |= np.eye(len(firsts), dtype=bool)
    return some, whole


def _listed(blocks: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """How many blocks of keys each block of queries meets, and their indices in front of those that it does not."""
    counts = blocks.sum(1, dtype=np.int32)
    indices = np.argsort(~blocks, axis=1, kind="stable").astype(np.int32)
    return _sent(counts[None, None], device), _sent(indices[None, None], device)


def _sent(array: np.ndarray, device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def flexed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: BlockMask, scale: float, softcap: float | None
) -> torch.Tensor:
    """Attention [1, heads, tokens, size] under `mask`; scores are capped at ±`softcap` where it is given (Gemma 2)."""
    # Compiled for any number of tokens, a kernel takes no numbers but its own default: queries take the scale.
    own = query.shape[-1] ** -0.5
    if scale != own:
        query = query * (scale / own)
    change = None
    if softcap is not None:

        def change(score: torch.Tensor, *_: Any) -> torch.Tensor:
            return softcap * torch.tanh(score / softcap)

    options: dict[str, Any] = {"kernel_options": _options(query)} if query.is_cuda else {}
    with _whole_floats():
        out: torch.Tensor = kernel(query.device.type)(
            query, key, value, score_mod=change, block_mask=mask, enable_gqa=query.shape[1] != key.shape[1], **options
        )
    return out


def _options(query: torch.Tensor) -> dict[str, Any]:
    """What a GPU's kernels are compiled for."""
    # Below 128 queries another kernel would be taken, made for generation, which has no form for every shape. Where
    # all blocks are full, none has to be looked at for its end.
    options: dict[str, Any] = {"BACKEND": "TRITON"}
    if query.shape[2] % BLOCK == 0:
        options["IS_DIVISIBLE"] = True
    stages = _STAGES.get(query.shape[-1]) if query.dtype == torch.bfloat16 else None
    if stages and torch.cuda.get_device_capability(query.device) == (9, 0):
        options |= {f"bwd_BLOCK_{side}": 64 for side in ("M1", "N1", "M2", "N2")}
        options |= {"bwd_num_stages": stages, "bwd_num_warps": 4}
    return options


@contextlib.contextmanager
def _whole_floats() -> Iterator[None]:
    """Let kernels be compiled for the very scale they are given. (The configuration's own `patch` takes ten times as
    long, around every call.)"""
    config = torch._dynamo.config
    before, config.specialize_float = config.specialize_float, True
    try:
        yield
    finally:
        config.specialize_float = before


@cache
def kernel(device: str) -> Callable[..., torch.Tensor]:
    """Compiled where there are kernels to compile to; a CPU computes the same without, forward only."""
    # Past the limit, eight by itself, it would run uncompiled and nobody be told.
    torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
    return torch.compile(flex_attention, dynamic=True) if device == "cuda" else flex_attention  # type: ignore[no-any-return]


class Flexed:
    """Attention over a forest with a backward pass of its own: what a decoder written out by hand calls.

    It is quickest on multiples of `BLOCK` rows.
    """

    BLOCK = BLOCK

    def __init__(self, batch: MicroBatch, spare: int, window: int | None, scale: float) -> None:
        self.mask, self.scale = block_mask(batch, window, spare), scale

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, learns: bool) -> tuple[Any, Any]:
        """Mixed values [tokens, heads, size] for queries of that shape and as many or fewer keys; and what `backward`
        is to be given, if it `learns`."""
        with torch.set_grad_enabled(learns):
            heads = [each.detach().requires_grad_(learns) for each in (query, key, value)]
            row = [each.transpose(0, 1)[None] for each in heads]
            out = flexed(row[0], row[1], row[2], self.mask, self.scale, None)
        return out.detach()[0].transpose(0, 1), (out, heads) if learns else None

    @staticmethod
    def mixed(kept: Any) -> torch.Tensor:
        """The mixed values once more, of what `forward` gave for `backward`."""
        out: torch.Tensor = kept[0].detach()[0].transpose(0, 1)
        return out

    def backward(self, grad: torch.Tensor, kept: Any) -> tuple[torch.Tensor, ...]:
        """Gradients of queries, keys and values from that of the mixed values, [tokens, heads, size] each."""
        out, heads = kept
        with torch.enable_grad():
            back: tuple[torch.Tensor, ...] = torch.autograd.grad(out, heads, grad.transpose(0, 1)[None])
        return back
