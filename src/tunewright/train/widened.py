"""A base that is held in bfloat16, computed in float32 by its own modules: what a probe measures others against.

Its weights are the same numbers in either type. They are widened one module at a time, in each pass, so that no second
copy of the base is ever there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from tunewright.models import quantised


def narrow(model: Any) -> list[nn.Module]:
    """The modules of `model` with frozen weights of their own that are held in fewer bits than float32 has.

    Layers in 4 bits are not among them: these are told what to compute in.
    """
    return [m for m in model.modules() if _narrow_of(m) and not quantised.is_quantised(m)]


def _narrow_of(module: nn.Module) -> list[tuple[nn.Module, str, torch.Tensor]]:
    """The module's own narrow weights, each with its holder and its name there; not those of the modules in it.

    But those of convolutions directly in it: families with state spaces read them and never call the convolution.
    """
    holders = [module, *(inner for inner in module.children() if isinstance(inner, nn.Conv1d))]
    own = [(m, name, p) for m in holders for name, p in m.named_parameters(recurse=False, remove_duplicate=False)]
    return [(m, name, p) for m, name, p in own if _is_narrow(p)]


def _is_narrow(weight: torch.Tensor) -> bool:
    return weight.is_floating_point() and weight.dtype.itemsize < 4 and not weight.requires_grad


@contextlib.contextmanager
def in_float32(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Let `modules` (from `narrow`) compute in float32 inside the block, forward and backward.

    A module that reads a weight of another one, not a convolution in it, meets it as it is held.
    """
    before = [module.__dict__.get("forward") for module in modules]
    for module in modules:
        # Set as accelerate wraps a forward pass: on the object, in front of its class's.
        vars(module)["forward"] = _wide(module)
    try:
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            del module.__dict__["forward"]
            if own is not None:
                vars(module)["forward"] = own


def _wide(module: nn.Module) -> Callable[..., Any]:
    """What is called in place of the module's forward pass."""
    if type(module) is nn.Linear:
        return partial(_multiplied, module)
    # Of a table a few rows are asked for.
    return partial(_looked_up if isinstance(module, nn.Embedding) else partial(_widened, module), module.forward)


def _looked_up(forward: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
    return forward(*args, **kwargs).float()


def _multiplied(module: Any, x: torch.Tensor) -> torch.Tensor:
    product: torch.Tensor = _Product.apply(x.float(), module.weight)  # type: ignore[no-untyped-call]
    return product if module.bias is None else product + module.bias.float()


def _widened(module: Any, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `forward` gives while the module's own weights are float32: norms, convolutions, experts in one tensor."""
    held = _narrow_of(module)

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            for holder, name, weight in held:
                vars(holder)["_parameters"][name] = weight.float()
            return forward(*args, **kwargs)
        finally:
            for holder, name, weight in held:
                vars(holder)["_parameters"][name] = weight

    if all(weight.ndim < 2 for _, _, weight in held):
        return run(*args, **kwargs)
    # The way back needs the wide weights. Kept until then, those of all layers would be there at once: each is made
    # again there (Chen et al. 2016).
    return checkpoint(run, *args, use_reentrant=False, **kwargs)


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
