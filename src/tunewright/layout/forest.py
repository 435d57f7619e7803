"""The token forest: examples with common prefixes become segments that hang on their parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from tunewright.records import Rendered

# Sharing a run of tokens costs one more attention block per layer. Below this many tokens saved it does not pay.
LEAST_SHARED = 16
LEAST_SAVED = 32
# Levels beyond this are rarer than the recursion is deep.
DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens: `start` and `length` in the flat row, `parent` a segment's index or -1, `depth` of its first
    token, and `end`, where the row leaves the segment's descendants (they follow it at once)."""

    start: int
    length: int
    parent: int
    depth: int
    end: int


@dataclass(frozen=True)
class MicroBatch:
    """What one forward pass computes.

    `ids` and `positions` have shape [tokens]. The triples `states`, `labels`, `weights` have shape [targets]: the
    state at row index `states[i]` predicts `labels[i]` with loss weight `weights[i]`; one state may have several.
    `trees` are the numbers of examples of each tree, in their order.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    states: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    segments: tuple[Segment, ...]
    trees: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens that are computed."""
        return int(self.ids.shape[0])

    @property
    def examples(self) -> int:
        return sum(self.trees)

    @cached_property
    def weight(self) -> float:
        """Sum of the loss weights."""
        return float(self.weights.double().sum())

    @property
    def longest(self) -> int:
        """Tokens on the longest path from a root to a leaf."""
        return max((s.depth + s.length for s in self.segments), default=0)


@dataclass(frozen=True, slots=True)
class Row:
    """An example as arrays, so that comparing and copying its tokens needs no loop."""

    ids: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, example: Rendered) -> Row:
        return cls(np.asarray(example.ids, dtype=np.int64), np.asarray(example.weights, dtype=np.float32))


def common(left: np.ndarray, right: np.ndarray) -> int:
    """Length of the common prefix of two id arrays."""
    size = min(left.shape[0], right.shape[0])
    different = np.flatnonzero(left[:size] != right[:size])
    return int(different[0]) if different.size else size


class Grower:
    """Lays sorted rows out as a forest, depth first, so that a segment's descendants follow it without a gap.

    `overlaps[i]` is the length of the common prefix of rows i-1 and i.
    """

    def __init__(self, rows: Sequence[Row], overlaps: Sequence[int]) -> None:
        self.rows, self.overlaps = rows, overlaps
        self.segments: list[list[int]] = []
        self.ids: list[np.ndarray] = []
        self.positions: list[np.ndarray] = []
        self.states: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.trees: list[int] = []
        self.size = 0

    def grow(self, low: int, high: int, depth: int = 0, path: tuple[int, ...] = ()) -> None:
        """Lay out rows `low … high-1`, whose first `depth` tokens already lie in the segments of `path`."""
        for first, last, shared in self._groups(low, high, depth, len(path)):
            if not path:
                self.trees.append(last - first)
            if last - first > 1:
                trunk = self._segment(first, depth, shared, path)
                self.grow(first, last, shared, trunk)
                self.segments[trunk[-1]][4] = self.size
            else:
                self._supervise(self.rows[first], self._segment(first, depth, len(self.rows[first].ids), path))

    def _groups(self, low: int, high: int, depth: int, level: int) -> list[tuple[int, int, int]]:
        """Neighbours that share a run beyond `depth` worth sharing: `(low, high, shared depth)` each, in order."""
        groups: list[tuple[int, int, int]] = []
        first = low
        for row in range(low + 1, high + 1):
            if row < high and level < DEEPEST and self.overlaps[row] >= depth + LEAST_SHARED:
                continue
            shared = min(self.overlaps[first + 1 : row], default=depth)
            if (shared - depth) * (row - first - 1) >= LEAST_SAVED:
                groups.append((first, row, shared))
            else:
                groups.extend((alone, alone + 1, depth) for alone in range(first, row))
            first = row
        return groups

    def _segment(self, row: int, depth: int, stop: int, path: tuple[int, ...]) -> tuple[int, ...]:
        """Lay out tokens `depth … stop-1` of a row; the path to them."""
        if stop == depth:
            return path
        parent = path[-1] if path else -1
        self.segments.append([self.size, stop - depth, parent, depth, self.size + stop - depth])
        self.ids.append(self.rows[row].ids[depth:stop])
        self.positions.append(np.arange(depth, stop))
        self.size += stop - depth
        return (*path, len(self.segments) - 1)

    def _supervise(self, row: Row, path: tuple[int, ...]) -> None:
        """Record which states on `path` predict the row's supervised tokens."""
        wanted = np.flatnonzero(row.weights)
        depths = np.asarray([self.segments[index][3] for index in path])
        starts = np.asarray([self.segments[index][0] for index in path])
        segment = np.searchsorted(depths, wanted - 1, side="right") - 1
        self.states.append(starts[segment] + (wanted - 1) - depths[segment])
        self.labels.append(row.ids[wanted])
        self.weights.append(row.weights[wanted])

    def micro_batch(self) -> MicroBatch:
        """What was laid out so far, as tensors."""
        return MicroBatch(
            ids=torch.from_numpy(np.concatenate(self.ids)),
            positions=torch.from_numpy(np.concatenate(self.positions)),
            states=torch.from_numpy(np.concatenate(self.states)),
            labels=torch.from_numpy(np.concatenate(self.labels)),
            weights=torch.from_numpy(np.concatenate(self.weights)),
            segments=tuple(Segment(*numbers) for numbers in self.segments),
            trees=tuple(self.trees),
        )
