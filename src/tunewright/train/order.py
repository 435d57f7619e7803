"""The meaning of a step: which examples it sees and at which learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from tunewright.records import Rendered, sequences
from tunewright.train.settings import Settings

# Steps looked at for the heaviest.
_LOOKED = 400
# A row so long takes twice the activations a token that a short one does: what it looks back at is kept too.
_LONG = 2_048


def total_steps(examples: int, settings: Settings) -> int:
    """Optimiser steps of the whole run: `steps` if given, else enough for `epochs` passes over the examples."""
    if settings.steps is not None:
        return settings.steps
    return max(1, math.ceil(round(settings.epochs * examples) / settings.effective_batch_size))


def step_examples(step: int, examples: int, settings: Settings) -> list[int]:
    """Indices of the examples that step `step` (from 0) sees.

    The examples come in a stream of epochs, each a permutation of its own drawn from (seed, epoch); step k takes the
    k-th run of `effective_batch_size` from it. A run by epochs ends where its last pass ends.
    """
    first = step * settings.effective_batch_size
    stop = first + settings.effective_batch_size
    if settings.steps is None:
        stop = min(stop, max(round(settings.epochs * examples), 1))
    chosen: list[int] = []
    while first < stop:
        epoch, offset = divmod(first, examples)
        order = np.random.default_rng((settings.seed, epoch)).permutation(examples)
        taken = order[offset : offset + stop - first]
        chosen.extend(int(index) for index in taken)
        first += len(taken)
    return chosen


def step_sequences(step: int, rows: Sequence[Rendered], settings: Settings) -> list[Rendered]:
    """What step `step` (from 0) computes: its examples' sequences."""
    return list(sequences(rows[index] for index in step_examples(step, len(rows), settings)))


def heaviest(rows: Sequence[Rendered], settings: Settings, total: int) -> list[Rendered]:
    """The sequences of the step that is the heaviest, as far as `rows` tell of all `total` of them."""
    number = min(_LOOKED, total_steps(total, settings))
    return max((step_sequences(step, rows, settings) for step in range(number)), key=weight)


def longest(rows: Sequence[Rendered], settings: Settings) -> list[Rendered]:
    """The sequences of a step of the heaviest rows, should they all meet."""
    by_weight = sorted(rows, key=lambda row: -weight(sequences([row])))
    return list(sequences(by_weight[: settings.effective_batch_size]))


def extremes(rows: Sequence[Rendered]) -> list[Rendered]:
    """Of all sequences the shortest and the longest that teach something, and the longest of all."""
    shortest = min((each for each in sequences(rows) if each.supervised), key=_length)
    telling = max((each for each in sequences(rows) if each.supervised), key=_length)
    return [shortest, telling, max(sequences(rows), key=_length)]


def _length(of: Rendered) -> int:
    return len(of.ids)


def weight(of: Iterable[Rendered]) -> float:
    """How heavy sequences are to compute, to compare them by."""
    return sum(len(each.ids) * (1 + len(each.ids) / _LONG) for each in of)


def learning_rate(step: int, total: int, settings: Settings) -> float:
    """The rate of step `step` (from 0): a linear rise over the warm-up, then the schedule's fall towards zero."""
    rise = math.ceil(settings.warmup * total)
    if step < rise:
        return settings.learning_rate * (step + 1) / rise
    done = (step - rise) / max(total - rise, 1)
    factor = {"linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "constant": 1.0}[settings.schedule]
    return settings.learning_rate * factor


def checkpoint_steps(total: int, settings: Settings) -> frozenset[int]:
    """Steps (counted from 1) after which the model is saved and scored: evenly spread, the last one included."""
    count = min(settings.checkpoints, total)
    return frozenset(math.ceil(total * (i + 1) / count) for i in range(count))
