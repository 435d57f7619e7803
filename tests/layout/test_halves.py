"""Halves of a micro-batch have its trees between them, whole, and are of like work or not made at all."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tunewright.layout import MicroBatch, pack
from tunewright.layout.halves import _half, bunches, halves
from tunewright.layout.oracle import allowed
from tunewright.records import Rendered


def _row(ids: list[int], supervised: int) -> Rendered:
    start = len(ids) - supervised
    return Rendered(tuple(ids), tuple([0.0] * start + [float(1 + i % 3) for i in range(supervised)]), start)


def _batch(prefixes: int, rows: int, seed: int = 0) -> MicroBatch:
    """`rows` rows behind each of as many `prefixes`, and as many rows that share nothing."""
    draw = random.Random(seed)

    def tokens(first: int) -> list[int]:
        return [first, *(draw.randrange(50, 90) for _ in range(draw.randint(3, 60)))]

    made = []
    for prefix in range(prefixes):
        trunk = [prefix, *(draw.randrange(50, 90) for _ in range(40))]
        made += [_row(trunk + tokens(index), draw.randint(1, 5)) for index in range(rows)]
    made += [_row(tokens(20 + index), draw.randint(1, 3)) for index in range(rows)]
    (batch,) = pack(made, budget=100_000, share=True)
    return batch


def _trees(batch: MicroBatch) -> list[list[int]]:
    return [batch.ids[s.start : s.end].tolist() for s in batch.segments if s.parent < 0]


def _targets(batch: MicroBatch) -> list[tuple[int, int, float, int]]:
    found = zip(batch.labels, batch.weights, batch.states, strict=True)
    return sorted((int(l), int(batch.ids[s]), float(w), int(batch.positions[s])) for l, w, s in found)


@pytest.mark.parametrize(("prefixes", "rows"), [(0, 8), (1, 2), (2, 5), (5, 3)])
def test_both_have_all_trees_between_them(prefixes: int, rows: int) -> None:
    batch = _batch(prefixes, rows)
    parts = halves(batch, np.ones(batch.tokens))
    if (prefixes, rows) == (1, 2):
        assert parts is None
        return
    assert parts is not None
    assert max(part.tokens for part in parts) <= 0.54 * batch.tokens
    assert sum(part.tokens for part in parts) == batch.tokens
    assert sorted(parts[0].trees + parts[1].trees) == sorted(batch.trees)
    assert sum(part.examples for part in parts) == batch.examples == rows * (prefixes + 1)
    assert sorted(_targets(parts[0]) + _targets(parts[1])) == _targets(batch)
    # Who sees whom is the same: a tree's tokens are a block of the whole mask.
    whole = allowed(batch)
    for part in parts:
        assert sum(segment.length for segment in part.segments) == part.tokens
        mask, at = allowed(part), 0
        for root in (s for s in part.segments if s.parent < 0):
            size = root.end - root.start
            start = _find(batch, part.ids[root.start : root.end])
            assert root.start == at
            assert torch.equal(mask[at : at + size, at : at + size], whole[start : start + size, start : start + size])
            assert torch.equal(part.positions[at : at + size], batch.positions[start : start + size])
            at += size
        assert at == part.tokens
        assert int(mask.sum()) == sum(int(depth) + 1 for depth in part.positions)


@pytest.mark.parametrize("tokens", [1, 60, 150, 10_000])
def test_bunches_have_all_trees_between_them(tokens: int) -> None:
    batch = _batch(3, 4)
    found = bunches(batch, tokens)
    assert (len(found) == 1) == (tokens == 10_000)
    assert sorted(tree for bunch in found for tree in _trees(bunch)) == sorted(_trees(batch))
    assert sorted(target for bunch in found for target in _targets(bunch)) == _targets(batch)


@given(st.lists(st.integers(5, 200), min_size=2, max_size=12), st.integers(20, 300))
def test_no_bunch_is_larger_than_another_by_more_than_a_tree(lengths: list[int], tokens: int) -> None:
    rows = [_row([index, *range(300, 300 + length)], 1) for index, length in enumerate(lengths)]
    (batch,) = pack(rows, budget=100_000, share=False)
    sizes = [bunch.tokens for bunch in bunches(batch, tokens)]
    assert sum(sizes) == batch.tokens
    assert max(sizes) - min(sizes) <= max(lengths) + 1
    assert max(sizes) <= tokens * 1.5 + max(lengths) + 1


def test_a_bunch_of_which_nothing_is_learnt_is_left_out() -> None:
    silent = [Rendered((7, *range(10, 50)), (0.0,) * 41, 41), Rendered((8, *range(10, 50)), (0.0,) * 41, 41)]
    (batch,) = pack([*silent, _row([1, *range(60, 90)], 3), _row([9, *range(60, 90)], 3)], budget=1_000, share=True)
    found = bunches(batch, 40)
    assert sum(bunch.examples for bunch in found) < 4
    assert sorted(target for bunch in found for target in _targets(bunch)) == _targets(batch)


def _find(batch: MicroBatch, ids: torch.Tensor) -> int:
    """Where in the whole row the tree of these tokens stands."""
    (start,) = [
        s.start
        for s in batch.segments
        if s.parent < 0 and s.end - s.start == len(ids) and torch.equal(batch.ids[s.start : s.end], ids)
    ]
    return start


def test_a_token_may_be_more_work_than_another() -> None:
    # A long row with a short answer, a short row with a long one.
    (batch,) = pack([_row(list(range(100)), 1), _row(list(range(50, 110)), 41)], budget=1_000, share=True)
    assert halves(batch, np.ones(160)) is None
    work = 1.0 + np.bincount(batch.states.numpy(), minlength=160)
    assert halves(batch, work) is not None


def test_a_half_without_targets_is_not_made() -> None:
    (batch,) = pack([_row(list(range(50)), 9), _row(list(range(50, 100)), 0)], budget=1_000, share=True)
    assert halves(batch, np.ones(100)) is None


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_half_is_as_near_as_it_can_be(numbers: list[int]) -> None:
    picked = _half(numbers)
    assert len(set(picked)) == len(picked)
    sums = {0}
    for number in numbers:
        sums |= {number + each for each in sums}
    assert sum(numbers[i] for i in picked) == max(each for each in sums if 2 * each <= sum(numbers))
