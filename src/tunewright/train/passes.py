"""What lies between a decoder's products: norms and rotary positions, each way, in as few passes as they can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tunewright.train.products import Product


@dataclass(frozen=True)
class Rope:
    """Cosines and sines of the positions, [tokens, 1, size / 2], for keys and, times the scale, for queries."""

    cos: torch.Tensor
    sin: torch.Tensor
    q_cos: torch.Tensor
    q_sin: torch.Tensor

    def rows(self, rows: torch.Tensor) -> Rope:
        return Rope(*(t[rows] for t in (self.cos, self.sin, self.q_cos, self.q_sin)))


def angles(inside: Any, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of `positions` in float32, [tokens, 1, size / 2], as the decoder `inside` a model has it."""
    probe = torch.empty(1, 1, dtype=torch.float32, device=positions.device)
    cos, sin = inside.rotary_emb(probe, positions[None])
    half = cos.shape[-1] // 2
    return cos[0, :, None, :half].float(), sin[0, :, None, :half].float()


def inverse_rms(x: torch.Tensor, epsilon: float) -> torch.Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().div_(x.shape[1]).add_(epsilon).rsqrt_()


def normed_room(x: torch.Tensor, scale: torch.Tensor, product: Product) -> torch.Tensor:
    buffer = product.room(x.shape[0])
    torch.mul(x, scale, out=buffer[:, : product.inputs])
    return buffer


def norm_backward(dx: torch.Tensor, grad: torch.Tensor, normed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Add to `dx` the gradient through x·scale, scale = 1 / rms(x), given that of its output and the output."""
    normed = normed[:, : grad.shape[1]]
    along = (grad * normed).sum(-1, keepdim=True, dtype=torch.float32).div_(-grad.shape[1])
    return dx.addcmul_(grad, scale).addcmul_(normed, along.mul_(scale))


def rotated(flat: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, kv: int, size: int) -> torch.Tensor:
    """Heads [kv, tokens, group, size] from a row of outputs per token, turned by the position (Su et al. 2021)."""
    source = flat.unflatten(1, (-1, 2, size // 2))
    out = flat.new_empty(kv, flat.shape[0], source.shape[1] // kv, 2, size // 2)
    target = out.transpose(0, 1)
    cos, sin = cos[:, None], sin[:, None]
    source = source.unflatten(1, (kv, -1))
    first, second = source[..., 0, :], source[..., 1, :]
    torch.mul(first, cos, out=target[..., 0, :])
    target[..., 0, :].addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=target[..., 1, :])
    target[..., 1, :].addcmul_(first, sin)
    return out.flatten(3)


def unrotated(grad: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, target: torch.Tensor) -> None:
    """The transpose of `rotated`: the gradient of its input, written to `target` [tokens, heads × size]."""
    kv, _, group, size = grad.shape
    source = grad.unflatten(3, (2, size // 2)).transpose(0, 1)
    out = target.unflatten(1, (kv, group, 2, size // 2))
    cos, sin = cos[:, None], sin[:, None]
    first, second = source[..., 0, :], source[..., 1, :]
    torch.mul(first, cos, out=out[..., 0, :])
    out[..., 0, :].addcmul_(second, sin)
    torch.mul(second, cos, out=out[..., 1, :])
    out[..., 1, :].addcmul_(first, sin, value=-1)
