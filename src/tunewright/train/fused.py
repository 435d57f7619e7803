"""A Llama-like decoder with LoRA as a written-out forward and backward pass.

The same mathematics as the model's own modules under autograd, computed with fewer and larger products, no pass over
the activations that can be saved, and nothing at all where no loss depends on it: the last layer's queries and MLP
run on the states that predict something, and the backward pass ends at the lowest adapter. Activations live in the
compute type, the residual stream and its gradient in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from peft import PeftModel
from peft.tuners.lora import Linear as LoraLinear

from tunewright.layout import Attention, MicroBatch
from tunewright.models import quantised
from tunewright.train.head import loss_and_grad
from tunewright.train.products import Place, Product, base

# Families whose decoder is: norm, attention with rotary positions, norm, gated MLP with SiLU.
FAMILIES = ("llama", "mistral", "qwen2")


@dataclass(frozen=True)
class _Rope:
    """Cosines and sines of the positions, [tokens, 1, size / 2], for keys and, times the scale, for queries."""

    cos: torch.Tensor
    sin: torch.Tensor
    q_cos: torch.Tensor
    q_sin: torch.Tensor

    def rows(self, rows: torch.Tensor) -> _Rope:
        return _Rope(*(t[rows] for t in (self.cos, self.sin, self.q_cos, self.q_sin)))


@dataclass
class _Kept:
    """What a layer's backward pass needs of its forward pass."""

    qkv_in: list[torch.Tensor]
    qkv_scale: torch.Tensor
    heads: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    shares: list[torch.Tensor]
    o_in: torch.Tensor
    mlp_in: torch.Tensor
    mlp_scale: torch.Tensor
    gate_up: torch.Tensor
    down_in: torch.Tensor


def _grain(dtype: torch.dtype) -> int:
    """Numbers of rows are multiples of this.

    On a CPU a product in bfloat16 of a shape never met before costs its kernel's making first, and no two batches have
    the same number of tokens; float32 needs no kernel.
    """
    return 16 if dtype == torch.float32 else 64


class _Places(dict[str, Place]):
    """A place for each kind of product, for all layers in turn."""

    def __missing__(self, kind: str) -> Place:
        self[kind] = Place()
        return self[kind]


class _Layer:
    """A decoder layer's products. Without `places` each has a place of its own.

    A token sees the last `window` tokens of its path (None: all).
    """

    def __init__(self, layer: Any, dtype: torch.dtype, last: bool, places: _Places | None, window: int | None) -> None:
        attention, mlp, norm = layer.self_attn, layer.mlp, layer.input_layernorm
        qkv = [attention.q_proj, attention.k_proj, attention.v_proj]
        # In the last layer queries are asked for fewer rows than keys and values, so they are a product of their own.
        split = [qkv[:1], qkv[1:]] if last else [qkv]

        def product(kind: str, layers: list[Any], norm: Any = None) -> Product:
            return Product(layers, dtype, norm, None if places is None else places[kind])

        self.qkv = [product(f"{len(layers)} of qkv", layers, norm.weight) for layers in split]
        self.o = product("o", [attention.o_proj])
        self.gate_up = product("gate_up", [mlp.gate_proj, mlp.up_proj], layer.post_attention_layernorm.weight)
        self.down = product("down", [mlp.down_proj])
        self.epsilons = norm.variance_epsilon, layer.post_attention_layernorm.variance_epsilon
        self.size = attention.head_dim
        self.kv = base(attention.k_proj).out_features // self.size
        self.group = base(attention.q_proj).out_features // self.size // self.kv
        self.last, self.window = last, window

    @property
    def products(self) -> list[Product]:
        return [*self.qkv, self.o, self.gate_up, self.down]

    def forward(self, x: torch.Tensor, rope: _Rope, plan: Attention, rows: torch.Tensor) -> tuple[Any, _Kept]:
        """The residual stream after this layer (of the last layer: of `rows` only)."""
        scale = _inverse_rms(x, self.epsilons[0])
        queries = self.kv * self.group * self.size
        if self.last:
            few = _normed(x[rows], scale[rows], self.qkv[0])
            many = _normed(x, scale, self.qkv[1])
            inputs, q_flat, kv_flat = [few, many], self.qkv[0].forward(few), self.qkv[1].forward(many)
            x, q_rope = x[rows], rope.rows(rows)
        else:
            inputs = [_normed(x, scale, self.qkv[0])]
            flat = self.qkv[0].forward(inputs[0])
            q_flat, kv_flat, q_rope = flat[:, :queries], flat[:, queries:], rope
        keys = self.kv * self.size
        query = _rotated(q_flat, q_rope.q_cos, q_rope.q_sin, self.kv, self.size)
        key = _rotated(kv_flat[:, :keys], rope.cos, rope.sin, self.kv, self.size)[:, :, 0]
        value = kv_flat[:, keys:].unflatten(1, (self.kv, self.size)).transpose(0, 1).contiguous()
        mixed, shares = plan.forward(query, key, value)
        o_in = self.o.room(x.shape[0])
        o_in[:, :queries].unflatten(1, (self.kv, self.group, self.size)).copy_(mixed.transpose(0, 1))
        del mixed
        # Out of place: the caller's stream may be wanted again.
        x = x + self.o.forward(o_in)
        mlp_scale = _inverse_rms(x, self.epsilons[1])
        mlp_in = _normed(x, mlp_scale, self.gate_up)
        gate_up = self.gate_up.forward(mlp_in)
        middle = self.down.inputs
        down_in = self.down.room(x.shape[0])
        torch.ops.aten.silu.out(gate_up[:, :middle], out=down_in[:, :middle])
        down_in[:, :middle].mul_(gate_up[:, middle:])
        x += self.down.forward(down_in)
        return x, _Kept(inputs, scale, (query, key, value), shares, o_in, mlp_in, mlp_scale, gate_up, down_in)

    def backward(
        self, dx: torch.Tensor, kept: _Kept, rope: _Rope, plan: Attention, rows: torch.Tensor, below: bool
    ) -> Any:
        """The gradient of the residual stream before this layer, from that after it; None if not `below`."""
        self._mlp_backward(dx, kept)
        grad = self.o.grad_room(dx.shape[0])
        grad[:, : self.o.outputs] = dx
        d_mixed = self.o.backward(grad, kept.o_in)
        assert d_mixed is not None
        d_mixed = d_mixed.unflatten(1, (self.kv, self.group, self.size)).transpose(0, 1).contiguous()
        dq, dk, dv = plan.backward(d_mixed, *kept.heads, kept.shares)
        kept.shares.clear()
        queries, keys = self.kv * self.group * self.size, self.kv * self.size
        if self.last:
            q_grad, kv_grad = self.qkv[0].grad_room(dq.shape[1]), self.qkv[1].grad_room(dk.shape[1])
            q_rope = rope.rows(rows)
        else:
            q_grad = self.qkv[0].grad_room(dk.shape[1])
            kv_grad, q_rope = q_grad[:, queries:], rope
        _unrotated(dq, q_rope.q_cos, q_rope.q_sin, q_grad[:, :queries])
        _unrotated(dk[:, :, None], rope.cos, rope.sin, kv_grad[:, :keys])
        kv_grad[:, keys : 2 * keys].unflatten(1, (self.kv, self.size)).copy_(dv.transpose(0, 1))
        if not self.last:
            inner = self.qkv[0].backward(q_grad, kept.qkv_in[0], below)
            return None if inner is None else _norm_backward(dx, inner, kept.qkv_in[0], kept.qkv_scale)
        few = self.qkv[0].backward(q_grad, kept.qkv_in[0], below)
        many = self.qkv[1].backward(kv_grad, kept.qkv_in[1], below)
        if few is None or many is None:
            return None
        full = dx.new_zeros(many.shape[0], dx.shape[1])
        full[rows] = _norm_backward(dx, few, kept.qkv_in[0], kept.qkv_scale[rows])
        return _norm_backward(full, many, kept.qkv_in[1], kept.qkv_scale)

    def _mlp_backward(self, dx: torch.Tensor, kept: _Kept) -> None:
        """Add the gradient through the MLP to `dx`."""
        middle = self.down.inputs
        grad = self.down.grad_room(dx.shape[0])
        grad[:, : self.down.outputs] = dx
        d_act = self.down.backward(grad, kept.down_in)
        assert d_act is not None
        gate, up = kept.gate_up[:, :middle], kept.gate_up[:, middle:]
        grad = self.gate_up.grad_room(dx.shape[0])
        d_gate, d_up = grad[:, :middle], grad[:, middle : 2 * middle]
        torch.ops.aten.silu.out(gate, out=d_up)
        d_up.mul_(d_act)
        d_act.mul_(up)
        torch.ops.aten.silu_backward.grad_input(d_act, gate, grad_input=d_gate)
        inner = self.gate_up.backward(grad, kept.mlp_in)
        assert inner is not None
        _norm_backward(dx, inner, kept.mlp_in, kept.mlp_scale)


class Decoder:
    """The fused computation of `model`'s loss and gradients. Built once per run; `refresh` after every update.

    Unless `kept`, all layers' matrices lie in one layer's room in turn: for weights held in 4 bits.
    """

    def __init__(self, model: Any, dtype: torch.dtype, kept: bool = True) -> None:
        causal = model.get_base_model()
        self.inside, self.dtype = causal.model, dtype
        count = len(self.inside.layers)
        places, windows = None if kept else _Places(), _windows(causal.config, count)
        self.layers = [
            _Layer(each, dtype, index == count - 1, places, windows[index])
            for index, each in enumerate(self.inside.layers)
        ]
        self.head = causal.lm_head.weight.detach().to(dtype)
        self.norm = self.inside.norm.weight.detach().float()
        self.epsilon = self.inside.norm.variance_epsilon
        self.recompute = False
        adapted = [i for i, layer in enumerate(self.layers) if any(p.rank for p in layer.products)]
        self.lowest = adapted[0]

    def refresh(self) -> None:
        """Take over the adapters' present values."""
        for layer in self.layers:
            for product in layer.products:
                product.refresh()

    @torch.no_grad()
    def loss(self, batch: MicroBatch, over: float, backward: bool) -> float:
        """Weighted sum of the batch's cross-entropies over `over`; with `backward` its gradients are added.

        With `recompute` only the stream before each layer is kept, and the layer computed again in the backward pass.
        """
        unique, place = self.asked(batch)
        # Spare rows at the end, all zero where it matters.
        grain = _grain(self.dtype)
        spare = grain - batch.tokens % grain
        rows = torch.from_numpy(np.append(unique, np.full(-len(unique) % grain, batch.tokens))).to(batch.ids.device)
        plans = {w: Attention(batch, window=w) for w in {layer.window for layer in self.layers[:-1]}}
        last_plan = Attention(batch, unique, window=self.layers[-1].window)
        rope = self._rope(F.pad(batch.positions, (0, spare)))
        x = self.inside.embed_tokens(F.pad(batch.ids, (0, spare))).float()
        trail: list[_Kept | torch.Tensor] = []
        for index, layer in enumerate(self.layers):
            before = x
            x, kept = layer.forward(before, rope, last_plan if layer.last else plans[layer.window], rows)
            if backward and index >= self.lowest:
                trail.append(before if self.recompute and not layer.last else kept)
            del before, kept
        scale = _inverse_rms(x, self.epsilon)
        normed = x * scale
        states = (normed * self.norm).to(self.dtype)
        # Targets in order of their states; spare ones weigh nothing.
        spread = torch.from_numpy(np.append(place, np.full(-len(place) % grain, len(rows) - 1))).to(x.device)
        fill = (0, len(spread) - len(place))
        labels, weights = F.pad(batch.labels, fill), F.pad(batch.weights / over, fill)
        loss, grads = loss_and_grad(states[spread], self.head, labels, weights, backward)
        if grads is None:
            return loss
        d_states = torch.zeros_like(x).index_put_((spread,), grads.float(), accumulate=True)
        dx = _norm_backward(torch.zeros_like(x), d_states.mul_(self.norm), normed, scale)
        for index in range(len(self.layers) - 1, self.lowest - 1, -1):
            layer, was = self.layers[index], trail.pop()
            kept = layer.forward(was, rope, plans[layer.window], rows)[1] if isinstance(was, torch.Tensor) else was
            del was
            how = last_plan if layer.last else plans[layer.window]
            dx = layer.backward(dx, kept, rope, how, rows, index > self.lowest)
            del kept
        return loss

    def asked(self, batch: MicroBatch) -> tuple[Any, Any]:
        """The tokens that predict something, in order, and each target's place among them."""
        unique, place = np.unique(batch.states.cpu().numpy(), return_inverse=True)
        return unique, place

    def _rope(self, positions: torch.Tensor) -> _Rope:
        probe = torch.empty(1, 1, dtype=torch.float32, device=positions.device)
        cos, sin = self.inside.rotary_emb(probe, positions[None])
        half = cos.shape[-1] // 2
        cos, sin = cos[0, :, None, :half].float(), sin[0, :, None, :half].float()
        attention = self.inside.layers[0].self_attn
        tables = (cos, sin, cos * attention.scaling, sin * attention.scaling)
        return _Rope(*(t.to(self.dtype) for t in tables))


def _windows(config: Any, count: int) -> list[int | None]:
    """Each layer's sliding window."""
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    return [None if kinds and kinds[index] == "full_attention" else window for index in range(count)]


def fits(model: Any) -> bool:
    """True when `model` is a PEFT model that `Decoder` computes exactly: a known family with plain LoRA."""
    if not isinstance(model, PeftModel):
        return False
    causal = model.get_base_model()
    config = causal.config
    if config.model_type not in FAMILIES or config.hidden_act != "silu":
        return False
    if config.model_type == "llama" and (config.mlp_bias or config.pretraining_tp > 1):
        return False
    if getattr(config, "attention_dropout", 0.0) > 0:
        return False
    adapted = [m for m in causal.modules() if hasattr(m, "lora_A")]
    inside = {id(m) for layer in causal.model.layers for m in layer.modules()}
    return bool(adapted) and all(id(m) in inside and _plain(m) for m in adapted)


def _plain(layer: Any) -> bool:
    """A LoRA layer as in the paper (Hu et al. 2021): no dropout, no bias, one adapter, none of the variants."""
    packed = quantised.is_quantised(base(layer))
    if not (packed or type(layer) is LoraLinear):
        return False
    if len(layer.active_adapters) != 1 or layer.merged or layer.fan_in_fan_out:
        return False
    (name,) = layer.active_adapters
    return (
        isinstance(layer.lora_dropout[name], torch.nn.Identity)
        and not layer.lora_bias[name]
        and not layer.use_dora[name]
        and (packed or type(base(layer)) is torch.nn.Linear)
    )


def _inverse_rms(x: torch.Tensor, epsilon: float) -> torch.Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().div_(x.shape[1]).add_(epsilon).rsqrt_()


def _normed(x: torch.Tensor, scale: torch.Tensor, product: Product) -> torch.Tensor:
    buffer = product.room(x.shape[0])
    torch.mul(x, scale, out=buffer[:, : product.inputs])
    return buffer


def _norm_backward(dx: torch.Tensor, grad: torch.Tensor, normed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Add to `dx` the gradient through x·scale, scale = 1 / rms(x), given that of its output and the output."""
    normed = normed[:, : grad.shape[1]]
    along = (grad * normed).sum(-1, keepdim=True, dtype=torch.float32).div_(-grad.shape[1])
    return dx.addcmul_(grad, scale).addcmul_(normed, along.mul_(scale))


def _rotated(flat: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, kv: int, size: int) -> torch.Tensor:
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


def _unrotated(grad: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, target: torch.Tensor) -> None:
    """The transpose of `_rotated`: the gradient of its input, written to `target` [tokens, heads × size]."""
    kv, _, group, size = grad.shape
    source = grad.unflatten(3, (2, size // 2)).transpose(0, 1)
    out = target.unflatten(1, (kv, group, 2, size // 2))
    cos, sin = cos[:, None], sin[:, None]
    first, second = source[..., 0, :], source[..., 1, :]
    torch.mul(first, cos, out=out[..., 0, :])
    out[..., 0, :].addcmul_(second, sin)
    torch.mul(second, cos, out=out[..., 1, :])
    out[..., 1, :].addcmul_(first, sin, value=-1)
