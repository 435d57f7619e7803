"""Who is told how a stage goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Teller(Protocol):
    """Who is told how things go: a terminal, a log, or nobody."""

    def stage(self, name: str) -> AbstractContextManager[list[str]]: ...

    def progress(self, name: str, done: int, total: int | None, note: str = "") -> None: ...


class Silent:
    """Tells nobody."""

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        yield []

    def progress(self, name: str, done: int, total: int | None, note: str = "") -> None:
        pass
