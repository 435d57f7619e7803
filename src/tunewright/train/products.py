"""Linear layers that read the same input, with their adapters, as one matrix product each way.

With W the frozen weights stacked by rows, A and B the adapters' factors and s their scale, the matrix

    M = [[W, s·B],
         [A,   0 ]]

holds everything. Forward: h = x Aᵀ, then y = [x | h] [W | s·B]ᵀ. Backward, for the gradient g of y: e = g (s·B), then
the gradient of x is [g | e] [[W], [A]]. So an adapter adds two slim products to each wide one and no pass over the
activations, and its sum is taken inside the product, before any rounding. The frozen weight of a norm before the
layers is multiplied into the columns of W and A.

Where W is held in 4 bits, M may lie in a place that the products of one kind lend each other, layer after layer: W is
then read back once in the forward pass and once in the backward pass, and only a layer's worth of it is ever there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tunewright.models import quantised

# MKL loses a tenth to a third of its rate on AVX2 where a float32 product has more columns than this. So many at a time
# keep it (design/2026-11-26-columns.md).
_WIDE, _COLUMNS = 2_560, 512


@dataclass(frozen=True)
class _Part:
    """One layer's place in the stack: output rows, and adapter rows (None without an adapter)."""

    rows: slice
    ranks: slice | None
    outer: torch.nn.Parameter | None
    inner: torch.nn.Parameter | None
    scale: float


@dataclass
class Place:
    """Where a product's matrix lies, and which product's it is at present."""

    matrix: torch.Tensor | None = None
    holder: Product | None = None


class Gradients(dict[torch.nn.Parameter, torch.Tensor]):
    """Gradients of a micro-batch, or of a part of one, kept apart until `hand_over`."""

    def add(self, parameter: torch.nn.Parameter, grad: torch.Tensor) -> None:
        held = self.get(parameter)
        self[parameter] = grad if held is None else held.add_(grad)

    def hand_over(self) -> None:
        """Add them to the parameters' own."""
        for parameter, grad in self.items():
            if parameter.grad is None:
                parameter.grad = grad.contiguous()
            else:
                parameter.grad += grad


class Product:
    """A stack of linear layers as one product. `refresh` must follow every change of the adapters.

    Without a `place` the matrix lies in one of its own, laid out once; in a place that others use too, it is laid out
    whenever another product has been there in between.
    """

    def __init__(
        self, layers: list[Any], dtype: torch.dtype, norm: torch.Tensor | None = None, place: Place | None = None
    ) -> None:
        self.layers = [base(layer) for layer in layers]
        self.inputs = self.layers[0].in_features
        self.outputs = sum(layer.out_features for layer in self.layers)
        self.parts = _parts(layers)
        self.rank = sum(p.inner.shape[0] for p in self.parts if p.inner is not None)
        self.norm = None if norm is None else norm.detach().float()
        self.empty = torch.empty(0, dtype=dtype, device=self.layers[0].weight.device)
        self.bias = None
        if any(layer.bias is not None for layer in self.layers):
            pieces = [
                self.empty.new_zeros(layer.out_features) if layer.bias is None else layer.bias.detach().to(dtype)
                for layer in self.layers
            ]
            self.bias = torch.cat(pieces)
        self.place = place or Place()
        if place is None:
            self._lay_out()

    @property
    def matrix(self) -> torch.Tensor:
        """M [outputs + rank, inputs + rank], in the compute type."""
        if self.place.holder is not self:
            self._lay_out()
        assert self.place.matrix is not None
        return self.place.matrix

    @torch.no_grad()
    def _lay_out(self) -> None:
        shape = self.outputs + self.rank, self.inputs + self.rank
        if self.place.matrix is None or self.place.matrix.shape != shape:
            self.place.matrix = self.empty.new_empty(shape)
        # Nobody's until it is whole: memory may run out in between.
        matrix, self.place.holder = self.place.matrix, None
        matrix[:, self.inputs :] = 0
        for part, layer in zip(self.parts, self.layers, strict=True):
            _copy(layer, self.norm, matrix[part.rows, : self.inputs])
        self.place.holder = self
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the adapters' present values; where the matrix is not laid out, that will when it is."""
        if self.place.holder is not self:
            return
        for part in self.parts:
            if part.inner is None or part.outer is None or part.ranks is None:
                continue
            beside, below = self._columns(part.ranks)
            self.matrix[below, : self.inputs] = part.inner if self.norm is None else part.inner * self.norm
            self.matrix[part.rows, beside] = part.outer * part.scale

    def room(self, rows: int) -> torch.Tensor:
        """An input buffer [rows, inputs + rank]; the caller fills the first `inputs` columns."""
        return self.empty.new_empty(rows, self.inputs + self.rank)

    def grad_room(self, rows: int) -> torch.Tensor:
        """A gradient buffer [rows, outputs + rank]; the caller fills the first `outputs` columns."""
        return self.empty.new_empty(rows, self.outputs + self.rank)

    def grad_of(self, grad: torch.Tensor) -> torch.Tensor:
        """A gradient buffer with `grad` [rows, outputs] in it."""
        buffer = self.grad_room(grad.shape[0])
        buffer[:, : self.outputs] = grad
        return buffer

    def fill(self, buffer: torch.Tensor) -> None:
        """Fill the last columns of an input buffer from its first ones."""
        if self.rank:
            inner = self.matrix[self.outputs :, : self.inputs]
            torch.mm(buffer[:, : self.inputs], inner.t(), out=buffer[:, self.inputs :])

    def forward(self, buffer: torch.Tensor) -> torch.Tensor:
        """y [rows, outputs] for the input in `buffer`, whose last columns are filled for the backward pass."""
        self.fill(buffer)
        out = times(buffer, self.matrix[: self.outputs])
        return out if self.bias is None else out.add_(self.bias)

    def backward(
        self, grad: torch.Tensor, buffer: torch.Tensor, grads: Gradients, below: bool = True
    ) -> torch.Tensor | None:
        """Add the adapters' gradients to `grads` and give the input's (None when nothing `below` needs it)."""
        d_input = self.turn(grad, below)
        self.learn(grad, buffer, grads)
        return d_input

    def turn(self, grad: torch.Tensor, below: bool = True) -> torch.Tensor | None:
        """The gradient of the input (None when nothing `below` needs it); the last columns of `grad` are filled."""
        # Layer by layer: s·B is zero but for its own layer's blocks, which here would be more than half of the work.
        for part in self.parts:
            if part.ranks is not None:
                beside, after = self._columns(part.ranks)
                torch.mm(grad[:, part.rows], self.matrix[part.rows, beside], out=grad[:, after])
        return torch.mm(grad, self.matrix[:, : self.inputs]) if below else None

    def learn(self, grad: torch.Tensor, buffer: torch.Tensor, grads: Gradients) -> None:
        """Add the adapters' gradients to `grads`, from both buffers with their last columns filled."""
        if not self.rank:
            return
        for part in self.parts:
            if part.outer is not None and part.ranks is not None:
                beside, _ = self._columns(part.ranks)
                # As hᵀ g: gᵀ h is the same at half of the rate.
                outer_grad = torch.mm(buffer[:, beside].t(), grad[:, part.rows]).t()
                grads.add(part.outer, outer_grad.float() * part.scale)
        inner_grads = torch.mm(grad[:, self.outputs :].t(), buffer[:, : self.inputs]).float()
        if self.norm is not None:
            inner_grads *= self.norm
        for part in self.parts:
            if part.inner is not None and part.ranks is not None:
                grads.add(part.inner, inner_grads[part.ranks])

    def _columns(self, ranks: slice) -> tuple[slice, slice]:
        """Those of an adapter in an input buffer, and in a gradient buffer."""
        start, stop = ranks.start, ranks.stop
        return slice(self.inputs + start, self.inputs + stop), slice(self.outputs + start, self.outputs + stop)


def times(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left · rightᵀ [rows, columns], in blocks of columns where that is faster."""
    columns = right.shape[0]
    if columns <= _WIDE or left.dtype != torch.float32 or left.device.type != "cpu":
        return torch.mm(left, right.t())
    out = left.new_empty(left.shape[0], columns)
    for first in range(0, columns, _COLUMNS):
        torch.mm(left, right[first : first + _COLUMNS].t(), out=out[:, first : first + _COLUMNS])
    return out


def _copy(layer: Any, norm: torch.Tensor | None, out: torch.Tensor) -> None:
    """Write a layer's frozen weight, its columns times the `norm` before it, into `out`."""
    if norm is None:
        out.copy_(quantised.weight_of(layer, out.dtype))
    else:
        out.copy_(quantised.weight_of(layer).float() * norm)


def base(layer: Any) -> Any:
    """The frozen layer under an adapter, or the layer itself."""
    return getattr(layer, "base_layer", layer)


def _parts(layers: list[Any]) -> list[_Part]:
    parts, row, rank = [], 0, 0
    for layer in layers:
        rows = slice(row, row + base(layer).out_features)
        if hasattr(layer, "lora_A"):
            (name,) = layer.active_adapters
            inner, outer = layer.lora_A[name].weight, layer.lora_B[name].weight
            ranks = slice(rank, rank + inner.shape[0])
            parts.append(_Part(rows, ranks, outer, inner, float(layer.scaling[name])))
            rank = ranks.stop
        else:
            parts.append(_Part(rows, None, None, None, 0.0))
        row = rows.stop
    return parts
