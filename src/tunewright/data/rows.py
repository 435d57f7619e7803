"""Files to rows: every record becomes an example or a named fault, and nothing else happens to it."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.data.beside import thought_beside
from tunewright.data.files import Raw, read
from tunewright.data.recognition import Reading
from tunewright.data.shapes import parse, rejects
from tunewright.data.within import Change, changed, hiding, mended
from tunewright.records import Example, Message
from tunewright.turns import BadRow, thought_of, with_thoughts, without_thoughts

# As seconds this would be in the year 5138: it counts milliseconds.
_MILLISECONDS = 1e11


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the recipe: `given` as it is named there, `name` as its rows are called; and what is said of it."""

    given: str
    path: Path
    name: str
    reading: Reading
    test: bool
    rehearsal: bool = False
    group: str | None = None
    time: str | None = None
    system: str | None = None
    license: str | None = None
    weight: float = 1.0
    synthetic: bool = False
    split: str = ""
    thinking: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One record read. Exactly one of `example` and `code` is there; `repaired` says its bytes or characters were,
    `changed` that it says anything else than its file, be it repaired or redacted.

    `when` is its time in seconds since 1970, NaN where the recipe names no column or the value is no time; `equal`
    that a preference pair rejects what it chooses; `thoughts` what is to be said of what its answer was thought from.
    """

    number: int
    example: Example | None = None
    code: str = ""
    message: str = ""
    repaired: bool = False
    changed: bool = False
    when: float = math.nan
    equal: bool = False
    thoughts: tuple[str, str] | None = None


def rows(source: Source, redact: Callable[[str], str] | None = None) -> Iterator[Row]:
    """The rows of one file, in order; `redact` is applied to every string, and a row it changes is marked changed."""
    hide = hiding(redact) if redact else None
    for raw in read(source.path, source.split):
        try:
            row = _row(raw, source, hide)
        except BadRow as bad:
            row = Row(raw.number, code=bad.code, message=bad.message, repaired=raw.repaired)
        except RecursionError:
            row = Row(raw.number, code="bad_row", message="nested too deeply", repaired=raw.repaired)
        yield row


def _row(raw: Raw, source: Source, hide: Change | None) -> Row:
    """Raises `BadRow` for a record that is no example, `RecursionError` for one that is nested too deeply."""
    if raw.fault:
        raise BadRow("bad_row", raw.fault)
    parsed = parse(raw.value, source.reading.shape, source.reading.columns)
    parsed, thoughts = _thought_through(parsed, source, raw.value)
    equal = source.reading.shape == "preference" and rejects(raw.value, parsed.answer)
    given = Example(
        parsed.messages,
        tools=parsed.tools,
        label=parsed.label,
        row=f"{source.name}:{raw.number}",
        source=source.name,
        license=source.license,
        group=_group(raw.value, source.group),
        weight=source.weight,
        synthetic=source.synthetic,
    )
    given = _with_own_marks(given, raw.value, source)
    whole = mended(given)
    repaired = raw.repaired or whole is not given
    example = changed(whole, hide) if hide else whole
    differs = repaired or example is not whole
    when = moment(raw.value.get(source.time)) if source.time else math.nan
    if source.system and not any(m.role == "system" for m in example.messages):
        example = dataclasses.replace(example, messages=(Message("system", source.system), *example.messages))
    return Row(raw.number, example, repaired=repaired, changed=differs, when=when, equal=equal, thoughts=thoughts)


def _thought_through(parsed: Example, source: Source, row: Mapping[str, Any]) -> tuple[Example, tuple[str, str] | None]:
    """The example with its thoughts where these are wanted, else without those of fields; and a code and a reason of
    what there is to say of it. Raises `BadRow` for a thought without an answer."""
    beside = thought_beside(row, source.reading.columns)
    if source.thinking:
        whole = with_thoughts(parsed, beside)
        return whole, None if whole.answer.thought else ("thoughtless", "they teach to answer at once")
    if beside or parsed.answer.thought:
        return without_thoughts(parsed), ("thoughts", "in fields of their own, which are not read")
    inside = thought_of(parsed.answer)
    said = "in the answers' own words, and taken for words of the answers"
    return without_thoughts(parsed), ("thoughts", said) if inside else None


def _group(value: Mapping[str, Any], column: str | None) -> str | None:
    group = value.get(column) if column else None
    # A table's missing number is NaN, and rows without a group are not one group.
    return None if group is None or group == "" or group != group else str(group)


def moment(value: Any) -> float:
    """Seconds since 1970 of a date or time: ISO 8601 text, a number of seconds or of milliseconds; else NaN.

    What names no time zone is taken as UTC.
    """
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, str):
        text = value.strip()
        try:
            value = float(text) if re.fullmatch(r"\d{9,}(\.\d+)?", text) else datetime.datetime.fromisoformat(text)
        except ValueError:
            return math.nan
    if isinstance(value, datetime.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value / 1000 if value > _MILLISECONDS else float(value)
    return math.nan


def _with_own_marks(example: Example, value: Mapping[str, Any], source: Source) -> Example:
    """What a row in the messages shape says of itself (as the rows we write do) goes before what its file says.

    Not its `group`, where the recipe names a column for that and the row has it.
    """
    if source.reading.shape != "messages":
        return example
    marks: dict[str, Any] = {}
    for key, kind in (("license", str), ("group", str), ("label", str), ("synthetic", bool), ("rewords", str)):
        if isinstance(value.get(key), kind) and (key != "group" or example.group is None):
            marks[key] = value[key]
    weight = value.get("weight")
    if isinstance(weight, (int, float)) and not isinstance(weight, bool) and weight > 0:
        marks["weight"] = float(weight) * source.weight
    return dataclasses.replace(example, **marks) if marks else example
