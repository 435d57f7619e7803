"""What people preferred, as pairs a judge is measured on: a file of labelled pairs, or a folder of filled sheets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tunewright.errors import DataError
from tunewright.review.judge import Pair
from tunewright.review.sheets import COLUMNS, KEY, sheet_rows, sheet_votes
from tunewright.store import read_json

_SIDES: dict[str, Literal["first", "second"]] = {"first": "first", "1": "first", "second": "second", "2": "second"}
_SHAPE = '{"question": …, "first": …, "second": …, "better": "first" or "second"}'


def labelled_pairs(path: Path) -> list[Pair]:
    """Pairs with a human preference; ties calibrate nothing and are left out.

    A file holds one pair a line: `question`, `first`, `second`, and `better` as `first`, `second` or `tie`. A folder
    is a filled review: the reviewers' majority counts. Raises `DataError` for what is neither.
    """
    if path.is_dir():
        return list(_from_sheets(path))
    try:
        # Not `splitlines`: a text may hold other line separators, which JSON need not escape.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise DataError("there is no such file.", where=str(path)) from None
    except UnicodeDecodeError:
        raise DataError("is no text in UTF-8.", where=str(path), remedy=f"One object a line: {_SHAPE}") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{path.name}:{number}"
            pair = _pair(line, where)
            pairs += [pair] if pair else []
    return pairs


def _pair(line: str, where: str) -> Pair | None:
    try:
        row: Any = json.loads(line)
        better = str(row["better"]).strip().casefold()
        question, first, second = (str(row[key]) for key in ("question", "first", "second"))
    except (ValueError, KeyError, TypeError):
        raise DataError("is no labelled pair.", where=where, remedy=f"One object a line: {_SHAPE}") from None
    if better == "tie":
        return None
    if better not in _SIDES:
        raise DataError(f"`better` is {better!r}: first, second or tie is wanted.", where=where)
    return Pair(question, first, second, _SIDES[better])


def _from_sheets(folder: Path) -> Iterator[Pair]:
    if not (folder / KEY).is_file():
        raise DataError(
            "there is no review here.", where=str(folder / KEY), remedy="Make one: tunewright review export"
        )
    votes: dict[str, Counter[str]] = {}
    shown: dict[str, tuple[str, str, str]] = {}
    for name, sides in read_json(folder / KEY)["first_is"].items():
        path = folder / name
        if not path.is_file():
            continue
        for item, vote in sheet_votes(path, sides).items():
            votes.setdefault(item, Counter())[vote] += 1
        for row in sheet_rows(path):
            question, a, b = (row[column] for column in COLUMNS[1:4])
            shown[row["item"]] = (question, a, b) if sides.get(row["item"]) == "A" else (question, b, a)
    for item, given in sorted(votes.items()):
        if given["first"] != given["second"]:
            yield Pair(*shown[item], "first" if given["first"] > given["second"] else "second")
