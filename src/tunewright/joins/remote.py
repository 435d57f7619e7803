"""The door by which rows leave this machine: opened as far as the recipe's privacy allows, and no further.

What comes back is paid for: every reply is kept the moment it is there, whatever becomes of the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from tunewright.engine import Endpoint, Reply, Sampling
from tunewright.errors import EndpointError, RecipeError

# Requests put at once; between batches whoever asks may stop.
_BATCH = 32


class Named(Protocol):
    """A server as recipes name it: the part of an arm's, a judge's or a teacher's settings that says whom to ask."""

    @property
    def url(self) -> str | None: ...
    @property
    def model(self) -> str: ...
    @property
    def key_env(self) -> str | None: ...
    @property
    def region(self) -> str | None: ...
    @property
    def prices(self) -> tuple[float, float] | None: ...


class Refused(NamedTuple):
    """A request that the server would not answer for what it says: why, and what it cost all the same."""

    why: str
    cost: float | None


def server(asked: Named, *, privacy: str, where: str) -> Endpoint:
    """The server a recipe names under `where`, with its key from the environment.

    Raises `RecipeError` where `privacy` keeps rows from it, or the environment lacks a key that can be sent.
    """
    assert asked.url is not None
    if not may_send(asked.url, asked.region, privacy):
        raise RecipeError(
            f"`privacy: {privacy}` keeps your rows from {asked.url}.",
            where="privacy",
            remedy="Ask a server on this machine, or state a wider privacy (and the server's region) on purpose.",
        )
    # A file or a secret's store often adds a line break.
    key = os.environ.get(asked.key_env, "").strip() if asked.key_env else None
    if asked.key_env and not key:
        raise RecipeError(f"the environment has no `{asked.key_env}`.", where=f"{where}.key_env")
    try:
        return Endpoint(asked.url, asked.model, key=key, prices=asked.prices)
    except EndpointError as error:
        raise RecipeError(error.message, where=f"{where}.key_env: {asked.key_env}", remedy=error.remedy) from None


def batches(keys: Iterable[str], done: Callable[[int], None]) -> Iterator[list[str]]:
    """The keys, a batch at a time; `done` is told how many went before each and in the end, and may raise to stop."""
    every = list(keys)
    for start in range(0, len(every), _BATCH):
        done(start)
        yield every[start : start + _BATCH]
    done(len(every))


def ask(
    endpoint: Endpoint,
    asked: Mapping[str, Sequence[Mapping[str, Any]]],
    sampling: Sampling,
    keep: Callable[[str, str, float | None], None],
    done: Callable[[int], None],
    *,
    known: int = 0,
) -> dict[str, Refused]:
    """Put conversations, by key, to a server; `keep` gets key, text and cost of each reply as it arrives.

    It is called by one thread at a time; `done` as `batches` says. What the server refuses for what it says (too long,
    filtered) is given back, and not kept. Raises `EndpointError`, also where it refuses all so far and no reply is
    `known` from before; what had been answered by then is kept.
    """
    one_at_a_time, refused, tried = threading.Lock(), dict[str, Refused](), 0
    with keeping():
        for batch in batches(asked, done):

            def arrived(place: int, reply: Reply, batch: Sequence[str] = batch) -> None:
                with one_at_a_time:
                    if reply.refused:
                        refused[batch[place]] = Refused(f"the server {reply.refused}", endpoint.cost(reply))
                    else:
                        keep(batch[place], reply.text, endpoint.cost(reply))

            endpoint.chat([asked[key] for key in batch], sampling, arrived=arrived, tolerate=True)
            tried += len(batch)
            if not known and len(refused) == tried:
                raise EndpointError(
                    f"refuses every request; the first: {refused[batch[0]].why}",
                    where=endpoint.url,
                    remedy="Check the model's name and the URL.",
                )
    return refused


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
