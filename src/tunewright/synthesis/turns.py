"""The parts of a row that synthesis speaks of: what was asked, the turn that is reworded, rows in other words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from tunewright.records import Example, Message
from tunewright.text import find


def asked(turns: Iterable[Message]) -> str:
    """All that was asked, as one text: every turn but the system's."""
    return " ".join(m.content for m in turns if m.role != "system")


def last_user(example: Example) -> int | None:
    """The place of the last user turn with words in it, or None."""
    prompt = example.prompt
    places = [i for i, m in enumerate(prompt) if m.role == "user" and m.content.strip()]
    return places[-1] if places else None


def single(example: Example) -> bool:
    """Whether the row is one question and one answer in words: only such rows can be invented."""
    turns = [m for m in example.messages if m.role != "system"]
    plain = len(turns) == 2 and turns[0].role == "user" and not turns[1].tool_calls
    return plain and not example.tools and bool(turns[0].content.strip() and turns[1].content.strip())


def secret(example: Example) -> bool:
    """Whether a turn, a call in it or a tool holds a key or password: such a row is shown to nobody."""
    made = [*example.tools, *(call for m in example.messages for call in m.tool_calls)]
    texts = [
        *(text for m in example.messages for text in (m.content, m.thought)),
        *(json.dumps(value, ensure_ascii=False) for value in made),
    ]
    return any(span.secret for text in texts for span in find(text))


def with_words(example: Example, question: str, answer: str | None = None) -> tuple[Message, ...]:
    """The row's turns with its last user turn, and its answer where one is given, in these words."""
    place = last_user(example)
    turns = list(example.messages)
    if place is not None:
        turns[place] = dataclasses.replace(turns[place], content=question)
    if answer is not None:
        turns[-1] = Message("assistant", answer)
    return tuple(turns)
