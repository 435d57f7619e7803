"""Writes docs/recipe.md from the recipe's own field descriptions: `python docs/make_recipe.py`."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tunewright.recipe import Recipe

PAGE = Path(__file__).with_name("recipe.md")
HEAD = """# The recipe

`tunewright.yaml` is the only thing you write. Most projects need a dozen lines; `tunewright init` writes them. Paths
are relative to the file. A key that does not exist is an error with its line and the nearest name; `--set
train.rank=8` overrides a setting for one command. What was given and what it resolved to are both kept with the run.

```yaml
version: 1
model: seedling
task: "Route a support ticket to JSON"
data:
  train: [tickets.jsonl]
gates: {min_gain: 0.05}
```

An editor completes and checks the keys when it knows the schema:

```sh
tunewright schema --out recipe.schema.json
```

This page is made from the settings themselves (`python docs/make_recipe.py`); a test keeps the two alike.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(Recipe, "", set()))


def _section(model: type[BaseModel], prefix: str, told: set[type[BaseModel]]) -> list[str]:
    """The table of one part, then those of the parts in it; a part met before is not told again."""
    told.add(model)
    title = f"`{prefix.rstrip('.')}`" if prefix else "All keys"
    lines = [
        f"\n## {title}\n\n{_first_line(model)}\n\n| key | what it takes | default | meaning |\n|---|---|---|---|\n"
    ]
    below: list[str] = []
    for name, field in model.model_fields.items():
        inner = _models_in(field.annotation)
        meaning = field.description or (_first_line(inner[0]) if inner else "")
        kind = _kind(field.annotation) + _limits(field.metadata)
        parts = [part for one in inner if one not in told for part in _part(one, f"{prefix}{name}.", told)]
        if parts:
            below += [line for _, section in parts for line in section]
            kind = f"[{kind}](#{parts[0][0].replace('.', '').lower()})"
        lines.append(f"| `{name}` | {kind} | {_default(field)} | {_cell(meaning)} |\n")
    return lines + below


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n")[0]


def _part(model: type[BaseModel], prefix: str, told: set[type[BaseModel]]) -> list[tuple[str, list[str]]]:
    """The sections of a part under their names. `{rag: {…}}` only names what is in it, and has no table of its own."""
    told.add(model)
    fields = list(model.model_fields.items())
    inner = _models_in(fields[0][1].annotation) if len(fields) == 1 else []
    if inner and fields[0][1].is_required():
        return [(f"{prefix}{fields[0][0]}", _section(inner[0], f"{prefix}{fields[0][0]}.", told))]
    return [(prefix, _section(model, prefix, told))]


def _models_in(kind: Any) -> list[type[BaseModel]]:
    """The settings classes inside an annotation."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for one in get_args(kind) for model in _models_in(one)]


def _kind(kind: Any) -> str:
    """An annotation in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (types.UnionType, typing.Union):
        return ", or ".join(dict.fromkeys(_kind(k) for k in inner if k is not type(None)))
    if origin is tuple:
        return f"list of {_kind(inner[0])}"
    if origin is typing.Annotated:
        return _kind(inner[0]) + _limits(inner[1:])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "settings"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(kind, "text")


def _limits(marks: Iterable[Any]) -> str:
    """The limits of a number in signs: ", ≥ 1"; those of a part of a union are inside its own marks."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    flat = [m for mark in marks for m in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    return "".join(f", {sign} {getattr(m, name)}" for m in flat for name, sign in signs.items() if hasattr(m, name))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    if value is None or value == ():
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
