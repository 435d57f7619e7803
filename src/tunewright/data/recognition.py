"""What a file's rows mean: by their keys, else by their content, always with the reason in words."""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.data.beside import clear, completed, named, unread
from tunewright.data.files import format_of, read
from tunewright.data.shapes import TURNS, Columns, shape_of
from tunewright.data.transcripts import spoken
from tunewright.errors import DataError
from tunewright.records import Record

SAMPLE = 10_000
# A column's name has fewer words than this.
_NAME_WORDS = 4
_PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "output"),
    ("prompt", "answer"),
    ("question", "answer"),
    ("question", "answers"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("query", "answers"),
    ("input", "output"),
    ("input", "target"),
    ("inputs", "targets"),
    ("input", "response"),
    ("instruction", "response"),
    ("instruction", "completion"),
    ("source", "target"),
    ("user", "assistant"),
    ("problem", "solution"),
    ("message", "response"),
    ("context", "response"),
    ("article", "summary"),
    ("article", "highlights"),
    ("document", "summary"),
    ("dialogue", "summary"),
    ("text", "summary"),
    ("text", "output"),
    ("text", "answer"),
    ("text", "code"),
    ("question", "sql"),
    ("question", "query"),
    ("sql_prompt", "sql"),
)
# Two texts of which one label tells something: the second stands behind the first.
_TWO = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("question", "sentence"),
    ("title", "description"),
    ("title", "text"),
    ("subject", "body"),
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
# Columns of lists or objects that are what is to be found in a text.
_FOUND = ("tags", "topics", "intents", "categories", "entities", "slots")
# Keys, dates and addresses: no white space, and a digit or a sign that words do not have.
_KEY = re.compile(r"(?=[\x21-\x7e]*[\d@/])[\x21-\x7e]+\Z|\d{4}-\d\d-\d\d[ T][\d:.+Z -]+\Z")
# Who wrote a row, and what it belongs to, is nothing to be told from its text.
_WHO = re.compile(r"(?:.*_)?(?:id|uuid)|user|author|speaker|sender|annotator|worker|assignee|requester")
_LABELS = ("label", "category", "intent", "class", "target", "sentiment", "label_text", "topic", "labels")


class Reading(Record):
    """How a file is read: its shape, the reason in words, and the columns that hold what.

    `not_read` are the fields with words in them that no part of an example comes from; the reason names them too.
    """

    path: str
    format: str
    shape: str
    reason: str
    input: str = ""
    output: str = ""
    turns: str = ""
    context: str = ""
    system: str = ""
    not_read: tuple[str, ...] = ()
    sampled: int = 0

    @property
    def columns(self) -> Columns:
        return Columns(self.input, self.output, self.turns, self.context, self.system)


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
    names = list(dict.fromkeys(name for row in objects for name in row))
    shape, columns, reason = _decide(path, objects, names, input, output)
    left = unread(objects, names, columns)
    return Reading(
        path=str(path),
        format=format_of(path),
        shape=shape,
        reason=f"{reason}; not read: {named(left)}" if left else reason,
        input=columns.input,
        output=columns.output,
        turns=columns.turns,
        context=columns.context,
        system=columns.system,
        not_read=tuple(left),
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
    path: Path, rows: Sequence[Mapping[str, Any]], names: list[str], input: str | None, output: str | None
) -> tuple[str, Columns, str]:
    if input or output:
        return _told(path, rows, names, input, output)
    shapes = Counter(shape_of(row) for row in rows)
    shapes.pop(None, None)
    if shapes:
        best, count = shapes.most_common(1)[0]
        if best and count * 2 >= len(rows):
            return completed((*best, _said(*best)), rows, names)
    decided = _by_names(path, rows, names)
    return completed(decided or _by_content(path, rows, names), rows, names)


def _by_names(path: Path, rows: Sequence[Mapping[str, Any]], names: list[str]) -> tuple[str, Columns, str] | None:
    """What names tell that are known, be they written `Question` or `question`; None where they tell nothing."""
    called = {name.strip().lower(): name for name in reversed(names) if _common(rows, name)}
    pair = next(((called[a], called[b]) for a, b in _PAIRS if a in called and b in called), None)
    if pair:
        clear(path, rows, names, Columns(*pair))
        return "prompt_completion", Columns(*pair), f"every row has `{pair[0]}` and `{pair[1]}`"
    label = _label(rows, [called[name] for name in _LABELS if name in called])
    two = next(((called[a], called[b]) for a, b in _TWO if a in called and b in called), None)
    texts = list(two or [called[name] for name in _TEXTS if name in called])[: 2 if two else None]
    if label in texts:
        texts.remove(label)
    if label and (two or len(texts) == 1):
        few = len({str(row.get(label)) for row in rows})
        columns = Columns(texts[0], label, context=texts[1] if two else "")
        shape = "prompt_completion" if _listed(rows, label) else "labelled_text"
        clear(path, rows, names, columns)
        return shape, columns, f"{' and '.join(f'`{text}`' for text in texts)} with `{label}`, {few} values"
    found = [called[name] for name in _FOUND if name in called and _listed(rows, called[name])]
    if len(texts) == 1 and len(found) == 1:
        why = f"`{texts[0]}` with `{found[0]}`: the answer is what a row lists there, as JSON"
        return "prompt_completion", Columns(texts[0], found[0]), why
    told = next((called[name] for name in (*TURNS, "text") if name in called and _spoken(rows, called[name])), "")
    return ("messages", Columns(turns=told), f"`{told}` tells a conversation by marks of who speaks") if told else None


def _spoken(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return sum(spoken(row.get(name)) is not None for row in rows) * 2 >= len(rows)


def _label(rows: Sequence[Mapping[str, Any]], labels: list[str]) -> str:
    """The one column of labels; of two that say the same in numbers and in words, the words. "" where it is unclear."""
    if len(labels) == 2:
        said = {(str(row.get(labels[0])), str(row.get(labels[1]))) for row in rows}
        one_to_one = len(said) == len({a for a, _ in said}) == len({b for _, b in said})
        numbers = [name for name in labels if all(_is_number(str(row.get(name))) for row in rows)]
        labels = [name for name in labels if name not in numbers] if one_to_one and len(numbers) == 1 else labels
    return labels[0] if len(labels) == 1 else ""


def _listed(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a column holds objects or lists, other than lists of one label each."""
    values = [row.get(name) for row in rows]
    return any(
        isinstance(value, Mapping)
        or (isinstance(value, list) and (len(value) != 1 or not isinstance(value[0], (str, int))))
        for value in values
    )


def _common(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return sum(name in row for row in rows) * 2 >= len(rows)


def _said(shape: str, columns: Columns) -> str:
    if shape == "messages":
        return f"`{columns.turns}` holds turns with `role` and `content`"
    if shape == "sharegpt":
        return f"`{columns.turns}` holds turns with `from` and `value`"
    if shape == "preference":
        return f"rows have `{columns.output}` and what is rejected; the chosen answers are learnt, the others read past"
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
    """What a column holds: "class" (few, short, repeated values), "text", "number", "key" or "empty"."""
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
    if sum(bool(_KEY.match(t.strip())) for t in texts) * 10 >= len(texts) * 9:
        return "key"
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
    several = [n for n in names if kinds[n] == "class" and len({str(row.get(n)) for row in rows}) > 1]
    classes = [name for name in several if not _WHO.fullmatch(name.lower())]
    _headed(path, rows, texts, classes)
    if len(texts) == 1 and len(classes) == 1:
        few = len({str(row.get(classes[0])) for row in rows if row.get(classes[0]) not in (None, "")})
        why = f"`{texts[0]}` is the only column of text and `{classes[0]}` the only one of few values ({few})"
        clear(path, rows, names, Columns(texts[0], classes[0]))
        return "labelled_text", Columns(texts[0], classes[0]), why
    readings = [(a, b) for a in texts for b in (*texts, *classes) if a != b]
    if not texts and len(classes) > 1:
        readings = [(a, b) for a in classes for b in classes if a != b]
    if not readings:
        raise DataError(
            f"no shape fits its fields: {', '.join(name[:40] for name in names[:20])}.",
            where=str(path),
            remedy=_unfit(names, rows),
        )
    listed = " or ".join(f"`{a}` → `{b}`{f' (labels in {b})' if kinds[b] == 'class' else ''}" for a, b in readings[:4])
    count = {2: "two", 3: "three", 4: "four"}.get(len(readings), str(len(readings)))
    # Of two texts the one that comes first is what is asked more often than not.
    likely = readings[0] if len(readings) == 2 and not classes else readings[-1]
    raise DataError(
        f"{count} readings fit: {listed}{', …' if len(readings) > 4 else ''}.",
        where=path.name,
        remedy=f"Say which: --input {_flag(likely[0])} --output {_flag(likely[1])}",
    )


def _unfit(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """What to do about fields of no known shape."""
    if len(names) == 1:
        return "An example is a question and its answer: give each a column of its own, say `prompt` and `completion`."
    inner = [name for name in names if any(isinstance(row.get(name), Mapping) for row in rows)]
    if inner:
        within = " and ".join(f"`{name}`" for name in inner[:3])
        return f"What is said in {within} has to stand in fields of the row itself."
    return "Name the columns (--input COLUMN --output COLUMN), or rename them, say `prompt` and `completion`."


def _flag(name: str) -> str:
    """A column as it is typed behind a flag."""
    return shlex.quote(name)


def _headed(path: Path, rows: Sequence[Mapping[str, Any]], texts: list[str], classes: list[str]) -> None:
    """Raise where a table's first line was taken for names and reads like the others: it would be lost as a row."""
    table = format_of(path) in ("csv", "tsv")
    sentences = [name for name in texts if len(name.split()) > _NAME_WORDS]
    values = [name for name in classes if any(str(row.get(name)) == name for row in rows)]
    if table and (sentences or values):
        shown = (sentences or values)[0]
        raise DataError(
            f"has no line of names: its first line reads like the others (`{shown[:60]}`).",
            where=str(path),
            remedy="Put one before it that names the columns, such as text,label or prompt,completion.",
        )
