"""What a GPU does beside a decoder's products, each way: one kernel each, where PyTorch can compile them.

Every function computes the same without being compiled, only slower. The residual stream and its gradient are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import torch


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    # Past the limit, eight by itself, a function would run uncompiled and nobody be told. It is raised for good: doing
    # so around each call takes longer than the call.
    torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
    made: Callable[..., Any] = torch.compile(function)
    return made


def _one_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of tensors, compiled where the first lies on a GPU: once for any number of rows (dimension 0)."""

    @wraps(function)
    def call(first: torch.Tensor, *others: Any) -> Any:
        if not first.is_cuda:
            return function(first, *others)
        for each in (first, *others):
            if isinstance(each, torch.Tensor) and each.ndim > 1:
                torch._dynamo.maybe_mark_dynamic(each, 0)
        return _compiled(function)(first, *others)

    return call


@_one_kernel
def normed(x: torch.Tensor, weight: torch.Tensor, epsilon: float, out: torch.Tensor) -> None:
    """RMS norm (Zhang & Sennrich 2019) of `x` [tokens, width], into `out`."""
    out.copy_(x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon) * weight)


@_one_kernel
def added(x: torch.Tensor, more: torch.Tensor, weight: torch.Tensor, epsilon: float, out: torch.Tensor) -> torch.Tensor:
    """`x + more`, and its norm into `out`."""
    x = x + more
    out.copy_(x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon) * weight)
    return x


@_one_kernel
def norm_back(
    dx: torch.Tensor,
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    out: torch.Tensor | None = None,
    again: torch.Tensor | None = None,
) -> torch.Tensor:
    """`dx` plus the gradient through the norm of `x`, given that of its output.

    A copy of the sum goes to `out`, and the norm's output once more to `again`.
    """
    scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon)
    unit, inner = x * scale, grad * weight
    if again is not None:
        again.copy_(unit * weight)
    dx = dx + scale * (inner - unit * (inner * unit).mean(-1, keepdim=True))
    if out is not None:
        out.copy_(dx)
    return dx


@_one_kernel
def heads(
    flat: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, queries: int, keys: int, size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries and keys turned by their positions (Su et al. 2021), and values: [tokens, heads, size] each."""
    split = flat.unflatten(1, (queries + 2 * keys, size))
    turning = split[:, : queries + keys].float()
    first, second = turning[..., : size // 2], turning[..., size // 2 :]
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(flat.dtype)
    return turned[:, :queries].contiguous(), turned[:, queries:].contiguous(), split[:, queries + keys :].contiguous()


@_one_kernel
def heads_back(
    dq: torch.Tensor, dk: torch.Tensor, dv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, out: torch.Tensor
) -> None:
    """The gradient of what `heads` was given, into `out`."""
    size, place = dq.shape[2], 0
    for grad in (dq, dk):
        first, second = grad[..., : size // 2].float(), grad[..., size // 2 :].float()
        turned = torch.cat([first * cos + second * sin, second * cos - first * sin], -1).flatten(1)
        out[:, place : place + turned.shape[1]].copy_(turned)
        place += turned.shape[1]
    out[:, place:].copy_(dv.flatten(1))


@_one_kernel
def gated(gate_up: torch.Tensor, out: torch.Tensor) -> None:
    """silu(gate)·up (Shazeer 2020) of both side by side, into `out`."""
    gate, up = gate_up.float().chunk(2, 1)
    out.copy_(gate * torch.sigmoid(gate) * up)


@_one_kernel
def gated_back(grad: torch.Tensor, gate_up: torch.Tensor, out: torch.Tensor, again: torch.Tensor) -> None:
    """The gradient of what `gated` was given, into `out`, and what `gated` gave, once more, into `again`."""
    gate, up = gate_up.float().chunk(2, 1)
    sigmoid, half = torch.sigmoid(gate), gate_up.shape[1] // 2
    again.copy_(gate * sigmoid * up)
    grad = grad.float()
    out[:, :half].copy_(grad * up * sigmoid * (1 + gate * (1 - sigmoid)))
    out[:, half:].copy_(grad * gate * sigmoid)


@_one_kernel
def chunk_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted sum of the cross-entropies of `labels` [targets, 1] after `logits`.

    The gradients of the cross-entropies, not weighed, take the place of `logits`.
    """
    wide = logits.float()
    shifted = wide - wide.amax(1, keepdim=True)
    normaliser = shifted.exp().sum(1, keepdim=True).log()
    loss = ((normaliser - shifted.gather(1, labels)) * weights).sum()
    hit = torch.arange(logits.shape[1], device=logits.device)[None] == labels
    logits.copy_((shifted - normaliser).exp() - hit.float())
    return loss
