"""Datasets of the Hugging Face hub, kept as saved folders: what was read stays known, by its commit."""

from __future__ import annotations

import importlib
import re
import socket
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import huggingface_hub
from huggingface_hub import constants

from tunewright.errors import DataError
from tunewright.store import digest, directory

PREFIX = "hub:"
_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Kept(NamedTuple):
    """A source as a file or folder on disk, what is recorded of it (of the hub: id, commit, config and split), and
    which split of the file is meant."""

    path: Path
    given: str
    split: str = ""


def fetch(path: str, revision: str | None, config: str | None, split: str | None, folder: Path) -> Kept:
    """The rows of `hub:org/name` at `revision` (the newest by default) in `config`, kept below `folder`.

    `split` is "train" by default. A commit (40 hexadecimal digits) that was fetched before is not fetched again, nor
    is the hub asked. No code of the dataset is run. Raises `DataError` when the hub cannot be reached or has no such
    dataset, revision, config or split.
    """
    name, part = path.removeprefix(PREFIX), split or "train"
    if not _ID.fullmatch(name):
        raise DataError("is no id of a dataset on the hub.", where=path, remedy="Write it as hub:org/name.")
    given = f"{path}@{revision}" if revision else path
    try:
        commit = revision if revision and _COMMIT.fullmatch(revision) else _commit(name, revision)
        given = " ".join((f"{path}@{commit}", *([config] if config else []), part))
        kept = folder / f"hub-{name.replace('/', '--')}-{digest(name, commit, config or '', part)[:12]}"
        if not kept.exists():
            _reach()
            with directory(kept) as draft:
                _rows(name, config, part, commit).save_to_disk(str(draft))
    except (OSError, httpx2.HTTPError, ValueError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise DataError(
            f"cannot be had from the hub: {first[:300]}",
            where=given,
            remedy="Check the network, the id, and `revision`, `config` and `split`; private datasets need HF_TOKEN. "
            "Without a network name a folder that `datasets` saved, or a file.",
        ) from error
    return Kept(kept, given)


def _rows(name: str, config: str | None, split: str, commit: str) -> Any:
    # Heavy to import, and needed by nobody else.
    datasets = importlib.import_module("datasets")
    try:
        return datasets.load_dataset(name, config, split=split, revision=commit)
    except datasets.exceptions.DatasetsError as error:
        raise ValueError(str(error)) from error


def _commit(name: str, revision: str | None) -> str:
    """The commit that `revision` means now: what is recorded must not move."""
    _reach()
    commit = huggingface_hub.HfApi().dataset_info(name, revision=revision).sha
    if not commit:
        raise ValueError("the hub names no commit")
    return str(commit)


def _reach() -> None:
    """Raise at once, rather than after half a minute of retries, when the hub cannot be reached."""
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set, so nothing is fetched")
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError as error:
        raise ConnectionError("the hub cannot be reached from this machine") from error
