"""The written-out decoder of a GPU: what `fused` does on a CPU, with FlexAttention and compiled passes in between.

A GPU multiplies fast and reads its memory slowly, so each stack of linear layers is one product with its adapters in
it (`products`), whatever lies between two products is one kernel (`between`), and no step waits for the GPU before its
losses are asked for. Where the base's weights are in the compute type already, they move into the products' matrices:
there is one copy of them. Activations lie in the compute type; the residual stream and its gradient in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from tunewright.layout import Flexed, MicroBatch
from tunewright.models import quantised
from tunewright.train import between
from tunewright.train.passes import angles
from tunewright.train.products import Gradients, Place, Product, base

# Targets per chunk of the head's products.
CHUNK = 1024
# While a layer passes its gradient back it takes as much as two keep, and memory is lost between the pieces.
_BACK, _PIECES = 2, 1.25


@dataclass
class _Kept:
    """What a layer's backward pass needs of its forward pass.

    What went into the products is not kept, but written again by kernels that pass over its origin anyway; `narrow`
    are its last columns, those of the adapters, of each product.
    """

    before: torch.Tensor
    attention: Any
    middle: torch.Tensor
    gate_up: torch.Tensor
    narrow: list[torch.Tensor]


@dataclass(frozen=True)
class _Frame:
    cos: torch.Tensor
    sin: torch.Tensor
    plans: dict[int | None, Flexed]


class _Layer:
    def __init__(self, layer: Any, dtype: torch.dtype, places: dict[str, Place] | None, window: int | None) -> None:
        attention, mlp = layer.self_attn, layer.mlp

        def product(kind: str, layers: list[Any]) -> Product:
            return Product(layers, dtype, None, None if places is None else places.setdefault(kind, Place()))

        self.qkv = product("qkv", [attention.q_proj, attention.k_proj, attention.v_proj])
        self.o = product("o", [attention.o_proj])
        self.gate_up = product("gate_up", [mlp.gate_proj, mlp.up_proj])
        self.down = product("down", [mlp.down_proj])
        self.norms = [each.weight.detach() for each in (layer.input_layernorm, layer.post_attention_layernorm)]
        self.epsilons = [each.variance_epsilon for each in (layer.input_layernorm, layer.post_attention_layernorm)]
        self.size, self.window = attention.head_dim, window
        self.queries = base(attention.q_proj).out_features // self.size
        self.keys = base(attention.k_proj).out_features // self.size

    @property
    def products(self) -> list[Product]:
        return [self.qkv, self.o, self.gate_up, self.down]

    @property
    def keeps(self) -> int:
        """Bytes of a token in `_Kept`, with the 4 a head that attention's kernel keeps of its own."""
        heads = 2 * self.size * (self.queries + self.keys)
        narrow = sum(product.rank for product in self.products)
        itemsize = self.qkv.empty.dtype.itemsize
        return int(2 * 4 * self.qkv.inputs + itemsize * (heads + self.gate_up.outputs + narrow) + 4 * self.queries)

    def forward(self, x: torch.Tensor, frame: _Frame, learns: bool) -> tuple[torch.Tensor, _Kept]:
        """The residual stream after this layer."""
        tokens = x.shape[0]
        qkv_in = self.qkv.room(tokens)
        between.normed(x, self.norms[0], self.epsilons[0], qkv_in[:, : self.qkv.inputs])
        flat = self.qkv.forward(qkv_in)
        heads = between.heads(flat, frame.cos, frame.sin, self.queries, self.keys, self.size)
        del flat
        mixed, attention = frame.plans[self.window].forward(heads[0], heads[1], heads[2], learns)
        o_in = self.o.room(tokens)
        o_in[:, : self.o.inputs] = mixed.flatten(1)
        del mixed, heads
        mlp_in = self.gate_up.room(tokens)
        middle = between.added(
            x, self.o.forward(o_in), self.norms[1], self.epsilons[1], mlp_in[:, : self.gate_up.inputs]
        )
        gate_up = self.gate_up.forward(mlp_in)
        down_in = self.down.room(tokens)
        between.gated(gate_up, down_in[:, : self.down.inputs])
        after = middle + self.down.forward(down_in)
        rooms = zip(self.products, (qkv_in, o_in, mlp_in, down_in), strict=True)
        return after, _Kept(x, attention, middle, gate_up, [room[:, each.inputs :].clone() for each, room in rooms])

    def backward(
        self, dx: torch.Tensor, kept: _Kept, frame: _Frame, grads: Gradients, below: bool
    ) -> torch.Tensor | None:
        """The gradient of the residual stream before this layer, from that after it; None if not `below`.

        The adapters' are added to `grads`.
        """
        tokens, plan = dx.shape[0], frame.plans[self.window]
        dx, grad = self._mlp_backward(dx, kept, grads)
        d_mixed, o_in = self.o.turn(grad), _again(self.o, kept.narrow[1])
        assert d_mixed is not None
        o_in[:, : self.o.inputs] = plan.mixed(kept.attention).flatten(1)
        self.o.learn(grad, o_in, grads)
        d_heads = plan.backward(d_mixed.unflatten(1, (self.queries, self.size)), kept.attention)
        del o_in, d_mixed
        grad = self.qkv.grad_room(tokens)
        between.heads_back(*d_heads, frame.cos, frame.sin, grad[:, : self.qkv.outputs])
        inner, qkv_in = self.qkv.turn(grad, below), _again(self.qkv, kept.narrow[0])
        norm, into = (self.norms[0], self.epsilons[0]), qkv_in[:, : self.qkv.inputs]
        before = None if inner is None else between.norm_back(dx, inner, kept.before, *norm, None, into)
        if before is None:
            between.normed(kept.before, *norm, into)
        self.qkv.learn(grad, qkv_in, grads)
        return before

    def _mlp_backward(self, dx: torch.Tensor, kept: _Kept, grads: Gradients) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradient of the residual stream before the MLP, and the same in a gradient buffer of `o`."""
        grad, down_in = self.down.grad_of(dx), _again(self.down, kept.narrow[3])
        d_gate_up = self.gate_up.grad_room(dx.shape[0])
        into, again = d_gate_up[:, : self.gate_up.outputs], down_in[:, : self.down.inputs]
        between.gated_back(self.down.turn(grad), kept.gate_up, into, again)
        self.down.learn(grad, down_in, grads)
        del grad, down_in, again
        inner, mlp_in = self.gate_up.turn(d_gate_up), _again(self.gate_up, kept.narrow[2])
        grad = self.o.grad_room(dx.shape[0])
        into, again = grad[:, : self.o.outputs], mlp_in[:, : self.gate_up.inputs]
        dx = between.norm_back(dx, inner, kept.middle, self.norms[1], self.epsilons[1], into, again)
        self.gate_up.learn(d_gate_up, mlp_in, grads)
        return dx, grad


def _again(product: Product, narrow: torch.Tensor) -> torch.Tensor:
    """An input buffer whose last columns are filled; the first ones are to be."""
    buffer = product.room(narrow.shape[0])
    buffer[:, product.inputs :] = narrow
    return buffer


class WideDecoder:
    """The computation of `model`'s loss and gradients on a GPU. Built once per run; `refresh` after every update.

    Unless `kept`, all layers' matrices lie in one layer's room in turn: for weights held in 4 bits.
    """

    def __init__(self, model: Any, dtype: torch.dtype, windows: list[int | None], kept: bool = True) -> None:
        causal = model.get_base_model()
        self.inside, self.dtype = causal.model, dtype
        places: dict[str, Place] | None = None if kept else {}
        self.layers = []
        for layer, window in zip(self.inside.layers, windows, strict=True):
            self.layers.append(_Layer(layer, dtype, places, window))
            if kept:
                _move(self.layers[-1])
        self.head = causal.lm_head.weight.detach().to(dtype)
        self.norm, self.epsilon = self.inside.norm.weight.detach(), self.inside.norm.variance_epsilon
        self.scale = self.inside.layers[0].self_attn.scaling
        self.recompute = False
        adapted = [i for i, layer in enumerate(self.layers) if any(p.rank for p in layer.products)]
        self.lowest = adapted[0]

    @property
    def bytes_per_token(self) -> tuple[float, float]:
        """What a token takes of memory; and where only layers' inputs are kept and one layer at a time is computed."""
        return self.bytes_of_a_token(len(self.layers) - self.lowest)

    def bytes_of_a_token(self, count: int) -> tuple[float, float]:
        """The same, if so many layers like these kept what their backward pass needs."""
        each = max(layer.keeps for layer in self.layers)
        inputs = 4 * self.layers[0].qkv.inputs * count
        return _PIECES * each * (count + _BACK), _PIECES * (inputs + each * (1 + _BACK))

    def refresh(self) -> None:
        """Take over the adapters' present values."""
        for layer in self.layers:
            for product in layer.products:
                product.refresh()

    def close(self) -> None:
        """Let the weights lie by themselves again, one matrix after the other; nothing can be computed afterwards."""
        for layer in self.layers:
            for product in layer.products:
                for linear in product.layers:
                    weight = linear.weight
                    weight.data = weight.data if weight.data.is_contiguous() else weight.data.contiguous()
                product.place.matrix = product.place.holder = None

    @torch.no_grad()
    def loss(self, over: float, batch: MicroBatch, grads: Gradients | None = None) -> torch.Tensor:
        """Weighted sum of the batch's cross-entropies over `over`; its gradients are added to `grads`, if given.

        With `recompute` only the stream before each layer is kept, and the layer computed again in the backward pass.
        """
        frame, spare = self._begin(batch)
        learns = grads is not None
        x = self.inside.embed_tokens(F.pad(batch.ids, (0, spare))).float()
        trail: list[_Kept | torch.Tensor] = []
        for index, layer in enumerate(self.layers):
            learning = learns and index >= self.lowest
            after, kept = layer.forward(x, frame, learning)
            if learning:
                trail.append(x if self.recompute else kept)
            x = after
            del kept, after
        states = x.new_empty(x.shape, dtype=self.dtype)
        between.normed(x, self.norm, self.epsilon, states)
        loss, each = self._head(states[batch.states], batch.labels, batch.weights / over, learns)
        if each is None or grads is None:
            return loss
        # Several targets may lie on one state; this way of adding takes them in the same order every time.
        d_states = torch.zeros_like(x).index_put_((batch.states,), each.float(), accumulate=True)
        dx: Any = between.norm_back(torch.zeros_like(x), d_states, x, self.norm, self.epsilon)
        del d_states, each, states, x
        for index in range(len(self.layers) - 1, self.lowest - 1, -1):
            layer, was = self.layers[index], trail.pop()
            kept = layer.forward(was, frame, True)[1] if isinstance(was, torch.Tensor) else was
            del was
            dx = layer.backward(dx, kept, frame, grads, index > self.lowest)
            del kept
        return loss

    def _head(
        self, states: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, learns: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weighted sum of cross-entropies, and its gradient with respect to `states`."""
        total = weights.new_zeros(())
        grads = torch.empty_like(states) if learns else None
        for first in range(0, states.shape[0], CHUNK):
            part = slice(first, first + CHUNK)
            logits = torch.mm(states[part], self.head.t())
            # Its gradient takes the logits' place. It is weighed after the product, in which it stays near 1.
            total += between.chunk_loss(logits, labels[part, None], weights[part, None])
            if grads is not None:
                torch.mm(logits, self.head, out=grads[part]).mul_(weights[part, None])
        return total, grads

    def _begin(self, batch: MicroBatch) -> tuple[_Frame, int]:
        """What the layers share, and how many rows are added so that blocks of attention are full."""
        spare = -batch.tokens % Flexed.BLOCK
        cos, sin = angles(self.inside, F.pad(batch.positions, (0, spare)))
        plans = {w: Flexed(batch, spare, w, self.scale) for w in {layer.window for layer in self.layers}}
        return _Frame(cos, sin, plans), spare


def _move(layer: _Layer) -> None:
    """Let a layer's weights lie in its products' matrices, where they are the same numbers."""
    for product in layer.products:
        for part, linear in zip(product.parts, product.layers, strict=True):
            if not quantised.is_quantised(linear) and linear.weight.dtype == product.matrix.dtype:
                linear.weight.data = product.matrix[part.rows, : product.inputs]
