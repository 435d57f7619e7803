"""An interpolated Kneser–Ney n-gram model over token ids (three discounts per order: Chen and Goodman 1998), in numpy.

An n-gram is one 64-bit number, its tokens side by side, so counting is sorting and looking up is a binary search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Order:
    """One order's discounted counts, and per context its total and the mass left for the order below."""

    grams: Array  # keys, sorted
    discounted: Array  # count less its discount
    contexts: Array  # keys of the first n-1 tokens, sorted
    total: Array
    left: Array  # discounts taken, summed over the context


def keys(ids: Array, order: int, bits: int) -> Array:
    """The key of the n-gram that starts at each place."""
    count = len(ids) - order + 1
    out = np.zeros(count, np.uint64)
    for i in range(order):
        out = (out << np.uint64(bits)) | ids[i : i + count].astype(np.uint64)
    return out


def counted(sorted_keys: Array) -> tuple[Array, Array]:
    """Distinct keys of a sorted array, and how often each occurs."""
    first = np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])
    at = np.flatnonzero(first)
    return sorted_keys[at], np.diff(np.append(at, len(sorted_keys)))


def discounts(counts: Array) -> tuple[float, float, float]:
    n1, n2, n3, n4 = (max(1, int((counts == k).sum())) for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    three = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return tuple(min(max(d, 0.05), k) for k, d in enumerate(three, start=1))  # type: ignore[return-value]


def order_of(grams: Array, counts: Array, bits: int) -> Order:
    taken = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]
    contexts = grams >> np.uint64(bits)
    at = np.flatnonzero(np.concatenate([[True], contexts[1:] != contexts[:-1]]))
    total = np.add.reduceat(counts.astype(np.float64), at)
    left = np.add.reduceat(taken, at)
    return Order(
        grams, (counts - taken).astype(np.float32), contexts[at], total.astype(np.float32), left.astype(np.float32)
    )


class KneserNey:
    def __init__(self, ids: Array, vocabulary: int, order: int = 5):
        self.bits, self.vocabulary = max(1, (vocabulary - 1).bit_length()), vocabulary
        if self.bits * order > 64:
            raise ValueError(f"{order}-grams over {vocabulary} tokens do not fit 64 bits")
        grams, counts = counted(np.sort(keys(ids, order, self.bits)))
        self.orders: list[Order] = []
        for n in range(order, 0, -1):
            self.orders.insert(0, order_of(grams, counts, self.bits))
            if n > 1:  # below the highest order, a count is the number of different tokens seen before
                grams, counts = counted(np.sort(grams & np.uint64((1 << (self.bits * (n - 1))) - 1)))

    def probabilities(self, ids: Array) -> Array:
        """Of every token but the first, given up to `order` - 1 tokens before it."""
        found = np.full(len(ids) - 1, 1.0 / self.vocabulary)
        for n, one in enumerate(self.orders, start=1):
            first = max(n, 2) - 1  # the first token with a whole context of this order
            grams = keys(ids, n, self.bits)[first - n + 1 :]
            part = found[first - 1 :]
            context, known = lookup(one.contexts, grams >> np.uint64(self.bits))
            at, seen = lookup(one.grams, grams)
            mass = np.where(seen, one.discounted[at], 0.0)
            mixed = (mass + one.left[context] * part) / one.total[context]
            found[first - 1 :] = np.where(known, mixed, part)
        return found


def lookup(sorted_keys: Array, wanted: Array) -> tuple[Array, Array]:
    """Where each wanted key stands, and whether it is there."""
    at = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return at, sorted_keys[at] == wanted
