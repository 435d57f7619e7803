"""Exact attention over a token forest as a few dense blocks, whose products `attend` computes.

A block is a batch of runs of tokens that share the same ancestors: every query sees all of the ancestors' keys and,
in its own run, those not after it. Long runs are cut so that little is computed above the diagonal; short runs of
like length are padded together, so that hundreds of them cost a handful of calls.

With a sliding window a query sees the last keys of its path only: ancestors out of every query's reach are left out of
the block. A run's first token is as deep as its ancestors are many, so depths need not be looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch

from tunewright.layout.forest import MicroBatch

# Longer runs are cut: half of what a run attends to itself lies above the diagonal and is computed for nothing.
_CUT = 96
# Runs go into one padded batch down to this share of the longest one's length.
_ALIKE = 0.75
# Padded lengths are multiples of this.
_GRAIN = 16
# Rows of scores begin at multiples of so many numbers: MKL writes others at half to four fifths of the rate.
_LANES = 8

Rows: TypeAlias = "slice | torch.Tensor"


@dataclass(frozen=True, slots=True)
class Block:
    """`count` runs of (at most) `length` queries, and the keys they see.

    `queries` are rows of the query tensor, `own` of the key tensor, [count × length] and [count × keys] with padding;
    `valid` and `valid_own` index what is not padding (None: all is). `above` are the ancestors' rows. `hidden` is
    true where a query must not see an own key: [count or 1, length, 1, keys]; `far`, under a sliding window, where it
    must not see an ancestor's: [count or 1, length, 1, above].
    """

    count: int
    length: int
    keys: int
    queries: Rows
    own: Rows
    above: Rows | None
    above_length: int
    hidden: torch.Tensor
    valid_queries: Rows
    valid_keys: Rows
    valid: torch.Tensor | None = None
    valid_own: torch.Tensor | None = None
    padding: torch.Tensor | None = None
    far: torch.Tensor | None = None

    @property
    def first_own(self) -> int:
        """The column of scores where own keys begin; those between it and the ancestors' are spare."""
        return _up(self.above_length, _LANES)

    @property
    def columns(self) -> int:
        """Columns of scores, spare ones included."""
        return self.first_own + _up(self.keys, _LANES)


@dataclass(frozen=True, slots=True)
class _Run:
    start: int
    stop: int
    above: tuple[tuple[int, int], ...]
    level: int


def blocks(batch: MicroBatch, wanted: np.ndarray | None = None, window: int | None = None) -> list[Block]:
    """The blocks of a micro-batch, ancestors' before descendants'.

    `wanted` (sorted row indices) restricts the queries: the query tensor then has just these rows. With a `window` a
    token sees the last `window` tokens of its path, itself included.
    """
    device = batch.ids.device
    groups: dict[tuple[tuple[int, int], ...], list[_Run]] = {}
    for run in _runs(batch):
        groups.setdefault(_reach(run.above, window), []).append(run)
    found: list[Block] = []
    for above, runs in sorted(groups.items(), key=lambda item: item[1][0].level):
        rows, length = _ancestors(above, device)
        spans = [_Span.of(run, wanted) for run in runs]
        spans = sorted((span for span in spans if span.queries > 0), key=lambda span: -span.keys)
        found.extend(_block(alike, rows, length, wanted, device, window) for alike in _buckets(spans))
    return found


def _runs(batch: MicroBatch) -> list[_Run]:
    """Segments cut at `_CUT`, each with its ancestors' rows as merged ranges."""
    chains: list[tuple[tuple[int, int], ...]] = []
    levels: list[int] = []
    found = []
    for segment in batch.segments:
        above = chains[segment.parent] if segment.parent >= 0 else ()
        level = levels[segment.parent] if segment.parent >= 0 else 0
        pieces = max(1, round(segment.length / _CUT))
        edges = [segment.start + segment.length * i // pieces for i in range(pieces + 1)]
        for first, last in pairwise(edges):
            found.append(_Run(first, last, above, level))
            above, level = _joined(above, first, last), level + 1
        chains.append(above)
        levels.append(level)
    return found


def _joined(ranges: tuple[tuple[int, int], ...], first: int, last: int) -> tuple[tuple[int, int], ...]:
    if ranges and ranges[-1][1] == first:
        return (*ranges[:-1], (ranges[-1][0], last))
    return (*ranges, (first, last))


def _reach(above: tuple[tuple[int, int], ...], window: int | None) -> tuple[tuple[int, int], ...]:
    """The ancestors' rows that the first token after them can see."""
    if window is None:
        return above
    left, kept = window - 1, []
    for first, last in reversed(above):
        if left > 0:
            kept.append((max(first, last - left), last))
            left -= last - first
    return tuple(reversed(kept))


def _ancestors(ranges: tuple[tuple[int, int], ...], device: torch.device) -> tuple[Rows | None, int]:
    length = sum(last - first for first, last in ranges)
    if not ranges:
        return None, 0
    if len(ranges) == 1:
        return slice(*ranges[0]), length
    return torch.cat([torch.arange(first, last, device=device) for first, last in ranges]), length


@dataclass(frozen=True, slots=True)
class _Span:
    """A run's keys `start … stop-1` and its queries `first … last-1` in the query tensor."""

    start: int
    stop: int
    first: int
    last: int

    @classmethod
    def of(cls, run: _Run, wanted: np.ndarray | None) -> _Span:
        if wanted is None:
            return cls(run.start, run.stop, run.start, run.stop)
        first, last = np.searchsorted(wanted, [run.start, run.stop])
        return cls(run.start, run.stop, int(first), int(last))

    @property
    def keys(self) -> int:
        return self.stop - self.start

    @property
    def queries(self) -> int:
        return self.last - self.first


def _buckets(spans: Sequence[_Span]) -> list[list[_Span]]:
    """Runs of like length together; `spans` come longest first."""
    found: list[list[_Span]] = []
    for span in spans:
        if found and span.keys >= min(found[-1][0].keys * _ALIKE, found[-1][0].keys - 8):
            found[-1].append(span)
        else:
            found.append([span])
    return found


def _block(
    spans: list[_Span],
    above: Rows | None,
    above_length: int,
    wanted: np.ndarray | None,
    device: torch.device,
    window: int | None,
) -> Block:
    keys, length = max(s.keys for s in spans), max(s.queries for s in spans)
    if len(spans) == 1:
        span = spans[0]
        hidden, far = _unseen(_places(span, wanted)[None, :], keys, above_length, window, device)
        queries, own = slice(span.first, span.last), slice(span.start, span.stop)
        return Block(1, length, keys, queries, own, above, above_length, hidden, queries, own, far=far)
    # Of few lengths: a product of a shape never met before costs its kernel's making first.
    keys, length = _up(keys, _GRAIN), _up(length, _GRAIN)
    query_rows, query_valid = _padded([(s.first, s.last) for s in spans], length)
    key_rows, key_valid = _padded([(s.start, s.stop) for s in spans], keys)
    if wanted is None:
        places = np.arange(length)[None, :]
    else:
        places = np.stack([np.resize(_places(s, wanted), length) for s in spans])
    hidden, far = _unseen(places, keys, above_length, window, device)
    flat, flat_own = np.flatnonzero(query_valid), np.flatnonzero(key_valid)
    padded = len(flat) < len(query_valid)
    return Block(
        count=len(spans),
        length=length,
        keys=keys,
        queries=torch.from_numpy(query_rows).to(device),
        own=torch.from_numpy(key_rows).to(device),
        above=above,
        above_length=above_length,
        hidden=hidden,
        valid=torch.from_numpy(flat).to(device) if padded else None,
        valid_own=torch.from_numpy(flat_own).to(device) if len(flat_own) < len(key_valid) else None,
        valid_queries=torch.from_numpy(query_rows[flat]).to(device),
        valid_keys=torch.from_numpy(key_rows[flat_own]).to(device),
        padding=torch.from_numpy(np.flatnonzero(~query_valid)).to(device) if padded else None,
        far=far,
    )


def _unseen(
    places: np.ndarray, keys: int, above: int, window: int | None, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`hidden` and `far` of a block whose queries stand at `places` [count or 1, length] of their runs."""
    place = places[:, :, None, None]
    own = np.arange(keys)
    hidden = own > place
    if window is None:
        return torch.from_numpy(hidden).to(device), None
    hidden |= place - own >= window
    far = place + above - np.arange(above) >= window
    return torch.from_numpy(hidden).to(device), torch.from_numpy(far).to(device)


def _up(length: int, grain: int) -> int:
    """The next multiple of `grain`."""
    return -(-length // grain) * grain


def _places(span: _Span, wanted: np.ndarray | None) -> np.ndarray:
    """Where in its run each query stands."""
    if wanted is None:
        return np.arange(span.keys)
    return wanted[span.first : span.last] - span.start


def _padded(spans: list[tuple[int, int]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Row indices [count × length], padded with each span's first row, and which of them are real."""
    steps = np.arange(length)[None, :]
    starts = np.asarray([first for first, _ in spans])[:, None]
    sizes = np.asarray([last - first for first, last in spans])[:, None]
    valid = steps < sizes
    return (starts + np.where(valid, steps, 0)).reshape(-1), valid.reshape(-1)
