"""What the checks need of every row, in columns of numbers: a million rows fit in a hundred megabytes."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Self

import numpy as np

from tunewright.data.notes import Notes
from tunewright.data.rows import Row, Source
from tunewright.data.single import inspect
from tunewright.data.spool import Matrix, Spool
from tunewright.records import Example, TokenFacts
from tunewright.text import Also, language, similar

FAULTS = ("", "bad_row", "role_order", "empty_output", "mixed_format", "tool_call_invalid")
_LABEL_CHARS = 100
_LABELS_MOST = 2000
_BATCH = 2000
BANDS = 32

Form = Callable[[str], str]

# Kept, as `json.dumps` would make a new encoder for every row.
_WRITTEN = json.JSONEncoder(ensure_ascii=False).encode
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str).encode


def key(*parts: str) -> int:
    """64 bits that stand for the parts; never 0, which stands for nothing to compare."""
    raw = [part.encode("utf-8", "surrogatepass") for part in parts]
    told = b"".join(piece for text in raw for piece in (len(text).to_bytes(4, "little"), text))
    return int.from_bytes(blake2b(told, digest_size=8).digest(), "little") or 1


def canonical(value: Any) -> str:
    """JSON in which equal values are equal texts."""
    return _CANONICAL(value) if value else json.dumps(value)


class Table:
    """Columns of all rows in reading order, filled by `add`; `close` turns them into NumPy arrays.

    `input`, `output`, `thought` are keys of normal forms (0: empty, equal to nothing), `content` of everything that is
    trained on, `answer` an id into `answers` while those are few and short (else -1), `offset` the row's place in
    `spool`, `form` the place of its normal forms in `forms`, `asked` and `answered` their lengths in characters.
    `sketches` holds what tells near inputs, a row each, its MinHash `bands` first. `keys` stands for the names in a
    JSON answer, `language` and `replied` are places in `LANGUAGES`, `license` in `licenses`; 0 is unknown in all of
    them. `rewords` is what `asks` gives for the row that a synthetic row puts in other words. `when` is seconds since
    1970 or NaN. `also` finds personal data beside our own patterns.
    """

    def __init__(self, form: Form, sources: list[Source], also: Also | None = None) -> None:
        self._also = also
        self._repeated = lru_cache(maxsize=512)(form)
        self._plain = self.normal = form
        self.sources = sources
        self.answers: dict[str, int] = {}
        self.licenses: dict[str, int] = {}
        self.notes = Notes()
        self.spool = Spool()
        self.forms = Spool()
        self._sketches = Matrix(np.uint32)
        self._unsketched: list[str] = []
        self._columns: dict[str, array[Any]] = {
            "source": array("H"),
            "number": array("I"),
            "fault": array("B"),
            "repaired": array("B"),
            "changed": array("B"),
            "synthetic": array("B"),
            "input": array("Q"),
            "output": array("Q"),
            "thought": array("Q"),
            "content": array("Q"),
            "group": array("Q"),
            "rewords": array("Q"),
            "offset": array("Q"),
            "answer": array("i"),
            "counted": array("B"),
            "supervised": array("I"),
            "lost": array("I"),
            "form": array("Q"),
            "asked": array("I"),
            "answered": array("I"),
            "keys": array("Q"),
            "license": array("H"),
            "language": array("B"),
            "replied": array("B"),
            "when": array("d"),
        }
        self.c: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._columns["source"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.__exit__()
        self.forms.__exit__()
        self._sketches.close()

    def add(self, source: int, row: Row, facts: TokenFacts | None) -> None:
        """Enter one row of `sources[source]`; `facts` are its token counts where somebody counts them."""
        example = row.example
        values: dict[str, float] = {"source": source, "number": row.number, "when": row.when}
        values |= {"repaired": row.repaired, "changed": row.changed}
        if example is None:
            values["fault"] = FAULTS.index(row.code)
            self.notes.add(row.code, len(self), row.message)
            self._unsketched.append("")
        else:
            values |= self._keys(example)
            values["offset"] = self.spool.write(_WRITTEN(plain(example)))
            values["synthetic"] = example.synthetic
            values["keys"] = _keys_of(example.answer.content)
            if example.license:
                values["license"] = self.licenses.setdefault(example.license, len(self.licenses) + 1)
            for code, reason in inspect(example, self._also):
                self.notes.add(code, len(self), reason)
            if row.thoughts:
                self.notes.add(row.thoughts[0], len(self), row.thoughts[1])
            if row.equal:
                self.notes.add("preference_equal", len(self), f"“{example.answer.content.strip()[:80]}”")
        if len(self._unsketched) >= _BATCH:
            self._sketch()
        values["answer"] = -1 if self.sources[source].rehearsal else self._answer(example)
        if facts:
            values |= {"counted": 1, "supervised": facts.supervised, "lost": facts.lost}
            if facts.refused:
                self.notes.add("unwritable", len(self), facts.refused)
        for name, column in self._columns.items():
            column.append(values.get(name, 0))

    def _sketch(self) -> None:
        self._sketches.append(similar.sketch(self._unsketched))
        self._unsketched.clear()

    def _keys(self, example: Example) -> dict[str, int]:
        parts: list[str] = []
        asked: list[str] = []
        something = False
        for m in example.prompt:
            form = self._repeated(m.content) if m.role == "system" else self._plain(m.content)
            if m.role != "system":
                something |= bool(form or m.tool_calls)
                asked.append(form)
            parts += (m.role, form, canonical(m.tool_calls) if m.tool_calls else "")
        tools = self._repeated(canonical(example.tools)) if example.tools else ""
        answer = example.answer
        output = self._plain(answer.content)
        calls = canonical(answer.tool_calls) if answer.tool_calls else ""
        question = " ".join(asked)
        self._unsketched.append(question)
        said = next((m.content for m in reversed(example.prompt) if m.role == "user"), "")
        reply = f"{output} {calls}".strip()
        return {
            # Normal forms hold no control characters: white space, the separator included, has become spaces.
            "form": self.forms.write(f"{question}\x1f{reply}"),
            "asked": len(question),
            "answered": len(reply),
            "language": language.place(said),
            "replied": language.place(answer.content) if len(reply) > _LABEL_CHARS else 0,
            "input": key(*parts, tools) if something else 0,
            "output": key(output, calls) if output or calls else 0,
            "thought": key(self._plain(answer.thought)) if answer.thought else 0,
            "content": key(
                *(f"{m.role}{m.content}{canonical(m.tool_calls) if m.tool_calls else '[]'}" for m in example.messages),
                tools,
                *(m.thought for m in example.messages if m.thought),
                *(str(place) for place, m in enumerate(example.messages) if not m.learned),
            ),
            "group": key(example.group) if example.group is not None else 0,
            "rewords": key(self._spaced(example.rewords)) if example.rewords is not None else 0,
        }

    def _spaced(self, text: str) -> str:
        return " ".join(self._plain(text).split())

    def asks(self, i: int) -> int:
        """The key that a row has in `rewords` when it puts row `i` in other words."""
        return key(self._spaced(self.form(i)[0]))

    def _answer(self, example: Example | None) -> int:
        if example is None or example.answer.tool_calls:
            return -1
        text = example.label if example.label is not None else example.answer.content
        if text in self.answers:
            return self.answers[text]
        if len(text) > _LABEL_CHARS or len(self.answers) >= _LABELS_MOST:
            return -1
        return self.answers.setdefault(text, len(self.answers))

    def close(self) -> None:
        """Freeze the columns; from here on `c[name]` are arrays; `train`, `test`, `rehearsal` mask usable rows."""
        self._sketch()
        self.sketches = self._sketches.array()
        self.bands = self.sketches[:, :BANDS]
        self.c = {
            name: np.frombuffer(column, dtype=column.typecode) if len(column) else np.zeros(0, column.typecode)
            for name, column in self._columns.items()
        }
        usable, source = self.c["fault"] == 0, self.c["source"]
        self.test = usable & np.array([s.test for s in self.sources], dtype=bool)[source]
        self.rehearsal = usable & np.array([s.rehearsal for s in self.sources], dtype=bool)[source]
        self.train = usable & ~self.test & ~self.rehearsal
        pair = self.c["input"] * np.uint64(0x9E3779B97F4A7C15) + self.c["output"] * np.uint64(0xC2B2AE3D27D4EB4F)
        pair = pair + self.c["thought"] * np.uint64(0xD6E8FEB86659FD93)
        self.pair = np.where((self.c["input"] == 0) | (self.c["output"] == 0), np.uint64(0), pair)

    def row(self, i: int) -> dict[str, Any]:
        """The row as we write it."""
        return dict(json.loads(self.spool.line(int(self.c["offset"][i]))))

    def form(self, i: int) -> tuple[str, str]:
        """Normal forms of what the row asks (without system turns) and answers."""
        asked, _, answered = self.forms.line(int(self.c["form"][i])).partition("\x1f")
        return asked, answered

    def name(self, i: int) -> str:
        """How the row is called: `file:record`."""
        return f"{self.sources[self.c['source'][i]].name}:{self.c['number'][i]}"

    def names(self, where: np.ndarray) -> tuple[str, ...]:
        """Names of the first 1,000 rows of a mask or an index array."""
        index = np.flatnonzero(where) if where.dtype == bool else where
        return tuple(self.name(int(i)) for i in index[:1000])

    def labels(self) -> tuple[str, ...]:
        """The answers, sorted, when they are class labels: few, short, single-turn, and each used again and again."""
        rows = self.train | self.test
        ids = self.c["answer"][rows]
        if not len(ids) or (ids < 0).any():
            return ()
        # What real rows are is not changed by rows made from them.
        real = ids[self.c["synthetic"][rows] == 0]
        ids = real if len(real) else ids
        distinct = len(np.unique(ids))
        told = all(s.reading.shape == "labelled_text" for s in self.sources if not (s.rehearsal or s.synthetic))
        few = distinct <= max(2, len(ids) // 5) and distinct <= 1000
        return tuple(sorted(self.answers)) if told or (few and len(ids) > 2) else ()


def _keys_of(text: str) -> int:
    """A key of the names in a JSON object; 0 for any other text."""
    if not text.lstrip().startswith("{"):
        return 0
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return 0
    return key(*sorted(value)) if isinstance(value, dict) else 0


def plain(example: Example) -> Mapping[str, Any]:
    """An example as we write it: the messages shape, and marks only where they say something."""
    row: dict[str, Any] = {"messages": [m.as_row() for m in example.messages]}
    if example.tools:
        row["tools"] = [dict(t) for t in example.tools]
    for name in ("label", "group", "license", "rewords"):
        if getattr(example, name) is not None:
            row[name] = getattr(example, name)
    if example.weight != 1.0:
        row["weight"] = example.weight
    if example.synthetic:
        row["synthetic"] = True
    return {**row, "source": example.source, "row": example.row}
