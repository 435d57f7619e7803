"""What is really asked: lists of requests and chat logs, read beside the data to be compared with it and for nothing
else. None of it trains, is judged by, is counted in the ledger or written into the dataset version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.data.encoding import repair
from tunewright.data.files import Raw, read
from tunewright.data.lines import lines
from tunewright.data.packed import bare
from tunewright.data.recognition import asking, inner
from tunewright.data.shapes import Columns
from tunewright.data.table import key
from tunewright.errors import DataError
from tunewright.turns import BadRow, messages, text_of

LINES = (".txt", ".text", ".log")
MOST = 2_000
_PRUNED = 4 * MOST


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `row` as it is called, `text` what was asked last, `form` the normal form of all that was asked."""

    row: str
    text: str
    form: str

    def shown(self) -> dict[str, str]:
        """The request as reports show rows."""
        return {"row": self.row, "input": self.text[:300], "output": ""}


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests drawn by their content, each text once, from `read` of which `faulty` asked nothing."""

    files: tuple[str, ...] = ()
    read: int = 0
    faulty: int = 0
    drawn: tuple[Request, ...] = ()


def gathered(files: Sequence[tuple[str, Path]], normal: Callable[[str], str], input: str | None) -> Requests:
    """At most 2,000 distinct requests of `files` (names and paths): the same whatever their order.

    `input` names the column with the question in files that have it. Raises `DataError` when a file cannot be used,
    or when no file asks anything.
    """
    kept: dict[int, Request] = {}
    count = faulty = 0
    for name, path in files:
        for number, turns in _asked(path, input):
            count += 1
            form = " ".join(map(normal, turns))
            if not form.strip():
                faulty += 1
                continue
            kept.setdefault(key(form), Request(f"{name}:{number}", repair(turns[-1])[0], form))
            if len(kept) > _PRUNED:
                kept = _first(kept)
    if files and not kept:
        raise DataError(
            "holds no request: no row of it asks anything.",
            where=f"data.requests: {', '.join(name for name, _ in files)}",
            remedy="Name a file of requests (one a row), or a chat log in a shape that is read.",
        )
    return Requests(tuple(name for name, _ in files), count, faulty, tuple(_first(kept).values()))


def _first(kept: dict[int, Request]) -> dict[int, Request]:
    return {k: kept[k] for k in sorted(kept)[:MOST]}


def _asked(path: Path, input: str | None) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Number and turns of every request of a file; no turns where a row asks nothing or cannot be read."""
    if bare(path).suffix.lower() in LINES and path.is_file():
        texts = (line.strip() for line, _ in lines(path))
        yield from enumerate(((text,) for text in texts if text), 1)
        return
    shape, columns = asking(path, input=input)
    for raw in read(path):
        yield raw.number, _turns(raw, shape, columns)


def _turns(raw: Raw, shape: str, columns: Columns) -> tuple[str, ...]:
    value = inner(raw.value)
    if isinstance(value, str):
        return (value,)
    if raw.fault or not isinstance(value, Mapping):
        return ()
    try:
        if shape in ("messages", "sharegpt"):
            return _conversation(value.get(columns.turns))
        given = value.get(columns.input if columns.input else columns.output)
        if isinstance(given, list) and given and isinstance(given[0], Mapping):  # a preference pair of conversations
            return _conversation(given)
        question, context = text_of(given), text_of(value.get(columns.context)) if columns.context else ""
    except BadRow:
        return ()
    return (f"{question}\n\n{context}" if question.strip() and context.strip() else question or context,)


def _conversation(turns: Any) -> tuple[str, ...]:
    """The turns up to the last one of the user, without those of the system. Raises `BadRow`."""
    if not isinstance(turns, list):
        return ()
    parsed = messages(turns)
    while parsed and parsed[-1].role != "user":
        parsed.pop()
    return tuple(m.content for m in parsed if m.role != "system")
