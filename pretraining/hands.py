"""The parts of a step in two threads: the first takes them from the front, the second from the back.

The second is of low priority, so that other work on its core goes before it. What it has begun and does not finish in
time the first does as well; whoever is done first counts. Both compute the same numbers, and they are added up in the
parts' order: a run does not depend on how the parts were shared out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

PATIENCE = 1.5  # how long the first thread waits for a part that the second has begun, in its own time for one part
NICE = 10


def _step_back() -> None:
    torch.set_num_threads(1)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class _Parts:
    """The parts of one step: which are begun, which are done."""

    def __init__(self, work: Callable[[Any], Any], parts: Sequence[Any]):
        self.work, self.parts = work, parts
        self.done: list[Any] = [None] * len(parts)
        self.begun: dict[int, float] = {}
        self.change = threading.Condition()
        self.failed: Exception | None = None

    def claim(self, order: Sequence[int]) -> int | None:
        with self.change:
            for number in order:
                if number not in self.begun:
                    self.begun[number] = time.perf_counter()
                    return number
        return None

    def do(self, number: int) -> None:
        result = self.work(self.parts[number])
        with self.change:
            if self.done[number] is None:
                self.done[number] = result
            self.change.notify_all()

    def from_the_back(self) -> None:
        try:
            while (number := self.claim(range(len(self.parts))[::-1])) is not None:
                self.do(number)
        except Exception as error:  # noqa: BLE001 - the first thread raises it
            with self.change:
                self.failed = error
                self.change.notify_all()

    def from_the_front(self) -> list[Any]:
        longest = 0.0
        while (number := self.claim(range(len(self.parts)))) is not None:
            began = time.perf_counter()
            self.do(number)
            longest = max(longest, time.perf_counter() - began)
        for number in range(len(self.parts)):
            if not self._came(number, self.begun[number] + PATIENCE * longest):
                self.do(number)
        return self.done

    def _came(self, number: int, until: float) -> bool:
        with self.change:
            ready = self.change.wait_for(
                lambda: self.failed or self.done[number] is not None, max(0.0, until - time.perf_counter())
            )
        if self.failed:
            raise self.failed
        return bool(ready)


class Hands:
    """`work` for each part of a step; with `second`, by two threads."""

    def __init__(self, work: Callable[[Any], Any], second: bool = False):
        self.work = work
        self.pool = ThreadPoolExecutor(1, initializer=_step_back) if second else None

    def __call__(self, parts: Sequence[Any]) -> list[Any]:
        step = _Parts(self.work, parts)
        if self.pool:
            self.pool.submit(step.from_the_back)
        return step.from_the_front()
