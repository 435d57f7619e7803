"""The form answers have – a label, JSON with certain fields, or free text – and whether another answer has it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.text import normal

_MOSTLY = 0.9
_LABEL_CHARS = 100
_WRITERS: tuple[Callable[[Any], str], ...] = (
    lambda value: json.dumps(value, ensure_ascii=False),
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    lambda value: json.dumps(value, ensure_ascii=False, indent=2),
    lambda value: json.dumps(value),
)


@dataclass(frozen=True)
class Form:
    """`labels`: the answers there are, where answers are labels. `always` and `fields`: where answers are JSON objects,
    the names each has and the kinds of value every name was seen with; `choices` the values of fields that have few."""

    labels: tuple[str, ...] = ()
    always: frozenset[str] = frozenset()
    fields: dict[str, frozenset[str]] = field(default_factory=dict)
    choices: dict[str, frozenset[str]] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    writer: int = 0

    @property
    def json(self) -> bool:
        """Whether answers are JSON objects."""
        return bool(self.fields)

    @property
    def free(self) -> bool:
        """Whether answers are words of their own."""
        return not self.labels and not self.fields

    @classmethod
    def of(cls, answers: Sequence[str], labels: Sequence[str] = ()) -> Form:
        """The form of `answers`. They are JSON when nine tenths are objects."""
        if labels:
            return cls(labels=tuple(labels))
        parsed = [(text, value) for text in answers if (value := _object(text)) is not None]
        if not parsed or len(parsed) < _MOSTLY * len(answers):
            return cls()
        kinds: dict[str, set[str]] = defaultdict(set)
        values: dict[str, list[Any]] = defaultdict(list)
        for _, value in parsed:
            for name, inner in value.items():
                kinds[name].add(_kind(inner))
                values[name].append(inner)
        written = Counter(next((i for i, w in enumerate(_WRITERS) if w(v) == text), 0) for text, v in parsed)
        return cls(
            always=frozenset.intersection(*(frozenset(v) for _, v in parsed)),
            fields={name: frozenset(found) for name, found in kinds.items()},
            choices={name: few for name, found in values.items() if (few := _few(found))},
            order=Counter(tuple(v) for _, v in parsed).most_common(1)[0][0],
            writer=written.most_common(1)[0][0],
        )

    def settled(self, value: Any) -> tuple[str, str]:
        """A teacher's answer as rows of this form write it, and what is wrong with it (or "")."""
        if self.labels:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            return self._label(text.strip())
        if self.json:
            found = _object(value) if isinstance(value, str) else value
            if not isinstance(found, dict):
                return _text(value), "the answer is no JSON object, as the rows' are"
            places = {name: i for i, name in enumerate(self.order)}
            ordered = dict(sorted(found.items(), key=lambda item: places.get(item[0], len(places))))
            return _WRITERS[self.writer](ordered), self._fields(ordered)
        return _text(value).strip(), ""

    def _label(self, text: str) -> tuple[str, str]:
        if text in self.labels:
            return text, ""
        same = [label for label in self.labels if normal(label) == normal(text)]
        return (same[0], "") if len(same) == 1 else (text, f"`{text[:60]}` is not among the labels")

    def _fields(self, found: dict[str, Any]) -> str:
        missing = sorted(self.always - found.keys())
        if missing:
            return f"field `{missing[0]}` is missing"
        for name, value in found.items():
            if name not in self.fields:
                return f"field `{name}` is not among the rows'"
            if _kind(value) not in self.fields[name]:
                return f"field `{name}` holds another kind of value than in the rows"
            if name in self.choices and isinstance(value, str) and value not in self.choices[name]:
                return f"`{value[:60]}` is not among the values of `{name}`"
        return ""


def _object(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def _few(values: Sequence[Any]) -> frozenset[str]:
    """The distinct texts, where a field has so few of them that they are a choice, each made again and again."""
    texts = [v for v in values if isinstance(v, str)]
    distinct = set(texts)
    few = len(distinct) <= max(2, len(values) // 4) and len(texts) > 2 * len(distinct)
    return frozenset(distinct) if few and all(len(t) <= _LABEL_CHARS for t in distinct) else frozenset()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
