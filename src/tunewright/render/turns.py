"""Where the assistant's words lie in a rendered conversation.

The whole conversation is rendered once. An assistant turn begins where the generation prompt of the turns before it
ends, and ends with the template's terminator; both are found in the one text, then checked (K2). A template that
rewrites earlier turns has no such places, and that is an error that shows both strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.errors import RenderError
from tunewright.records import Message

RenderText = Callable[[Sequence[Message], bool], str]


@dataclass(frozen=True, slots=True)
class Turn:
    """Characters `start:end` of the text are what the assistant said in message `index`, terminator included."""

    index: int
    start: int
    end: int


def assistant_turns(
    messages: Sequence[Message], text: str, render: RenderText, terminator: str, row: str
) -> list[Turn]:
    """All assistant turns of `text`, which is `render(messages, False)`.

    Raises `RenderError` when the text between a generation prompt and its terminator is not the assistant's message.
    """
    turns = []
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        head = render(messages[:index], True)
        if not text.startswith(head):
            raise _rewritten(row, index, head, text)
        end = _end(messages, index, text, render, terminator, len(head), row)
        _check_content(message, text[len(head) : end], terminator, row, index)
        turns.append(Turn(index, len(head), end))
    return turns


def _end(
    messages: Sequence[Message], index: int, text: str, render: RenderText, terminator: str, start: int, row: str
) -> int:
    """One past the terminator of the turn that starts at `start`."""
    whole = render(messages[: index + 1], False)
    if not text.startswith(whole.rstrip()):
        raise _rewritten(row, index, whole, text)
    at = text.rfind(terminator, start, len(whole))
    if at < 0:
        raise RenderError(
            f"turn {index + 1} does not end with the template's terminator {terminator!r}: a model tuned on it would "
            "never learn to stop.",
            where=row,
            remedy="Add the terminator after assistant turns in the chat template.",
        )
    return at + len(terminator)


def _check_content(message: Message, said: str, terminator: str, row: str, index: int) -> None:
    if message.tool_calls:
        missing = [c["name"] for c in message.tool_calls if str(c["name"]) not in said]
        ok = not missing and (said.startswith(message.content) or message.content in said)
    else:
        ok = said == message.content + terminator
    if not ok:
        raise RenderError(
            f"the template changes what the assistant says in turn {index + 1}.\n"
            f"    the data says:      {(message.content + terminator)!r}\n"
            f"    the template says:  {said!r}",
            where=row,
            remedy="Change the data to the form the template writes, or use a template that leaves answers alone.",
        )


def _rewritten(row: str, index: int, head: str, text: str) -> RenderError:
    same = next((i for i, (a, b) in enumerate(zip(head, text, strict=False)) if a != b), min(len(head), len(text)))
    cut = max(0, same - 40)
    return RenderError(
        f"the chat template writes earlier turns differently once turn {index + 1} is there.\n"
        f"    as a prompt:        …{head[cut : same + 40]!r}\n"
        f"    in the whole text:  …{text[cut : same + 40]!r}",
        where=row,
        remedy="Split the conversation so that only its last turn is trained, or use a template that is append-only.",
    )


def as_dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [m.as_dict() for m in messages]


def as_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Tools in the shape templates take: `{"type": "function", "function": {…}}`."""
    if not tools:
        return None
    return [dict(t) if "function" in t else {"type": "function", "function": dict(t)} for t in tools]
