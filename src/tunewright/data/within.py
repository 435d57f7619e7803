"""Every string of a row: looked into where it lies within tool calls and tools, and changed wherever it stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from tunewright.data.encoding import repair
from tunewright.records import Example, Message
from tunewright.text import Also, find

# Makes another text of the name of a field ("": none) and the text in it.
Change = Callable[[str, str], str]
# What stands beside the turns and is written with them.
_MARKS = ("group", "rewords", "license")
_REMEMBERED = 2048


def strings(value: Any) -> Iterator[tuple[str, str]]:
    """The strings within a parsed value in reading order, names of fields included, each with its field's name."""
    # Not by recursion: what may be nested too deeply to be walked so is set aside elsewhere.
    waiting = [("", value)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, str):
            yield name, one
        elif isinstance(one, Mapping):
            for key, inner in reversed(list(one.items())):
                waiting += [(str(key), inner), ("", key)]
        elif isinstance(one, (list, tuple)):
            waiting += [(name, inner) for inner in reversed(one)]


@lru_cache(maxsize=_REMEMBERED)
def kinds(name: str, text: str, also: Also | None = None) -> tuple[tuple[str, bool], ...]:
    """What is found in a field's text, as kinds and whether each is a secret.

    It is read beside the field's name, as in `password: …`. Remembered, as many rows have the same tools.
    """
    head = f"{name}: " if name else ""
    return tuple((span.kind, span.secret) for span in find(head + text, also) if span.end > len(head))


def hiding(redact: Callable[[str], str]) -> Change:
    """`redact` for a field's text, which is read beside the field's name, as in `password: …`."""

    @lru_cache(maxsize=_REMEMBERED)
    def hidden(name: str, text: str) -> str:
        head = f"{name}: "
        whole = redact(head + text)
        if whole.startswith(head):
            return whole[len(head) :]
        # Something begins in the name: in the name alone, or it runs on into the text.
        return redact(text) if redact(head) != head else whole

    return lambda name, text: hidden(name, text) if name else redact(text)


def mended(example: Example) -> Example:
    """The example with mojibake and halves of characters repaired in every string; itself where there are none."""
    # Asked of every row of millions: most are plain turns and nothing else.
    for m in example.messages:
        if m.tool_calls or not m.content.isascii() or not m.thought.isascii():
            break
    else:
        beside = f"{example.label}{example.group}{example.rewords}{example.license}"
        if not example.tools and beside.isascii():
            return example
    return changed(example, lambda _, text: repair(text)[0])


def changed(example: Example, change: Change) -> Example:
    """The example with `change` made to every string that was read; itself where that changes nothing."""
    messages = tuple(_turn(m, change) for m in example.messages)
    made: dict[str, Any] = {"messages": messages} if messages != example.messages else {}
    if example.tools and (tools := _made(example.tools, change)) != example.tools:
        made["tools"] = tools
    if example.label is not None:
        # A label nearly always is the answer, which is done.
        same = example.label == example.answer.content
        made["label"] = messages[-1].content if same else change("", example.label)
    made |= {name: change("", value) for name, value in zip(_MARKS, _marks(example), strict=True) if value is not None}
    made = {name: value for name, value in made.items() if value != getattr(example, name)}
    return dataclasses.replace(example, **made) if made else example


def _marks(example: Example) -> tuple[str | None, ...]:
    return tuple(getattr(example, name) for name in _MARKS)


def _turn(turn: Message, change: Change) -> Message:
    content = change("", turn.content)
    calls = _made(turn.tool_calls, change) if turn.tool_calls else turn.tool_calls
    thought = change("", turn.thought) if turn.thought else ""
    if (content, calls, thought) == (turn.content, turn.tool_calls, turn.thought):
        return turn
    return dataclasses.replace(turn, content=content, tool_calls=calls, thought=thought)


def _made(value: Any, change: Change, name: str = "") -> Any:
    """A parsed value with `change` made to its strings. Raises `RecursionError` where it is nested too deeply."""
    if isinstance(value, str):
        return change(name, value)
    if isinstance(value, Mapping):
        return {_made(key, change): _made(inner, change, str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_made(inner, change, name) for inner in value)
    return value
