"""A micro-batch cut along its trees into smaller ones, so that each tree is still computed in one piece.

In two of like work, for two threads that need not wait for each other; and in bunches that are computed one after the
other, so that only one of them has its activations in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from tunewright.layout.forest import MicroBatch, Segment

# The heavier half's share of the work. Above it a whole micro-batch, which all threads share, is done sooner.
_HEAVIEST = 0.54


def apart(batch: MicroBatch, work: np.ndarray, count: int, tokens: int) -> list[list[MicroBatch]]:
    """What each of `count` streams (one or two) computes in turn, in `bunches` of about `tokens`.

    Nothing where trees cannot be halved by `work` (of each token, [tokens]).
    """
    parts = (batch,) if count == 1 else halves(batch, work) or ()
    return [bunches(each, tokens) for each in parts]


def halves(batch: MicroBatch, work: np.ndarray) -> tuple[MicroBatch, MicroBatch] | None:
    """Two micro-batches that have the trees of `batch` between them, of about equal `work` (of each token, [tokens]).

    None where one would have much more of it, or nothing to predict. Rows that share a prefix are one tree and stay
    together, so nothing is computed twice.
    """
    starts, lengths, owners = _trees(batch)
    trees = np.rint(np.add.reduceat(work, starts)).astype(int)
    first = np.zeros(len(trees), dtype=bool)
    first[_half(trees.tolist())] = True
    even = max(trees[first].sum(), trees[~first].sum()) <= _HEAVIEST * trees.sum()
    if not (even and first[owners].any() and not first[owners].all()):
        return None
    return _of_trees(batch, lengths, owners, first), _of_trees(batch, lengths, owners, ~first)


def bunches(batch: MicroBatch, tokens: int) -> list[MicroBatch]:
    """The trees of `batch` in micro-batches of about `tokens` each, of more where a tree has more."""
    _, lengths, owners = _trees(batch)
    count = max(1, round(batch.tokens / tokens))
    # The longest first, each to the smallest bunch so far: the largest of all is what memory must hold.
    places, filled = np.zeros(len(lengths), dtype=int), np.zeros(count, dtype=int)
    for tree in np.argsort(-lengths, kind="stable"):
        places[tree] = filled.argmin()
        filled[places[tree]] += lengths[tree]
    # What predicts nothing is not computed.
    needed = np.unique(places[owners])
    return [batch] if count == 1 else [_of_trees(batch, lengths, owners, places == each) for each in needed]


def _trees(batch: MicroBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each tree's first row and number of tokens, and each target's tree."""
    starts = np.array([segment.start for segment in batch.segments if segment.parent < 0])
    owners = np.searchsorted(starts, batch.states.numpy(), side="right") - 1
    return starts, np.diff(np.append(starts, batch.tokens)), owners


def _half(numbers: Sequence[int]) -> list[int]:
    """Which of the `numbers` come closest to half of their sum from below."""
    # Bit n of an entry is set where some of the numbers so far sum to n.
    sums = [1]
    for number in numbers:
        sums.append(sums[-1] | sums[-1] << number)
    left = (sums[-1] & ((2 << sum(numbers) // 2) - 1)).bit_length() - 1
    found = []
    for index in reversed(range(len(numbers))):
        if not sums[index] >> left & 1:
            found.append(index)
            left -= numbers[index]
    return found


def _of_trees(batch: MicroBatch, lengths: np.ndarray, owners: np.ndarray, picked: np.ndarray) -> MicroBatch:
    """The micro-batch of the `picked` trees alone, in their order."""
    # How many tokens in front of each tree are left out.
    gone = np.cumsum(np.where(picked, 0, lengths))
    tokens, targets = torch.from_numpy(np.repeat(picked, lengths)), torch.from_numpy(picked[owners])
    return MicroBatch(
        ids=batch.ids[tokens],
        positions=batch.positions[tokens],
        states=(batch.states - torch.from_numpy(gone[owners]))[targets],
        labels=batch.labels[targets],
        weights=batch.weights[targets],
        segments=_segments(batch.segments, picked, gone),
        trees=tuple(examples for examples, kept in zip(batch.trees, picked, strict=True) if kept),
    )


def _segments(segments: Sequence[Segment], picked: np.ndarray, gone: np.ndarray) -> tuple[Segment, ...]:
    roots = [*(index for index, segment in enumerate(segments) if segment.parent < 0), len(segments)]
    found: list[Segment] = []
    for tree, (first, last) in enumerate(pairwise(roots)):
        if picked[tree]:
            by, back = int(gone[tree]), first - len(found)
            for old in segments[first:last]:
                parent = old.parent if old.parent < 0 else old.parent - back
                found.append(replace(old, start=old.start - by, end=old.end - by, parent=parent))
    return tuple(found)
