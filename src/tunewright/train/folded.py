"""Linear layers whose adapters are added into the weights once per update, rather than to every token's output.

W + s·B·A is what a token is multiplied by, forward and backward; A and B by themselves are needed for their own
gradients only. For the gradient g of the output y = x (W + s·B·A)ᵀ these are

    B:  s · gᵀ (x Aᵀ)        A:  s · (g B)ᵀ x

Of six slim products for each wide one that leaves four, and no token carries a column for its adapters. What is added
once per update, B·A, costs as much as those two do for out · in / (out + in) tokens, so it pays for narrow layers. In
float32 only: a narrower sum would lose most of a small B·A.
"""

from __future__ import annotations

from typing import Any

import torch

from tunewright.models import quantised
from tunewright.train.products import Gradients, Product, base

# Layers are folded where the sum costs as much as it saves on so many tokens at most: a third of a usual step.
_TOKENS = 350


def folds(layers: list[Any], dtype: torch.dtype) -> bool:
    """Whether `layers`, which read the same input and compute in `dtype`, are narrow enough, and whole."""
    frozen = [base(layer) for layer in layers]
    if dtype != torch.float32 or any(quantised.is_quantised(each) or each.weight.dtype != dtype for each in frozen):
        return False
    inputs, outputs = frozen[0].in_features, sum(each.out_features for each in frozen)
    return bool(inputs * outputs <= _TOKENS * (inputs + outputs))


class Folded(Product):
    """A `Product` on a CPU in float32, with a matrix [outputs, inputs] that has the adapters in it."""

    @torch.no_grad()
    def _lay_out(self) -> None:
        self.place.matrix = self.empty.new_empty(self.outputs, self.inputs)
        self.inner = self.empty.new_empty(self.rank, self.inputs)
        self.place.holder = self
        for part, layer in zip(self.parts, self.layers, strict=True):
            if part.ranks is None:
                self._normed(layer.weight, self.matrix[part.rows])
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the adapters' present values."""
        for part, layer in zip(self.parts, self.layers, strict=True):
            if part.outer is None or part.inner is None or part.ranks is None:
                continue
            rows, inner = self.matrix[part.rows], self.inner[part.ranks]
            self._normed(part.inner, inner)
            self._normed(layer.weight, rows)
            rows.addmm_(part.outer, inner, alpha=part.scale)

    def _normed(self, weight: torch.Tensor, out: torch.Tensor) -> None:
        """Write `weight`, times that of the norm before it, to `out`."""
        if self.norm is None:
            out.copy_(weight)
        else:
            torch.mul(weight, self.norm, out=out)

    def room(self, rows: int) -> torch.Tensor:
        """An input buffer [rows, inputs]."""
        return self.empty.new_empty(rows, self.inputs)

    def grad_room(self, rows: int) -> torch.Tensor:
        """A gradient buffer [rows, outputs]."""
        return self.empty.new_empty(rows, self.outputs)

    def grad_of(self, grad: torch.Tensor) -> torch.Tensor:
        """`grad` itself, which `backward` only reads."""
        return grad

    def fill(self, buffer: torch.Tensor) -> None:
        """Nothing: an input buffer has no columns of the adapters'."""

    def turn(self, grad: torch.Tensor, below: bool = True) -> torch.Tensor | None:
        """The gradient of the input, or None: a gradient buffer has no columns of the adapters' either."""
        return torch.mm(grad, self.matrix) if below else None

    def learn(self, grad: torch.Tensor, buffer: torch.Tensor, grads: Gradients) -> None:
        """Add the adapters' gradients to `grads`."""
        if not self.rank:
            return
        inside = torch.mm(buffer, self.inner.t())
        back = torch.empty_like(inside)
        for part in self.parts:
            if part.outer is not None and part.ranks is not None:
                torch.mm(grad[:, part.rows], part.outer, out=back[:, part.ranks])
                # As hᵀ g: gᵀ h is the same at half of the rate.
                outer_grad = torch.mm(inside[:, part.ranks].t(), grad[:, part.rows]).t()
                grads.add(part.outer, outer_grad.mul_(part.scale))
        inner_grads = torch.mm(back.t(), buffer)
        if self.norm is not None:
            inner_grads *= self.norm
        for part in self.parts:
            if part.inner is not None and part.ranks is not None:
                grads.add(part.inner, inner_grads[part.ranks].mul_(part.scale))
