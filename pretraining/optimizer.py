"""Muon for the matrices, AdamW for the rest, both fp32; orthogonalisation in bf16 where the processor has it."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn


def orthogonal(x: Tensor, dtype: torch.dtype, steps: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrix to each of a batch, by Newton–Schulz steps (Jordan 2024)."""
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = (x.mT if tall else x).to(dtype)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, then the nearest orthogonal matrix; matrices of one shape are done in one batch."""

    def __init__(
        self, params: list[nn.Parameter], lr: float, dtype: torch.dtype, momentum: float = 0.95, decay: float = 0.02
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay, "dtype": dtype})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                shapes[p.shape].append(p)
            for shape, alike in shapes.items():
                grads = [p.grad for p in alike]
                kept = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in alike]
                torch._foreach_lerp_(kept, grads, 1 - group["momentum"])
                steps = torch._foreach_lerp(grads, kept, group["momentum"])
                updates = orthogonal(torch.stack(steps), group["dtype"])
                rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(alike, 1 - group["lr"] * group["decay"])
                torch._foreach_add_(alike, list(updates), alpha=-rate)


class Optimizers:
    """Both optimisers behind one `step(scale)`: `scale` multiplies each one's peak rate."""

    def __init__(self, model: nn.Module, dtype: torch.dtype, matrix_rate: float = 0.02, other_rate: float = 4e-3):
        named = list(model.named_parameters())
        matrices = [p for n, p in named if p.ndim == 2 and "embed" not in n]
        self.others = [p for n, p in named if p.ndim != 2 or "embed" in n]
        self.both = [
            Muon(matrices, lr=matrix_rate, dtype=dtype),
            torch.optim.AdamW(self.others, lr=other_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
        ]
        self.peaks = [o.param_groups[0]["lr"] for o in self.both]

    def step(self, scale: float) -> None:
        torch.nn.utils.clip_grad_norm_(self.others, 1.0)
        for optimizer, peak in zip(self.both, self.peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict]:
        return [o.state_dict() for o in self.both]

    def load_state_dict(self, states: list[dict]) -> None:
        for optimizer, state in zip(self.both, states, strict=True):
            optimizer.load_state_dict(state)
