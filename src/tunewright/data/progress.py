"""How long work says where it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Told in words what is counted, how many are done, and of how many (None: not known)."""


def silent(what: str, done: int, total: int | None) -> None:
    """For those who do not ask."""
