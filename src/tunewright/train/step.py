"""The loss of micro-batches and its gradients: through the model's own modules, or through the fused decoder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F

from tunewright.errors import TrainingError
from tunewright.layout import MicroBatch, PaddedBatch, computing, pack, pad
from tunewright.models import quantised
from tunewright.records import Rendered
from tunewright.train import streams, widened
from tunewright.train.fused import Decoder, windows
from tunewright.train.head import Cut
from tunewright.train.products import Gradients
from tunewright.train.streams import Part, Streams
from tunewright.train.wide import WideDecoder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


Layout = Literal["forest", "padded", "alone"]
Batch: TypeAlias = "MicroBatch | PaddedBatch"


class Computer:
    """Computes `model`'s losses and gradients in one precision and one layout.

    `forest` packs and shares; `padded` lays examples side by side; `alone` takes them one by one. With `fused` the
    written-out decoder computes instead of the model's modules (forest only). Weights held in 4 bits are read back
    once in every forward and every backward pass, or, if `kept`, once for all (fused only). The model's own head is
    asked whole, or piece by piece where `cut` is given.
    """

    def __init__(
        self,
        model: Any,
        precision: str,
        layout: Layout,
        *,
        fused: bool,
        share: bool,
        kept: bool = False,
        cut: Cut | None = None,
    ) -> None:
        self.model, self.precision, self.layout, self.share = model, precision, layout, share
        self.cut = cut
        self.device = next(model.parameters()).device
        self.packed = quantised.layers(model)
        self.narrow = widened.narrow(model) if precision == "float32" else []
        self.kept = kept
        self.decoder = _written(model, DTYPES[precision], kept or not self.packed) if fused else None
        self.recomputes = False
        self.streams = Streams()

    def keeping(self, kept: bool) -> Computer:
        """The same, with weights in 4 bits read back once for all or in every pass."""
        fused = self.decoder is not None
        made = Computer(self.model, self.precision, self.layout, fused=fused, share=self.share, kept=kept, cut=self.cut)
        if self.recomputes:
            made.recompute()
        return made

    def refresh(self) -> None:
        """To be called after every change of the trained weights."""
        if self.decoder:
            self.decoder.refresh()

    def close(self) -> None:
        """Leave the model's weights as they came; nothing can be computed afterwards."""
        if isinstance(self.decoder, WideDecoder):
            self.decoder.close()

    @property
    def bytes_per_token(self) -> tuple[float, float] | None:
        """What a token takes of memory, and where layers are computed again; None where that is told by the model."""
        return self.decoder.bytes_per_token if isinstance(self.decoder, WideDecoder) else None

    @property
    def can_recompute(self) -> bool:
        """Whether activations can be traded for time."""
        return self.decoder is not None or bool(getattr(self.model, "supports_gradient_checkpointing", False))

    def recompute(self, wanted: bool = True) -> None:
        """Keep only each layer's input for the backward pass and compute the layer again there, or stop doing so.

        This is activation checkpointing (Chen et al. 2016): the same gradients for less memory and a third more work.
        Raises `TrainingError` for a model whose modules cannot.
        """
        if self.decoder:
            self.decoder.recompute = wanted
        elif wanted:
            if not self.can_recompute:
                raise TrainingError(
                    "this model cannot compute its layers again.",
                    where="train.activation_checkpointing",
                    remedy="Leave it at auto or false.",
                )
            _checkpoint_modules(self.model)
        elif self.recomputes:
            for module in self.model.modules():
                if hasattr(module, "gradient_checkpointing"):
                    module.gradient_checkpointing = False
        self.recomputes = wanted

    def lay_out(self, examples: Sequence[Rendered], budget: int) -> Sequence[Batch]:
        """`examples` in micro-batches of at most `budget` tokens."""
        if self.layout == "forest":
            return pack(examples, budget=budget, share=self.share)
        return pad(examples, budget=budget if self.layout == "padded" else 1)

    def accumulate(self, batches: Iterable[Batch], total: float) -> float:
        """Add the gradients of the mean loss over `total` weight to the parameters; gives that loss."""
        # A GPU computes on while the next batch is laid out: its losses are asked for at the end.
        losses: list[Any] = []
        for given in batches:
            if not given.weight:
                continue  # nothing is predicted there
            batch = place(given, self.device)
            if self.decoder and isinstance(batch, MicroBatch):
                losses.append(self._fused(batch, total, backward=True))
                continue
            with self._attending(batch):
                losses.append(self._by_modules(batch, total, backward=True))
        return sum(map(float, losses), 0.0)

    @torch.no_grad()
    def summed_loss(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Sum of the weighted losses of all batches, without gradients, and the sum of the weights."""
        losses: list[Any] = []
        weight = 0.0
        for given in batches:
            batch = place(given, self.device)
            weight += given.weight
            if self.decoder and isinstance(batch, MicroBatch):
                losses.append(self._fused(batch, 1.0, backward=False))
                continue
            with self._attending(batch):
                losses.append(self._by_modules(batch, 1.0, backward=False))
        return sum(map(float, losses), 0.0), weight

    def _fused(self, batch: MicroBatch, over: float, backward: bool) -> Any:
        """The written-out decoder's loss of a micro-batch over `over`, in two parts at once where that is faster.

        With `backward` its gradients are added to the parameters, always in the same order.
        """
        assert self.decoder is not None
        if isinstance(self.decoder, WideDecoder):
            given = Gradients() if backward else None
            loss = self.decoder.loss(over, batch, given)
            if given is not None:
                given.hand_over()
            return loss
        jobs = [(parts, Gradients() if backward else None) for parts in self._streams(batch)]
        compute = partial(self._in_turn, over)
        losses = self.streams.both(compute, jobs) if len(jobs) == 2 else [compute(*jobs[0])]
        for _, grads in jobs:
            if grads is not None:
                grads.hand_over()
        return sum(losses)

    def _in_turn(self, over: float, parts: list[Part], grads: Gradients | None) -> float:
        assert isinstance(self.decoder, Decoder)
        return sum((self.decoder.loss(over, part, grads) for part in parts), 0.0)

    def _streams(self, batch: MicroBatch) -> list[list[Part]]:
        """What each stream computes in turn: of two halves with trees of their own bunch after bunch, else one of two
        parts that its rows are cut into.

        One stream computes all of it where it is small, or where two threads would be in each other's way.
        """
        assert isinstance(self.decoder, Decoder)
        if batch.tokens < streams.LEAST or not self.decoder.separable:
            return [[Part.whole(batch)]]
        work = self.decoder.work(batch)
        apart = streams.in_bunches(batch, work, 2 if self.streams.possible else 1)
        if apart:
            return [[Part.whole(bunch) for bunch in each] for each in apart]
        return [[part] for part in Part.cut(batch, int(np.searchsorted(np.cumsum(work), work.sum() / 2)))]

    @contextlib.contextmanager
    def _attending(self, batch: Batch) -> Iterator[None]:
        forest = computing(self.model, batch) if isinstance(batch, MicroBatch) else contextlib.nullcontext()
        with forest, quantised.computing_in(self.packed, DTYPES[self.precision]), widened.in_float32(self.narrow):
            yield

    def _by_modules(self, batch: Batch, over: float, backward: bool) -> Any:
        """The loss of a micro-batch over `over`, by the model's own modules; with `backward` its gradients too."""
        casting = torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")
        given, where, labels, weights = _asked(batch)
        if self.cut is not None:
            with casting:
                states = self.cut.states(**given)[where]
            return self.cut.loss(states, labels, weights / over, casting, backward)
        with casting:
            if isinstance(batch, MicroBatch):
                logits = self.model(**given, use_cache=False, logits_to_keep=batch.states).logits[0]
            else:
                logits = self.model(**given, use_cache=False).logits[where]
        loss = (F.cross_entropy(logits.float(), labels, reduction="none") * weights).sum() / over
        if backward:
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


def _written(model: Any, dtype: torch.dtype, kept: bool) -> Decoder | WideDecoder:
    """The decoder that is written out for the device of `model`."""
    if not _wide(next(model.parameters()).device):
        return Decoder(model, dtype, kept)
    causal = model.get_base_model()
    # Beside a base in bfloat16 there need not be room for it in float32: its layers are widened one by one.
    kept = kept and causal.lm_head.weight.dtype.itemsize >= dtype.itemsize
    return WideDecoder(model, dtype, windows(causal.config, len(causal.model.layers)), kept)


def _wide(device: torch.device) -> bool:
    return bool(device.type == "cuda")


def _asked(batch: Batch) -> tuple[dict[str, Any], Any, torch.Tensor, torch.Tensor]:
    """What a model is given, where in its states [rows, tokens] something is predicted, the labels, their weights."""
    if isinstance(batch, MicroBatch):
        given = {"input_ids": batch.ids[None], "position_ids": batch.positions[None]}
        return given, (0, batch.states), batch.labels, batch.weights
    wanted = batch.weights[:, 1:] > 0
    ids, weights = batch.ids[:, 1:][wanted], batch.weights[:, 1:][wanted]
    return {"input_ids": batch.ids, "attention_mask": batch.mask}, F.pad(wanted, (0, 1)), ids, weights


def _checkpoint_modules(model: Any) -> None:
    """Have transformers compute each layer again in the backward pass."""
    ways = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=ways)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=ways)
    # It has made the embeddings ask for gradients, which would send the backward pass below the lowest adapter.
    model.disable_input_require_grads()


def place(batch: Batch, device: torch.device) -> Batch:
    """`batch` with its tensors on `device`; where nothing is computed (meta), they stay, for they say what is asked."""
    if device.type in ("cpu", "meta"):
        return batch
    pinned = {k: v.pin_memory() for k, v in vars(batch).items() if isinstance(v, torch.Tensor) and not v.is_cuda}
    moved = {k: v.to(device, non_blocking=True) for k, v in pinned.items()}
    return replace(batch, **moved)
