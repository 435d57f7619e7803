"""What a run will take of a GPU's memory, by the rules that its loop goes by: nothing is run, widths are enough.

What is held is known: weights, what is laid out of them, what is trained, its gradients and moments. What a token
takes is the rule that sets the room of a micro-batch (`memory`). So a step takes what its rows need or what the card
gives, whichever is less, and where that turns out to be too much, the loop computes layers again and halves the
micro-batch. What it cannot do without is the longest row with its layers computed again, and the trial before the first
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tunewright.layout import pack
from tunewright.models import quantised
from tunewright.records import Footprint, Rendered
from tunewright.train.adapters import is_linear, trained_weights
from tunewright.train.choice import probe_examples
from tunewright.train.fused import FAMILIES, why_not, windows
from tunewright.train.head import MOST_ON_GPU
from tunewright.train.memory import SHARE_OF_A_GPU, Room, bytes_per_token, room
from tunewright.train.order import extremes, heaviest, longest
from tunewright.train.settings import Settings
from tunewright.train.step import DTYPES
from tunewright.train.twin import twin
from tunewright.train.wide import CHUNK, WideDecoder

# What kernels and libraries take beside tensors, in bytes.
RUNTIME = 0.5e9
# Activations really take between these shares of what is estimated: 0.8 to 0.85 were measured of an 8B Llama.
LOW, HIGH = 0.7, 1.5
# Layers are alike where a decoder is written out for them, so that two tell what each keeps.
_FEW = 2
# Numbers that are alive for each logit of a model's own head while a chunk goes back, and in a trial, without chunks.
_LOGITS, _LOGITS_OF_A_TRIAL = 3, 4


@dataclass(frozen=True)
class _Moment:
    """Bytes that are surely `held`, and of activations as `expected`, at `most`, and the `least` that will do."""

    held: float
    expected: float
    most: float
    least: float


@dataclass(frozen=True)
class Card:
    """What `fit` will take of a GPU, of which `free` bytes are free for it and for the base `model` that it is given.

    `rows` train: all `total` of them, or a sample that has the longest of all.
    """

    model: Any
    rows: Sequence[Rendered]
    settings: Settings
    total: int
    free: float

    def footprint(self) -> Footprint:
        """The parts at the heaviest moment; what it takes at least and at most lies around them.

        Nothing beyond what is free is taken as long as that holds what training cannot do without.
        """
        moments = {"trial": self._trial, "step": self._step}
        name = max(moments, key=lambda one: moments[one].held + moments[one].expected)
        own = {"gradients": self._compared} if name == "trial" else self._learning
        parts = {"weights": self._weights, **own, "activations": moments[name].expected, "runtime": RUNTIME}
        every = moments.values()
        low, least_low = max(m.held + LOW * m.expected for m in every), max(m.held + LOW * m.least for m in every)
        high, least_high = max(m.held + HIGH * m.most for m in every), max(m.held + HIGH * m.least for m in every)
        return Footprint(
            moment=name,
            parts={part: size for part, size in parts.items() if size},
            low=min(low, max(self.free, least_low)),
            high=min(high + RUNTIME, max(self.free, least_high + RUNTIME)),
            trained=self._trained,
            room=self._room.tokens,
            by_modules=self._decoder is None and self.settings.method != "full",
        )

    @cached_property
    def _trained(self) -> int:
        return trained_weights(self.model, self.settings)

    @property
    def _weights(self) -> float:
        """The base as it is held, with adapters in float32; all of it in float32 where all of it learns."""
        held = 0 if self.settings.method == "full" else quantised.bytes_of(self.model)
        return held + 4.0 * self._trained

    @cached_property
    def _laid_out(self) -> float:
        """Weights once more in the compute type, where they are not held in it."""
        settings, dtype = self.settings, DTYPES[self.settings.precision]
        packed = settings.method == "qlora"
        again = quantised.read_back_bytes(self.model, settings.precision, settings.dequantise) if packed else 0
        others = (m for m in self.model.modules() if is_linear(m) and not quantised.is_quantised(m))
        return float(again + dtype.itemsize * sum(m.weight.numel() for m in others if m.weight.dtype != dtype))

    @property
    def _learning(self) -> dict[str, float]:
        name = "dequantised" if self.settings.method == "qlora" else "laid_out"
        return {name: self._laid_out, "gradients": 4.0 * self._trained, "optimizer": 8.0 * self._trained}

    @property
    def _compared(self) -> float:
        """Gradients of two computations, in a trial."""
        return 8.0 * self._trained

    @cached_property
    def _decoder(self) -> WideDecoder | None:
        """The written-out decoder that will compute, of a few layers' shapes; None where the model's modules will."""
        config, settings = self.model.config, self.settings
        if settings.method == "full" or config.model_type not in FAMILIES:
            return None
        number = config.num_hidden_layers if self._by_place else min(config.num_hidden_layers, _FEW)
        made = twin(config, next(self.model.parameters()).dtype, settings, number)
        if why_not(made) is not None:
            return None
        return WideDecoder(made, DTYPES[settings.precision], windows(made.config, number), kept=False)

    @property
    def _by_place(self) -> bool:
        """Whether layers are named one by one, so that those below the lowest keep nothing."""
        wanted = self.settings.target_modules
        return any("." in name for name in ((wanted,) if isinstance(wanted, str) else wanted))

    @cached_property
    def _each(self) -> tuple[float, float]:
        """Bytes of a token, and where layers are computed again."""
        if self._decoder is None:
            return bytes_per_token(self.model, self.settings.precision)
        lowest = self._decoder.lowest if self._by_place else 0
        return self._decoder.bytes_of_a_token(self.model.config.num_hidden_layers - lowest)

    @cached_property
    def _room(self) -> Room:
        left = max(self.free - self._weights - self._laid_out, 0.0)
        return room(self.model, self.settings, self._longest, left, SHARE_OF_A_GPU, self._each)

    @cached_property
    def _longest(self) -> int:
        return len(extremes(self.rows)[-1].ids)

    @property
    def _step(self) -> _Moment:
        settings, (whole, layerwise) = self.settings, self._each
        wanted = settings.activation_checkpointing
        can = self._decoder is not None or bool(getattr(self.model, "supports_gradient_checkpointing", False))
        most = steps = [heaviest(self.rows, settings, self.total)]
        if len(self.rows) < self.total:  # those of which nothing is known may be as long as the longest, and meet
            most = [longest(self.rows, settings)]
        logits = self._logits(max(sum(row.supervised for row in step) for step in (*steps, *most)))
        each = layerwise if self._room.recompute and (wanted is True or can) else whole
        least = self._longest * (layerwise if can and wanted is not False else whole) + logits
        held = self._weights + sum(self._learning.values())
        expected, heavier = (self._largest(step) * each + logits for step in (steps[0], most[0]))
        # Where memory runs out, a step is tried smaller.
        expected = max(min(expected, self.free - held - RUNTIME), least)
        return _Moment(held, expected, max(expected, heavier), least)

    def _largest(self, rows: Sequence[Rendered]) -> int:
        """Tokens of the largest micro-batch of a step on `rows`; no row is ever cut."""
        settings = self.settings
        share = settings.share and (settings.method == "full" or not settings.dropout)
        parts = settings.micro_batches(rows)
        batches = [batch for part in parts for batch in pack(part, budget=self._room.tokens, share=share)]
        return max(self._longest, *(batch.tokens for batch in batches))

    def _logits(self, count: int) -> float:
        """What the head takes for so many targets: the decoder's own, or a model's."""
        words = int(self.model.config.get_text_config().vocab_size)
        if self._decoder is not None:
            return float(min(count, CHUNK) * words * DTYPES[self.settings.precision].itemsize)
        return _LOGITS * 4.0 * min(count * words, MOST_ON_GPU)

    @property
    def _trial(self) -> _Moment:
        """A few examples in float32 through the model's own modules, which are widened one at a time where need be."""
        tokens = max(len(row.ids) for row in probe_examples(self.model, extremes(self.rows)))
        head = self.model.get_output_embeddings().weight
        widened = 4.0 * head.numel() if head.dtype.itemsize < 4 else 0.0
        logits = _LOGITS_OF_A_TRIAL * 4.0 * min(tokens * head.shape[0], MOST_ON_GPU)
        taken = tokens * bytes_per_token(self.model, "float32")[0] + widened + logits
        return _Moment(self._weights + self._compared, taken, taken, taken)
