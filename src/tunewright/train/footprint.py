"""What a run will hold in memory, counted beforehand by running its heaviest moments on shapes alone (`alive`).

- `trial`: before the first step, the fast computation of a few examples beside the plain one (`choice`);
- `step`: what is computed at once of a micro-batch, with gradients and the optimiser's state;
- `answers`: a checkpoint answers validation cases, from copies of the weights of its own.

The code that trains is what runs here, so the tensors of trials and
steps are exact for the rows that are known. Layers are alike, so two and three of them are run, and the rest is counted
on in a straight line. Answers are a formula. What libraries hold beside tensors, and how far off all this is, comes
from `benchmarks/memory.py`. On a GPU, where the step is another one, `card` tells.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from tunewright.layout import MicroBatch
from tunewright.models import quantised
from tunewright.records import Footprint, Rendered, sequences
from tunewright.train import streams
from tunewright.train.adapters import trainable
from tunewright.train.alive import Alive
from tunewright.train.card import Card
from tunewright.train.choice import keeps, outcome, probe_examples
from tunewright.train.fused import Decoder, why_not
from tunewright.train.head import REFUSALS, Cut
from tunewright.train.memory import Room, room
from tunewright.train.order import extremes, heaviest, longest
from tunewright.train.settings import Settings
from tunewright.train.step import Batch, Computer
from tunewright.train.twin import twin

# What libraries loaded on the way, threads and kernels hold, in bytes.
RUNTIME = 95e6
# A run really takes between these shares of what is counted.
LOW, HIGH = 0.8, 1.4
# Where a model's own modules compute adapters, activations take so many times what is alive: 1.3 to 1.6 were measured,
# and why is not known.
_BY_MODULES = 1.4
# A token of a row as Python holds it, its id and its weight, in bytes.
_TOKEN = 48
# What an engine answers at once; and what it holds is so many times its copies of the weights and what it keeps.
_CASES, _TOKENS = 64, 16_384
_ENGINE = 1.4
# So few layers are run where all are alike; a run of more goes on in a straight line.
_FEW = (2, 3)

# What is counted, in bytes by name; all of it grows with the layers in a straight line.
_Counted = dict[str, float]


@dataclass(frozen=True)
class _Asked:
    """What is counted: the rows of the heaviest step, of the one that may be heavier still, and how they are computed.

    `probe` are the rows of the trials; with `kept`, weights in 4 bits are read back once for all.
    """

    config: Any
    dtype: torch.dtype
    settings: Settings
    room: Room
    kept: bool
    probe: Sequence[Rendered]
    steps: Sequence[Sequence[Rendered]]


def footprint(
    model: Any,
    rows: Sequence[Rendered],
    settings: Settings,
    *,
    total: int,
    free: float,
    cases: int = 0,
    answer: int = 0,
    on_a_gpu: bool = False,
) -> Footprint | None:
    """What `fit` will take of memory to tune the base `model`, which is only looked at; None where it cannot be told.

    `rows` train: all `total` of them, or a sample. `free` bytes of memory are free for it. Checkpoints answer `cases`
    validation cases with up to `answer` tokens each. `on_a_gpu` nothing is run, and what is told is a rule (`card`).
    """
    try:
        if on_a_gpu:
            return Card(model, rows, settings, total, free).footprint()
        asked = _asked(model, rows, settings, total, free)
        counted = _counted(model, asked)
    except REFUSALS:  # a family that computes by the numbers in its tensors, or nothing to learn from in any row
        return None
    return _told(counted, model, asked, rows, total, cases, answer)


def _asked(model: Any, rows: Sequence[Rendered], settings: Settings, total: int, free: float) -> _Asked:
    examples = extremes(rows)
    steps = [heaviest(rows, settings, total)]
    if len(rows) < total:  # those of which nothing is known may be as long as the longest, and meet
        steps.append(longest(rows, settings))
    left = max(free - quantised.bytes_of(model), 0.0)
    return _Asked(
        config=model.config,
        dtype=next(model.parameters()).dtype,
        settings=settings,
        room=room(model, settings, len(examples[-1].ids), left),
        kept=bool(quantised.layers(model)) and keeps(model, settings),
        probe=probe_examples(model, examples),
        steps=steps,
    )


def _told(
    counted: _Counted, model: Any, asked: _Asked, rows: Sequence[Rendered], total: int, cases: int, answer: int
) -> Footprint:
    """The parts at the heaviest moment, and the interval."""
    mean = sum(len(each.ids) for each in sequences(rows)) / len(rows)
    common = {
        "weights": counted["weights"],
        "rows": _TOKEN * mean * total,
        "runtime": RUNTIME,
    }
    trained = counted["trained"]
    always = {
        "dequantised" if asked.settings.method == "qlora" else "laid_out": counted["laid_out"],
        "optimizer": 8.0 * trained,
    }
    gradients = 4.0 * trained * counted["streams"]
    spread = _BY_MODULES if counted["by_modules"] else 1.0
    step, worst = (
        always | {"gradients": gradients, "activations": spread * max(_peak(counted, which) - gradients, 0.0)}
        for which in ("step", "worst")
    )
    moments = {"trial": {"activations": counted["trial"]}, "step": step}
    if cases:
        moments["answers"] = always | {"answers": _answers(model, rows, cases, answer)}
    moment = max(moments, key=lambda name: _sum(moments[name]))
    parts = common | {name: size for name, size in moments[moment].items() if size}
    most = max(_sum(parts), _sum(common) + _sum(worst))
    return Footprint(
        moment=moment,
        parts=parts,
        low=LOW * _sum(parts),
        high=HIGH * most,
        trained=round(trained),
        room=asked.room.tokens,
        by_modules=bool(counted["by_modules"]),
    )


def _sum(parts: dict[str, float]) -> float:
    return sum(parts.values())


def _peak(counted: _Counted, which: str) -> float:
    """The forward pass and the backward pass have their peaks at ends of their own, so each is counted on by itself."""
    return max(counted[f"{which} forward"], counted[f"{which} backward"])


def _counted(model: Any, asked: _Asked) -> _Counted:
    """All that is counted of the whole model, by a few of its layers where they are alike."""
    number = asked.config.get_text_config().num_hidden_layers
    wanted = asked.settings.target_modules
    chosen_by_place = any("." in name for name in ((wanted,) if isinstance(wanted, str) else wanted))
    if number > max(_FEW) and not chosen_by_place and _alike(model, number):
        few, more = (_counted_of(_twin(asked, layers), asked) for layers in _FEW)
        return {name: few[name] + (number - _FEW[0]) * (more[name] - few[name]) for name in few}
    return _counted_of(_twin(asked, number), asked)


def _alike(model: Any, number: int) -> bool:
    """Whether the layers of `model` have the same weights as each other and attend in the same way."""
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or ()
    stacks = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == number]
    made = {tuple((name, p.shape, p.dtype) for name, p in layer.named_parameters()) for s in stacks for layer in s}
    return len(stacks) == 1 and len(made) == 1 and len(set(kinds)) <= 1


def _twin(asked: _Asked, layers: int) -> Any:
    return twin(asked.config, asked.dtype, asked.settings, layers)


def _counted_of(twin: Any, asked: _Asked) -> _Counted:
    """What a run on `twin` holds."""
    found: _Counted = {
        "weights": float(quantised.bytes_of(twin)),
        "trained": float(sum(p.numel() for p in trainable(twin).values())),
    }
    with Alive() as alive:
        computer = _begun(twin, asked)
        found["laid_out"], found["trial"] = float(alive.now), float(alive.peak)
        computer.recompute(asked.room.recompute and computer.can_recompute)
        peaks = [_step(alive, computer, asked, rows) for rows in asked.steps]
    for which, (forward, backward) in (("step", peaks[0]), ("worst", peaks[-1])):
        found |= {f"{which} forward": forward, f"{which} backward": backward}
    found["by_modules"] = float(computer.decoder is None and asked.settings.method != "full")
    # Two threads that compute at once have gradients of their own (`streams`); here, one computes in their place.
    found["streams"] = 2.0 if _separable(computer, asked) and computer.streams.possible else 1.0
    return found


def _begun(twin: Any, asked: _Asked) -> Computer:
    """What a run computes with, after the trials that choose it."""
    settings, fused = asked.settings, why_not(twin) is None
    known = fused or getattr(twin, "_supports_attention_backend", False)
    layout: Any = "forest" if known else "padded"
    share = settings.share and not settings.dropout
    computing = partial(Computer, twin, share=share, cut=Cut(twin))
    longest = asked.probe[1:2]
    alone = outcome(twin, Computer(twin, "float32", "alone", fused=False, share=False), longest)
    first = computing("float32", layout, fused=fused)
    beside = None if fused else outcome(twin, first, longest)  # the fused one holds less than the plain one did
    del alone, beside
    if settings.precision == "float32" and not asked.kept:
        return first
    del first
    gc.collect()  # parts of it point at each other
    return computing(settings.precision, layout, fused=fused, kept=asked.kept)


def _step(alive: Alive, computer: Computer, asked: _Asked, rows: Sequence[Rendered]) -> tuple[float, float]:
    """Bytes of gradients and activations at the peaks of the forward and of the backward pass of a step on `rows`."""
    batches: list[Batch] = []
    for some in asked.settings.micro_batches(rows):
        batches += computer.lay_out(some, asked.room.tokens)
    parameters = list(trainable(computer.model).values())
    before = alive.now
    if len(batches) > 1:  # those of earlier micro-batches
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
    largest = max(batches, key=lambda batch: (batch.tokens, batch.weight))
    forward = backward = 0.0
    for part in _at_once(computer, largest, asked):
        alive.forget()
        computer.accumulate([part], part.weight or 1.0)
        forward, backward = forward + alive.forward - before, backward + alive.peak - before
        if len(batches) == 1:
            for parameter in parameters:
                parameter.grad = None
    for parameter in parameters:
        parameter.grad = None
    return forward, backward


def _at_once(computer: Computer, batch: Batch, asked: _Asked) -> list[Batch]:
    """What of a micro-batch has its activations in memory at the same time: in each stream its largest bunch of trees.

    All of it where it is not cut along its trees.
    """
    if not isinstance(batch, MicroBatch) or batch.tokens < streams.LEAST or not _separable(computer, asked):
        return [batch]
    assert isinstance(computer.decoder, Decoder)
    apart = streams.in_bunches(batch, computer.decoder.work(batch), 2 if computer.streams.possible else 1)
    return [max(each, key=lambda bunch: bunch.tokens) for each in apart] or [batch]


def _separable(computer: Computer, asked: _Asked) -> bool:
    return isinstance(computer.decoder, Decoder) and (asked.kept or not computer.packed)


def _answers(model: Any, rows: Sequence[Rendered], cases: int, answer: int) -> float:
    """An engine's copies of the weights, its keys and values, and what passes through it."""
    config, head = model.config.get_text_config(), model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    copies = sum(m.in_features * m.out_features for m in [*linear, head])
    heads = int(config.num_attention_heads)
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    keys = width * (getattr(config, "num_key_value_heads", None) or heads)
    mean = sum(row.prompt_length for row in rows) / len(rows)
    at_once = min(cases, _CASES)
    tokens = min(at_once * mean, _TOKENS)
    kept = 2 * keys * config.num_hidden_layers * (tokens + at_once * answer)
    # Weights are laid out a second time, from a copy that adapters are merged into.
    return (
        _ENGINE
        * 4.0
        * float(2 * copies + kept + tokens * (4 * config.hidden_size + 2 * keys) + at_once * config.vocab_size)
    )
