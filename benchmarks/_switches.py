"""What makes a step fast, each turned off by itself: for `train.py --switches`.

A switch changes how our side computes, in its own process, and nothing of what it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _separate_products(_: dict[str, Any]) -> None:
    """Query, key, value, gate and up each as a product of its own."""
    import torch

    from tunewright.train import fused
    from tunewright.train.products import Product

    class Apart(Product):
        def forward(self, buffer: Any) -> Any:
            if self.rank:
                inner = self.matrix[self.outputs :, : self.inputs]
                torch.mm(buffer[:, : self.inputs], inner.t(), out=buffer[:, self.inputs :])
            out = torch.cat([torch.mm(buffer, self.matrix[part.rows].t()) for part in self.parts], 1)
            return out if self.bias is None else out.add_(self.bias)

        def backward(self, grad: Any, buffer: Any, grads: Any, below: bool = True) -> Any:
            if self.rank:
                self._adapters(grad, buffer, grads)
            if not below:
                return None
            total = torch.mm(grad[:, self.outputs :], self.matrix[self.outputs :, : self.inputs])
            for part in self.parts:
                total.addmm_(grad[:, part.rows], self.matrix[part.rows, : self.inputs])
            return total

    fused.Product = Apart  # type: ignore[misc]


def _whole_last_layer(_: dict[str, Any]) -> None:
    """The last layer on every token, not only on those that predict something."""
    import numpy as np

    from tunewright.train.fused import Decoder

    Decoder.asked = lambda self, batch: (np.arange(batch.tokens), batch.states.cpu().numpy())  # type: ignore[method-assign]


def _whole_loss(_: dict[str, Any]) -> None:
    """Head and cross-entropy over all targets at once."""
    from tunewright.train import head

    head._CHUNK = 1 << 40


def _one_stream(_: dict[str, Any]) -> None:
    """All threads on one micro-batch, never half of them on each half of it."""
    from tunewright.train import streams

    streams.LEAST = 1 << 40


def _modules(_: dict[str, Any]) -> None:
    """The model's own modules under autograd, on the same forest."""
    from tunewright.train import choice

    choice.why_not = lambda model: "turned off"


def _unshared(settings: dict[str, Any]) -> None:
    """Rows packed side by side, common prefixes computed once for each."""
    settings["share"] = False


def _recomputed(settings: dict[str, Any]) -> None:
    """Activation checkpointing on."""
    settings["activation_checkpointing"] = True


def _each_pass(settings: dict[str, Any]) -> None:
    """Weights in 4 bits read back in every pass, not once for all."""
    settings["dequantise"] = "each_pass"


def _neither(settings: dict[str, Any]) -> None:
    """The model's own modules, and nothing shared: packing alone is left."""
    _modules(settings)
    _unshared(settings)


SWITCHES: dict[str, Callable[[dict[str, Any]], None]] = {
    "share": _unshared,
    "fused": _modules,
    "packed_weights": _separate_products,
    "last_layer_skipping": _whole_last_layer,
    "chunked_loss": _whole_loss,
    "two_streams": _one_stream,
    "kept_activations": _recomputed,
    "share_and_fused": _neither,
    "kept_weights": _each_pass,
}


def switches_for(method: str) -> list[str]:
    """Those that turn something off in training by `method`."""
    return [name for name in SWITCHES if name != "kept_weights" or method == "qlora"]
