"""The door by which rows leave this machine: opened as far as the recipe's privacy allows, and no further."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from tunewright.engine import Endpoint
from tunewright.errors import RecipeError


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

    Raises `RecipeError` where `privacy` keeps rows from it, or the environment lacks the key.
    """
    if not may_send(url, region, privacy):
        raise RecipeError(
            f"`privacy: {privacy}` keeps your rows from {url}.",
            where="privacy",
            remedy="Ask a server on this machine, or state a wider privacy (and the server's region) on purpose.",
        )
    key = os.environ.get(key_env) if key_env else None
    if key_env and not key:
        raise RecipeError(f"the environment has no `{key_env}`.", where=f"{where}.key_env")
    return Endpoint(url, model, key=key, prices=prices)


def may_send(url: str, region: str | None, privacy: str) -> bool:
    """Whether the privacy asked for lets rows go to a server: `local` is this machine and nothing else."""
    local = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    return local or privacy == "any" or (region is not None and privacy == f"region:{region}")
