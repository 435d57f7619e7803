"""A base that is held in bfloat16, computed in float32 by its own modules: what a probe measures others against.

Its weights are the same numbers in either type. They are widened one at a time, in each pass, so that no second copy of
the base is ever there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def narrow(model: Any) -> list[nn.Module]:
    """The frozen linear layers and embeddings of `model` that are held in fewer bits than float32 has.

    None where other modules hold such matrices too (experts in one tensor): those would get the wrong type.
    """
    found = [m for m in model.modules() if type(m) in (nn.Linear, nn.Embedding) and _is_narrow(m.weight)]
    within = {id(module.weight) for module in found}
    others = [p for p in model.parameters() if _is_narrow(p) and p.ndim > 1 and id(p) not in within]
    return [] if others else found


def _is_narrow(parameter: torch.Tensor) -> bool:
    return parameter.is_floating_point() and parameter.dtype.itemsize < 4 and not parameter.requires_grad


@contextlib.contextmanager
def in_float32(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Let `modules` (from `narrow`) give float32 inside the block, forward and backward."""
    before = [module.__dict__.get("forward") for module in modules]
    for module in modules:
        # Set as accelerate wraps a forward pass: on the object, in front of its class's.
        vars(module)["forward"] = partial(_looked_up if isinstance(module, nn.Embedding) else _multiplied, module)
    try:
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            del module.__dict__["forward"]
            if own is not None:
                vars(module)["forward"] = own


def _looked_up(module: Any, ids: torch.Tensor) -> torch.Tensor:
    looked: torch.Tensor = type(module).forward(module, ids)
    return looked.float()


def _multiplied(module: Any, x: torch.Tensor) -> torch.Tensor:
    product: torch.Tensor = _Product.apply(x.float(), module.weight)  # type: ignore[no-untyped-call]
    return product if module.bias is None else product + module.bias.float()


class _Product(torch.autograd.Function):
    """x Wᵀ that keeps nothing but W itself for the way back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(weight)
        return F.linear(x, weight.float())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (weight,) = ctx.saved_tensors
        return grads[0] @ weight.float(), None
