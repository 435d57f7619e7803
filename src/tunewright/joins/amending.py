"""A recipe's text with a source or accepted findings added; every other character stays as the person wrote it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tunewright.errors import RecipeError
from tunewright.recipe import Recipe, read_spec
from tunewright.store import write_text


def add_source(recipe: Path, name: str) -> tuple[Recipe, dict[str, Any]]:
    """Put `{path: name, synthetic: true}` under `data.train` of the recipe file, unless the file is named there.

    Returns the recipe as it is then, and the values as given. Raises `RecipeError`, and leaves the file as it was.
    """
    spec, given = read_spec(Recipe, recipe)
    if any(source.path == name for source in spec.data.train):
        return spec, given
    old = _text(recipe)
    entry = f"{{path: {name}, synthetic: true}}"
    new = _with_source(old, entry)
    if new is None:
        raise RecipeError("`data.train` is no list.", where=str(recipe), remedy=f"Add this source to it: {entry}")
    write_text(recipe, new)
    try:
        return read_spec(Recipe, recipe)
    except RecipeError:
        write_text(recipe, old)
        raise


def keep_accepted(recipe: Path, codes: Sequence[str]) -> None:
    """Put the codes of findings under `data.accept` of the recipe file, behind those that are there.

    The file is read back: if it says anything but what it said before and these codes, it is put back as it was.
    Raises `RecipeError` with the line to write by hand.
    """
    _, given = read_spec(Recipe, recipe)
    there = list(given["data"].get("accept", ()))
    more = [code for code in dict.fromkeys(codes) if code not in there]
    if not more:
        return
    old = _text(recipe)
    new = _with_accepted(old, more)
    if new is not None:
        write_text(recipe, new)
        if _says(recipe, {**given, "data": {**given["data"], "accept": [*there, *more]}}):
            return
        write_text(recipe, old)
    raise RecipeError(
        "the codes cannot be put into this recipe without touching what else is written there.",
        where=str(recipe),
        remedy=f"Write this line under `data` yourself: accept: [{', '.join([*there, *more])}]",
    )


def _text(recipe: Path) -> str:
    # As bytes, so that line ends stay what they are.
    return recipe.read_bytes().decode("utf-8")


def _says(recipe: Path, values: dict[str, Any]) -> bool:
    with contextlib.suppress(RecipeError):
        return read_spec(Recipe, recipe)[1] == values
    return False


def _with_source(text: str, entry: str) -> str | None:
    """`text` with `entry` as the last item of `data.train`; None where that is neither a list nor a file's name."""
    _, data = _below(yaml.compose(text, Loader=yaml.SafeLoader), "data")
    _, train = _below(data, "train")
    if isinstance(train, yaml.ScalarNode):
        start, end = train.start_mark.index, train.end_mark.index
        return f"{text[:start]}[{text[start:end].rstrip()}, {entry}]{text[end:]}"
    return _with_items(text, train, [entry]) if isinstance(train, yaml.SequenceNode) else None


def _with_accepted(text: str, codes: Sequence[str]) -> str | None:
    """`text` with `codes` last in `data.accept`, which is made the first line of `data` if need be; None: no way."""
    key, data = _below(yaml.compose(text, Loader=yaml.SafeLoader), "data")
    if not isinstance(data, yaml.MappingNode):
        return None
    name, accepted = _below(data, "accept")
    if name is not None:
        return _with_items(text, accepted, codes) if isinstance(accepted, yaml.SequenceNode) else None
    first, last = data.value[0][0], data.value[-1][1]
    entry = f"accept: [{', '.join(codes)}]"
    if data.flow_style:
        return _in_brackets(text, last.end_mark.index, data.end_mark.index - 1, entry)
    at = text.find("\n", key.end_mark.index) + 1
    return f"{text[:at]}{' ' * first.start_mark.column}{entry}\n{text[at:]}"


def _with_items(text: str, items: yaml.SequenceNode, entries: Sequence[str]) -> str:
    """`text` with `entries` as the last items of a list, whichever way that is written."""
    if items.flow_style:
        last = items.value[-1].end_mark.index if items.value else items.start_mark.index + 1
        return _in_brackets(text, last, items.end_mark.index - 1, ", ".join(entries))
    item = text[: items.value[-1].end_mark.index].rstrip()
    while item.rpartition("\n")[2].lstrip().startswith("#"):  # a comment after the list is not the item's
        item = item.rpartition("\n")[0].rstrip()
    at = text.find("\n", len(item))
    at = len(text) if at < 0 else at
    indent = " " * items.start_mark.column
    return text[:at] + "".join(f"\n{indent}- {entry}" for entry in entries) + text[at:]


def _in_brackets(text: str, last: int, end: int, entry: str) -> str:
    """`text` with `entry` before the bracket at `end`; the item before it ends at `last`."""
    if "#" in text[last:end]:  # a comment, which would swallow it
        return f"{text[:last]}, {entry}{text[last:]}"
    items = text[:end].rstrip()
    comma = "" if items.endswith(("[", "{")) else " " if items.endswith(",") else ", "
    return f"{items}{comma}{entry}{text[end:]}"


def _below(node: Any, name: str) -> tuple[Any, Any]:
    """The nodes of a key in a mapping and of its value; None twice where there is no such key."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next(((key, value) for key, value in pairs if key.value == name), (None, None))
