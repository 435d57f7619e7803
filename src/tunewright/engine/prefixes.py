"""Which prompts begin alike: batches of prompts, and per batch the shared beginnings as a trie."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

# Below this many tokens a shared beginning costs more in extra kernels than it saves.
WORTH_SHARING = 32
WORTH_SAVING = 192


@dataclass(frozen=True, slots=True)
class Node:
    """Tokens `start:stop` common to the rows `first:last` of a batch; `level` counts its ancestors."""

    start: int
    stop: int
    first: int
    last: int
    level: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts to run together. `rows` are places in the call's list; `nodes` are shared beginnings, outermost first."""

    rows: tuple[int, ...]
    nodes: tuple[Node, ...]


def _common(a: Sequence[int], b: Sequence[int], limit: int) -> int:
    """Length of the common beginning of two prompts, at most `limit`. Halving beats a loop over tokens."""
    low, high = 0, min(len(a), len(b), limit)
    if a[:high] == b[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def plan_batches(prompts: Sequence[list[int]], limits: Sequence[int], *, rows: int, tokens: int) -> list[Batch]:
    """Batches of at most `rows` prompts and about `tokens` tokens of their own.

    `limits[i]` is how many tokens of prompt i may be shared (what comes after must be computed per prompt).
    """
    order = sorted(range(len(prompts)), key=lambda i: prompts[i])
    common = [0] * len(order)
    for place in range(1, len(order)):
        a, b = order[place - 1], order[place]
        common[place] = _common(prompts[a], prompts[b], min(limits[a], limits[b]))
    families = _families(order, common, prompts)
    batches: list[Batch] = []
    waiting: list[tuple[list[int], int]] = []
    used_rows = used_tokens = 0
    for members, shared in families:
        for part in _pieces(members, shared, prompts, rows, tokens):
            own = sum(len(prompts[i]) - shared for i in part) + shared
            if waiting and (used_rows + len(part) > rows or used_tokens + own > tokens):
                batches.append(_batch(waiting, prompts, limits))
                waiting, used_rows, used_tokens = [], 0, 0
            waiting.append((part, shared))
            used_rows, used_tokens = used_rows + len(part), used_tokens + own
    if waiting:
        batches.append(_batch(waiting, prompts, limits))
    return batches


def _families(order: Sequence[int], common: Sequence[int], prompts: Sequence[list[int]]) -> list[tuple[list[int], int]]:
    """Runs of prompts with a beginning worth sharing (and its length); the rest as one family by length, sharing 0."""
    families: list[tuple[list[int], int]] = []
    loners: list[int] = []
    at = 0
    while at < len(order):
        end, shared = at + 1, 1 << 60
        while end < len(order) and common[end] >= WORTH_SHARING:
            shared = min(shared, common[end])
            end += 1
        members = list(order[at:end])
        if (end - at - 1) * shared < WORTH_SAVING or end - at == 1:
            loners += members
        else:
            deeper = sum(common[at + 1 : end]) - shared * (end - at - 1)
            own = sum(len(prompts[i]) - shared for i in members)
            if deeper < 0.1 * own:
                members.sort(key=lambda i: len(prompts[i]))
            families.append((members, shared))
        at = end
    if loners:
        families.append((sorted(loners, key=lambda i: len(prompts[i])), 0))
    return families


def _pieces(
    members: Sequence[int], shared: int, prompts: Sequence[list[int]], rows: int, tokens: int
) -> list[list[int]]:
    """A family cut into near-equal parts that fit a batch."""
    own = sum(len(prompts[i]) - shared for i in members)
    parts = max(-(-len(members) // rows), -(-own // tokens))
    size = -(-len(members) // parts)
    return [list(members[at : at + size]) for at in range(0, len(members), size)]


def _batch(parts: Sequence[tuple[list[int], int]], prompts: Sequence[list[int]], limits: Sequence[int]) -> Batch:
    rows: list[int] = []
    nodes: list[Node] = []
    for members, shared in parts:
        members = sorted(members, key=lambda i: prompts[i])
        first, last = len(rows), len(rows) + len(members)
        rows += members
        common = [
            0,
            *(_common(prompts[a], prompts[b], min(limits[a], limits[b])) for a, b in itertools.pairwise(members)),
        ]
        level = 0
        if shared:
            # The family's own beginning is a node of its own even where this part has more in common: the next part
            # finds it computed.
            nodes.append(Node(0, shared, first, last, 0))
            level = 1
        _grow(nodes, common, first, 0, len(members), shared, level)
    return Batch(tuple(rows), tuple(nodes))


def _grow(nodes: list[Node], common: Sequence[int], base: int, low: int, high: int, depth: int, level: int) -> None:
    """Add the nodes below `depth` for the rows `low:high` (places in `common`; `base` is their place in the batch)."""
    if high - low < 2:
        return
    shared = min(common[low + 1 : high])
    gain = shared - depth
    if gain >= WORTH_SHARING and gain * (high - low - 1) >= WORTH_SAVING:
        nodes.append(Node(depth, shared, base + low, base + high, level))
        depth, level = shared, level + 1
    # Rows part where they have least in common; below, each side may share more.
    start = low
    for place in [*(p for p in range(low + 1, high) if common[p] == shared), high]:
        if place - start < high - low:
            _grow(nodes, common, base, start, place, depth, level)
        start = place
