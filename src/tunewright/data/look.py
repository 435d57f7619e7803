"""The table with what is worked out over it, each thing once and only when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from tunewright.data import coverage, fluency, learned, near, suites
from tunewright.data.progress import Progress, silent
from tunewright.data.requests import Requests
from tunewright.data.table import Table
from tunewright.licences import Stated
from tunewright.records import Finding

_SMALL, _LEARNED = "checks by small models", 5


class Look:
    """`use` is what licences must permit ("commercial" or "research"); `base` what is said of the base's licence;
    `pieces` counts the tokens of a text under the base's tokenizer; `asked` are what suites with files ask, `embed`
    makes vectors of texts; `requests` are what is really asked; `progress` is told of what takes long."""

    def __init__(
        self,
        table: Table,
        use: str,
        base: Stated | None = None,
        pieces: Callable[[str], int] | None = None,
        asked: Sequence[suites.Asked] = (),
        embed: learned.Embed | None = None,
        progress: Progress = silent,
        requests: Requests | None = None,
    ) -> None:
        self.table = table
        self.use = use
        self.base = base
        self.pieces = pieces
        self.asked = asked
        self.embed = embed
        self.progress = progress
        self.requests = requests or Requests()

    @cached_property
    def shared(self) -> suites.Shared:
        return suites.shared(self.table, self.asked)

    @cached_property
    def fluency(self) -> fluency.Fluency | None:
        return fluency.fluency(self.table, self.pieces) if self.pieces else None

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return self.table.labels()

    @cached_property
    def near(self) -> near.Near:
        return near.find(self.table, self.progress)

    @cached_property
    def doubtful(self) -> tuple[np.ndarray, list[str], float]:
        self.progress(_SMALL, 0, _LEARNED)
        return learned.doubtful(self.table, self.labels)

    @cached_property
    def swapped(self) -> tuple[list[int], list[int]]:
        self.progress(_SMALL, 1, _LEARNED)
        return learned.swapped(self.table, self.labels)

    @cached_property
    def same_meaning(self) -> np.ndarray:
        near_pairs = self.near
        self.progress(_SMALL, 2, _LEARNED)
        return learned.same_meaning(self.table, near_pairs, self.embed)

    @cached_property
    def shift(self) -> tuple[Finding, ...]:
        self.progress(_SMALL, 3, _LEARNED)
        return tuple(learned.shift(self.table, self.requests))

    @cached_property
    def gaps(self) -> tuple[Finding, ...]:
        self.progress(_SMALL, 4, _LEARNED)
        return tuple(coverage.gaps(self.table, self.requests, self.embed))
