"""Frozen weights in 4 bits: NF4 with double quantisation (Dettmers et al. 2023: "QLoRA"), kept by bitsandbytes.

64 weights that follow each other are stored as the nearest of 16 levels each, times the largest magnitude among them;
those magnitudes take 8 bits, and 256 of them share a float32. That is 4.127 bits per weight. The linear layers but the
head are held so; embeddings, norms, biases and the head stay as they are. What these bits stand for, in float32, is the
base that an adapter is trained, measured and exported on: how they are read back, and when, changes no result. Where
the rest of the model is held in bfloat16, answers are computed in it, as those of a whole base are.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import nn

from tunewright.errors import ModelError
from tunewright.machine import free_memory

# Goes into run and manifest: an adapter made for one form of a base is refused on another.
FORM = {"type": "nf4", "block_size": 64, "double_quantisation": True, "quantised_from": "float32"}
# The same of a base that was published so: nobody here knows what its bits were made from.
STORED = {**FORM, "quantised_from": "as published"}
# Weights that were read back may take this share of the free memory.
_SHARE = 1 / 4
_SHARE_OF_A_GPU = 1 / 10


@cache
def _bnb() -> Any:
    """The library, None where there is none; seconds to import, so nobody does who has nothing in 4 bits."""
    try:
        import bitsandbytes
    except ImportError:
        return None
    return bitsandbytes


def needed(where: str = "train.method: qlora") -> None:
    """Raise `ModelError` when bitsandbytes is not installed."""
    if _bnb() is None:
        raise ModelError(
            "QLoRA keeps the base in 4 bits with bitsandbytes, which is not installed.",
            where=where,
            remedy="pip install 'tunewright[qlora]' – or use train.method: lora.",
        )


def installed() -> bool:
    """Whether bitsandbytes is there."""
    return _bnb() is not None


def how() -> Any:
    """What tells `from_pretrained` to quantise each weight as it is read: the whole base is never in memory."""
    from transformers import BitsAndBytesConfig

    needed()
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=FORM["type"],
        bnb_4bit_use_double_quant=True,
    )


def quantise(model: Any) -> Any:
    """`model`, changed in place: its linear layers but the head in 4 bits, as `from_pretrained` makes them."""
    needed()
    bnb, head = _bnb(), model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if type(module) is not nn.Linear or module is head:
            continue
        layer = bnb.nn.Linear4bit(module.in_features, module.out_features, bias=False, device="meta")
        # From float32, whatever it is held in: it is read back to the type that it was given in.
        weight = bnb.nn.Params4bit(module.weight.detach().float(), quant_type=FORM["type"], module=layer)
        device = module.weight.device
        # On the meta device bitsandbytes puts it off until there is a weight; and a table that it keeps for all weights
        # to come would be made there.
        bnb.functional.name2qmap.setdefault("dynamic", bnb.functional.create_dynamic_map())
        layer.weight = weight._quantize(device) if device.type == "meta" else weight.to(device)
        layer.bias = module.bias
        model.set_submodule(name, layer)
    model.is_loaded_in_4bit = True  # PEFT asks for it
    return settled(model)


def settled(model: Any) -> Any:
    """`model` with its 4-bit layers told to compute alike everywhere.

    On processors with AVX512-BF16 they would turn their weights round at the first evaluation and compute in bfloat16
    from then on, with magnitudes in bfloat16: another base than the one that was trained on. They compute in the type
    that the rest of the model is held in, and are read back to float32 whatever they were quantised from.
    """
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    for layer in layers(model):
        layer.support_avx512bf16_for_cpu = False
        layer.compute_type_is_set = True
        layer.compute_dtype = dtype
        layer.weight.quant_state.dtype = torch.float32
    return model.requires_grad_(False)


def is_quantised(layer: Any) -> bool:
    """Whether this layer's weight is held in 4 bits."""
    bnb = sys.modules.get("bitsandbytes")
    return bnb is not None and isinstance(layer, bnb.nn.Linear4bit)


def layers(model: Any) -> list[Any]:
    """The layers of `model` that are held in 4 bits."""
    return [module for module in model.modules() if is_quantised(module)]


def weight_of(layer: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The weight [outputs, inputs] of a linear layer; read back where it is held in 4 bits, rounded once to `dtype`."""
    weight = layer.weight
    if not is_quantised(layer):
        return weight.detach()  # type: ignore[no-any-return]
    state = copy.copy(weight.quant_state)
    # A GPU's kernel multiplies in float32 whatever it writes; those of processors are several.
    state.dtype = dtype if weight.is_cuda else torch.float32
    return _bnb().functional.dequantize_4bit(weight.data, state).to(dtype)  # type: ignore[no-any-return]


def size_of(parameter: torch.Tensor) -> int:
    """How many weights a parameter stands for: one in 4 bits holds two in each of its bytes."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else int(torch.Size(state.shape).numel())


def bytes_of(model: Any) -> int:
    """What the weights of `model` take in memory, the blocks' magnitudes included."""
    total = 0
    for parameter in model.parameters():
        total += parameter.nbytes
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            total += state.absmax.nbytes + state.state2.absmax.nbytes
    return total


def fits_beside(model: Any, dtype: torch.dtype, share: float = _SHARE) -> bool:
    """Whether all weights held in 4 bits also fit in a `share` of the free memory as `dtype`, beside them."""
    size = _weights(model) * dtype.itemsize
    device = next(model.parameters()).device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    return bool(size) and size <= free * share


def worth_keeping(model: Any, dtype: torch.dtype) -> bool:
    """Whether training reads the weights held in 4 bits back to `dtype` once for all, where nobody says.

    On a CPU where a quarter of the free memory holds them: LoRA would hold them twice. On a GPU LoRA holds them once,
    so a run that keeps them takes more memory than if there were no 4 bits at all: only where they are a small part.
    """
    on_a_gpu = next(model.parameters()).device.type == "cuda"
    return fits_beside(model, dtype, _SHARE_OF_A_GPU) if on_a_gpu else fits_beside(model, dtype)


def read_back_bytes(model: Any, precision: str, dequantise: str) -> int:
    """What training with these settings holds of `model`'s 4-bit weights in the compute type, beside the 4 bits."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    size: int = _weights(model) * dtype.itemsize
    if dequantise == "once" or (dequantise == "auto" and worth_keeping(model, dtype)):
        return size
    return size // int(model.config.get_text_config().num_hidden_layers)


def _weights(model: Any) -> int:
    return sum(int(layer.in_features) * int(layer.out_features) for layer in layers(model))


def read_back(model: Any) -> Any:
    """A model from `from_pretrained`, changed in place: plain layers in float32 that hold what its 4 bits stand for."""
    return model.dequantize(torch.float32).requires_grad_(False) if layers(model) else model


@contextlib.contextmanager
def computing_in(found: list[Any], dtype: torch.dtype) -> Iterator[None]:
    """Let 4-bit layers multiply in `dtype` inside the block, and as before after it."""
    before = [layer.compute_dtype for layer in found]
    for layer in found:
        layer.compute_dtype = dtype
    try:
        yield
    finally:
        for layer, own in zip(found, before, strict=True):
            layer.compute_dtype = own
