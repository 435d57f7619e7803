"""What licence a base is under: as the recipe says, else as its card, its config or its licence file says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import yaml
from huggingface_hub import HfApi, constants, metadata_load, try_to_load_from_cache

from tunewright.licences import Stated
from tunewright.models.load import locate
from tunewright.recipe import ModelSpec

_PATIENCE = 10.0
# Licence files by how they begin, in small letters.
_TITLES = (
    (re.compile(r"apache license\s+version 2\.0"), "Apache-2.0"),
    (re.compile(r"mit license|permission is hereby granted, free of charge, to any person"), "MIT"),
    (re.compile(r"attribution-noncommercial(-\w+)?(?: (\d\.\d))?"), "CC-BY-NC"),
    (re.compile(r"llama (\d(?:\.\d)?) (?:version release|community license)"), "llama"),
    (re.compile(r"gemma terms of use"), "gemma"),
)
_BEGINNING = 2_000


def licence_of(spec: ModelSpec, root: Path) -> Stated:
    """What is said of the licence of the base `spec` names; `text` is None where nobody says anything.

    Of a folder its card's head (`README.md`), `config.json` and licence file are read, in this order; of a hub id the
    card in the cache, else what the hub answers. A hub that cannot be reached says nothing.
    """
    if spec.license:
        return Stated(spec.id, spec.license, "the recipe")
    source = locate(spec, root)
    folder = Path(source)
    if folder.is_dir():
        return Stated(spec.id, *_local(folder))
    return Stated(spec.id, *_hub(spec))


def _local(folder: Path) -> tuple[str | None, str]:
    for name, read in (("README.md", _card), ("config.json", _config)):
        said = read(folder / name) if (folder / name).is_file() else None
        if said:
            return said, name
    for path in sorted(folder.iterdir()):
        if path.is_file() and re.match(r"(licen[sc]e|copying|terms)", path.name.lower()):
            said = _titled(path.read_text(encoding="utf-8", errors="replace")[:_BEGINNING])
            if said:
                return said, path.name
    return None, str(folder)


def _card(path: Path) -> str | None:
    try:
        return _named(metadata_load(path) or {})
    except (ValueError, OSError, yaml.YAMLError):  # a card whose head cannot be read says nothing
        return None


def _config(path: Path) -> str | None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None
    return _named(config) if isinstance(config, dict) else None


def _named(head: Any) -> str | None:
    """The licence a card's head or config names; `other` gives way to the name written beside it."""
    given, name = head.get("license"), head.get("license_name")
    if isinstance(given, list):
        given = " AND ".join(str(one) for one in given)
    if isinstance(name, str) and name.strip() and (not given or str(given).lower() == "other"):
        return name.strip()
    return given.strip() or None if isinstance(given, str) else None


def _titled(text: str) -> str | None:
    """The licence that a text is, told by its title."""
    small = " ".join(text.lower().split())
    for pattern, name in _TITLES:
        found = pattern.search(small)
        if found:
            return f"llama{found[1]}" if name == "llama" else name
    return None


def _hub(spec: ModelSpec) -> tuple[str | None, str]:
    card = try_to_load_from_cache(spec.id, "README.md", revision=spec.revision)
    if isinstance(card, str):
        said = _card(Path(card))
        if said:
            return said, "its model card"
    if constants.HF_HUB_OFFLINE:
        return None, "the hub was not asked: offline"
    try:
        data = HfApi().model_info(spec.id, revision=spec.revision, timeout=_PATIENCE).card_data
    except (OSError, httpx2.HTTPError, ValueError) as error:
        return None, f"the hub could not be asked: {type(error).__name__}"
    return (_named(data.to_dict()) if data else None), "its card on the hub"
