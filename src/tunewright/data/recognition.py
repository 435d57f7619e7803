"""What a file's rows mean: by their keys, else by their content, always with the reason in words."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.data.files import read
from tunewright.data.shapes import Columns, shape_of
from tunewright.errors import DataError
from tunewright.records import Record

SAMPLE = 10_000
_PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "output"),
    ("prompt", "answer"),
    ("question", "answer"),
    ("query", "response"),
    ("query", "answer"),
    ("input", "output"),
    ("input", "target"),
    ("input", "response"),
    ("instruction", "response"),
    ("instruction", "completion"),
    ("source", "target"),
    ("user", "assistant"),
    ("context", "response"),
    ("article", "summary"),
    ("document", "summary"),
    ("text", "summary"),
    ("text", "output"),
    ("text", "answer"),
)
_TEXTS = (
    "text",
    "sentence",
    "utterance",
    "content",
    "review",
    "message",
    "question",
    "query",
    "prompt",
    "input",
    "tweet",
)
_LABELS = ("label", "category", "intent", "class", "target", "sentiment", "label_text", "topic")


class Reading(Record):
    """How a file is read: its shape, the reason in words, and the columns that hold what."""

    path: str
    format: str
    shape: str
    reason: str
    input: str = ""
    output: str = ""
    turns: str = ""
    context: str = ""
    sampled: int = 0

    @property
    def columns(self) -> Columns:
        return Columns(self.input, self.output, self.turns, self.context)


def recognise(path: Path, *, input: str | None = None, output: str | None = None) -> Reading:
    """How `path` is to be read, from its first 10,000 rows; `input` and `output` name columns and settle any doubt.

    Raises `DataError` when the file is missing or empty, when nothing fits, and when more than one reading does.
    """
    rows = [raw.value for raw in itertools.islice(read(path), SAMPLE) if not raw.fault]
    objects = [row for row in rows if isinstance(row, Mapping)]
    if not objects:
        raise DataError(
            "no row of it is an object with named fields." if rows else "no row of it can be read.",
            where=str(path),
            remedy='Each line should be a JSON object, such as {"prompt": …, "completion": …}; tables need a header.',
        )
    shape, columns, reason = _decide(path, objects, input, output)
    return Reading(
        path=str(path),
        format=path.suffix.lower().lstrip("."),
        shape=shape,
        reason=reason,
        input=columns.input,
        output=columns.output,
        turns=columns.turns,
        context=columns.context,
        sampled=len(rows),
    )


def turns(path: Path) -> bool:
    """Whether a file's first row is a conversation: then no named column is needed to read it."""
    first = next((raw.value for raw in read(path) if not raw.fault), None)
    shape = shape_of(first)
    return shape is not None and shape[0] == "messages"


def asking(path: Path, *, input: str | None = None) -> tuple[str, Columns]:
    """Shape and columns of a file of which only the questions are wanted, answers or not; shape "text" for a column.

    `input` names the column in a file that has it. Raises `DataError` when nothing is found that asks, or too much.
    """
    rows = [inner(raw.value) for raw in itertools.islice(read(path), SAMPLE) if not raw.fault]
    objects = [row for row in rows if isinstance(row, Mapping)]
    names = list(dict.fromkeys(str(name) for row in objects for name in row))
    if len(objects) * 2 < len(rows) or input in names:
        return "text", Columns(input or "")
    shapes = Counter(told for row in objects if (told := shape_of(row)))
    if shapes and shapes.total() * 2 >= len(objects):
        return shapes.most_common(1)[0][0]
    known = dict.fromkeys([asked for asked, _ in _PAIRS] + list(_TEXTS))
    named = [name for wanted in known for name in names if name.lower() == wanted and _common(objects, name)]
    kinds = {n: _kind(objects, n) for n in names if any(isinstance(row.get(n), str) for row in objects)}
    # What is asked again and again looks like a class.
    texts = named[:1] or [n for n in kinds if kinds[n] == "text"] or [n for n in kinds if kinds[n] == "class"]
    if len(texts) != 1:
        raise DataError(
            "no column of it holds the questions, as far as can be told."
            if not texts
            else f"which column holds the questions? {', '.join(f'`{name}`' for name in texts[:10])}",
            where=str(path),
            remedy="Call it `prompt`, or keep no other text in the file.",
        )
    return "text", Columns(texts[0])


def inner(value: Any) -> Any:
    """What a gateway's log wraps: the `request` or `body` of an entry that holds one."""
    for name in ("request", "body"):
        if isinstance(value, Mapping) and isinstance(value.get(name), Mapping):
            value = value[name]
    return value


def _decide(
    path: Path, rows: Sequence[Mapping[str, Any]], input: str | None, output: str | None
) -> tuple[str, Columns, str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if input or output:
        return _told(path, rows, names, input, output)
    shapes = Counter(shape_of(row) for row in rows)
    shapes.pop(None, None)
    if shapes:
        best, count = shapes.most_common(1)[0]
        if best and count * 2 >= len(rows):
            return best[0], best[1], _said(best[0], best[1])
    pair = next((p for p in _PAIRS if _common(rows, p[0]) and _common(rows, p[1])), None)
    if pair:
        return "prompt_completion", Columns(*pair), f"every row has `{pair[0]}` and `{pair[1]}`"
    texts = [name for name in names if name.lower() in _TEXTS and _common(rows, name)]
    labels = [name for name in names if name.lower() in _LABELS and _common(rows, name)]
    if len(texts) == 1 and len(labels) == 1 and texts != labels:
        few = len({str(row.get(labels[0])) for row in rows})
        return "labelled_text", Columns(texts[0], labels[0]), f"`{texts[0]}` with `{labels[0]}`, {few} values"
    return _by_content(path, rows, names)


def _common(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return sum(name in row for row in rows) * 2 >= len(rows)


def _said(shape: str, columns: Columns) -> str:
    if shape == "messages":
        return f"`{columns.turns}` holds turns with `role` and `content`"
    if shape == "sharegpt":
        return f"`{columns.turns}` holds turns with `from` and `value`"
    if shape == "preference":
        return "rows have `chosen` and `rejected`; the chosen answers are learnt, the rejected ones read past"
    return "rows have `instruction` and `output`" + (", and `input` as context" if columns.context else "")


def _told(
    path: Path, rows: Sequence[Mapping[str, Any]], names: list[str], input: str | None, output: str | None
) -> tuple[str, Columns, str]:
    for flag, name in (("input", input), ("output", output)):
        if name and name not in names:
            raise DataError(
                f"has no column `{name}` for {flag}.", where=str(path), remedy=f"Its columns: {', '.join(names)}."
            )
    if not input or not output:
        rest = [n for n in names if n not in (input, output)]
        kinds = {n: _kind(rows, n) for n in rest}
        wanted = [n for n in rest if kinds[n] == "text"] or [n for n in rest if kinds[n] == "class"]
        if len(wanted) != 1:
            missing = "output" if input else "input"
            raise DataError(
                f"`{input or output}` is the {'input' if input else 'output'}, but which column is the {missing}?",
                where=str(path),
                remedy=f"Name it too: --{missing} COLUMN, one of {', '.join(rest) or 'none'}.",
            )
        input, output = input or wanted[0], output or wanted[0]
    shape = "labelled_text" if _kind(rows, output) == "class" and _kind(rows, input) != "class" else "prompt_completion"
    return shape, Columns(input, output), f"`{input}` and `{output}` were named as input and output"


def _kind(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """What a column holds: "class" (few, short, repeated values), "text", "number" or "empty"."""
    values = [row[name] for row in rows if row.get(name) not in (None, "")]
    if len(values) * 10 < len(rows) or any(isinstance(v, (dict, list)) for v in values):
        return "empty"
    texts = [str(v) for v in values]
    distinct = len(set(texts))
    short = max(len(t) for t in texts) <= 100
    if short and distinct <= max(2, min(len(texts) // 3, 1000)) and (len(texts) > 2 or distinct == 1):
        return "class"
    if all(_is_number(t) for t in texts) or distinct == 1:
        return "number"
    return "text"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _by_content(path: Path, rows: Sequence[Mapping[str, Any]], names: list[str]) -> tuple[str, Columns, str]:
    kinds = {name: _kind(rows, name) for name in names}
    texts = [name for name in names if kinds[name] == "text"]
    classes = [name for name in names if kinds[name] == "class"]
    if len(texts) == 1 and len(classes) == 1:
        few = len({str(row.get(classes[0])) for row in rows if row.get(classes[0]) not in (None, "")})
        why = f"`{texts[0]}` is the only column of text and `{classes[0]}` the only one of few values ({few})"
        return "labelled_text", Columns(texts[0], classes[0]), why
    readings = [(a, b) for a in texts for b in (*texts, *classes) if a != b]
    if not texts and len(classes) > 1:
        readings = [(a, b) for a in classes for b in classes if a != b]
    if not readings:
        raise DataError(
            f"no shape fits its fields: {', '.join(names[:20])}.",
            where=str(path),
            remedy="Name the columns (--input COLUMN --output COLUMN), or rename them, say `prompt` and `completion`.",
        )
    listed = " or ".join(f"`{a}` → `{b}`{f' (labels in {b})' if kinds[b] == 'class' else ''}" for a, b in readings[:4])
    count = {2: "two", 3: "three", 4: "four"}.get(len(readings), str(len(readings)))
    raise DataError(
        f"{count} readings fit: {listed}{', …' if len(readings) > 4 else ''}.",
        where=path.name,
        remedy=f"Say which: --input {readings[-1][0]} --output {readings[-1][1]}",
    )
