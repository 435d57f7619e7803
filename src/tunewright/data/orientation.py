"""A JSON document to its records, whichever way round it was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_WRAPPERS = ("data", "rows", "examples", "items", "records")
SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")
_TURNS = ("messages", "conversations")


def splits(whole: Any) -> dict[str, Any]:
    """The splits of an object that holds them by their names, the one that trains among them; {} for anything else."""
    found = whole if isinstance(whole, dict) else {}
    found = {name: v for name, v in found.items() if name.lower() in SPLITS and v and isinstance(v, (list, dict))}
    return found if any(name.lower() in SPLITS[:2] for name in found) else {}


def training(names: Iterable[str]) -> str:
    """The split that trains; "" where none is called so."""
    return next((name for name in names if name.lower() in SPLITS[:2]), "")


def held_out(names: Iterable[str]) -> str:
    """The split that is a test; "" where none is called so."""
    return next((name for name in names if name.lower() in SPLITS[2:4]), "")


def records(whole: Any, split: str = "") -> list[Any] | None:
    """The records of a list, of an object that wraps one, or of a table written by columns, by rows or by index; an
    object that is none of these is the one record. Of an object of splits the records of `split`, or of the one that
    trains. None for what is no record at all."""
    if isinstance(whole, list):
        return [one(record) for record in whole]
    if not isinstance(whole, dict):
        return None
    parts = splits(whole)
    if parts:
        return records(parts[split or training(parts)])
    found = _split(whole)
    if found is None:
        wrapped = next((whole[key] for key in _WRAPPERS if isinstance(whole.get(key), list)), None)
        found = wrapped if wrapped is None or not _columns(whole) else None
    if found is None and not any(key in whole for key in _TURNS):
        found = _table(whole)
    return [whole] if found is None else [one(record) for record in found]


def one(record: Any) -> Any:
    """A record without what a service wraps it in; a list of turns as the conversation that it is."""
    if (
        isinstance(record, list)
        and record
        and all(isinstance(t, Mapping) and ("role" in t or "from" in t) for t in record)
    ):
        return {"messages": record}
    if isinstance(record, Mapping) and "row_idx" in record and isinstance(record.get("row"), Mapping):
        return record["row"]  # as the hub's viewer gives rows
    return record


def _split(whole: dict[str, Any]) -> list[Any] | None:
    """Rows of cells under one list of names (`orient="split"`)."""
    names, cells = whole.get("columns"), whole.get("data")
    if not isinstance(names, list) or not isinstance(cells, list) or not all(isinstance(row, list) for row in cells):
        return None
    return [dict(zip(map(str, names), row, strict=False)) for row in cells]


def _table(whole: dict[str, Any]) -> list[Any] | None:
    values = list(whole.values())
    if len(values) == 1 and isinstance(values[0], dict):
        inner = records(values[0])
        return inner if inner and inner != values else None
    if _columns(whole):
        return [dict(zip(whole, row, strict=True)) for row in zip(*values, strict=True)]
    lists = [v for v in values if isinstance(v, list) and v and isinstance(v[0], dict)]
    if len(lists) == 1:
        return lists[0]
    if len(values) < 2 or not all(isinstance(v, dict) and v for v in values):
        return None
    if all(v.keys() == values[0].keys() for v in values) and all(key.isdecimal() for key in values[0]):
        return [{name: column[key] for name, column in whole.items()} for key in values[0]]
    return values if all(v.keys() & values[0].keys() for v in values) else None


def _columns(whole: dict[str, Any]) -> bool:
    """Whether it is a table by columns: lists of one length, of texts and numbers."""
    values = list(whole.values())
    if len(values) < 2 or not all(isinstance(v, list) and len(v) > 1 for v in values):
        return False
    plain = all(cell is None or isinstance(cell, (str, int, float)) for v in values for cell in v)
    return plain and len({len(v) for v in values}) == 1
