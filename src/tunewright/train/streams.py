"""Two parts of a micro-batch at once, each in a thread of its own with half of the processor's threads.

A step is some thousand short calls. Where all threads share every one of them, they wait for each other at the end of
each, and what lies between the large products keeps only some of them busy. Two parts with no token in common wait once
a micro-batch where they are trees of their own. Otherwise they meet in every layer: to hand over keys and values, and
on the way back each its share of the gradients of all keys and values.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tunewright.layout import MicroBatch, apart

# Micro-batches of fewer tokens are computed whole: the calls of their parts would be too short.
LEAST = 256
# So many tokens a stream computes at once where trees allow it: products are at full rate with them.
AT_ONCE = 320


def in_bunches(batch: MicroBatch, work: np.ndarray, count: int) -> list[list[MicroBatch]]:
    """What each of one or two streams computes, bunch after bunch; nothing where trees cannot be halved by `work`."""
    return apart(batch, work, count, AT_ONCE)


class Side:
    """One of two streams that meet where each needs what the other has. `who` is 0 or 1."""

    def __init__(self, who: int, barrier: threading.Barrier, given: list[list[Any]]) -> None:
        self.who, self.barrier, self.given = who, barrier, given
        self.turn = 0

    @classmethod
    def pair(cls) -> tuple[Side, Side]:
        barrier, given = threading.Barrier(2), [[None, None], [None, None]]
        return cls(0, barrier, given), cls(1, barrier, given)

    def swap(self, mine: Any) -> Any:
        """What the other side gives at the same turn.

        Raises `threading.BrokenBarrierError` when it has failed.
        """
        # Two turns' worth of room: nobody writes over what the other has not read.
        given = self.given[self.turn % 2]
        self.turn += 1
        given[self.who] = mine
        self.barrier.wait()
        return given[1 - self.who]


@dataclass(frozen=True)
class Part:
    """Rows `first … last-1` of a micro-batch, and the side that meets the stream of the others (None: no need)."""

    batch: MicroBatch
    first: int
    last: int
    side: Side | None = None

    @classmethod
    def whole(cls, batch: MicroBatch) -> Part:
        return cls(batch, 0, batch.tokens)

    @classmethod
    def cut(cls, batch: MicroBatch, row: int) -> tuple[Part, Part]:
        one, other = Side.pair()
        return cls(batch, 0, row, one), cls(batch, row, batch.tokens, other)

    @property
    def tokens(self) -> int:
        return self.last - self.first

    def gathered(self, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [heads, rows, size] of the whole micro-batch, from those of this part (and its spare rows).

        Each side lays out one of the two for both.
        """
        if self.side is None:
            return key, value
        mine = key[:, : self.tokens], value[:, : self.tokens]
        theirs, who = self.side.swap(mine), self.side.who
        pair = (mine, theirs) if who == 0 else (theirs, mine)
        laid_out = torch.cat([each[who] for each in pair], 1)
        other = self.side.swap(laid_out)
        return (laid_out, other) if who == 0 else (other, laid_out)

    def added(self, d_key: torch.Tensor, d_value: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients of this part's keys and values, `rows` with its spare ones, from each side's share of them all."""
        if self.side is None:
            return d_key, d_value
        theirs = self.side.swap((d_key, d_value))
        own, spare = slice(self.first, self.last), (0, 0, 0, rows - self.tokens)
        d_key, d_value = d_key[:, own] + theirs[0][:, own], d_value[:, own] + theirs[1][:, own]
        return F.pad(d_key, spare), F.pad(d_value, spare)


class Streams:
    """Two threads that compute with half of torch's threads each, made when they are first asked for."""

    def __init__(self) -> None:
        self.pool: ThreadPoolExecutor | None = None
        self.threads = 0

    @property
    def possible(self) -> bool:
        """Whether torch's threads can be halved."""
        return bool(torch.get_num_threads() % 2 == 0)

    def both(self, compute: Callable[[list[Part], Any], float], jobs: list[tuple[list[Part], Any]]) -> list[float]:
        """What `compute` gives for both `jobs`, run at once. An error in one is raised when both have ended."""
        threads = torch.get_num_threads()
        if self.pool is None or self.threads != threads:
            self._open(threads)
        assert self.pool is not None
        running = [self.pool.submit(_computed, compute, *job) for job in jobs]
        try:
            wait(running)
        except BaseException:
            # A stop in the midst: whoever is told of it finds nobody at work on the weights.
            wait(running)
            raise
        errors = [error for error in (each.exception() for each in running) if error is not None]
        # Of a side that failed because the other did, there is nothing to tell.
        for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
            raise error
        return [each.result() for each in running]

    def _open(self, threads: int) -> None:
        """Begin the two threads, with half of `threads` each. Neither waits for ever for one that cannot begin."""
        self.close()
        met = threading.Barrier(3)
        pool = ThreadPoolExecutor(2, "half", _begin, (threads // 2, met))
        try:
            for _ in range(2):
                pool.submit(_nothing)
            met.wait()
        except BaseException:
            met.abort()
            pool.shutdown()
            raise
        finally:
            # A thread's number is also what threads begun later take over.
            torch.set_num_threads(threads)
        self.pool, self.threads = pool, threads

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None


def _nothing() -> None:
    """What a thread begins with."""


def _begin(threads: int, met: threading.Barrier) -> None:
    torch.set_num_threads(threads)
    # Asking makes it this thread's own, before the next one sets another.
    torch.get_num_threads()
    with contextlib.suppress(threading.BrokenBarrierError):
        met.wait()


def _computed(compute: Callable[[list[Part], Any], float], parts: list[Part], grads: Any) -> float:
    try:
        return compute(parts, grads)
    except BaseException:
        for part in parts:
            if part.side is not None:
                part.side.barrier.abort()
        raise
