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
from tunewright.turns import with_ids

RenderText = Callable[[Sequence[Message], bool], str]


@dataclass(frozen=True, slots=True)
class Turn:
    """Characters `start:end` of the text are what the assistant said in message `index`, terminator included."""

    index: int
    start: int
    end: int


def assistant_turns(
    messages: Sequence[Message],
    text: str,
    render: RenderText,
    terminator: str,
    row: str,
    spaces: tuple[str, str] = ("", ""),
) -> list[Turn]:
    """All assistant turns of `text`, which is `render(messages, False)`.

    `spaces` are what the template writes before any answer, behind the generation prompt, and between it and its
    terminator: the model has to write them, so they are of the turn. Raises `RenderError` when the text between a
    generation prompt and its terminator is not the assistant's message.
    """
    around = spaces[0], spaces[1] + terminator
    turns = []
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        head = render(messages[:index], True)
        if not text.startswith(head):
            raise _rewritten(row, index, head, text)
        end = _end(messages, index, text, render, terminator, len(head), row)
        _check_content(message, text[len(head) : end], around, row, index)
        turns.append(Turn(index, len(head), end))
    return turns


def _end(
    messages: Sequence[Message], index: int, text: str, render: RenderText, terminator: str, start: int, row: str
) -> int:
    """One past the terminator of the turn that starts at `start`.

    What a template writes behind the terminator of a last turn alone (Phi-3 an end of text) is no part of the turn.
    """
    whole = render(messages[: index + 1], False)
    at = whole.rfind(terminator, start)
    if at < 0:
        raise RenderError(
            f"turn {index + 1} does not end with the template's terminator {terminator!r}: a model tuned on it would "
            "never learn to stop.",
            where=row,
            remedy="Add the terminator after assistant turns in the chat template.",
        )
    # Where a last turn's end is the terminator once more, the turn's own is the one before.
    while at >= 0 and not text.startswith(whole[: at + len(terminator)]):
        at = whole.rfind(terminator, start, at)
    if at < 0:
        raise _rewritten(row, index, whole, text)
    return at + len(terminator)


def _check_content(message: Message, said: str, around: tuple[str, str], row: str, index: int) -> None:
    """`around` is what the template writes before and behind any answer, the terminator included."""
    before, behind = around
    if message.tool_calls:
        missing = [c["name"] for c in message.tool_calls if str(c["name"]) not in said]
        ok = not missing and (said.startswith(message.content) or message.content in said)
    else:
        ok = said == before + message.content + behind
    if not ok:
        raise RenderError(
            f"the template changes what the assistant says in turn {index + 1}.\n"
            f"    the data says:      {(before + message.content + behind)!r}\n"
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


def with_system_in_user(messages: Sequence[Message]) -> Sequence[Message]:
    """The turns for a template without a place for a system's: its words stand before those of the user's first."""
    if len(messages) < 2 or (messages[0].role, messages[1].role) != ("system", "user"):
        return messages
    system, user = messages[:2]
    return [Message("user", f"{system.content}\n\n{user.content}"), *messages[2:]]


def as_dicts(messages: Sequence[Message], *, numbered: bool = False) -> list[dict[str, Any]]:
    """Messages as templates take them; `numbered` calls have ids of nine letters and digits, as Mistral's want."""
    turns = [m.as_dict() for m in messages]
    return with_ids(turns, "call{:03d}{:02d}") if numbered else turns


def as_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Tools in the shape templates take: `{"type": "function", "function": {…}}`."""
    if not tools:
        return None
    return [dict(t) if "function" in t else {"type": "function", "function": dict(t)} for t in tools]
