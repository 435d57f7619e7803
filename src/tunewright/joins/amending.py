"""A recipe's text with a source added to it; every other character stays as the person wrote it."""

from __future__ import annotations

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
    old = recipe.read_text(encoding="utf-8")
    spec, given = read_spec(Recipe, recipe)
    if any(source.path == name for source in spec.data.train):
        return spec, given
    entry = f"{{path: {name}, synthetic: true}}"
    new = _added(old, entry)
    if new is None:
        raise RecipeError("`data.train` is no list.", where=str(recipe), remedy=f"Add this source to it: {entry}")
    write_text(recipe, new)
    try:
        return read_spec(Recipe, recipe)
    except RecipeError:
        write_text(recipe, old)
        raise


def _added(text: str, entry: str) -> str | None:
    """`text` with `entry` as the last item of `data.train`; None where that is neither a list nor a file's name."""
    train = _below(_below(yaml.compose(text, Loader=yaml.SafeLoader), "data"), "train")
    if isinstance(train, yaml.ScalarNode):
        start, end = train.start_mark.index, train.end_mark.index
        return f"{text[:start]}[{text[start:end].rstrip()}, {entry}]{text[end:]}"
    if not isinstance(train, yaml.SequenceNode):
        return None
    if train.flow_style:
        end = train.end_mark.index - 1
        items = text[:end].rstrip()
        comma = "" if items.endswith((",", "[")) else ","
        return f"{items}{comma} {entry}{text[end:]}"
    item = text[: train.value[-1].end_mark.index].rstrip()
    while item.rpartition("\n")[2].lstrip().startswith("#"):  # a comment after the list is not the item's
        item = item.rpartition("\n")[0].rstrip()
    at = text.find("\n", len(item))
    at = len(text) if at < 0 else at
    return f"{text[:at]}\n{' ' * train.start_mark.column}- {entry}{text[at:]}"


def _below(node: Any, key: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)
