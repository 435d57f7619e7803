"""What a file's rows mean: by their keys, else by their content, always with the reason in words."""

from __future__ import annotations

import contextlib
import difflib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.data.beside import clear, completed, named, thought_beside, unread
from tunewright.data.content import by_content, found_in, is_number, kind_of, turn_a_row
from tunewright.data.files import format_of, parts_of, read
from tunewright.data.nested import leaf, lifted
from tunewright.data.orientation import held_out, training
from tunewright.data.shapes import SYSTEMS, TURNS, Columns, answered, parse, shape_of, turns_in
from tunewright.data.transcripts import spoken
from tunewright.errors import DataError
from tunewright.records import Record
from tunewright.thoughts import FIELDS
from tunewright.turns import BadRow, thought_of

SAMPLE = 10_000
_ABROAD = (
    "frage antwort, pregunta respuesta, question réponse, question reponse, domanda risposta, pergunta resposta, "
    "vraag antwoord, 问题 回答, 问题 答案, 質問 回答, 질문 답변"
)
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
    ("message", "reply"),
    ("email", "reply"),
    # Question and answer in other languages.
    *(tuple(pair.split()) for pair in _ABROAD.split(", ")),
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
# What the answer to turns is called that stands beside them.
_REPLIES = ("completion", "response", "output", "answer", "reply", "content", "text", "output_text", "generation")
_LOOKED = 1_000
_LABELS = ("label", "category", "intent", "class", "target", "sentiment", "label_text", "topic", "labels")


class Reading(Record):
    """How a file is read: its shape, the reason in words, and the columns that hold what.

    `not_read` are the fields with words in them that no part of an example comes from; the reason names them too.
    `thoughts`: most answers come with what was thought before them.
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
    test: str = ""
    sampled: int = 0
    thoughts: bool = False

    @property
    def columns(self) -> Columns:
        return Columns(self.input, self.output, self.turns, self.context, self.system)


def recognise(
    path: Path, *, input: str | None = None, output: str | None = None, split: str = "", thinking: bool = False
) -> Reading:
    """How `path` is to be read, from its first 10,000 rows; `input` and `output` name columns and settle any doubt.

    Of one that is divided `split` is read, or the split that trains; `test` of the reading is the one that judges.
    With `thinking` fields of thoughts are read as such.

    Raises `DataError` when the file is missing or empty, when nothing fits, and when more than one reading does.
    """
    raws = list(itertools.islice(read(path, split), SAMPLE))
    rows = [raw.value for raw in raws if not raw.fault]
    objects = [row for row in rows if isinstance(row, Mapping)]
    if not objects:
        fault = f"no row of it can be read{f'; the first: {raws[0].fault}' if raws else ''}."
        raise DataError(
            "no row of it is an object with named fields." if rows else fault,
            where=str(path),
            remedy='Each line should be a JSON object, such as {"prompt": …, "completion": …}; tables need a header.',
        )
    names = list(dict.fromkeys(name for row in objects for name in row))
    if thinking:
        names = [name for name in names if name not in FIELDS or name in (input, output)]
    shape, columns, reason = _decide(path, objects, names, input, output)
    left, parts = unread(objects, columns, thinking), parts_of(path)
    return Reading(
        path=str(path),
        format=format_of(path),
        shape=shape,
        reason=(f"{reason}; not read: {named(left)}" if left else reason) + _divided(parts, split),
        input=columns.input,
        output=columns.output,
        turns=columns.turns,
        context=columns.context,
        system=columns.system,
        not_read=tuple(left),
        test="" if split else held_out(parts),
        sampled=len(rows),
        thoughts=_thought_first(objects[:_LOOKED], shape, columns),
    )


def _divided(parts: Sequence[str], split: str) -> str:
    """What a reason adds of the splits of a file: which one is read, and which are not."""
    mine = split or training(parts)
    others = [name for name in parts if name != mine]
    return f"; of its splits `{mine}` is read here and not {named(others)}" if others else ""


def _thought_first(rows: Sequence[Mapping[str, Any]], shape: str, columns: Columns) -> bool:
    """Whether half of the answers, or more, come with a thought."""
    found = 0
    for row in rows:
        with contextlib.suppress(BadRow, RecursionError):
            answer = parse(row, shape, columns).answer
            found += bool(answer.thought or thought_of(answer) or thought_beside(row, columns))
    return found * 2 >= len(rows)


def turns(path: Path, split: str = "") -> bool:
    """Whether a file's first row is a conversation: then no named column is needed to read it."""
    first = next((raw.value for raw in read(path, split) if not raw.fault), None)
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
    kinds = {n: kind_of(objects, n) for n in names if any(isinstance(row.get(n), str) for row in objects)}
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
            replied = _replied(rows, best[1].turns) if best[1].turns else None
            return completed(replied or (*best, _said(*best)), rows, names)
    turn_a_row(path, rows, names)
    decided = _by_names(path, rows, names, {name.strip().lower(): name for name in reversed(names)})
    if decided:
        return completed(decided, rows, names)
    inner = lifted(rows)
    every = list(dict.fromkeys(name for row in inner for name in row))
    if len(every) > len(names):
        decided = _within(inner, every) or _by_names(path, inner, every, _called(every))
    if not decided and len(every) > len(names) and not found_in(rows, names)[-1]:
        rows, names = inner, every
    return completed(decided or by_content(path, rows, names), inner, every)


def _called(names: Sequence[str]) -> dict[str, str]:
    """Columns by what they are called where they lie; an object of one field is called as that field is too."""
    inside: dict[str, list[str]] = {}
    for name in names:
        inside.setdefault(name.rpartition(".")[0], []).append(name)
    alone = {outer.lower(): held[0] for outer, held in inside.items() if outer and len(held) == 1}
    called = {leaf(name): name for name in sorted(names, key=lambda name: -name.count("."))}
    return {**called, **alone}


def _within(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[str, Columns, str] | None:
    """A conversation that lies in an object of the row, as in logs of requests."""
    for name in names:
        if leaf(name) in TURNS and _common(rows, name):
            shapes = Counter(shape_of({TURNS[0]: row[name]}) for row in rows if name in row)
            best = shapes.most_common(1)[0][0]
            if best:
                shape, columns = best[0], Columns(turns=name)
                return _replied(rows, name) or (shape, columns, _said(shape, columns))
    return None


def _replied(rows: Sequence[Mapping[str, Any]], turns: str) -> tuple[str, Columns, str] | None:
    """The reading of turns that end with a question, where another column holds the answer; else None."""
    if any(answered(turns_in(row.get(turns))) for row in rows[:_LOOKED]):
        return None
    inner = lifted(rows[:_LOOKED], (turns,))
    every = dict.fromkeys(name for row in inner for name in row)
    beside = [n for n in every if n != turns and not n.startswith(f"{turns}.") and _common(inner, n)]
    # What a system's turn says, however deep it lies, answers nothing.
    names = [name for name in beside if not {*name.split(".")} & {*SYSTEMS}]
    said = [name for name in names if sum(answered([row.get(name)]) for row in inner) * 2 >= len(inner)]
    texts = [name for name in names if leaf(name) in _REPLIES and kind_of(inner, name) in ("text", "class", "number")]
    found = next(iter([*said, *texts]), "")
    why = f"`{turns}` asks and `{found}` answers"
    return ("prompt_completion", Columns(turns, found), why) if found else None


def _by_names(
    path: Path, rows: Sequence[Mapping[str, Any]], names: list[str], called: Mapping[str, str]
) -> tuple[str, Columns, str] | None:
    """What names tell that are known, be they written `Question` or `question`; None where they tell nothing."""
    called = {known: name for known, name in called.items() if _common(rows, name)}
    pairs = ((called[a], called[b]) for a, b in _PAIRS if a in called and b in called)
    pair = next((pair for pair in pairs if pair[0] != pair[1] and _asks(rows, pair[0])), None)
    if pair:
        clear(path, rows, names, Columns(*pair))
        several = any(isinstance(row.get(pair[1]), list) and len(row[pair[1]]) > 1 for row in rows)
        why = f"every row has `{pair[0]}` and `{pair[1]}`{', learnt as JSON where it is a list' if several else ''}"
        return "prompt_completion", Columns(*pair), why
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


def _asks(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a column can be a question: an object is none, but one that holds turns."""
    objects = [row[name] for row in rows if isinstance(row.get(name), Mapping)]
    return len(objects) * 2 < len(rows) or all("messages" in value for value in objects)


def _spoken(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return sum(spoken(row.get(name)) is not None for row in rows) * 2 >= len(rows)


def _label(rows: Sequence[Mapping[str, Any]], labels: list[str]) -> str:
    """The one column of labels; of two that say the same in numbers and in words, the words. "" where it is unclear."""
    if len(labels) == 2:
        said = {(str(row.get(labels[0])), str(row.get(labels[1]))) for row in rows}
        one_to_one = len(said) == len({a for a, _ in said}) == len({b for _, b in said})
        numbers = [name for name in labels if all(is_number(str(row.get(name))) for row in rows)]
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
    if columns.turns == "prompt":
        return "`prompt` holds a tree of turns; the best-ranked replies are learnt, the others read past"
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
    if any(name and name not in names for name in (input, output)):
        rows = lifted(rows)
        names = list(dict.fromkeys(name for row in rows for name in row))
    for flag, name in (("input", input), ("output", output)):
        if name and name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise DataError(
                f"has no column `{name}` for {flag}.",
                where=str(path),
                remedy=f"{f'Did you mean `{near[0]}`? ' if near else ''}Its columns: {named(names)}.",
            )
    if not input or not output:
        rest = [n for n in names if n not in (input, output)]
        kinds = {n: kind_of(rows, n) for n in rest}
        wanted = [n for n in rest if kinds[n] == "text"] or [n for n in rest if kinds[n] == "class"]
        if len(wanted) != 1:
            missing = "output" if input else "input"
            raise DataError(
                f"`{input or output}` is the {'input' if input else 'output'}, but which column is the {missing}?",
                where=str(path),
                remedy=f"Name it too: --{missing} COLUMN, one of {named(wanted or rest) or 'none'}.",
            )
        input, output = input or wanted[0], output or wanted[0]
    shape = (
        "labelled_text" if kind_of(rows, output) == "class" and kind_of(rows, input) != "class" else "prompt_completion"
    )
    return shape, Columns(input, output), f"`{input}` and `{output}` were named as input and output"
