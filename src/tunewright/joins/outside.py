"""The door by which rows leave this machine: opened as far as the recipe's privacy allows, and no further.

What comes back is paid for: every reply is kept the moment it is there, whatever becomes of the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tunewright.engine import Endpoint, Sampling
from tunewright.errors import EndpointError, RecipeError

# Requests put at once; between batches whoever asks may stop.
_BATCH = 32


def server(
    url: str,
    model: str,
    *,
    privacy: str,
    where: str,
    region: str | None = None,
    key_env: str | None = None,
    prices: tuple[float, float] | None = None,
) -> Endpoint:
    """The server a recipe names under `where`, with its key from the environment.

    Raises `RecipeError` where `privacy` keeps rows from it, or the environment lacks a key that can be sent.
    """
    if not may_send(url, region, privacy):
        raise RecipeError(
            f"`privacy: {privacy}` keeps your rows from {url}.",
            where="privacy",
            remedy="Ask a server on this machine, or state a wider privacy (and the server's region) on purpose.",
        )
    # A file or a secret's store often adds a line break.
    key = os.environ.get(key_env, "").strip() if key_env else None
    if key_env and not key:
        raise RecipeError(f"the environment has no `{key_env}`.", where=f"{where}.key_env")
    try:
        return Endpoint(url, model, key=key, prices=prices)
    except EndpointError as error:
        raise RecipeError(error.message, where=f"{where}.key_env: {key_env}", remedy=error.remedy) from None


def in_batches(keys: Sequence[str], answer: Callable[[Sequence[str]], None], done: Callable[[int], None]) -> None:
    """Have `answer` see to all `keys`, a batch at a time; `done` is told how many are, and may raise to stop."""
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        answer(batch)
        done(start + len(batch))


def ask(
    endpoint: Endpoint,
    asked: Mapping[str, Sequence[Mapping[str, Any]]],
    sampling: Sampling,
    keep: Callable[[str, str, float | None], None],
) -> None:
    """Put conversations, by key, to a server at once; `keep` gets key, text and cost of each reply as it arrives.

    It is called by one thread at a time. Raises `EndpointError`; what had been answered by then is kept.
    """
    keys, one_at_a_time = list(asked), threading.Lock()

    def arrived(place: int, reply: Any) -> None:
        with one_at_a_time:
            keep(keys[place], reply.text, endpoint.cost(reply))

    with keeping():
        endpoint.chat([asked[key] for key in keys], sampling, arrived=arrived)


@contextmanager
def keeping() -> Iterator[None]:
    """Around requests whose replies are kept as they come: what a server refuses is told with that."""
    try:
        yield
    except EndpointError as error:
        remedy = f"{error.remedy} What was answered is kept: the same command goes on."
        raise EndpointError(error.message, where=error.where, remedy=remedy) from None


def may_send(url: str, region: str | None, privacy: str) -> bool:
    """Whether the privacy asked for lets rows go to a server: `local` is this machine and nothing else."""
    local = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    return local or privacy == "any" or (region is not None and privacy == f"region:{region}")
