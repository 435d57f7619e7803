"""A setting exists only where something reads it."""

from __future__ import annotations

import ast

import pytest

from tests.architecture import source
from tunewright.recipe import Recipe


def _settings() -> list[str]:
    """Every setting of a recipe as `part.name`."""
    found: dict[str, None] = {}

    def walk(model: type, prefix: str) -> None:
        for field, info in model.model_fields.items():  # type: ignore[attr-defined]
            found[f"{prefix}{field}"] = None
            for kind in (info.annotation, *getattr(info.annotation, "__args__", ())):
                if hasattr(kind, "model_fields") and f"{prefix}{field}" not in prefix:
                    walk(kind, f"{prefix}{field}.")

    walk(Recipe, "")
    return list(found)


def _read() -> set[str]:
    """Every attribute and every string in our source outside the recipe itself."""
    words: set[str] = set()
    for path in source.modules():
        if source.PACKAGE / "recipe" in path.parents:
            continue
        for node in ast.walk(source.tree(path)):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    return words


@pytest.mark.parametrize("setting", _settings())
def test_something_reads_it(setting: str) -> None:
    if setting == "version":
        pytest.skip("read by the recipe itself: it says which form the file has")
    assert setting.rsplit(".", 1)[-1] in _read(), f"`{setting}` is accepted, and nothing reads it"
