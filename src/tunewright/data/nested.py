"""What objects within a row hold, as columns of their own: `translation.en` is `en` of the object `translation`.

An object may be written as JSON text, as tables have to; a list of one is an object whose field is called `0`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tunewright.turns import BadRow

_DEEP = 8
_TOOLS = ("tools", "functions")
_GONE = object()


def leaf(name: str) -> str:
    """What a column is called where it lies: `question` of `inputs.question`, `choices` of `value.choices.0`."""
    parts = [part for part in name.lower().split(".") if part != "0"]
    return parts[-1].strip() if parts else name


def lifted(rows: Sequence[Mapping[str, Any]], whole: Collection[str] = ()) -> list[dict[str, Any]]:
    """The rows with what their objects hold, at any depth, as columns beside them, but for the columns in `whole`.

    A list is gone into only where no row has more than one there: of several none is taken.
    """
    found = [
        {**row, **{name: value for key in row if key not in whole for name, value in _held(key, row[key], 0)}}
        for row in rows
    ]
    several = {name for row in found for name, value in row.items() if isinstance(value, list) and len(value) > 1}
    heads = tuple(f"{name}.0" for name in several)
    if not heads:
        return found
    return [{n: v for n, v in row.items() if n in rows[i] or not _below(n, heads)} for i, row in enumerate(found)]


def _below(name: str, heads: tuple[str, ...]) -> bool:
    return name.startswith(heads) and any(name == head or name.startswith(f"{head}.") for head in heads)


def _held(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    value = object_in(value)
    inner = value if isinstance(value, Mapping) else {"0": value[0]} if _single(value) else {}
    for key in inner if depth < _DEEP else ():
        yield f"{name}.{key}", inner[key]
        yield from _held(f"{name}.{key}", inner[key], depth + 1)


def _single(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1


def object_in(value: Any) -> Any:
    """An object that is written as JSON text; anything else as it is."""
    if isinstance(value, str) and value.startswith("{") and value.rstrip().endswith("}"):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return found if isinstance(found, Mapping) else value
    return value


def lift(row: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """The row with the columns of `names` that lie within its objects, and the tools that lie beside them.

    Raises `BadRow` where a list holds several, of which other rows have one.
    """
    inner = [name for name in names if "." in name and name not in row]
    if not inner:
        return row
    found = dict(row)
    for name in inner:
        value = _reach(row, name)
        if value is not _GONE:
            found[name] = value
        beside = {tools: _reach(row, f"{name.rpartition('.')[0]}.{tools}") for tools in _TOOLS}
        found = {**{tools: value for tools, value in beside.items() if value is not _GONE}, **found}
    return found


def _reach(value: Any, name: str) -> Any:
    value = object_in(value)
    if isinstance(value, list):
        head, _, rest = name.partition(".")
        if head != "0" or not value:
            return _GONE
        if len(value) > 1:
            raise BadRow("mixed_format", f"{len(value)} values where the file's other rows have one")
        return _reach(value[0], rest) if rest else value[0]
    if not isinstance(value, Mapping):
        return _GONE
    if name == "text" and "answer_start" in value and isinstance(value.get("text"), list):
        return next(iter(value["text"]), "")  # SQuAD's alternatives
    if name in value:
        return value[name]
    # A name may have dots of its own.
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:end])
        if head in value:
            return _reach(value[head], ".".join(parts[end:]))
    return _GONE
