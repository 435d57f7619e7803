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

from tunewright.layout import Attention, MicroBatch
from tunewright.models import quantised
from tunewright.train.folded import Folded, folds
from tunewright.train.head import loss_and_grad
from tunewright.train.passes import Rope, angles, inverse_rms, norm_backward, normed_room, rotated, unrotated
from tunewright.train.products import Gradients, Place, Product, base
from tunewright.train.streams import Part

# Families whose decoder is: norm, attention with rotary positions, norm, gated MLP with SiLU.
FAMILIES = ("llama", "mistral", "qwen2")


@dataclass(frozen=True)
class _Frame:
    """What all layers of a part share: the part, its rows' positions, and which of its rows the last layer asks."""

    part: Part
    rope: Rope
    rows: torch.Tensor


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


def _grain(dtype: torch.dtype) -> int:
    """Numbers of rows are multiples of this.

    On a CPU a product in bfloat16 of a shape never met before costs its kernel's making first, and no two batches have
    the same number of tokens; float32 needs no kernel.
    """
    return 1 if dtype == torch.float32 else 64


def _short(count: int, grain: int) -> int:
    """What `count` lacks to be a multiple of `grain` above 0: no product is empty."""
    return -count % grain if count else grain


@dataclass(frozen=True)
class _Targets:
    """Labels and weights of what is predicted, [targets], and the row of the asked ones that predicts each."""

    spread: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor


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
            made = Folded if places is None and folds(layers, dtype) else Product
            return made(layers, dtype, norm, None if places is None else places[kind])

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

    def forward(self, x: torch.Tensor, plan: Attention, frame: _Frame) -> tuple[Any, _Kept]:
        """The residual stream after this layer (of the last layer: of the rows that it asks only)."""
        rope, rows = frame.rope, frame.rows
        scale = inverse_rms(x, self.epsilons[0])
        queries = self.kv * self.group * self.size
        if self.last:
            few = normed_room(x[rows], scale[rows], self.qkv[0])
            many = normed_room(x, scale, self.qkv[1])
            inputs, q_flat, kv_flat = [few, many], self.qkv[0].forward(few), self.qkv[1].forward(many)
            x, q_rope = x[rows], rope.rows(rows)
        else:
            inputs = [normed_room(x, scale, self.qkv[0])]
            flat = self.qkv[0].forward(inputs[0])
            q_flat, kv_flat, q_rope = flat[:, :queries], flat[:, queries:], rope
        keys = self.kv * self.size
        query = rotated(q_flat, q_rope.q_cos, q_rope.q_sin, self.kv, self.size)
        key = rotated(kv_flat[:, :keys], rope.cos, rope.sin, self.kv, self.size)[:, :, 0]
        value = kv_flat[:, keys:].unflatten(1, (self.kv, self.size)).transpose(0, 1).contiguous()
        key, value = frame.part.gathered(key, value)
        mixed, shares = plan.forward(query, key, value)
        o_in = self.o.room(x.shape[0])
        o_in[:, :queries].unflatten(1, (self.kv, self.group, self.size)).copy_(mixed.transpose(0, 1))
        del mixed
        # Out of place: the caller's stream may be wanted again.
        x = x + self.o.forward(o_in)
        mlp_scale = inverse_rms(x, self.epsilons[1])
        mlp_in = normed_room(x, mlp_scale, self.gate_up)
        gate_up = self.gate_up.forward(mlp_in)
        middle = self.down.inputs
        down_in = self.down.room(x.shape[0])
        torch.ops.aten.silu.out(gate_up[:, :middle], out=down_in[:, :middle])
        down_in[:, :middle].mul_(gate_up[:, middle:])
        x += self.down.forward(down_in)
        return x, _Kept(inputs, scale, (query, key, value), shares, o_in, mlp_in, mlp_scale, gate_up)

    def backward(
        self, dx: torch.Tensor, kept: _Kept, plan: Attention, frame: _Frame, grads: Gradients, below: bool
    ) -> Any:
        """The gradient of the residual stream before this layer, from that after it; None if not `below`.

        The adapters' are added to `grads`.
        """
        rope, rows = frame.rope, frame.rows
        self._mlp_backward(dx, kept, grads)
        d_mixed = self.o.backward(self.o.grad_of(dx), kept.o_in, grads)
        assert d_mixed is not None
        d_mixed = d_mixed.unflatten(1, (self.kv, self.group, self.size)).transpose(0, 1).contiguous()
        dq, dk, dv = plan.backward(d_mixed, *kept.heads, kept.shares)
        kept.shares.clear()
        dk, dv = frame.part.added(dk, dv, rope.cos.shape[0])
        queries, keys = self.kv * self.group * self.size, self.kv * self.size
        if self.last:
            q_grad, kv_grad = self.qkv[0].grad_room(dq.shape[1]), self.qkv[1].grad_room(dk.shape[1])
            q_rope = rope.rows(rows)
        else:
            q_grad = self.qkv[0].grad_room(dk.shape[1])
            kv_grad, q_rope = q_grad[:, queries:], rope
        unrotated(dq, q_rope.q_cos, q_rope.q_sin, q_grad[:, :queries])
        unrotated(dk[:, :, None], rope.cos, rope.sin, kv_grad[:, :keys])
        kv_grad[:, keys : 2 * keys].unflatten(1, (self.kv, self.size)).copy_(dv.transpose(0, 1))
        if not self.last:
            inner = self.qkv[0].backward(q_grad, kept.qkv_in[0], grads, below)
            return None if inner is None else norm_backward(dx, inner, kept.qkv_in[0], kept.qkv_scale)
        few = self.qkv[0].backward(q_grad, kept.qkv_in[0], grads, below)
        many = self.qkv[1].backward(kv_grad, kept.qkv_in[1], grads, below)
        if few is None or many is None:
            return None
        full = dx.new_zeros(many.shape[0], dx.shape[1])
        full[rows] = norm_backward(dx, few, kept.qkv_in[0], kept.qkv_scale[rows])
        return norm_backward(full, many, kept.qkv_in[1], kept.qkv_scale)

    def _mlp_backward(self, dx: torch.Tensor, kept: _Kept, grads: Gradients) -> None:
        """Add the gradient through the MLP to `dx`."""
        middle = self.down.inputs
        gate, up = kept.gate_up[:, :middle], kept.gate_up[:, middle:]
        grad = self.gate_up.grad_room(dx.shape[0])
        d_gate, d_up = grad[:, :middle], grad[:, middle : 2 * middle]
        torch.ops.aten.silu.out(gate, out=d_up)
        # A fifth of what a layer would keep, for one more pass: what went into `down` is not kept.
        down_in = self.down.room(dx.shape[0])
        torch.mul(d_up, up, out=down_in[:, :middle])
        self.down.fill(down_in)
        d_act = self.down.backward(self.down.grad_of(dx), down_in, grads)
        assert d_act is not None
        del down_in
        d_up.mul_(d_act)
        d_act.mul_(up)
        torch.ops.aten.silu_backward.grad_input(d_act, gate, grad_input=d_gate)
        inner = self.gate_up.backward(grad, kept.mlp_in, grads)
        assert inner is not None
        norm_backward(dx, inner, kept.mlp_in, kept.mlp_scale)


class Decoder:
    """The fused computation of `model`'s loss and gradients. Built once per run; `refresh` after every update.

    Unless `kept`, all layers' matrices lie in one layer's room in turn: for weights held in 4 bits.
    """

    def __init__(self, model: Any, dtype: torch.dtype, kept: bool = True) -> None:
        causal = model.get_base_model()
        self.inside, self.dtype = causal.model, dtype
        count = len(self.inside.layers)
        places, reach = None if kept else _Places(), windows(causal.config, count)
        self.layers = [
            _Layer(each, dtype, index == count - 1, places, reach[index])
            for index, each in enumerate(self.inside.layers)
        ]
        self.head = causal.lm_head.weight.detach().to(dtype)
        self.norm = self.inside.norm.weight.detach().float()
        self.epsilon = self.inside.norm.variance_epsilon
        self.recompute = False
        adapted = [i for i, layer in enumerate(self.layers) if any(p.rank for p in layer.products)]
        self.lowest = adapted[0]
        # Whether two threads may compute at once: on a CPU, where no layer lends its matrices' place to another.
        self.separable = kept and self.head.device.type == "cpu" and _fixed_positions(self.inside.rotary_emb)
        self.weights = sum(p.inputs * p.outputs for layer in self.layers for p in layer.products)
        self.width = self.layers[0].kv * self.layers[0].group * self.layers[0].size

    def refresh(self) -> None:
        """Take over the adapters' present values."""
        for layer in self.layers:
            for product in layer.products:
                product.refresh()

    @torch.no_grad()
    def loss(self, over: float, part: Part, grads: Gradients | None = None) -> float:
        """Weighted sum of the part's cross-entropies over `over`; its gradients are added to `grads`, if given.

        With `recompute` only the stream before each layer is kept, and the layer computed again in the backward pass.
        """
        frame, plans, targets = self._begin(part)
        ids = part.batch.ids[part.first : part.last]
        x = self.inside.embed_tokens(F.pad(ids, (0, frame.rope.cos.shape[0] - part.tokens))).float()
        trail: list[_Kept | torch.Tensor] = []
        for index, layer in enumerate(self.layers):
            before = x
            x, kept = layer.forward(before, plans[index], frame)
            if grads is not None and index >= self.lowest:
                trail.append(before if self.recompute and not layer.last else kept)
            del before, kept
        scale = inverse_rms(x, self.epsilon)
        normed = x * scale
        states = (normed * self.norm).to(self.dtype)
        loss, each = loss_and_grad(
            states[targets.spread], self.head, targets.labels, targets.weights / over, grads is not None
        )
        if each is None or grads is None:
            return loss
        d_states = torch.zeros_like(x).index_add_(0, targets.spread, each.float())
        dx = norm_backward(torch.zeros_like(x), d_states.mul_(self.norm), normed, scale)
        for index in range(len(self.layers) - 1, self.lowest - 1, -1):
            layer, was = self.layers[index], trail.pop()
            kept = layer.forward(was, plans[index], frame)[1] if isinstance(was, torch.Tensor) else was
            del was
            dx = layer.backward(dx, kept, plans[index], frame, grads, index > self.lowest)
            del kept
        return loss

    def _begin(self, part: Part) -> tuple[_Frame, list[Attention], _Targets]:
        """What the layers share, each layer's attention, and what is predicted."""
        batch, grain, device = part.batch, _grain(self.dtype), part.batch.ids.device
        unique, place = self.asked(batch)
        low, high = np.searchsorted(unique, [part.first, part.last])
        here = (place >= low) & (place < high)
        unique, place = unique[low:high], place[here] - low
        # Spare rows at the end, all zero where it matters, and spare targets, which weigh nothing.
        spare = grain - part.tokens % grain
        rows = np.append(unique - part.first, np.full(_short(len(unique), grain), part.tokens))
        spread = np.append(place, np.full(_short(len(place), grain), len(rows) - 1))
        fill, chosen = (0, len(spread) - len(place)), torch.from_numpy(here).to(device)
        targets = _Targets(
            torch.from_numpy(spread).to(device), F.pad(batch.labels[chosen], fill), F.pad(batch.weights[chosen], fill)
        )
        rope = self._rope(F.pad(batch.positions[part.first : part.last], (0, spare)))
        own = None if part.tokens == batch.tokens else np.arange(part.first, part.last)
        plans = {w: Attention(batch, own, window=w) for w in {layer.window for layer in self.layers[:-1]}}
        last = Attention(batch, unique, window=self.layers[-1].window)
        each = [*(plans[layer.window] for layer in self.layers[:-1]), last]
        return _Frame(part, rope, torch.from_numpy(rows).to(device)), each, targets

    def work(self, batch: MicroBatch) -> np.ndarray:
        """What each token costs, 1 being what the layers' weights do: that, looking back, and the head's products."""
        # Products of queries and keys are short: with what lies between them they run at a quarter of the others' rate.
        look = 12 * self.width * len(self.layers) / self.weights
        targets = np.bincount(batch.states.numpy(), minlength=batch.tokens)
        return 1 + look * (batch.positions.numpy() + 1) + self.head.numel() / self.weights * targets

    def asked(self, batch: MicroBatch) -> tuple[Any, Any]:
        """The tokens that predict something, in order, and each target's place among them."""
        unique, place = np.unique(batch.states.cpu().numpy(), return_inverse=True)
        return unique, place

    def _rope(self, positions: torch.Tensor) -> Rope:
        cos, sin = angles(self.inside, positions)
        scaling = self.inside.layers[0].self_attn.scaling
        tables = (cos, sin, cos * scaling, sin * scaling)
        return Rope(*(t.to(self.dtype) for t in tables))


def windows(config: Any, count: int) -> list[int | None]:
    """Each layer's sliding window."""
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    return [None if kinds and kinds[index] == "full_attention" else window for index in range(count)]


def _fixed_positions(rotary: Any) -> bool:
    """False where frequencies depend on the longest row met so far, or now (dynamic NTK, LongRoPE)."""
    return rotary.rope_type != "longrope" and "dynamic" not in rotary.rope_type


def why_not(model: Any) -> str | None:
    """Why no decoder written out computes `model`; None for a PEFT model of a known family with plain LoRA."""
    if not hasattr(model, "get_base_model"):
        return "all weights move"
    causal = model.get_base_model()
    config = causal.config
    if config.model_type not in FAMILIES or config.hidden_act != "silu":
        return f"no decoder is written out for {config.model_type}"
    if config.model_type == "llama" and (config.mlp_bias or config.pretraining_tp > 1):
        return "the MLP has biases, or is cut for several devices"
    if getattr(config, "attention_dropout", 0.0) > 0:
        return "attention drops scores"
    devices = {parameter.device.type for parameter in model.parameters()}
    if devices not in ({"cpu"}, {"meta"}, {"cuda"}):
        return "it is written for a CPU or one GPU"
    adapted = [m for m in causal.modules() if hasattr(m, "lora_A")]
    inside = {id(m) for layer in causal.model.layers for m in layer.modules()}
    if not adapted or any(id(m) not in inside for m in adapted):
        return "an adapter lies outside of the layers"
    return None if all(map(_plain, adapted)) else "an adapter drops inputs, or is no plain LoRA"


def _plain(layer: Any) -> bool:
    """A LoRA layer as in the paper (Hu et al. 2021): no dropout, no bias, one adapter, none of the variants."""
    from peft.tuners.lora import Linear as LoraLinear

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
