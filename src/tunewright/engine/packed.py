"""Linear layers with their weights laid out once for the processor, while an engine works.

torch sends fp32 products on a CPU to MKL, which on some processors runs at half of what oneDNN reaches with a weight it
may reorder beforehand; in bfloat16 the reordering is saved at every call. A probe of the model's own shape decides. In
fp32 LoRA's product is folded into the reordered copy, so a tuned model costs what its base costs. Weights held in 4
bits are read back once for all the engine does, where a quarter of the free memory holds them, rather than for every
token. The model's own weights are not touched.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tunewright.machine import free_memory
from tunewright.models import quantised

ROWS = 64
WORTH = 1.15
DTYPES = (torch.float32, torch.bfloat16)


def reorder(weight: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)  # type: ignore[no-any-return]


def product(x: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # type: ignore[no-any-return]


def faster(model: Any) -> bool:
    """Whether copies of the weights pay for this model on this machine: a few milliseconds of its most common shape.

    Copies of weights held in 4 bits always do, where there is room.
    """
    layers = [m for m in model.modules() if _copied(m)]
    if not layers:
        return False
    size = sum(m.in_features * m.out_features * _dtype(m).itemsize for m in layers)
    if size > free_memory() // 4:
        return False
    return any(map(quantised.is_quantised, layers)) or _reorders(layers)


def _reorders(layers: list[Any]) -> bool:
    """Whether copies of these layers' weights are reordered too."""
    if not layers or not torch.backends.mkldnn.is_available():
        return False
    middle = layers[len(layers) // 2]
    return _pays(middle.out_features, middle.in_features, _dtype(middle), torch.get_num_threads())


@cache
def _pays(outputs: int, inputs: int, dtype: torch.dtype, threads: int) -> bool:
    """Timed once per process: engines that are compared with each other must compute alike to the last bit."""
    weight, x = torch.ones(outputs, inputs, dtype=dtype), torch.ones(ROWS, inputs, dtype=dtype)
    try:
        packed = reorder(weight)
        theirs = seconds(lambda: functional.linear(x, weight))
        ours = seconds(lambda: product(x, packed, None))
    except RuntimeError:
        return False
    return theirs > WORTH * ours


def seconds(run: Callable[[], Any]) -> float:
    """The least of a few timings: other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best


def _plain(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return type(module) is nn.Linear and weight.dtype in DTYPES and weight.device.type == "cpu"  # type: ignore[union-attr]


def in_4_bits(module: Any) -> bool:
    """A layer whose weight is held in 4 bits on a CPU, copied as what it stands for, in the type it computes in."""
    return quantised.is_quantised(module) and module.weight.device.type == "cpu"


def _copied(module: nn.Module) -> bool:
    return _plain(module) or in_4_bits(module)


def _dtype(layer: Any) -> torch.dtype:
    """The type of a layer's copy."""
    return layer.compute_dtype if in_4_bits(layer) else layer.weight.dtype  # type: ignore[no-any-return]


def foldable(module: Any) -> bool:
    """A plain LoRA layer whose product is simply added: no DoRA, no bias, nothing merged yet, no other variant."""
    if not hasattr(module, "lora_A"):
        return False
    from peft.tuners.lora import Linear as LoraLinear

    base = module.get_base_layer()
    return (
        (isinstance(module, LoraLinear) or in_4_bits(base))
        and _copied(base)
        # In half precision a weight's own rounding would swallow most of the adapter.
        and _dtype(base) == torch.float32
        and not module.merged
        and not module.disable_adapters
        and not any(module.lora_variant.get(name) for name in module.active_adapters)
        and not any(module.lora_bias.get(name) for name in module.active_adapters)
    )


def bias_of(module: Any) -> torch.Tensor | None:
    """The bias of a linear layer, with or without an adapter."""
    return getattr(module, "base_layer", module).bias  # type: ignore[no-any-return]


def effective(module: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of a plain or `foldable` layer, LoRA's product added."""
    if not hasattr(module, "lora_A"):
        return quantised.weight_of(module).to(_dtype(module)), module.bias
    base = module.get_base_layer()
    weight = quantised.weight_of(base)
    for name in module.active_adapters:
        if name in module.lora_A:
            weight = weight + module.get_delta_weight(name)
    return weight, base.bias


@contextlib.contextmanager
def packed(model: Any) -> Iterator[None]:
    """Let the model's linear layers work on reordered copies until the block ends.

    Copies are made anew each time: weights may have been trained on in between.
    """
    pays = _reorders([m for m in model.modules() if _copied(m)])
    changed: list[nn.Module] = []
    inner: set[int] = set()
    try:
        for module in model.modules():
            if foldable(module):
                inner.update(id(part) for part in module.modules())
                _install(module, *effective(module), pays)
                changed.append(module)
            elif _copied(module) and id(module) not in inner:
                _install(module, *effective(module), pays)
                changed.append(module)
        yield
    finally:
        for module in changed:
            del module.forward


def _install(module: nn.Module, weight: torch.Tensor, bias: torch.Tensor | None, pays: bool) -> None:
    copy = reorder(weight) if pays else weight

    def forward(x: torch.Tensor, *unused: Any, **also: Any) -> torch.Tensor:
        return product(x, copy, bias) if pays else functional.linear(x, copy, bias)

    module.forward = forward  # type: ignore[method-assign]
