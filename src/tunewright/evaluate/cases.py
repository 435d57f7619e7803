"""Cases of a suite from a file, read as rows are: the same turns, tools and system prompt (K4)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.errors import DataError
from tunewright.evaluate.scorers import expected_text
from tunewright.records import Case, Example, Message
from tunewright.turns import (
    BadRow,
    answer_of,
    conversation,
    messages,
    text_of,
    tools_of,
    with_thoughts,
    without_thoughts,
)

_REMEDY = 'A case is {"messages": [...]} ending with the answer, or {"input": ..., "expected": ...}.'


def read_cases(path: Path, system: str | None = None, *, thinking: bool = False) -> list[Case]:
    """The cases of a JSON-lines file; `system` is put before those that have no such turn. With `thinking` the answer
    wanted is what stands behind its thought.

    A line is `{"messages": […]}` whose last turn is the answer wanted, or `{"input": text, "expected": text}`; both
    take `"id"`, `"slices": {name: value}`, `"group"` (what it comes from) and `"tools"`.
    Raises `DataError` with the line of the first mistake.
    """
    try:
        # Not `splitlines`: a text may hold other line separators, which JSON need not escape.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise DataError("there is no such file.", where=str(path), remedy="Check suite.source.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from None
    cases = [_read(line, f"{path.name}:{n}", system, thinking) for n, line in enumerate(lines, 1) if line.strip()]
    if not cases:
        raise DataError("holds no cases.", where=str(path))
    twice = [i for i, n in Counter(case.id for case in cases).items() if n > 1]
    if twice:
        raise DataError(f"the id {twice[0]!r} is used twice.", where=str(path), remedy="Give every case its own id.")
    return cases


def _read(line: str, where: str, system: str | None, thinking: bool) -> Case:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"broken JSON: {error}", where=where, remedy=_REMEDY) from None
    if not isinstance(row, dict):
        raise DataError("not an object.", where=where, remedy=_REMEDY)
    try:
        given, tools = Example(_turns(row)), tools_of(row.get("tools"))
        turns = (with_thoughts(given) if thinking else without_thoughts(given)).messages
    except BadRow as bad:
        raise DataError(f"no case: {bad.message}.", where=where, remedy=_REMEDY) from None
    asked, answer = turns[:-1], turns[-1]
    if system and not any(turn.role == "system" for turn in asked):
        asked = (Message("system", system), *asked)
    slices = row.get("slices")
    return Case(
        id=str(row.get("id", where)),
        row=where,
        group=str(row["group"]) if row.get("group") is not None else None,
        messages=tuple(turn.as_dict() for turn in asked),
        tools=tuple(dict(tool) for tool in tools),
        expected=expected_text(answer),
        slices={str(k): str(v) for k, v in slices.items()} if isinstance(slices, dict) else {},
    )


def _turns(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """What is asked, and the answer wanted last. Raises `BadRow`."""
    if "input" in row and "expected" in row:
        return (Message("user", text_of(row["input"])), Message("assistant", answer_of(row["expected"])))
    given = row.get("messages")
    if not isinstance(given, list):
        raise BadRow("bad_row", "neither `messages` nor `input` and `expected`")
    return conversation(messages(given))
