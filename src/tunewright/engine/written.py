"""A Llama-like decoder written out for generation on a CPU in fp32: the same mathematics in fewer, larger pieces.

Query, key and value are one product, gate and up another; LoRA, the norms' weights and the scale of the scores are
folded into copies of the weights. A pair of features that turns together lies side by side, so that rotary positions
(Su et al. 2021) are one complex product. A long pass goes through the MLP in pieces that stay in the processor's
cache, and the last layer computes its MLP only for the states that are asked for logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

from tunewright.engine import packed
from tunewright.engine.forest import Forest, UnfitModelError
from tunewright.models import quantised

# Families whose decoder is: norm, attention with rotary positions, norm, gated MLP with SiLU.
FAMILIES = ("llama", "mistral", "qwen2")
# Rows that go through the norms and the MLP at once.
_PIECE = 512
Times = Callable[[torch.Tensor], torch.Tensor]


class _Layer:
    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.index: int = attention.layer_idx
        self.size: int = attention.head_dim
        (q, q_bias), (k, k_bias), (v, v_bias) = (
            packed.effective(m) for m in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        self.kv = k.shape[0] // self.size
        self.heads = q.shape[0] // self.size
        pieces = [_paired(q, self.size) * attention.scaling, _paired(k, self.size), v]
        self.qkv = _turned(torch.cat(pieces), layer.input_layernorm)
        self.bias: torch.Tensor | None = None
        if q_bias is not None and k_bias is not None and v_bias is not None:
            spread = [_paired(b[:, None], self.size)[:, 0] for b in (q_bias * attention.scaling, k_bias)]
            self.bias = torch.cat([*spread, v_bias])
        self.o = packed.effective(attention.o_proj)[0].t().contiguous()
        gate, up = (packed.effective(m)[0] for m in (mlp.gate_proj, mlp.up_proj))
        self.middle: int = gate.shape[0]
        self.gate_up = _turned(torch.cat([gate, up]), layer.post_attention_layernorm)
        self.down = packed.effective(mlp.down_proj)[0].t().contiguous()
        width = q.shape[1]
        norms = (layer.input_layernorm, layer.post_attention_layernorm)
        self.floors = [torch.tensor((norm.variance_epsilon * width) ** 0.5) for norm in norms]

    def heads_of(self, x: torch.Tensor, turns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values [1, heads, tokens, size] of the stream `x` [tokens, width]."""
        tokens = x.shape[0]
        flat = x.new_empty(tokens, self.qkv.shape[1])
        for first in range(0, tokens, _PIECE):
            part = slice(first, first + _PIECE)
            torch.mm(_normed(x[part], self.floors[0]), self.qkv, out=flat[part])
        if self.bias is not None:
            flat += self.bias
        each = flat.view(tokens, -1, self.size)
        turning = each[:, : self.heads + self.kv]
        torch.view_as_complex(turning.unflatten(2, (-1, 2))).mul_(turns)
        each = each.transpose(0, 1)[None]
        return each[:, : self.heads], each[:, self.heads : self.heads + self.kv], each[:, self.heads + self.kv :]

    def mlp(self, x: torch.Tensor) -> None:
        """Add the MLP's output to the stream `x`."""
        for first in range(0, x.shape[0], _PIECE):
            part = x[first : first + _PIECE]
            both = torch.mm(_normed(part, self.floors[1]), self.gate_up)
            gate = both[:, : self.middle]
            part.addmm_(nn.functional.silu(gate, inplace=True).mul_(both[:, self.middle :]), self.down)


class Written:
    """`model`'s logits over a `Forest`, from copies of its weights as they are now."""

    def __init__(self, model: Any) -> None:
        causal = _causal(model)
        inside = causal.model
        self.embed: torch.Tensor = inside.embed_tokens.weight
        self.rotary = inside.rotary_emb
        self.layers = [_Layer(layer) for layer in inside.layers]
        weight, self.head_bias = packed.effective(causal.lm_head)
        self.floor = torch.tensor((inside.norm.variance_epsilon * weight.shape[1]) ** 0.5)
        self.head = _product(_folded(weight, inside.norm))
        config = causal.config
        self.window: int | None = getattr(config, "sliding_window", None)

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, forest: Forest, keep: Sequence[int]) -> torch.Tensor:
        """Logits (states kept, vocabulary) of one pass over flat `ids` at their `places` in their rows."""
        x = self.embed[ids]
        cos, sin = self.rotary(x, places[None])
        half = cos.shape[-1] // 2
        if 2 * half != self.layers[0].size:
            raise UnfitModelError("only a part of a head turns with the position")
        turns = torch.complex(cos[0, :, None, :half].float(), sin[0, :, None, :half].float())
        forest.window = self.window
        for layer in self.layers:
            mixed = forest.attend(layer.index, *layer.heads_of(x, turns), 1.0)[0].flatten(1)
            if layer is self.layers[-1] and len(keep) < len(x):
                wanted = torch.tensor(keep)
                x, mixed = x[wanted], mixed[wanted]
            x.addmm_(mixed, layer.o)
            layer.mlp(x)
        logits = self.head(_normed(x, self.floor))
        return logits if self.head_bias is None else logits.add_(self.head_bias)


def fits(model: Any) -> bool:
    """Whether `Written` computes this model: a known family in fp32 on a CPU, its adapter (if any) plain LoRA.

    A base in 4 bits is computed as the fp32 it stands for, where there is room.
    """
    causal = _causal(model)
    config = getattr(causal, "config", None)
    if getattr(config, "model_type", None) not in FAMILIES or getattr(config, "hidden_act", None) != "silu":
        return False
    if getattr(model, "active_peft_config", None) is not None and model.active_peft_config.is_prompt_learning:
        return False
    if type(causal.model.embed_tokens) is not nn.Embedding or not _readable(causal.lm_head):
        return False
    if causal.model.embed_tokens.weight.dtype != torch.float32:
        return False
    for layer in causal.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        biased = (attention.q_proj, attention.k_proj, attention.v_proj)
        plain = (attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj)
        if not all(map(_readable, (*biased, *plain))) or any(packed.bias_of(m) is not None for m in plain):
            return False
        if len({packed.bias_of(m) is None for m in biased}) > 1:
            return False
    # Whoever holds a base in 4 bits may do so because there is no room for it as float32.
    return not quantised.layers(causal) or quantised.fits_beside(causal, torch.float32)


def _causal(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _readable(module: nn.Module) -> bool:
    if packed.foldable(module) or packed.in_4_bits(module):
        return True
    return type(module) is nn.Linear and module.weight.dtype == torch.float32 and module.weight.device.type == "cpu"


def _folded(weight: torch.Tensor, norm: Any) -> torch.Tensor:
    """`weight` for inputs divided by hypot(length, floor) instead of their root mean square, norm weight included."""
    return weight * (norm.weight * weight.shape[1] ** 0.5)


def _turned(weight: torch.Tensor, norm: Any) -> torch.Tensor:
    return _folded(weight, norm).t().contiguous()


def _paired(weight: torch.Tensor, size: int) -> torch.Tensor:
    """Rows of each head reordered so that the two features that turn together lie side by side."""
    return weight.view(-1, 2, size // 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _normed(x: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    """x / √(‖x‖² + floor²): the root-mean-square norm (Zhang & Sennrich 2019) but for √width, which the weights carry.

    `floor`² is width × epsilon.
    """
    return x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), floor)


def _product(weight: torch.Tensor) -> Times:
    """x Wᵀ for a wide `weight`, laid out in whichever way is fastest here for as many rows as a step has."""
    way = _fastest(*weight.shape, torch.get_num_threads())
    if way == "reordered":
        copy = packed.reorder(weight)
        return lambda x: packed.product(x, copy, None)
    if way == "turned":
        turned = weight.t().contiguous()
        return lambda x: torch.mm(x, turned)
    return lambda x: nn.functional.linear(x, weight)


@cache
def _fastest(outputs: int, inputs: int, threads: int) -> str:
    """Timed once per process: engines that are compared with each other must compute alike to the last bit."""
    weight, x = torch.ones(outputs, inputs), torch.ones(packed.ROWS, inputs)
    turned = weight.t().contiguous()
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: nn.functional.linear(x, weight),
        "turned": lambda: torch.mm(x, turned),
    }
    if torch.backends.mkldnn.is_available():
        copy = packed.reorder(weight)
        ways["reordered"] = lambda: packed.product(x, copy, None)
    seconds = {name: packed.seconds(way) for name, way in ways.items()}
    return min(seconds, key=seconds.__getitem__)
