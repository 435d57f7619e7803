"""Rows and answers from data, made ready for the page: two answers side by side with what differs marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

LONGEST = 700


def side_by_side(
    untuned: str, tuned: str, expected: str, scores: tuple[float | None, float | None]
) -> tuple[Markup, Markup, Markup]:
    """The untuned, the tuned and the wanted answer as HTML; `scores` are the first two's (0…1; None: no score).

    JSON objects are marked field by field: what is not as wanted always, what is as wanted where the other answer
    has it wrong. Other answers are marked whole: right with a full score, wrong with 0, otherwise not at all.
    Everything is escaped.
    """
    want = _fields(expected)
    if want is None:
        return _whole(untuned, scores[0]), _whole(tuned, scores[1]), escape(cut(expected))
    left, right = _fields(untuned), _fields(tuned)
    return (
        _object(left, untuned, want, right),
        _object(right, tuned, want, left),
        Markup(", ").join(_pair(k, escape(_json(v))) for k, v in want.items()).join((Markup("{"), Markup("}"))),
    )


def examples_of(evidence: Mapping[str, Any], most: int = 3) -> list[list[dict[str, str]]]:
    """The rows that show a finding, as groups of `row`, `asked`, `answered`, `more` texts: at most `most` groups
    of four.

    A group is whatever an auditor put together: one row, rows that repeat or contradict each other, a test row with
    the train rows it equals. There are none where all were found for one reason: that stands in the finding's message.
    """
    given = list(evidence.get("examples") or ())
    reasons = [item.get("reason") for item in given if isinstance(item, Mapping) and not item.get("input")]
    if len(reasons) == len(given) > 1 == len(set(reasons)) and reasons[0]:
        return []
    groups = [list(_rows(item))[:4] for item in given[:most]]
    return [group for group in groups if group]


def _rows(item: Any) -> Iterator[dict[str, str]]:
    if isinstance(item, Mapping) and "row" in item:
        names = item.get("rows") or [item["row"]]
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        yield {
            "row": ", ".join(str(name) for name in names[:3]) + more,
            "asked": cut(str(item.get("input") or item.get("reason") or "")),
            "answered": cut(str(item.get("output") or "")),
            "more": _beside(item),
        }
    elif isinstance(item, Mapping | list | tuple):
        for inner in item.values() if isinstance(item, Mapping) else item:
            yield from _rows(inner)


def _beside(item: Mapping[str, Any]) -> str:
    """What an auditor would rather see in the row's place."""
    if item.get("likelier"):
        return f"likelier: {item['likelier']}"
    return f"fits {item['fits']}" if item.get("fits") else ""


def _fields(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _object(
    fields: Mapping[str, Any] | None, text: str, want: Mapping[str, Any], other: Mapping[str, Any] | None
) -> Markup:
    if fields is None:
        return _marked(escape(cut(text)) if text.strip() else Markup("(nothing)"), good=False)
    pairs = []
    for key, value in fields.items():
        words = escape(cut(_json(value)))
        if key not in want or not _same(value, want[key]):
            words = _marked(words, good=False)
        elif other is None or key not in other or not _same(other[key], want[key]):
            words = _marked(words, good=True)
        pairs.append(_pair(key, words))
    pairs += [_marked(escape(f"{key} is missing"), good=False) for key in want if key not in fields]
    return Markup("{") + Markup(", ").join(pairs) + Markup("}")


def _pair(key: str, value: Markup) -> Markup:
    # A no-break space keeps a name with its value where the line is narrow.
    return escape(json.dumps(key, ensure_ascii=False)) + Markup(":&nbsp;") + value


def _whole(text: str, score: float | None) -> Markup:
    words = escape(cut(text)) if text.strip() else Markup("(nothing)")
    return _marked(words, good=score == 1) if score in (0, 1) else words


def _marked(words: Markup, *, good: bool) -> Markup:
    """Colour and underline for the eye, a word for the ear."""
    kind, said = ("good", "right: ") if good else ("bad", "wrong: ")
    return Markup('<mark class="{}"><span class="ear">{}</span>{}</mark>').format(kind, said, words)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, str) and isinstance(right, str):
        return " ".join(left.split()) == " ".join(right.split())
    return bool(left == right)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def cut(text: str) -> str:
    """A text that is too long for the page, as far as it fits."""
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …"
