"""What rows mean whose columns' names say nothing: told by what the columns hold."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.data.beside import clear, lists_words, named
from tunewright.data.files import format_of
from tunewright.data.nested import leaf
from tunewright.data.shapes import Columns
from tunewright.errors import DataError
from tunewright.turns import ROLES

# A column's name has fewer words than this.
_NAME_WORDS = 4
# More columns than these make more readings than one likes to see listed.
_MANY = 3
# What a turn belongs to.
_THREAD = re.compile(r"(?:conversation|thread|session|dialog|dialogue|chat|ticket|case|parent|tree|message_tree)_?\w*")
# Keys, dates and addresses: no white space, and a digit or a sign that words do not have.
_KEY = re.compile(r"(?=[\x21-\x7e]*[\d@/])[\x21-\x7e]+\Z|\d{4}-\d\d-\d\d[ T][\d:.+Z -]+\Z")
# Who wrote a row, and what it belongs to, is nothing to be told from its text.
_WHO = re.compile(r"(?:.*_)?(?:id|uuid|by)|user|author|speaker|sender|annotator|worker|assignee|requester")


def kind_of(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """What a column holds: "class" (few, short, repeated values), "text", "number", "key" or "empty"."""
    values = [row[name] for row in rows if row.get(name) not in (None, "", [])]
    if len(values) * 10 < len(rows) or any(isinstance(v, (dict, list)) for v in values):
        return "empty"
    texts = [str(v) for v in values]
    distinct = len(set(texts))
    short = max(len(t) for t in texts) <= 100
    if short and distinct <= max(2, min(len(texts) // 3, 1000)) and (len(texts) > 2 or distinct == 1):
        return "class"
    if all(is_number(t) for t in texts) or distinct == 1:
        return "number"
    if sum(bool(_KEY.match(t.strip())) for t in texts) * 10 >= len(texts) * 9:
        return "key"
    return "text"


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def found_in(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> tuple[dict[str, str], list[str], list[str], list[tuple[str, str]]]:
    """What columns hold, those of texts, those of classes, and the pairs of question and answer that they may be."""
    kinds = {name: kind_of(rows, name) for name in names}
    texts = [name for name in names if kinds[name] == "text"]
    several = [n for n in names if kinds[n] == "class" and len({str(row.get(n)) for row in rows}) > 1]
    classes = [name for name in several if not _WHO.fullmatch(leaf(name))]
    readings = [(a, b) for a in texts for b in (*texts, *classes) if a != b]
    if not texts and len(classes) > 1:
        readings = [(a, b) for a in classes for b in classes if a != b]
    return kinds, texts, classes, readings


def by_content(path: Path, rows: Sequence[Mapping[str, Any]], names: list[str]) -> tuple[str, Columns, str]:
    kinds, texts, classes, readings = found_in(rows, names)
    _headed(path, rows, texts, classes)
    if len(texts) == 1 and len(classes) == 1:
        few = len({str(row.get(classes[0])) for row in rows if row.get(classes[0]) not in (None, "")})
        why = f"`{texts[0]}` is the only column of text and `{classes[0]}` the only one of few values ({few})"
        clear(path, rows, names, Columns(texts[0], classes[0]))
        return "labelled_text", Columns(texts[0], classes[0]), why
    if not readings:
        raise DataError(
            f"no shape fits its fields: {named([name for name in names if '.' not in name])}.",
            where=str(path),
            remedy=_unfit(names, texts, rows),
        )
    if len(texts) + len(classes) > _MANY:
        labels = f"; {len(classes)} of few values: {named(classes)}" if classes else ""
        raise DataError(
            f"which column asks and which answers? {len(texts)} hold text: {named(texts)}{labels}.",
            where=path.name,
            remedy=_batch(names) or "Say which: --input COLUMN --output COLUMN",
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


def turn_a_row(path: Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Raise where each row is one turn of a conversation that others go on with: none is an example by itself."""
    who = next((name for name in names if _speaks([row.get(name) for row in rows])), "")
    thread = next((name for name in names if _THREAD.fullmatch(name.lower())), "")
    if who and thread:
        raise DataError(
            f"holds one turn a row: `{who}` says who speaks, `{thread}` what the turn belongs to.",
            where=str(path),
            remedy="Bring the turns of each conversation into one row, in their order: "
            '{"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}.',
        )


def _speaks(values: Sequence[Any]) -> bool:
    """Whether a column names who speaks: user and assistant, by whatever name, and nothing else."""
    given = [value for value in values if value is not None]
    who = {ROLES.get(value.strip().lower()) if isinstance(value, str) else None for value in given}
    return None not in who and {"user", "assistant"} <= who


def _unfit(names: Sequence[str], texts: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """What to do about fields of no known shape."""
    if told := _batch(names):
        return told
    lists = [name for name in names if lists_words([row.get(name) for row in rows])]
    if lists:
        return (
            f"What is said in the list `{lists[0]}` is not told apart by who speaks: write it as turns, "
            '{"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}.'
        )
    if len(texts) == 1 and len(names) > 1:
        return (
            f"Only `{texts[0]}` holds texts: each row needs a question and its answer, say `prompt` and `completion`."
        )
    if len(names) == 1:
        return "An example is a question and its answer: give each a column of its own, say `prompt` and `completion`."
    return "Name the columns (--input COLUMN --output COLUMN), or rename them, say `prompt` and `completion`."


def _batch(names: Sequence[str]) -> str:
    """What to do about one side of a batch, where it is one: OpenAI's, Mistral's or Anthropic's, or Gemini's."""
    if "custom_id" in names or {"key", "response"} <= {name.partition(".")[0] for name in names}:
        return (
            "These are one side of a batch. Join what it answered to what it was asked: tunewright data convert "
            "RESULTS --requests REQUESTS --to messages --out rows.jsonl"
        )
    return ""


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
