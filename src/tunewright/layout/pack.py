"""Packing: which examples of a step are computed together. It changes the cost of a step, never its meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from tunewright.layout.forest import LEAST_SHARED, Grower, MicroBatch, Row, common
from tunewright.records import Rendered


def pack(examples: Sequence[Rendered], *, budget: int, share: bool) -> list[MicroBatch]:
    """Lay `examples` out in micro-batches of at most `budget` computed tokens (a longer example goes alone).

    With `share`, examples are ordered by their tokens so that common prefixes meet and are computed once; without,
    longest first. Every supervised token of every example appears in exactly one micro-batch, with its weight.
    """
    rows = [Row.of(example) for example in examples]
    if share:
        rows.sort(key=lambda row: row.ids.astype(">i4").tobytes())
        overlaps = [0, *(common(a.ids, b.ids) for a, b in pairwise(rows))]
    else:
        rows.sort(key=lambda row: -len(row.ids))
        overlaps = [0] * len(rows)
    batches: list[MicroBatch] = []
    first = 0
    while first < len(rows):
        stop = _estimated(rows, overlaps, first, budget)
        batch = _laid_out(rows, overlaps, first, stop)
        while batch.tokens > budget and stop - first > 1:
            stop = first + max(1, (stop - first) * budget // batch.tokens)
            batch = _laid_out(rows, overlaps, first, stop)
        batches.append(batch)
        first = stop
    return sorted(batches, key=lambda batch: -batch.tokens)


def _estimated(rows: Sequence[Row], overlaps: Sequence[int], first: int, budget: int) -> int:
    """Where a micro-batch that begins at row `first` should stop if every overlap worth a look is shared.

    Some are not (too little would be saved), so what is laid out may come out larger: the caller looks again.
    """
    load = len(rows[first].ids)
    for index in range(first + 1, len(rows)):
        load += len(rows[index].ids) - (overlaps[index] if overlaps[index] >= LEAST_SHARED else 0)
        if load > budget:
            return index
    return len(rows)


def _laid_out(rows: Sequence[Row], overlaps: Sequence[int], first: int, stop: int) -> MicroBatch:
    grower = Grower(rows[first:stop], overlaps[first:stop])
    grower.grow(0, stop - first)
    return grower.micro_batch()


@dataclass(frozen=True)
class PaddedBatch:
    """Examples side by side, padded at the end: for models on which a forest cannot be computed exactly.

    `ids`, `mask` (1 where a token is real) and `weights` (of predicting the token there) are [examples, longest].
    """

    ids: torch.Tensor
    mask: torch.Tensor
    weights: torch.Tensor

    @property
    def examples(self) -> int:
        return int(self.ids.shape[0])

    @property
    def tokens(self) -> int:
        return int(self.ids.numel())

    @property
    def weight(self) -> float:
        """Sum of the loss weights."""
        return float(self.weights.double().sum())


def pad(examples: Sequence[Rendered], *, budget: int) -> list[PaddedBatch]:
    """`examples` by length, longest first, in padded batches of at most `budget` tokens (a longer one goes alone)."""
    rows = sorted(examples, key=lambda example: -len(example.ids))
    batches, first = [], 0
    while first < len(rows):
        longest = len(rows[first].ids)
        some = rows[first : first + max(1, budget // longest)]
        ids, mask = torch.zeros(len(some), longest, dtype=torch.long), torch.zeros(len(some), longest, dtype=torch.long)
        weights = torch.zeros(len(some), longest)
        for index, example in enumerate(some):
            size = len(example.ids)
            ids[index, :size] = torch.tensor(example.ids)
            mask[index, :size] = 1
            weights[index, :size] = torch.tensor(example.weights)
        batches.append(PaddedBatch(ids, mask, weights))
        first += len(some)
    return batches
