"""What rows hold beside question and answer: what belongs to the question, what stands in the way, what is left."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.data.nested import leaf, lifted
from tunewright.data.shapes import HISTORIES, SYSTEMS, Columns, told, turns_in
from tunewright.errors import DataError
from tunewright.thoughts import FIELDS

_CONTEXTS = ("context", "contexts", "passage", "sql_context", "schema")
_CHOICES = ("choices", "options")
# Where each choice has a column of its own: `A` to `D`, `option_a`, `opa`, `choice1`.
_CHOICE = re.compile(r"(?:(?:option|choice|op)[_ ]?)?([a-f1-6])")
# Objects that tell of a row what no answer is made of.
_ABOUT = {"metadata", "meta", "info", "usage", "model", "provenance", "annotator"}
_VERDICTS = {"accept", "reject", "ignore"}
# How good somebody found an answer: rows are learnt alike, whatever it says.
_OPINIONS = {"rating", "stars", "score", "thumbs", "feedback", "vote", "votes", "upvotes", "quality"}
# Not read as part of the question and answer, but read or kept; or of no use to either.
_KNOWN = {
    *("tools", "functions", "license", "group", "label", "rewords", "source", "row", "rejected"),
    *("rejected_response", "non_preferred_output"),
}
_TURN_KEYS = {"role", "from", "content", "value", "message", "text", "name", "tool_calls", "function_call", "refusal"}
_LOOKED, _NAMED, _LONG, _WORDS = 1_000, 8, 60, 3

Rows = Sequence[Mapping[str, Any]]
Decided = tuple[str, Columns, str]


def completed(decided: Decided, rows: Rows, names: Sequence[str]) -> Decided:
    """The reading with the columns that belong to the question, and a reason that tells them."""
    shape, columns, reason = decided
    used = {c for c in columns if c}
    systems = [n for n in names if _last(n) in SYSTEMS and n not in used] if shape != "labelled_text" else []
    system = next((n for n in systems if _last(n) != "system" or _prompts([row.get(n) for row in rows])), "")
    about = next((n for n in names if leaf(n) in _CONTEXTS and n not in used), "")
    context = columns.context or (about if shape == "prompt_completion" else "")
    columns = columns._replace(system=system, context=context)
    earlier = [n for n in HISTORIES if n in names and columns.input and any(told(r, n) for r in rows)]
    if earlier:
        reason += f"; {named(earlier)} goes before the question"
    if systems and not system:
        reason += f"; {named(systems)} is not read: its words are no prompts (call it `system_prompt` if they are)"
    if system:
        reason += f"; `{system}` goes before them as the system's turn"
    if context and f"`{context}`" not in reason:
        reason += f"; `{context}` stands behind the question"
    return shape, columns, reason


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def named(names: Sequence[str]) -> str:
    """Names of columns in words: the first eight, and how many more there are."""
    shown = ", ".join(f"`{name[:_LONG]}`" for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED:,} more" if len(names) > _NAMED else shown


def thought_beside(row: Mapping[str, Any], columns: Columns) -> str:
    """What a row's own field of thoughts says, such as `reasoning` beside a question and its answer; "" for none."""
    given = (row.get(name) for name in FIELDS if name not in columns)
    return next((said for said in given if isinstance(said, str) and said.strip()), "")


def unread(rows: Rows, columns: Columns, thinking: bool = False) -> list[str]:
    """Fields with words or opinions in them that no part of an example comes from, those of turns too."""
    used = {name for name in (*columns, *_KNOWN) if name}
    used |= {name for name in HISTORIES if columns.input and any(told(row, name) for row in rows[:_LOOKED])}
    # What lies in an object beside a question and its answer is often a part of the answer: slots beside an intent.
    objects = {n for r in rows[:_LOOKED] for n, value in r.items() if columns.output and isinstance(value, Mapping)}
    rows = lifted(rows[:_LOOKED], used)
    names = dict.fromkeys(name for row in rows for name in row)
    beneath, above = tuple(f"{name}." for name in used), {n for name in used for n in _outer(name)}
    rest = [n for n in names if not (n in used or n.startswith(beneath) or n in above or leaf(n) in _KNOWN)]
    wordy = [name for name in rest if leaf(name) in _OPINIONS or _wordy([row.get(name) for row in rows])]
    inside = sorted(name for name in objects - used - above - _ABOUT if leaf(name) not in _KNOWN)
    wordy += [name for name in inside if not any(other.startswith(f"{name}.") for other in wordy)]
    found = [name for name in wordy if not set(_outer(name)) & set(wordy)]
    turns = [turn for row in rows for turn in (turns_in(row.get(columns.turns)) or ()) if isinstance(turn, Mapping)]
    if any("role" in turn or "from" in turn for turn in turns):
        inner = dict.fromkeys(str(key) for turn in turns for key in turn if key not in _TURN_KEYS)
        found += [f"{columns.turns}.{key}" for key in inner if _wordy([turn.get(key) for turn in turns])]
    return [name for name in found if not (thinking and name.removeprefix(f"{columns.turns}.") in FIELDS)]


def _outer(name: str) -> list[str]:
    """What a column lies in: `inputs` for `inputs.question`."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _prompts(values: Sequence[Any]) -> bool:
    """Whether what a column says can be prompts: always the same, or half of it no short words, as names would be."""
    said = [value for value in values if value not in (None, "")]
    words = [v for v in said if isinstance(v, str) and len(v.split()) < _WORDS and v.strip()[-1:] not in ".!?:"]
    return len(set(words)) < 2 or len(words) * 2 <= len(said)


def _wordy(values: Sequence[Any]) -> bool:
    """Whether a tenth of the values are sentences, or lists of texts."""
    told = sum(
        len(value.split()) >= _WORDS
        if isinstance(value, str)
        else isinstance(value, list) and bool(value) and all(map(_says, value))
        for value in values
    )
    return told * 10 >= max(1, len(values))


def lists_words(values: Sequence[Any]) -> bool:
    """Whether most values are lists of objects that hold sentences."""
    told = sum(isinstance(v, list) and any(isinstance(p, Mapping) and _says(p) for p in v) for v in values)
    return told * 2 >= max(1, len(values))


def _says(piece: Any) -> bool:
    """Whether one of a list is a text, or an object with a sentence in it."""
    if isinstance(piece, Mapping):
        return any(isinstance(v, str) and len(v.split()) >= _WORDS for v in piece.values())
    return isinstance(piece, str) and bool(piece.strip())


def clear(path: Path, rows: Rows, names: Sequence[str], columns: Columns) -> None:
    """Raise where the answers of a pair told by names alone would teach what nobody wants: answers that the rows
    themselves judge, and numbers of choices that would not be shown."""
    flags = f"--input {columns.input} --output {columns.output}"
    for name in names:
        values = [row.get(name) for row in rows if row.get(name) is not None]
        judged = bool(values) and all(isinstance(v, bool) for v in values) and name == "label"
        marked = bool(values) and {str(v).strip().lower() for v in values} <= _VERDICTS
        if marked or (judged and name not in columns):
            raise DataError(
                f"`{name}` says of each row whether it is wanted, and all of them would be learnt alike.",
                where=str(path),
                remedy=f"Keep the rows that are wanted and leave `{name}` out."
                + ("" if name in columns else f" To learn all of them: {flags}."),
            )
    apart = [name for name in names if name not in columns and _CHOICE.fullmatch(leaf(name).lower())]
    offered = [n for n in names if n in _CHOICES and any(isinstance(row.get(n), (list, Mapping)) for row in rows)]
    short = all(len(str(row.get(columns.output))) <= _WORDS for row in rows)
    if short and (offered or len(apart) > 1):
        raise DataError(
            f"`{columns.output}` names one of the {named(offered or apart)}, which are not part of the question.",
            where=str(path),
            remedy=f"Write them into `{columns.input}`. To learn the answers without them: {flags}.",
        )
